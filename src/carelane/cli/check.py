"""``carelane check``: is the configuration usable, and what is wrong if not."""

import socket
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from carelane.cli.console import FAILED, OUT, print_json, run
from carelane.domain.endpoint import Snapshot, Source
from carelane.domain.errors import CarelaneError, Misconfigured

if TYPE_CHECKING:
    from carelane.plugins import TransportShelf


def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check settings, database, keys, listeners' ports and disk space; exit code 1 when something would not work."""
    results = run(_check())
    if as_json:
        print_json([{"check": name, "ok": ok, "detail": detail} for name, ok, detail in results])
    else:
        for name, ok, detail in results:
            OUT.print(f"{'[green]✓[/green]' if ok else '[red]✗[/red]'} {name}: {detail}", soft_wrap=True)
    if not all(ok for _, ok, _ in results):
        raise typer.Exit(FAILED)


async def _check() -> list[tuple[str, bool, str]]:
    from carelane.front import open_desk  # noqa: PLC0415
    from carelane.ops.disk import short_of_space  # noqa: PLC0415
    from carelane.ops.settings import Settings  # noqa: PLC0415
    from carelane.ops.troubles import read_troubles  # noqa: PLC0415
    from carelane.plugins import TransportShelf  # noqa: PLC0415
    from carelane.store.snapshot import read_snapshot  # noqa: PLC0415

    try:
        settings = Settings()
    except ValidationError as error:
        return [("settings", False, "; ".join(f"CARELANE_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors(include_input=False)))]
    results = [("settings", True, f"data in {settings.data.resolve()}")]
    try:
        async with open_desk(settings) as (store, _):
            version = await store.database.engine.fetchval("SHOW server_version")
            kind = "external" if settings.database_url.get_secret_value() else "embedded"
            results.append(("database", True, f"{kind} PostgreSQL {version}, durable, schema up to date"))
            snapshot = await read_snapshot(store.database, store.keyring)
            results.append(("keys", True, "every data key opens with the master key"))
            visiting = store.server is None and kind == "embedded"
            troubles = read_troubles(settings.data.resolve())
            shelf = TransportShelf(settings.listening)
            for source in sorted(snapshot.sources.values(), key=lambda one: one.id):
                if source.enabled:
                    results += _listener(source, shelf, snapshot, troubles.get(source.id, ""), visiting=visiting)
            results.append(_port("web port", settings.host, settings.port, busy_is_fine=visiting))
    except CarelaneError as error:
        results.append(("database", False, str(error)))
    short = short_of_space(settings.data.resolve(), settings.low_water_mb * 1024 * 1024)
    results.append(("disk", short is None, short.text if short else "enough free space"))
    return results


def _listener(source: Source, shelf: "TransportShelf", snapshot: Snapshot, trouble: str, *, visiting: bool) -> list[tuple[str, bool, str]]:
    """What keeps a source from listening: the operator's ports, somebody else's claim, the running hub's own trouble, a busy port."""
    name = f"port of {source.name}"
    try:
        port = shelf.port_of(source)
    except Misconfigured as error:
        return [(name, False, str(error))]
    if not port:
        return []
    if snapshot.ports.get(port) != source.id:
        return [(name, False, f"port {port} does not belong to it; give it a free port and save it, or see: carelane admin ports list")]
    if trouble:
        return [(name, False, trouble)]
    return [_port(name, str(source.settings.get("host") or "127.0.0.1"), port, busy_is_fine=visiting)]


def _port(name: str, host: str, port: int, *, busy_is_fine: bool) -> tuple[str, bool, str]:
    """A port in use is right while the hub runs, and wrong before it starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            detail = "open" if busy_is_fine else f"{error.strerror}; stop the other program, or choose another port"
            return name, busy_is_fine, f"{host}:{port} {detail}"
    return name, not busy_is_fine, f"{host}:{port} " + ("free" if not busy_is_fine else "nobody listens although the hub runs")
