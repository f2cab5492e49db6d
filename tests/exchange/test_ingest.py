"""The one way in, over a real database: what goes together, what fails alone, what is answered."""

import asyncio
from itertools import pairwise

import orjson
import pytest

from carelane.domain.errors import Unreadable, Unstorable
from carelane.domain.message import Heading, Outcome
from carelane.exchange import ingest as ingest_module
from carelane.exchange.ingest import Ingest
from carelane.exchange.node import Shelf
from carelane.kit.clock import SystemClock
from carelane.plugins import FormatShelf
from carelane.store.ledger import Ledger
from carelane.store.snapshot import read_snapshot
from tests.world import adt, make_world

NUL_IN_THE_HEADING = orjson.dumps({"resourceType": "Bundle", "type": "message", "timestamp": "2026\0", "entry": []})


class CountingLedger(Ledger):
    """Counts commits."""

    commits = 0

    async def append(self, batch):
        self.commits += 1
        return await super().append(batch)


class Words:
    """HL7 v2 with a fault of its own in one verb, for messages that carry a mark."""

    def __init__(self, words, verb, result):
        self._words, self._verb, self._result = words, verb, result

    def __getattr__(self, name):
        usual = getattr(self._words, name)

        def verb(raw, *rest):
            return self._result() if b"|FAULT|" in raw else usual(raw, *rest)

        return verb if name == self._verb else usual


class Faulty:
    """A shelf on which hl7v2 is such a format."""

    def __init__(self, verb, result):
        self._shelf, self._verb, self._result = FormatShelf(), verb, result

    def __getitem__(self, name):
        return Words(self._shelf[name], self._verb, self._result)


class Watched:
    """A shelf whose formats show every heading they read."""

    def __init__(self, show):
        self._shelf, self._show = FormatShelf(), show

    def __getitem__(self, name):
        words, show = self._shelf[name], self._show

        class Shown:
            def __getattr__(self, verb):
                usual = getattr(words, verb)
                return (lambda *given: show(usual(*given))) if verb == "peek" else usual

        return Shown()


def failing():
    raise ZeroDivisionError("Jo Doe")


@pytest.fixture
async def world(store):
    return await make_world(store)


@pytest.fixture
async def made(store, world):
    shelf = Shelf(await read_snapshot(store.database, store.keyring))

    def make(formats=None, ledger=None):
        return Ingest(ledger or Ledger(store.database), shelf, formats or FormatShelf(), store.keyring, SystemClock(), lambda *_: None)

    return make


@pytest.fixture
def ingest(made):
    return made()


@pytest.fixture
def lane(store, world):
    """The control ids on the lane of admissions, in its order."""

    async def read():
        rows = await store.database.engine.fetch(
            "SELECT m.heading->>'controlId' AS control FROM delivery d JOIN message m ON m.id = d.message_id AND m.day = d.message_day WHERE d.lane_id = $1 ORDER BY d.seq",
            world.lanes["PatientAdmin"])  # fmt: skip
        return [row["control"] for row in rows]

    return read


@pytest.fixture
def stored(store):
    """(readable, problem) of every message, in the order of arrival."""

    async def read():
        return [
            (row["readable"], row["problem"])
            for row in await store.database.engine.fetch("SELECT readable, heading->>'problem' AS problem FROM message ORDER BY id")
        ]

    return read


def batch(*messages):
    return b"BHS|^~\\&|A\r" + b"".join(messages) + b"BTS|%d\r" % len(messages)


async def test_a_batch_arrives_in_its_order_and_nothing_slips_between(ingest, world, lane):
    raws = (adt("N0"), batch(adt("B1"), adt("B2"), adt("B3")), adt("N1"), adt("N2"))
    receipts = await asyncio.gather(*(ingest.accept(world.source, raw) for raw in raws))
    assert ["N0", "B1", "B2", "B3", "N1", "N2"] == await lane()
    assert [b"MSA|AA|B%d" % number in receipts[1].reply for number in (1, 2, 3)] == [True] * 3


async def test_a_large_batch_gives_way_to_others_and_still_keeps_its_order(made, world, lane):
    many, looked, seen = [f"B{number}" for number in range(200)], [], []

    def counting(heading):
        looked.append(heading)
        return heading

    async def others():
        while True:
            seen.append(len(looked))
            await asyncio.sleep(0)

    ingest = made(Watched(counting))
    other = asyncio.ensure_future(others())
    await asyncio.gather(ingest.accept(world.source, batch(*map(adt, many))), ingest.accept(world.source, adt("N1")))
    other.cancel()
    assert [*many, "N1"] == await lane()
    assert max(after - before for before, after in pairwise(seen)) <= 64


async def test_a_batch_of_three_hundred_is_stored_in_one_commit(store, made, world, lane):
    ledger = CountingLedger(store.database)
    await made(ledger=ledger).accept(world.source, batch(*(adt(f"B{number}") for number in range(300))))
    assert (1, 300) == (ledger.commits, len(await lane()))


