"""A person who acts on lanes while everything runs, through the platform API of any node, as scripts and the dashboard do."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from carelane.domain.errors import NotFound
from carelane.store.catalogue.organization import find_organization
from carelane.store.office.personal import PersonalKeys
from carelane.store.people import create_user, sign_in, who
from carelane.store.store import Store

_PASSWORD = "a person of the bench"
_TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass
class Person:
    """Somebody of the receiving organization; keeps account of what they gave up, and of what the hub said no to."""

    key: str
    session: aiohttp.ClientSession
    skipped: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    did: Counter[str] = field(default_factory=Counter)

    async def lanes(self, base: str) -> list[dict[str, Any]]:
        """Return the lanes as they stand.

        Raises:
            aiohttp.ClientError, TimeoutError: the hub cannot be asked now.
        """
        async with self.session.get(f"{base}/platform/v1/lanes?limit=200") as reply:
            reply.raise_for_status()
            return list((await reply.json())["items"])

    async def act(self, base: str, lane: str, verb: str) -> bool:
        """Pause, resume or release a lane; say whether it was done, rather than refused as pointless (409).

        Raises:
            aiohttp.ClientError, TimeoutError: it is not known whether it was done.
        """
        return await self._post(base, lane, verb, None) is not None

    async def skip(self, base: str, lane: str, head: int | None = None) -> int | None:
        """Give the head of a lane up; return its number, or None where there was nothing to skip.

        ``head`` is its number, where it is known beforehand: it counts as given up also when the answer is lost.
        """
        before = set(self.skipped[lane])
        self.skipped[lane].update([] if head is None else [head])
        found = await self._post(base, lane, "skip", {"reason": "bench"})
        if found is None:
            self.skipped[lane] = before
            return None
        self.skipped[lane].add(found["sequence"])
        return int(found["sequence"])

    async def _post(self, base: str, lane: str, verb: str, body: dict[str, str] | None) -> dict[str, Any] | None:
        async with self.session.post(f"{base}/platform/v1/lanes/{lane}/{verb}", json=body) as reply:
            self.did[verb if reply.ok else f"{verb} refused"] += 1
            if reply.status == 409:
                return None
            reply.raise_for_status()
            found: dict[str, Any] = await reply.json()
            return found


async def key_of_somebody(store: Store) -> str:
    """Make an owner of the receiving organization, and a key that speaks for them."""
    org = await find_organization(store.database, "bright")
    if org is None:
        raise NotFound("the organization bright is not seeded")
    await create_user(store.database, email="ann@bright.example", name="Ann", password=_PASSWORD, orgs=[org])
    person = await who(store.database, await sign_in(store.database, "ann@bright.example", _PASSWORD) or "")
    assert person is not None
    return (await PersonalKeys(store.database).create(person, "bench", 1))[1]


@asynccontextmanager
async def person(key: str) -> AsyncIterator[Person]:
    """Let the holder of a key act."""
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}, timeout=_TIMEOUT) as session:
        yield Person(key, session)


def held(lanes: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lanes that were stopped at their head."""
    return [str(lane["lane"]) for lane in lanes if lane["held"]]
