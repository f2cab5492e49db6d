"""Every page, in light and dark, wide and narrow: axe finds nothing serious, nothing overflows, nothing is asked of other hosts, the console is silent."""

from importlib import resources

import pytest

from carelane.web.server import running
from tests.browser.scene import EMAIL, PASSWORD, furnish
from tests.journeys.hubs import running_hub

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
OUTSIDE = ("/sign-in", "/sign-up")


@pytest.fixture
async def site(store):
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}", await furnish(hub.hub)


async def faults(page) -> list[str]:
    """Serious and critical findings of axe, in words."""
    await page.evaluate(AXE)
    found = await page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]}; {node['any'][0]['message'] if node['any'] else ''}" for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"][:4]
    ]  # fmt: skip


async def visit(page, address: str, path: str) -> list[str]:
    """Open a page and return what is wrong with it."""
    await page.goto(address + path)
    wrong = [f"{path}: {one}" for one in await faults(page)]
    wide = await page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    if wide[0] > wide[1]:
        wrong.append(f"{path}: {wide[0]} px wide in a window of {wide[1]} px")
    if not await page.locator("h1").count():
        wrong.append(f"{path}: no first-level heading")
    return wrong


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
@pytest.mark.timeout(300)
async def test_every_page_is_accessible_fits_and_asks_nobody_else(browser, site, width, scheme):
    address, paths = site
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = await context.new_page()
    said, foreign = [], []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") and "404" not in message.text else None)
    page.on("request", lambda request: foreign.append(request.url) if not request.url.startswith((address, "data:")) else None)
    wrong = [one for path in OUTSIDE for one in await visit(page, address, path)]
    await page.goto(f"{address}/sign-in")
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/connections")
    for path in paths.values():
        wrong += await visit(page, address, path)
    assert not wrong, "\n".join(wrong)
    assert ([], []) == (said, foreign)
