import asyncio

import pytest

from carelane.kit.batcher import Batcher, Closed


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