@pytest.mark.parametrize(
    ("wrong", "code"),
    [(adt("B2").replace(b"ADT^A01", b"ADT^ZZZ"), "201"), (adt("B2").replace(b"ADT^A01^ADT_A01", b"ORM^O01"), "no-subscription"), (b"MSH|\r", "101")],
)
async def test_when_one_message_of_a_batch_is_refused_none_is_queued_and_all_are_kept(ingest, world, lane, stored, wrong, code):
    receipt = await ingest.accept(world.source, batch(adt("B1"), wrong, adt("B3")))
    assert (Outcome.REFUSED, code, True) == (receipt.outcome, receipt.problem.code, receipt.problem.text.startswith("Message 2 of 3 of the batch: "))
    assert [] == await lane()
    assert ["batch-refused", code, "batch-refused"] == [problem for _, problem in await stored()]
    assert 3 == receipt.reply.count(b"MSA|AR|")
    assert b"MSA|AR|B1|Message 1 of 3 of the batch was not queued, because message 2 was refused." in receipt.reply


async def test_a_mended_batch_is_taken_whole(ingest, world, lane):
    await ingest.accept(world.source, batch(adt("B1"), adt("B2").replace(b"ADT^A01", b"ADT^ZZZ")))
    receipt = await ingest.accept(world.source, batch(adt("B1"), adt("B2")))
    assert (Outcome.STORED, ["B1", "B2"]) == (receipt.outcome, await lane())


async def test_a_batch_sent_again_gets_the_answers_of_the_first_time(ingest, world, lane):
    first, again = [await ingest.accept(world.source, batch(adt("B1"), adt("B2"))) for _ in range(2)]
    assert (Outcome.DUPLICATE, first.reply, ["B1", "B2"]) == (again.outcome, again.reply, await lane())


async def test_a_batch_with_too_many_messages_is_kept_and_not_queued(ingest, world, lane, stored, monkeypatch):
    monkeypatch.setattr(ingest_module, "MOST_IN_A_BATCH", 2)
    receipt = await ingest.accept(world.source, batch(adt("B1"), adt("B2"), adt("B3")))
    assert (Outcome.REFUSED, 413, []) == (receipt.outcome, receipt.status, await lane())
    assert [(False, "too-many-messages")] == await stored()


async def test_one_senders_nul_refuses_its_own_message_and_nobody_elses(ingest, world, lane, stored):
    warm = ingest.accept(world.source, adt("W0"))
    tasks = [ingest.accept(world.source, adt(f"G{number}")) for number in range(20)]
    tasks.insert(7, ingest.accept(world.source, NUL_IN_THE_HEADING, format="fhir"))
    receipts = await asyncio.gather(warm, *tasks)
    assert ([Outcome.REFUSED], 21) == ([one.outcome for one in receipts if one.outcome is not Outcome.STORED], len(await lane()))
    assert "unstorable-text" in {problem for _, problem in await stored()}


@pytest.mark.parametrize("text", ["2026\0", "2026\ud800"])
async def test_text_that_cannot_be_stored_leaves_the_heading_and_the_bytes_are_kept(store, made, world, stored, text):
    words = Faulty("peek", lambda: Heading(data_model="PatientAdmin", event_type="Arrival", event_time=text, kind="ADT^A01"))
    receipt = await made(words).accept(world.source, adt("FAULT"))
    row = await store.database.engine.fetchrow("SELECT heading->>'eventTime' AS time, heading->>'kind' AS kind FROM message")
    assert (Outcome.REFUSED, 400, b"MSA|AR|FAULT" in receipt.reply) == (receipt.outcome, receipt.status, True)
    assert ((None, "ADT^A01"), [(True, "unstorable-text")]) == (tuple(row), await stored())


async def test_what_slips_past_the_first_look_fails_alone_and_its_bytes_are_kept(made, world, lane, stored, monkeypatch):
    """A heading that the check does not know to be bad, as a plug-in might one day make one."""
    monkeypatch.setattr("carelane.exchange.peek._storable", lambda value: True)
    words = Faulty("peek", lambda: Heading(data_model="PatientAdmin", event_type="Arrival", control_id="a\0b"))
    ingest = made(words)
    raws = [adt("W0"), *(adt(f"G{number}") for number in range(5)), adt("FAULT"), *(adt(f"H{number}") for number in range(5))]
    receipts = await asyncio.gather(*(ingest.accept(world.source, raw) for raw in raws))
    assert [6] == [at for at, one in enumerate(receipts) if one.outcome is not Outcome.STORED]
    assert (Outcome.REFUSED, 400, b"MSA|AR|FAULT" in receipts[6].reply) == (receipts[6].outcome, receipts[6].status, True)
    assert ["W0", *(f"G{number}" for number in range(5)), *(f"H{number}" for number in range(5))] == await lane()
    assert (False, "unstorable") in await stored()


