"""``carelane messages``: find, look at and replay what is stored."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from carelane.cli.console import FAILED, OUT, print_json, print_table, run
from carelane.cli.lanes import Json, _actor, _with_desk
from carelane.domain.errors import NotFound
from carelane.domain.ids import LaneId, OrgId
from carelane.domain.views import MessageView, Opened, Search
from carelane.exchange.desk import Desk
from carelane.kit.ids import parse_uuid, public

app = typer.Typer(no_args_is_help=True, help="Find stored messages, look at them, replay them.")
Org = Annotated[str, typer.Option("--org", help="Short name of the organization whose messages these are.")]
MessageArgument = Annotated[str, typer.Argument(help="The message, as in msg_0190….")]


@app.command()
def find(
    org: Org,
    patient: Annotated[str, typer.Option(help="Patient identifier, exact.")] = "",
    order: Annotated[str, typer.Option(help="Order number, exact.")] = "",
    visit: Annotated[str, typer.Option(help="Visit number, exact.")] = "",
    control: Annotated[str, typer.Option(help="Control id, exact.")] = "",
    model: Annotated[str, typer.Option(help="Data model.")] = "",
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Find messages by patient, order, visit or control id, newest first."""
    texts = {kind: value for kind, value in (("patient", patient), ("order", order), ("visit", visit), ("control", control)) if value}

    async def work(desk: Desk) -> list[MessageView]:
        return await desk.messages(await _org(desk, org), Search(data_model=model or None, most=most), texts)

    found = run(_with_desk(work))
    if as_json:
        print_json([{"id": public("msg", one.id), "receivedAt": one.received_at, "source": one.source, **one.heading} for one in found])
        return
    rows = [
        (
            public("msg", one.id),
            one.received_at.strftime("%Y-%m-%d %H:%M:%S"),
            one.heading.get("kind"),
            one.heading.get("dataModel"),
            one.source,
            one.heading.get("controlId"),
            one.heading.get("problem"),
        )
        for one in found
    ]
    print_table("Messages", ["Message", "Received (UTC)", "Type", "Data model", "Source", "Control id", "Refused"], rows, "Nothing found.")


@app.command()
def show(
    message: MessageArgument,
    org: Org,
    raw: Annotated[bool, typer.Option("--raw", help="Print the bytes as received, and nothing else.")] = False,
    as_json: Json = False,
) -> None:
    """Show one message with its deliveries and attempts; looking at the content is recorded in the audit trail."""
    identity = _identity(message)

    async def work(desk: Desk) -> Opened | None:
        return await desk.open(await _org(desk, org), identity, _actor(), payload=raw)

    found = run(_with_desk(work))
    if found is None:
        OUT.print(f"There is no {message} in {org}.")
        raise typer.Exit(FAILED)
    if raw:
        typer.get_binary_stream("stdout").write(found.raw or b"")
    elif as_json:
        print_json(_summary(found))
    else:
        OUT.print_json(data=_summary(found), default=str)


@app.command()
def replay(message: MessageArgument) -> None:
    """Queue a stored message again at the tail of its lanes: routed and mapped as if it came today."""
    tails = run(_replayed(_identity(message)))
    for lane, seq in tails.items():
        OUT.print(f"queued on lane_{lane} as number {seq}")


async def _replayed(message: UUID) -> Mapping[LaneId, int]:
    from carelane.front import open_replay  # noqa: PLC0415
    from carelane.ops.settings import Settings  # noqa: PLC0415

    async with open_replay(Settings()) as replay:
        return await replay.again(None, message, _actor())


def _summary(found: Opened) -> dict[str, Any]:
    one = found.message
    return {
        "id": public("msg", one.id),
        "receivedAt": one.received_at,
        "source": one.source,
        **one.heading,
        "deliveries": [
            {
                "lane": f"lane_{d.lane_id}",
                "seq": d.seq,
                "destination": d.destination,
                "state": d.state,
                "queuedAt": d.queued_at,
                "attempts": [{key: value for key, value in asdict(a).items() if key != "detail"} for a in d.attempts],
            }
            for d in found.deliveries
        ],
    }


def _identity(text: str) -> UUID:
    try:
        return parse_uuid("msg", text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is {error}") from None


async def _org(desk: Desk, slug: str) -> OrgId:
    found = await desk.organization(slug)
    if found is None:
        raise NotFound(f"there is no organization with the short name {slug}", pointer="The demo has lakeside and bright.")
    return found
