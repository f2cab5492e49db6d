"""``carelane lanes``: look at queues and act on them."""

import getpass
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer

from carelane.cli.console import OUT, print_json, print_table, run
from carelane.domain.ids import LaneId
from carelane.domain.views import LaneView
from carelane.exchange.desk import Desk
from carelane.kit.ids import parse_number

app = typer.Typer(no_args_is_help=True, help="Look at lanes (one queue a subscription) and act on them.")
LaneArgument = Annotated[str, typer.Argument(help="The lane, as in lane_12.")]
Result = TypeVar("Result")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every lane with its state, what waits and what was delivered."""

    async def work(desk: Desk) -> list[LaneView]:
        return await desk.lanes(None)

    lanes = run(_with_desk(work))
    if as_json:
        print_json([{**asdict(lane), "id": f"lane_{lane.id}", "state": lane.state, "pending": lane.pending} for lane in lanes])
        return
    rows = [
        (
            f"lane_{lane.id}",
            lane.name,
            f"{lane.source} → {lane.destination}",
            lane.data_model,
            lane.state,
            lane.pending,
            lane.delivered,
            lane.held or lane.paused or "",
        )
        for lane in lanes
    ]
    print_table(
        "Lanes",
        ["Lane", "Subscription", "From → to", "Data model", "State", "Waiting", "Delivered", "Why"],
        rows,
        "No lane yet: a lane appears with its subscription. Try carelane demo.",
    )


@app.command()
def pause(lane: LaneArgument) -> None:
    """Stop sending on a lane; messages go on queuing."""
    _act(lane, lambda desk, number: desk.pause(number, None, _actor()), "paused; messages go on queuing")


@app.command()
def resume(lane: LaneArgument) -> None:
    """Send again after a pause."""
    _act(lane, lambda desk, number: desk.resume(number, None, _actor()), "resumed")


@app.command()
def release(lane: LaneArgument) -> None:
    """Try the head of a held or retrying lane again now."""
    _act(lane, lambda desk, number: desk.release(number, None, _actor()), "released: its head is tried again now")


@app.command()
def skip(lane: LaneArgument, reason: Annotated[str, typer.Option(help="Why, for the audit trail.")]) -> None:
    """Put the head of a lane into the dead letters and go on with the next; it can be replayed later."""
    _act(lane, lambda desk, number: desk.skip(number, None, _actor(), reason), "skipped its head, which is now a dead letter")


def _act(lane: str, verb: Callable[[Desk, LaneId], Awaitable[object]], done: str) -> None:
    number = LaneId(parse_number("lane", lane)) if _is_lane(lane) else None
    if number is None:
        raise typer.BadParameter(f"{lane} is no lane; write it like lane_12 (see: carelane lanes list)")

    async def work(desk: Desk) -> None:
        await verb(desk, number)

    run(_with_desk(work))
    OUT.print(f"lane_{number} {done}.")


def _is_lane(text: str) -> bool:
    try:
        parse_number("lane", text)
    except ValueError:
        return False
    return True


async def _with_desk(work: Callable[[Desk], Awaitable[Result]]) -> Result:
    from carelane.front import open_desk  # noqa: PLC0415
    from carelane.ops.settings import Settings  # noqa: PLC0415

    async with open_desk(Settings()) as (_, desk):
        return await work(desk)


def _actor() -> str:
    return f"operator {getpass.getuser()}"
