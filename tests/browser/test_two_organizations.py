"""The whole story in a real Chromium: two organizations, each in a browser of its own, find each other and exchange data."""

import re

import pytest

from carelane.web.server import running
from tests.journeys.hubs import running_hub

NAME = "PatientAdmin: API endpoint to Bright inbox"
PASSWORD = "harbour lamps and rain"


@pytest.fixture
async def address(store):
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


async def person(browser, address: str, name: str, organization: str, kind: str):
    """Sign somebody up with their organization; return their page and everything its console said."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    page.address = address
    await page.goto(f"{address}/sign-up")
    await page.get_by_label("Organization").fill(organization)
    await page.get_by_label("Kind").select_option(kind)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("E-mail").fill(f"{name.lower()}@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()
    await page.wait_for_url("**/welcome")
    return page


async def go(page, path: str):
    await page.goto(page.address + path)


async def test_a_new_account_sends_and_receives_its_first_message_in_three_clicks(browser, address):
    ann = await person(browser, address, "Ann", "North Hospital", "provider")
    await ann.get_by_role("link", name="Send a test message").click()
    await ann.get_by_role("button", name="Send", exact=True).click()
    await ann.get_by_text("Delivered.", exact=True).wait_for()
    await go(ann, "/welcome")
    await ann.get_by_role("link", name="Receive a test message").click()
    await ann.get_by_role("button", name="Receive", exact=True).click()
    await ann.get_by_text("Delivered.", exact=True).wait_for()
    await go(ann, "/developer/destinations")
    await ann.get_by_role("link", name="API endpoint").click()
    await ann.get_by_role("link", name="Open inbox").click()
    assert "Alder" in await ann.locator("pre").first.inner_text()
    assert [] == ann.said


async def test_two_organizations_find_each_other_agree_subscribe_and_see_data_flow(browser, address):
    ann = await person(browser, address, "Ann", "North Hospital", "provider")
    bob = await person(browser, address, "Bob", "Bright Health", "health-tech vendor")
    await _listed(ann)
    await _requested(bob)
    await _accepted(ann)
    await _endpoint(bob)
    await _subscribed(ann, bob)
    await _flows(ann, bob)
    await _paused_and_resumed(ann, bob)
    await _one_party(bob)
    await _suspended_and_ended(ann, bob)
    assert [] == ann.said + bob.said


async def _listed(ann):
    await go(ann, "/organization")
    await ann.get_by_label("Listed in the directory").check()
    await ann.get_by_label("About").fill("Two hundred beds by the lake.")
    await ann.get_by_label("Place").fill("Lakeside, WI")
    await ann.get_by_role("button", name="Save").click()
    await ann.get_by_text("Saved.").wait_for()


async def _requested(bob):
    await go(bob, "/connections/directory")
    await bob.get_by_label("Name, place or EHR").fill("lakeside")
    await bob.get_by_role("button", name="Search").click()
    await bob.get_by_role("link", name="North Hospital", exact=True).first.click()
    await bob.get_by_label("What is it for?").fill("Follow-up after discharge")
    for model in ("PatientAdmin", "Results"):
        await bob.get_by_role("group", name="You receive").get_by_label(model, exact=True).check()
    await bob.get_by_role("group", name="You send").get_by_label("PatientAdmin", exact=True).check()
    await bob.get_by_role("button", name="Request connection").click()
    await bob.get_by_text("Waiting for North Hospital").wait_for()


async def _accepted(ann):
    await go(ann, "/connections/requests")
    await ann.get_by_role("link", name=re.compile("Requests 1")).wait_for()
    await ann.get_by_role("link", name=re.compile("Bright Health")).click()
    await ann.get_by_role("button", name="Accept").click()
    await ann.get_by_text("Accepted. Create endpoints").wait_for()
    assert 3 == await ann.get_by_role("table").filter(has_text="Signed").locator("tbody tr").count()


async def _endpoint(bob):
    """A new destination through the wizard, left and gone on with."""
    await go(bob, "/developer/destinations")
    await bob.get_by_role("link", name="New destination").first.click()
    await bob.get_by_label("Name").fill("Bright inbox")
    await bob.get_by_label("Inbox", exact=True).check()
    await bob.get_by_role("button", name="Next").click()
    await bob.get_by_role("button", name="Save and exit").click()
    await bob.get_by_role("link", name="Bright inbox").click()
    await bob.get_by_role("button", name="Test connection").click()
    await bob.get_by_text("It works: ready").wait_for()
    await bob.get_by_role("button", name="Create destination").click()
    await bob.get_by_text("Done. Test it").wait_for()


async def _subscribed(ann, bob):
    await go(bob, "/connections")
    await bob.get_by_role("link", name=re.compile("Create subscription with North Hospital")).click()
    await bob.get_by_label("Direction").select_option("in")
    await bob.get_by_label("Destination (Bright Health)").select_option("Bright inbox")
    for model in ("PatientAdmin", "Results"):
        await bob.get_by_label(model, exact=True).check()
    await bob.get_by_text("PatientAdmin and Results events from API endpoint will be delivered to Bright inbox.").wait_for()
    await bob.get_by_role("button", name="Create").click()
    await bob.get_by_text("2 subscriptions created. An engineer of North Hospital has to accept").wait_for()
    await go(ann, "/connections")
    await ann.get_by_role("link", name="Bright Health", exact=True).first.click()
    for _ in range(2):
        await ann.get_by_role("button", name=re.compile("Accept ")).first.click()
        await ann.get_by_text("It is accepted.").wait_for()


async def _flows(ann, bob):
    """What Ann sends is seen arriving on Bob's open page, without a reload."""
    await go(bob, "/connections")
    await bob.get_by_role("link", name="North Hospital", exact=True).first.click()
    row = bob.get_by_role("row").filter(has_text=NAME)
    await row.wait_for()
    await _send(ann)
    await row.locator("[data-field=delivered]").get_by_text("1", exact=True).wait_for()
    curve = bob.locator("svg a.lane").first
    await curve.focus()
    await bob.keyboard.press("Enter")
    await bob.locator("#panel").get_by_text("Oldest waiting").wait_for()


