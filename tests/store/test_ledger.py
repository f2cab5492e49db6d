"""PostgreSQL's ledger and the shipped fake: one suite for both, and what only a database can show."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from carelane.domain.delivery import Verdict
from carelane.domain.errors import StoreLost, Unstorable
from carelane.domain.ids import LaneId
from carelane.kit.ids import uuid7
from carelane.store.ledger import Ledger
from carelane.testing.ledger import FakeLane, FakeLedger
from carelane.testing.ledger_suite import LedgerSuite, incoming, settlement, settlements
from tests.world import make_world


class TestFakeLedger(LedgerSuite):
    @pytest.fixture
    def ledger(self):
        return FakeLedger({LaneId(1): FakeLane(), LaneId(2): FakeLane()})

    @pytest.fixture
    def lanes(self):
        return [LaneId(1), LaneId(2)]

    @pytest.fixture
    def org(self):
        return 1

    @pytest.fixture
    def source(self):
        return 1


@pytest.fixture
async def world(store):
    made = await make_world(store)
    await store.database.engine.execute("UPDATE lane SET epoch = 1")
    return made


class TestPostgresLedger(LedgerSuite):
    @pytest.fixture
    def ledger(self, store):
        return Ledger(store.database)

    @pytest.fixture
    def lanes(self, world):
        return list(world.lanes.values())

    @pytest.fixture
    def org(self, world):
        return world.hospital

    @pytest.fixture
    def source(self, world):
        return world.source

    async def test_every_attempt_is_recorded(self, ledger, lanes, org, source, store):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        for tries, verdict in enumerate((Verdict.AGAIN, Verdict.HELD, Verdict.DELIVERED)):
            await ledger.settle([settlement(lanes[0], 1, verdict, reason="why", tries=tries)], datetime.now(UTC))
        rows = await store.database.engine.fetch("SELECT n, verdict FROM attempt ORDER BY n")
        assert [(1, "again"), (2, "held"), (3, "delivered")] == [tuple(row) for row in rows]

    async def test_every_attempt_of_several_that_went_together_is_recorded(self, ledger, lanes, org, source, store):
        await ledger.append([incoming(text, (lanes[0],), org=org, source=source) for text in "abc"])
        await ledger.settle([settlement(lanes[0], 1, Verdict.AGAIN)], datetime.now(UTC))
        await ledger.settle([settlements(lanes[0], 1, (Verdict.DELIVERED, Verdict.DELIVERED, Verdict.HELD), reason="no", tries=1)], datetime.now(UTC))
        rows = await store.database.engine.fetch("SELECT seq, n, verdict FROM attempt ORDER BY seq, n")
        assert [(1, 1, "again"), (1, 2, "delivered"), (2, 1, "delivered"), (3, 1, "held")] == [tuple(row) for row in rows]
        lane = await store.database.engine.fetchrow("SELECT head_seq, delivered, attempts, held FROM lane WHERE id = $1", lanes[0])
        assert (2, 2, 1, "no") == tuple(lane)

    async def test_what_was_filtered_is_not_counted_as_delivered(self, ledger, lanes, org, source, store):
        await ledger.append([incoming(text, (lanes[0],), org=org, source=source) for text in "ab"])
        await ledger.settle([settlement(lanes[0], 1, Verdict.FILTERED)], datetime.now(UTC))
        await ledger.settle([settlement(lanes[0], 2, Verdict.DELIVERED)], datetime.now(UTC))
        assert 1 == await store.database.engine.fetchval("SELECT delivered FROM lane WHERE id = $1", lanes[0])

    async def test_an_empty_lane_that_wakes_after_days_reads_only_from_today(self, ledger, lanes, org, source, store):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        await ledger.settle([settlement(lanes[0], 1, Verdict.DELIVERED)], datetime.now(UTC))
        await store.database.engine.execute("UPDATE lane_tail SET open_day = open_day - 20")
        await ledger.append([incoming("b", (lanes[0],), org=org, source=source)])
        assert datetime.now(UTC).date() == await store.database.engine.fetchval("SELECT open_day FROM lane_tail WHERE lane_id = $1", lanes[0])

    async def test_a_lane_that_holds_something_keeps_the_day_it_begins_with(self, ledger, lanes, org, source, store):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        await store.database.engine.execute("UPDATE lane_tail SET open_day = open_day - 20")
        await ledger.append([incoming("b", (lanes[0],), org=org, source=source)])
        assert datetime.now(UTC).date() - timedelta(days=20) == await store.database.engine.fetchval(
            "SELECT open_day FROM lane_tail WHERE lane_id = $1", lanes[0]
        )

    async def test_a_long_window_is_cut_by_bytes_but_never_empty(self, ledger, lanes, org, source):
        await ledger.append([incoming(f"{number}" * 600_000, (lanes[0],), org=org, source=source) for number in range(4)])
        assert 2 == len((await ledger.claim([(lanes[0], 0)], 32, 1_000_000))[lanes[0]])
        assert 1 == len((await ledger.claim([(lanes[0], 0)], 32, 1))[lanes[0]])

    async def test_repeats_are_found_across_midnight(self, ledger, lanes, org, source):
        first = incoming("old", (lanes[0],), org=org, source=source)
        yesterday = first._replace(id=UUID(int=first.id.int - (24 * 3600 * 1000 << 80)))
        await ledger.append([yesterday])
        second = incoming("old", (lanes[0],), org=org, source=source)
        done = await ledger.append([second])
        assert ({}, yesterday.id) == (dict(done.tails), done.duplicates[second.id].message_id)

    async def test_a_repeat_of_a_message_that_is_not_there_is_never_taken_for_stored(self, ledger, lanes, org, source, store):
        lost = incoming("lost", (lanes[0],), org=org, source=source)
        await store.database.engine.execute(
            "INSERT INTO dedup (org_id, day, source_id, key, message_id) VALUES ($1, $2, $3, $4, $5)",
            org, datetime.now(UTC).date(), source, lost.dedup_key, uuid7())  # fmt: skip
        with pytest.raises(Unstorable):
            await ledger.append([lost])

    async def test_the_engine_can_neither_change_nor_delete_the_logs(self, store, ledger, lanes, org, source):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        for table in ("message", "message_body", "delivery", "attempt", "dedup", "audit", "dead_letter"):
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET org_id = 1"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await store.database.engine.execute(statement)

    async def test_a_missing_day_is_made_on_the_way(self, store, ledger, lanes, org, source):
        owner = await store.database.connect_owner()
        today = datetime.now(UTC).strftime("%Y%m%d")
        for table in ("message", "message_body", "delivery", "attempt", "dedup"):
            await owner.execute(f"DROP TABLE {table}_{today}")
        await owner.close()
        done = await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        assert {lanes[0]: 1} == dict(done.tails)

    async def test_when_the_database_is_away_nothing_is_claimed_to_be_stored(self, store, ledger, lanes, org, source):
        await store.database.engine.close()
        with pytest.raises(StoreLost):
            await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])

    async def test_an_error_never_quotes_a_row(self, ledger, lanes, org, source):
        broken = incoming("patient Doe", (lanes[0],), org=org, source=source)
        with pytest.raises(Unstorable) as caught:
            await ledger.append([broken, broken])
        assert "Doe" not in str(caught.value) and caught.value.__cause__ is None

    @pytest.mark.parametrize("wrong", [{"heading": {"controlId": "a\0b"}}, {"tokens": (2**70,)}, {"org_id": 2**70}])
    async def test_values_the_database_refuses_are_told_from_a_lost_database(self, ledger, lanes, org, source, store, wrong):
        with pytest.raises(Unstorable):
            await ledger.append([incoming("good", (lanes[0],), org=org, source=source), incoming("bad", (lanes[0],), org=org, source=source)._replace(**wrong)])
        assert (0, 0) == (
            await store.database.engine.fetchval("SELECT count(*) FROM message"),
            await store.database.engine.fetchval("SELECT sum(tail_seq) FROM lane_tail"),
        )

    async def test_an_attempt_the_database_refuses_is_told_too(self, ledger, lanes, org, source):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        with pytest.raises(Unstorable):
            await ledger.settle([settlement(lanes[0], 1, Verdict.HELD, reason="a\0b")], datetime.now(UTC))
