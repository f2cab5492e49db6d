"""What every ledger must do. A test class inherits it and provides ``ledger`` and ``lanes`` (two lane ids of one source)."""

import asyncio
import hashlib
from datetime import UTC, datetime

from carelane.domain.delivery import Settlement, Tried, Verdict
from carelane.domain.ids import LaneId, OrgId, SourceId
from carelane.domain.message import Incoming
from carelane.kit.ids import uuid7


def incoming(text: str, lanes: tuple[int, ...], *, org: int = 1, source: int = 1, dedup: str | None = None) -> Incoming:
    """Make a message as ingest would; its body is not sealed, which no ledger looks at."""
    body = text.encode()
    return Incoming(
        OrgId(org),
        SourceId(source),
        uuid7(),
        datetime.now(UTC),
        {"format": "hl7v2", "dataModel": "PatientAdmin", "test": False},
        True,
        body,
        hashlib.sha256(body).digest(),
        1,
        hashlib.sha256((dedup or text).encode()).digest(),
        b"reply to " + body,
        (1, 2),
        lanes,
    )


def settlement(lane: LaneId, seq: int, verdict: Verdict, epoch: int = 1, reason: str | None = None, tries: int = 0) -> Settlement:
    """Make a judged attempt of one delivery."""
    return settlements(lane, seq, (verdict,), epoch, reason, tries)


def settlements(lane: LaneId, first: int, verdicts: tuple[Verdict, ...], epoch: int = 1, reason: str | None = None, tries: int = 0) -> Settlement:
    """Make judged attempts of deliveries that went out together."""
    tried = tuple(Tried(first + number, verdict, reason, 3, b"detail") for number, verdict in enumerate(verdicts))
    return Settlement(lane, epoch, first - 1, tries, tried, datetime.now(UTC) if verdicts[-1] is Verdict.AGAIN else None)


def moved(lane: LaneId, head: int, epoch: int = 1) -> set[tuple[LaneId, int, int]]:
    """What a ledger says of one recorded settlement."""
    return {(lane, epoch, head)}