async def test_a_batch_with_a_poisonous_message_is_kept_whole_and_not_queued(made, world, lane, stored, monkeypatch):
    monkeypatch.setattr("carelane.exchange.peek._storable", lambda value: True)
    words = Faulty("peek", lambda: Heading(data_model="PatientAdmin", event_type="Arrival", control_id="a\0b"))
    ingest = made(words)
    receipts = await asyncio.gather(
        ingest.accept(world.source, adt("N1")), ingest.accept(world.source, batch(adt("B1"), adt("FAULT"))), ingest.accept(world.source, adt("N2"))
    )
    assert [Outcome.STORED, Outcome.REFUSED, Outcome.STORED] == [one.outcome for one in receipts]
    assert (["N1", "N2"], 2) == (await lane(), [problem for _, problem in await stored()].count("unstorable"))


async def test_without_halving_the_neighbours_would_have_been_lost_too(store, world):
    """The control: the database itself refuses such a batch as a whole."""

    from carelane.testing.ledger_suite import incoming

    good, bad = (incoming(text, (), org=world.hospital, source=world.source) for text in ("good", "bad"))
    with pytest.raises(Unstorable):
        await Ledger(store.database).append([good, bad._replace(heading={"controlId": "a\0b"})])


async def test_a_fault_of_a_format_at_reading_is_its_own_senders_trouble(made, world, lane, stored):
    ingest = made(Faulty("peek", failing))
    receipts = await asyncio.gather(*(ingest.accept(world.source, adt(control)) for control in ("C1", "FAULT", "C2")))
    assert [Outcome.STORED, Outcome.REFUSED, Outcome.STORED] == [one.outcome for one in receipts]
    assert ((500, "fault"), ["C1", "C2"]) == ((receipts[1].status, receipts[1].problem.code), await lane())
    assert (False, "fault") in await stored()
    assert b"Jo Doe" not in receipts[1].reply and b"ZeroDivisionError" in receipts[1].reply


async def test_a_message_whose_answer_cannot_be_written_is_kept_not_queued_and_not_acknowledged(made, world, lane, stored):
    ingest = made(Faulty("acknowledge", failing))
    receipts = await asyncio.gather(*(ingest.accept(world.source, adt(control)) for control in ("C1", "FAULT", "C2")))
    assert [Outcome.STORED, Outcome.UNAVAILABLE, Outcome.STORED] == [one.outcome for one in receipts]
    assert (b"", ["C1", "C2"]) == (receipts[1].reply, await lane())
    assert (True, "fault") in await stored()


@pytest.mark.parametrize("result", [failing, lambda: [object()]])
async def test_a_fault_before_anything_can_be_kept_is_answered_as_unavailable(made, world, lane, result):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["message"]))
    ingest = made(Faulty("split", result))
    receipts = await asyncio.gather(*(ingest.accept(world.source, adt(control)) for control in ("C1", "FAULT", "C2")))
    assert [Outcome.STORED, Outcome.UNAVAILABLE, Outcome.STORED] == [one.outcome for one in receipts]
    assert (["C1", "C2"], 1, True) == (await lane(), len(told), told[0].startswith("ingest failed: "))


async def test_unreadable_bytes_are_kept_and_refused(made, world, stored):
    def unreadable():
        raise Unreadable("there is no MSH segment")

    receipt = await made(Faulty("peek", unreadable)).accept(world.source, adt("FAULT"))
    assert (Outcome.REFUSED, [(False, "unreadable")]) == (receipt.outcome, await stored())


async def test_of_two_bodies_with_one_key_at_the_same_time_one_is_stored(ingest, world, lane):
    receipts = await asyncio.gather(*(ingest.accept(world.source, adt(control), key="k") for control in ("K1", "K2")))
    assert [(Outcome.STORED, 200), (Outcome.REFUSED, 422)] == [(one.outcome, one.status) for one in receipts]
    assert ["K1"] == await lane()


async def test_two_hubs_at_the_same_time_store_one_body_of_a_key(made, world, lane):
    receipts = await asyncio.gather(*(made().accept(world.source, adt(f"K{number}"), key="k") for number in range(6)))
    assert ([Outcome.REFUSED] * 5 + [Outcome.STORED], 1) == (sorted(one.outcome for one in receipts), len(await lane()))


async def test_what_is_handed_in_anew_is_taken_though_it_came_before(ingest, world, lane):
    receipts = [await ingest.accept(world.source, adt("C1"), anew=True) for _ in range(2)]
    assert ([Outcome.STORED] * 2, ["C1", "C1"]) == ([one.outcome for one in receipts], await lane())


async def test_after_closing_nothing_is_taken(ingest, world):
    await ingest.close()
    receipt = await ingest.accept(world.source, batch(adt("B1"), adt("B2")))
    assert (Outcome.UNAVAILABLE, 503, True) == (receipt.outcome, receipt.status, b"MSA|AR|B1" in receipt.reply and b"MSA|AR|B2" in receipt.reply)
