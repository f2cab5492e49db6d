"""How long pages take with 500 organizations, 10,000 subscriptions and 1,000,000 messages in the database: p50 and p95 of each, one at a time.

python -m bench.pages [--folder FOLDER] [--times 40]

The first run fills the folder (minutes); later ones find it filled. Two people look: one of the busiest organization, one of the quietest.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
import uvloop

from bench.fill import EMAIL, PASSWORD, QUIET, fill
from bench.machine import Hub, free_port, percentile, report
from carelane.kit.ids import public
from carelane.store.store import open_store

_ALLOWED_MS, _FLOW_MS = 200, 300


async def _paths(folder: Path, organizations: int, subscriptions: int, messages: int) -> dict[str, dict[str, str]]:
    """Fill the folder when it is empty; return the pages of each person."""
    async with open_store(folder, None, None, serve=True) as store:
        engine = store.database.engine
        if not await engine.fetchval("SELECT count(*) FROM message"):
            await fill(store, organizations, subscriptions, messages)
        found = {}
        for who, slug in ((EMAIL, "bench-0"), (QUIET, f"bench-{organizations // 2}")):
            org = await engine.fetchval("SELECT id FROM organization WHERE slug = $1", slug)
            row = await engine.fetchrow(
                "SELECT s.uid, c.uid AS con, src.uid AS src, dst.uid AS dst, s.dest_org_id FROM subscription s JOIN connection c ON c.id = s.connection_id "
                "JOIN source src ON src.id = s.source_id JOIN destination dst ON dst.org_id = s.org_id WHERE s.org_id = $1 AND c.purpose = 'bench' LIMIT 1", org
            )  # fmt: skip
            partner = await engine.fetchval("SELECT uid FROM organization WHERE id = $1", row["dest_org_id"])
            message = await engine.fetchval("SELECT id FROM message WHERE org_id = $1 ORDER BY id DESC LIMIT 1", org)
            found[who] = {
                "connections": "/connections", "flow": f"/connections/{public('con', row['con'])}", "requests": "/connections/requests",
                "directory": "/connections/directory?q=Organization", "profile": f"/connections/directory/{public('org', partner)}",
                "subscriptions": "/subscriptions", "subscriptions searched": "/subscriptions?q=feed+3&sort=-pending",
                "subscriptions last page": "/subscriptions?page=4", "subscription": f"/subscriptions/{public('sub', row['uid'])}",
                "new subscription": "/subscriptions/new", "sources": "/developer/sources",
                "source": f"/developer/sources/{public('src', row['src'])}", "destinations": "/developer/destinations",
                "destination": f"/developer/destinations/{public('dst', row['dst'])}", "keys": "/developer/keys", "tools": "/developer/tools",
                "messages": "/messages", "messages of a model": "/messages?model=Results", "message": f"/messages/{public('msg', message)}", "team": "/team",
                "organization": "/organization", "audit": "/audit",
            }  # fmt: skip
    return found


async def _measure(base: str, email: str, paths: dict[str, str], times: int) -> dict[str, dict[str, float]]:
    """Open each page so many times, after twice for warmth."""
    found = {}
    async with aiohttp.ClientSession(base, cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"sec-fetch-site": "same-origin"}) as web:
        async with web.post("/sign-in", data={"email": email, "password": PASSWORD}, allow_redirects=False) as reply:
            assert reply.status == 303, reply.status
        jobs = [(name, "GET", path, None) for name, path in paths.items()] + [("messages by patient", "POST", "/messages", {"kind": "patient", "text": "4711"})]
        for name, method, path, data in jobs:
            took = []
            for _ in range(times + 2):
                began = time.perf_counter()
                async with web.request(method, path, data=data) as reply:
                    body = await reply.read()
                    assert reply.status == 200, (name, path, reply.status)
                took.append((time.perf_counter() - began) * 1000)
            found[name] = {"p50_ms": round(percentile(took[2:], 0.5), 1), "p95_ms": round(percentile(took[2:], 0.95), 1), "kb": round(len(body) / 1024)}
    return found


async def _main(folder: Path, times: int, organizations: int, subscriptions: int, messages: int) -> None:
    folder.chmod(0o755)
    paths = await _paths(folder, organizations, subscriptions, messages)
    port = free_port()
    hub = Hub(folder, port)
    await hub.start(port)
    await asyncio.sleep(5)
    try:
        pages = {who.split("@")[0]: await _measure(f"http://127.0.0.1:{port}", who, mine, times) for who, mine in paths.items()}
    finally:
        await hub.stop()
    limit = {"flow": _FLOW_MS}
    slow = [f"{who}: {name}" for who, found in pages.items() for name, one in found.items() if one["p95_ms"] > limit.get(name, _ALLOWED_MS)]
    report(
        "pages", {"organizations": organizations, "subscriptions": subscriptions, "messages": messages, "times": times, "pages": pages, "over_the_limit": slow}
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keeps the filled database; a temporary one when left out")
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--organizations", type=int, default=500)
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    given = parser.parse_args()
    sizes = (given.times, given.organizations, given.subscriptions, given.messages)
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        uvloop.run(_main(given.folder, *sizes))
    else:
        with tempfile.TemporaryDirectory(prefix="carelane-bench-") as made:
            uvloop.run(_main(Path(made), *sizes))