async def _send(ann, count: int = 1):
    for _ in range(count):
        await go(ann, "/developer/tools")
        await ann.get_by_role("button", name="Send", exact=True).click()
        await ann.wait_for_url("**/developer/tools/msg_*")


async def _paused_and_resumed(ann, bob):
    await bob.get_by_role("button", name=f"Pause {NAME}").click()
    await bob.get_by_text("It is paused.").wait_for()
    await _send(ann, 2)
    await go(bob, "/subscriptions?q=Bright+inbox+PatientAdmin")
    row = bob.get_by_role("row").filter(has_text=NAME)
    await row.get_by_text("paused").wait_for()
    await row.get_by_text("2 waiting").wait_for()
    await bob.get_by_label(re.compile("Select PatientAdmin: API")).check()
    await bob.get_by_role("button", name="Resume selected").click()
    await bob.get_by_text("1 resumed.").wait_for()
    await bob.get_by_role("link", name="North Hospital", exact=True).first.click()
    await bob.get_by_role("row").filter(has_text=NAME).locator("[data-field=delivered]").get_by_text("3", exact=True).wait_for()


async def _one_party(bob):
    await go(bob, "/subscriptions/new")
    await bob.get_by_label("Destination").select_option("Bright inbox")
    await bob.get_by_label("PatientAdmin", exact=True).check()
    await bob.get_by_role("button", name="Create").click()
    await bob.get_by_text("1 subscription created. They carry data now.").wait_for()


async def _suspended_and_ended(ann, bob):
    await go(ann, "/connections")
    await ann.get_by_role("link", name="Bright Health", exact=True).first.click()
    await ann.get_by_text("Suspend or end").click()
    await ann.get_by_label("Hold them undelivered").check()
    await ann.get_by_role("button", name="Suspend").click()
    await ann.get_by_text("Suspended: nothing new is taken; what was queued is held.").wait_for()
    await go(bob, "/connections")
    await bob.get_by_role("article").filter(has_text="North Hospital").get_by_text("suspended").wait_for()
    await ann.get_by_text("Suspend or end").click()
    await ann.get_by_label("Hold them undelivered").check()
    await ann.get_by_role("button", name="End connection").click()
    await ann.get_by_text("This connection has ended. Its history stays.").wait_for()
    await ann.get_by_text("connection ended").wait_for()
