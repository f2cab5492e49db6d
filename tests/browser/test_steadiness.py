"""Every page by keyboard and while it loads: all that can be used is reached in reading order, visibly; nothing moves under the reader's hand."""

import pytest

from carelane.web.server import running
from tests.browser.scene import EMAIL, PASSWORD, furnish
from tests.journeys.hubs import running_hub

# What a keyboard should reach: all that can be used and is seen; of radio buttons one a group.
REACHABLE = """() => {
  const groups = new Set();
  return [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(one => {
    if (one.disabled || one.tabIndex < 0 || one.type === 'hidden' || !one.checkVisibility({visibilityProperty: true})) return false;
    if (one.type !== 'radio') return true;
    const group = (one.form ? one.form.action : '') + one.name;
    return groups.has(group) ? false : groups.add(group);
  }).length;
}"""
# Tabs are pressed one by one; after each, what has the focus is noted: its place among all, whether it is seen, whether its focus shows.
NOTED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const all = [...document.querySelectorAll('*')], style = getComputedStyle(one), box = one.getBoundingClientRect();
  const marked = one => { const s = getComputedStyle(one); return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none'; };
  const label = one.closest('label');
  return {at: all.indexOf(one), name: one.outerHTML.slice(0, 120), marked: marked(one) || (label && marked(label)) || style.backgroundColor !== one.dataset.calm
            || [...one.querySelectorAll('rect, path')].some(drawn => parseFloat(getComputedStyle(drawn).strokeWidth) >= 4),
          seen: box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth, hidden: box.width * box.height === 0};
}"""
CALM = "() => document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex]').forEach(one => one.dataset.calm = getComputedStyle(one).backgroundColor)"
SHIFTS = """() => new Promise(done => {
  let sum = 0; const moved = [];
  const read = list => list.filter(one => !one.hadRecentInput).forEach(one => { sum += one.value;
    one.sources.forEach(source => moved.push((source.node && source.node.outerHTML || '').slice(0, 100))); });
  const observer = new PerformanceObserver(list => read(list.getEntries()));
  observer.observe({type: 'layout-shift', buffered: true});
  setTimeout(() => { read(observer.takeRecords()); done([sum, moved]); }, 700);
})"""


@pytest.fixture
async def site(store):
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}", await furnish(hub.hub)


async def walked(page, path: str) -> list[str]:
    """Tab through a page and return what is wrong with the way."""
    await page.evaluate(CALM)
    wanted, places, wrong = await page.evaluate(REACHABLE), [], []
    backwards: list[str] = []
    for _ in range(wanted + 5):
        await page.keyboard.press("Tab")
        one = await page.evaluate(NOTED)
        if one is None and len(places) < wanted:
            continue  # the browser's own controls, between the end and the beginning
        if one is None or one["at"] in places:
            break
        if places and one["at"] < places[-1]:
            backwards.append(f"{path}: goes back to {one['name']}")
        if not one["seen"] or one["hidden"]:
            wrong.append(f"{path}: not seen: {one['name']}")
        if not one["marked"]:
            wrong.append(f"{path}: focus does not show: {one['name']}")
        places.append(one["at"])
    wrong += backwards[1:]  # past the end it begins again, once: a form may take the focus when the page opens
    if len(places) < wanted:
        wrong.append(f"{path}: {len(places)} of {wanted} places are reached")
    return wrong


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.timeout(300)
async def test_every_page_is_walked_by_keyboard_in_reading_order_and_holds_still(browser, site, width):
    address, paths = site
    context = await browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page = await context.new_page()
    await page.goto(f"{address}/sign-in")
    wrong = await walked(page, "/sign-in")
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/connections")
    for path in paths.values():
        await page.goto(address + path)
        moved, what = await page.evaluate(SHIFTS)
        if moved > 0.01:
            wrong.append(f"{path}: moved by {moved:.3f}: {what[:3]}")
        wrong += await walked(page, path)
    assert not wrong, "\n".join(wrong)