class LedgerSuite:
    """Inherit and provide the fixtures ``ledger``, ``lanes`` (two lane ids), ``org`` and ``source``."""

    async def test_messages_come_out_in_the_order_they_went_in(self, ledger, lanes, org, source):
        texts = [f"m{number}" for number in range(20)]
        await ledger.append([incoming(text, (lanes[0],), org=org, source=source) for text in texts[:7]])
        await ledger.append([incoming(text, (lanes[0],), org=org, source=source) for text in texts[7:]])
        entries = (await ledger.claim([(lanes[0], 0)], 100, 10**6))[lanes[0]]
        assert texts == [entry.body.decode() for entry in entries]
        assert list(range(1, 21)) == [entry.seq for entry in entries]

    async def test_one_message_on_two_lanes_is_stored_once_and_queued_twice(self, ledger, lanes, org, source):
        done = await ledger.append([incoming("both", tuple(lanes), org=org, source=source)])
        assert {lanes[0]: 1, lanes[1]: 1} == dict(done.tails)
        claimed = await ledger.claim([(lanes[0], 0), (lanes[1], 0)], 10, 10**6)
        assert claimed[lanes[0]][0].message_id == claimed[lanes[1]][0].message_id

    async def test_a_repeated_message_gets_the_stored_reply_and_is_not_queued_again(self, ledger, lanes, org, source):
        first = incoming("same", (lanes[0],), org=org, source=source)
        await ledger.append([first])
        second = incoming("same", (lanes[0],), org=org, source=source)
        done = await ledger.append([second])
        assert {} == dict(done.tails)
        assert (first.id, b"reply to same") == (done.duplicates[second.id].message_id, done.duplicates[second.id].reply)
        assert first.body_sha256 == done.duplicates[second.id].body_sha256

    async def test_a_repeat_within_one_batch_is_found_too(self, ledger, lanes, org, source):
        twins = [incoming("twin", (lanes[0],), org=org, source=source) for _ in range(2)]
        done = await ledger.append(twins)
        assert {lanes[0]: 1} == dict(done.tails)
        assert [twins[1].id] == list(done.duplicates)

    async def test_delivered_moves_the_cursor_and_again_does_not(self, ledger, lanes, org, source):
        await ledger.append([incoming(text, (lanes[0],), org=org, source=source) for text in ("a", "b")])
        assert moved(lanes[0], 0) == await ledger.settle([settlement(lanes[0], 1, Verdict.AGAIN)], datetime.now(UTC))
        assert moved(lanes[0], 0) == await ledger.settle([settlement(lanes[0], 1, Verdict.DELIVERED, tries=1)], datetime.now(UTC))
        assert moved(lanes[0], 1) == await ledger.settle([settlement(lanes[0], 2, Verdict.DELIVERED)], datetime.now(UTC))

    async def test_what_was_settled_is_not_settled_again_when_its_answer_was_lost(self, ledger, lanes, org, source):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        again = settlement(lanes[0], 1, Verdict.AGAIN)
        await ledger.settle([again], datetime.now(UTC))
        assert set() == await ledger.settle([again], datetime.now(UTC))

    async def test_several_deliveries_are_settled_together_and_the_failed_one_is_the_new_head(self, ledger, lanes, org, source):
        await ledger.append([incoming(text, (lanes[0],), org=org, source=source) for text in "abcd"])
        together = settlements(lanes[0], 1, (Verdict.DELIVERED, Verdict.FILTERED, Verdict.AGAIN))
        assert moved(lanes[0], 0) == await ledger.settle([together], datetime.now(UTC))
        assert moved(lanes[0], 2) == await ledger.settle([settlement(lanes[0], 3, Verdict.DELIVERED, tries=1)], datetime.now(UTC))

    async def test_a_former_owners_settlement_beside_the_owners_changes_nothing(self, ledger, lanes, org, source):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        stale, ours = settlement(lanes[0], 1, Verdict.HELD, epoch=0, reason="stale"), settlement(lanes[0], 1, Verdict.DELIVERED)
        assert moved(lanes[0], 0) == await ledger.settle([stale, ours], datetime.now(UTC))
        assert set() == await ledger.settle([settlement(lanes[0], 1, Verdict.DELIVERED)], datetime.now(UTC))

    async def test_a_later_message_cannot_be_settled_before_the_head(self, ledger, lanes, org, source):
        await ledger.append([incoming(text, (lanes[0],), org=org, source=source) for text in ("a", "b")])
        assert set() == await ledger.settle([settlement(lanes[0], 2, Verdict.DELIVERED)], datetime.now(UTC))

    async def test_the_same_delivery_cannot_be_settled_twice(self, ledger, lanes, org, source):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        await ledger.settle([settlement(lanes[0], 1, Verdict.DELIVERED)], datetime.now(UTC))
        assert set() == await ledger.settle([settlement(lanes[0], 1, Verdict.DELIVERED)], datetime.now(UTC))

    async def test_a_stale_epoch_settles_nothing(self, ledger, lanes, org, source):
        await ledger.append([incoming("a", (lanes[0],), org=org, source=source)])
        assert set() == await ledger.settle([settlement(lanes[0], 1, Verdict.DELIVERED, epoch=0)], datetime.now(UTC))

    async def test_appends_at_the_same_time_leave_no_gap_and_no_double_number(self, ledger, lanes, org, source):
        batches = [[incoming(f"{batch}-{number}", tuple(lanes), org=org, source=source) for number in range(10)] for batch in range(8)]
        await asyncio.gather(*(ledger.append(batch) for batch in batches))
        for lane in lanes:
            entries = (await ledger.claim([(lane, 0)], 1000, 10**7))[lane]
            assert list(range(1, 81)) == [entry.seq for entry in entries]
