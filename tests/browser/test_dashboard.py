"""The dashboard in a real Chromium: signing in, watching messages flow, looking at one, on a wide screen and on a phone."""

import re

import pytest

from carelane.store.people import create_user
from carelane.testing.partners import mllp_ask
from carelane.web.server import running
from tests.journeys.hubs import mllp_port, running_hub
from tests.world import adt, make_world

EMAIL, PASSWORD = "ann@example.org", "a long pass phrase"


@pytest.fixture
async def site(store):
    world = await make_world(store)
    await create_user(store.database, email=EMAIL, name="Ann", password=PASSWORD, orgs=[world.hospital, world.vendor])
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}", lambda raw: mllp_ask(mllp_port(hub, world.source), raw)


async def opened(browser, address: str, width: int = 1440, scheme: str = "light"):
    """Return a page that is signed in, with everything the console said."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = await context.new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    await page.goto(address)
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/connections")
    return page


async def test_messages_are_seen_flowing_without_a_reload(browser, site):
    address, send = site
    page = await opened(browser, address)
    await page.get_by_role("link", name="Bright Health").click()
    row = page.get_by_role("row").filter(has_text="PatientAdmin to Bright")
    await row.get_by_text("silent").wait_for()
    for number in range(5):
        await send(adt(f"C{number}"))
    await row.locator("[data-field=delivered]").get_by_text("5", exact=True).wait_for()
    assert [] == page.said


async def test_a_message_is_found_and_opened_with_the_keyboard(browser, site):
    address, send = site
    await send(adt("C1"))
    page = await opened(browser, address)
    await page.get_by_role("link", name="Messages", exact=True).click()
    await page.get_by_label("Exact value").fill("4711")
    await page.keyboard.press("Enter")
    link = page.get_by_role("table").get_by_role("link").first
    await link.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="ADT^A01").wait_for()
    assert "4711" not in page.url
    assert await page.get_by_text("Arrival").count() > 0
    assert [] == page.said


async def test_pausing_a_lane_shows_at_once(browser, site):
    address, _ = site
    page = await opened(browser, address)
    await page.get_by_role("link", name="Bright Health").click()
    await page.get_by_role("button", name="Pause PatientAdmin to Bright").click()
    await page.get_by_role("button", name="Resume PatientAdmin to Bright").wait_for()
    row = page.get_by_role("row").filter(has_text="PatientAdmin to Bright")
    assert "paused" in await row.inner_text()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_scrolls_sideways_or_hides_its_heading(browser, site, width, scheme):
    address, send = site
    await send(adt("C1"))
    page = await opened(browser, address, width, scheme)
    for path in ("/connections", "/messages"):
        await page.goto(address + path)
        assert await page.get_by_role("heading", level=1).is_visible()
        assert 0 == await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"), path
        assert scheme == await page.evaluate("document.documentElement.dataset.bsTheme")


async def test_nothing_is_loaded_from_anywhere_else(browser, site):
    address, _ = site
    page = await opened(browser, address)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    assert [] == [url for url in asked if not re.match(rf"{re.escape(address)}/|data:", url)]
