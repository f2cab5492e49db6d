"""Several deliveries of one lane go to a sender that takes several at once. It takes a prefix; what it does not take is the new head."""

from collections.abc import Callable, Sequence

from carelane.domain.delivery import Judgement, Verdict
from carelane.exchange.attempt import Bench, Finished, Prepared, finish, parcels_of, sending
from carelane.exchange.ports import SenderOfMany, Taken

_ALL = Judgement(Verdict.DELIVERED)


def may_join(ready: Prepared) -> bool:
    """Say whether a delivery can go together with others; one that cannot be sent at all ends a batch before it, and has its own turn."""
    return bool(ready.done.bodies) and ready.done.failure is None and not ready.filtered


async def attempt_together(
    bench: Bench, batch: Sequence[Prepared], sender: SenderOfMany, longest_s: float, number: int, may_leave: Callable[[], bool]
) -> list[Finished] | None:
    """Try to deliver these, each of which ``may_join``; return those that were tried, the last of which may have failed.

    ``number`` is the attempt of the first. None when the permission to send was withdrawn before anything left.
    """
    began = bench.clock.monotonic()
    parcels = [parcels_of(ready, number if place == 0 else 1, may_leave) for place, ready in enumerate(batch)]
    flat = [parcel for several in parcels for parcel in several]
    if not may_leave():
        return None
    taken = await sending(sender.send_many(flat), sender, longest_s, may_leave)
    if taken is None:
        return None
    if not isinstance(taken, Taken):
        taken = Taken(0, taken)
    done = _whole([len(several) for several in parcels], taken.count)
    finished = [finish(bench, ready, _ALL, taken.summary, began) for ready in batch[:done]]
    if done < len(batch):
        finished.append(finish(bench, batch[done], taken.then or _unsaid(taken, len(flat)), taken.summary, began))
    return finished


def _whole(sizes: Sequence[int], taken: int) -> int:
    """Return how many deliveries were taken whole: one of which a body is missing was not."""
    done = 0
    for size in sizes:
        taken -= size
        if taken < 0:
            break
        done += 1
    return done


def _unsaid(taken: Taken, many: int) -> Judgement:
    return Judgement(Verdict.AGAIN, f"the transport took {taken.count} of {many} and did not say what became of the next", ambiguous=True)
