"""``carelane serve``: run a hub."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated

import typer

from carelane.cli.console import run

if TYPE_CHECKING:
    from carelane.ops.settings import Settings
    from carelane.ops.signals import Ending


def serve(
    workers: Annotated[int, typer.Option(min=1, envvar="CARELANE_WORKERS", help="Processes of this machine that share ports and lanes.")] = 1,
    as_worker: Annotated[bool, typer.Option("--as-worker", hidden=True)] = False,
) -> None:
    """Run the hub: listeners, lanes, dashboard and API, until Ctrl-C or SIGTERM, then drain and stop.

    A second signal, or the end of CARELANE_GRACE_S, cuts what is still in flight.
    Everything is kept in CARELANE_DATA (default: .carelane). Started again, it goes on where it was.
    """
    from carelane.ops.signals import keep_signals  # noqa: PLC0415  (imports of seconds that --help does without)

    keep_signals()
    from carelane.ops.logs import configure  # noqa: PLC0415
    from carelane.ops.settings import Settings  # noqa: PLC0415

    configure(pretty=sys.stderr.isatty())
    run(_serve(Settings(), workers, as_worker=as_worker))


async def _serve(settings: "Settings", workers: int, *, as_worker: bool) -> None:
    from carelane.ops.logs import tell  # noqa: PLC0415
    from carelane.ops.signals import heard, until_ended  # noqa: PLC0415

    with heard(settings.grace_s) as ending:
        await until_ended(ending, _go_up(settings, ending) if workers == 1 else _go_up_together(settings, workers, ending, as_worker=as_worker))
    if not as_worker:
        tell("hub.stopped")


async def _go_up(settings: "Settings", ending: "Ending") -> None:
    """The database starts while the rest of the program is imported."""
    from carelane.ops.logs import tell  # noqa: PLC0415
    from carelane.store.ground import hold_ground  # noqa: PLC0415

    async with hold_ground(settings.data, settings.database_url.get_secret_value() or None, serve=True, tell=tell) as ground:
        hub = await asyncio.to_thread(_rest)
        await hub(settings, ground, ending)


async def _go_up_together(settings: "Settings", workers: int, ending: "Ending", *, as_worker: bool) -> None:
    from carelane.cli.serving import serve_as_worker, serve_with_workers  # noqa: PLC0415

    await (serve_as_worker if as_worker else serve_with_workers)(settings, workers, ending)


def _rest() -> Callable[..., Coroutine[object, object, None]]:
    from carelane.cli.serving import serve as serve_hub  # noqa: PLC0415

    return serve_hub
