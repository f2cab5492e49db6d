"""A page asks the database as often with many rows as with few."""

import html
from collections import Counter
from contextlib import contextmanager

import aiohttp
import asyncpg
import pytest

from carelane.domain.office import Filter
from carelane.kit.ids import public
from carelane.web.server import running
from tests.browser.scene import EMAIL, PASSWORD, furnish
from tests.journeys.hubs import running_hub
from tests.waiting import until

LISTS = ("connections", "flow", "requests", "directory", "profile", "subscriptions", "sources", "destinations", "source", "keys", "personal-keys", "messages", "team", "audit",
         "organization", "tools", "new-subscription")  # fmt: skip


@contextmanager
def counted(monkeypatch, said: Counter):
    """Count every statement that reaches a server."""
    with monkeypatch.context() as patch:
        for owner, name in ((asyncpg.Connection, "_do_execute"), (asyncpg.prepared_stmt.PreparedStatement, "_PreparedStatement__do_execute")):
            whole = getattr(owner, name)

            async def counting(self, *given, whole=whole, **more):
                said["statements"] += 1
                return await whole(self, *given, **more)

            patch.setattr(owner, name, counting)
        yield


@pytest.fixture
async def site(store):
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        paths = await furnish(hub.hub)
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"sec-fetch-site": "same-origin"}
        ) as web:
            async with web.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}, allow_redirects=False) as reply:
                assert 303 == reply.status
            yield hub.hub, web, paths


async def statements(web, monkeypatch, path: str) -> int:
    """The fewest of three looks: the hub does work of its own meanwhile."""
    found = []
    for _ in range(3):
        said = Counter()
        with counted(monkeypatch, said):
            async with web.get(path) as reply:
                await reply.read()
                assert 200 == reply.status
        found.append(said["statements"])
    return min(found)


async def test_more_rows_are_no_more_statements(site, monkeypatch):
    hub, web, paths = site
    before = {name: await statements(web, monkeypatch, paths[name]) for name in LISTS}
    ann = await hub.desk.who(await hub.desk.sign_in(EMAIL, PASSWORD))
    source = (await hub.endpoints.find(ann, "source", environment="development"))[-1].uid
    for number in range(12):
        made = await hub.endpoints.create(ann, "destination", environment="development", name=f"Inbox {number}", transport="inbox", settings={})
        await hub.subscriptions.create(ann, source=source, destination=made, models=["PatientAdmin", "Results"])
        await hub.endpoints.create(ann, "source", environment="development", name=f"Feed {number}", transport="http", settings={})
        await hub.endpoints.create_key(ann, source, f"Key {number}")
        await hub.team.invite(ann, email=f"p{number}@example.org", role="member", environments={}, payloads=False)
        await hub.team.create_organization(f"Another {number}", "lab", actor="tests")
    after = {name: await statements(web, monkeypatch, paths[name]) for name in LISTS}
    assert before == after, (before, after)
    assert min(after.values()) >= 3  # who asks, their organizations, and the page
    assert max(after.values()) <= 18, after


async def test_the_panel_of_a_failing_subscription_says_why_the_last_try_failed(site):
    hub, web, _ = site
    ann = await hub.desk.who(await hub.desk.sign_in(EMAIL, PASSWORD))

    async def failed():
        [row] = [one for one in (await hub.subscriptions.find(ann, Filter())).rows if one.destination == "Bright webhook"]
        return row if row.last_error else None

    row = await until(failed)
    async with web.get(f"/subscriptions/{public('sub', row.uid)}/panel") as reply:
        text = await reply.text()
    assert "Last error" in text
    assert row.last_error in html.unescape(text)
    assert "127.0.0.1" in row.last_error or "refused" in row.last_error or "connect" in row.last_error, row.last_error
