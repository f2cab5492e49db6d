import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carelane.kit.batcher import Batcher, Closed


class Poisoned(Exception):
    """Nothing was done."""


async def test_what_queues_while_a_batch_is_in_flight_goes_into_the_next():
    batches, gate = [], asyncio.Event()

    async def work(items):
        batches.append(list(items))
        await gate.wait()
        return items

    batcher = Batcher(work, most=10)
    first = batcher.submit(1)
    await asyncio.sleep(0)
    rest = [batcher.submit(number) for number in (2, 3, 4)]
    gate.set()
    assert [1, 2, 3, 4] == await asyncio.gather(first, *rest)
    assert [[1], [2, 3, 4]] == batches


async def test_a_batch_never_has_more_than_the_most():
    sizes = []

    async def work(items):
        sizes.append(len(items))
        return items

    batcher = Batcher(work, most=3)
    await asyncio.gather(*(batcher.submit(number) for number in range(8)))
    assert [3, 3, 2] == sizes


async def test_heavy_items_are_spread_over_batches():
    sizes = []

    async def work(items):
        sizes.append(len(items))
        return items

    batcher = Batcher(work, most=100, weigh=lambda item: item, heaviest=10)
    await asyncio.gather(*(batcher.submit(weight) for weight in (6, 6, 3, 20)))
    assert [1, 2, 1] == sizes


async def test_a_failed_batch_fails_its_items_and_the_next_one_is_tried():
    outcomes = iter([OSError("gone"), None])

    async def work(items):
        outcome = next(outcomes)
        if outcome:
            raise outcome
        return items

    batcher = Batcher(work, most=1)
    first, second = batcher.submit("a"), batcher.submit("b")
    with pytest.raises(OSError, match="gone"):
        await first
    assert "b" == await second


async def test_who_stops_waiting_does_not_stop_the_work():
    done = []

    async def work(items):
        await asyncio.sleep(0.01)
        done.extend(items)
        return items

    batcher = Batcher(work, most=1)
    waiter = asyncio.ensure_future(batcher.submit("a"))
    await asyncio.sleep(0)
    waiter.cancel()
    await batcher.close()
    assert ["a"] == done


async def test_after_close_nothing_is_taken():
    async def work(items):
        return items

    batcher = Batcher(work, most=1)
    await batcher.close()
    with pytest.raises(Closed):
        batcher.submit(1)


async def test_a_group_is_done_in_one_call_even_when_it_is_larger_than_the_most():
    batches = []

    async def work(items):
        batches.append(list(items))
        return [item * 10 for item in items]

    batcher = Batcher(work, most=3)
    results = await asyncio.gather(batcher.submit(1), batcher.submit_many([2, 3, 4, 5]), batcher.submit(6))
    assert [10, [20, 30, 40, 50], 60] == results
    assert [[1], [2, 3, 4, 5], [6]] == batches


async def test_groups_and_single_items_share_a_batch():
    batches = []

    async def work(items):
        batches.append(list(items))
        return items

    batcher = Batcher(work, most=4)
    await asyncio.gather(batcher.submit(1), batcher.submit_many([2, 3]), batcher.submit(4), batcher.submit(5))
    assert [[1, 2, 3, 4], [5]] == batches


async def test_one_poisonous_item_fails_alone_and_the_others_keep_their_order():
    done = []

    async def work(items):
        if "bad" in items:
            raise Poisoned
        done.extend(items)
        return items

    batcher = Batcher(work, most=100, bisect=(Poisoned,))
    results = await asyncio.gather(*(batcher.submit(item) for item in ("a", "b", "bad", "c", "d")), return_exceptions=True)
    assert ["a", "b", "Poisoned", "c", "d"] == [one if isinstance(one, str) else type(one).__name__ for one in results]
    assert ["a", "b", "c", "d"] == done


async def test_a_poisoned_group_fails_whole_and_nothing_else_does():
    done = []

    async def work(items):
        if "bad" in items:
            raise Poisoned
        done.extend(items)
        return items

    batcher = Batcher(work, most=100, bisect=(Poisoned,))
    results = await asyncio.gather(batcher.submit("a"), batcher.submit_many(["b", "bad", "c"]), batcher.submit("d"), return_exceptions=True)
    assert ("a", "Poisoned", "d") == (results[0], type(results[1]).__name__, results[2])
    assert ["a", "d"] == done


async def test_an_error_of_another_kind_is_not_tried_in_halves():
    tries = []

    async def work(items):
        tries.append(list(items))
        raise OSError("gone")

    batcher = Batcher(work, most=100, bisect=(Poisoned,))
    await asyncio.gather(*(batcher.submit(number) for number in range(4)), return_exceptions=True)
    assert [[0, 1, 2, 3]] == tries


async def test_work_that_loses_a_result_fails_its_batch_and_the_next_is_tried():
    answers = iter([[], ["b"]])

    async def work(items):
        return next(answers)

    batcher = Batcher(work, most=1)
    first, second = batcher.submit("a"), batcher.submit("b")
    with pytest.raises(RuntimeError, match="1 items gave 0 results"):
        await first
    assert "b" == await second


UNITS = st.lists(st.lists(st.booleans(), min_size=1, max_size=4), max_size=12)


@given(UNITS, st.integers(1, 6))
def test_whatever_is_poisonous_exactly_the_rest_is_done_once_in_order_and_groups_stay_whole(units, most):
    """True marks an item that spoils its batch; a list of several is a group."""
    groups = [[(at, place, bad) for place, bad in enumerate(unit)] for at, unit in enumerate(units)]
    done, sizes = [], []

    async def work(items):
        sizes.append(len(items))
        if any(bad for _, _, bad in items):
            raise Poisoned
        done.append(list(items))
        return items

    async def run():
        batcher = Batcher(work, most=most, bisect=(Poisoned,))
        return await asyncio.gather(*(batcher.submit_many(group) for group in groups), return_exceptions=True)

    results = asyncio.run(run())
    healthy = [group for group in groups if not any(bad for _, _, bad in group)]
    assert [item for group in healthy for item in group] == [item for batch in done for item in batch]
    assert healthy == [one for one in results if isinstance(one, list)]
    assert all(len({at for at, _, _ in batch}) == 1 or len(batch) <= most for batch in done)
