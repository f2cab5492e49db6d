"""``carelane send``: hand files to a hub or any other receiver, and say what it answered."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import uuid4

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from carelane.cli.console import ERR, OK, OUT, REFUSED, UNAVAILABLE, USAGE, print_json, run

Post = Callable[[bytes], Awaitable[str]]
"""Sends one message; returns the code it was answered with: AA, AE, 200, 404 … or ``no answer: why``."""

_GOOD = ("AA", "CA", "200", "201", "202", "204")


def send(
    files: Annotated[list[Path], typer.Argument(help="Files or folders; a file may hold many messages.")],
    to: Annotated[str, typer.Option("--to", help="mllp://host:port, mllps://host:port, or http(s)://host/path (/hl7v2, /endpoint).")],
    key: Annotated[str, typer.Option("--key", envvar="CARELANE_KEY", help="API key, for http(s).")] = "",
    connections: Annotated[int, typer.Option(min=1, max=256, help="Messages in flight at once; more than one gives up the files' order.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Send messages and summarise the acknowledgements: codes, how many, how fast.

    Exit code 4 when one was refused, 3 when one was not answered.
    """
    from carelane.formats.hl7v2.split import split_messages  # noqa: PLC0415

    try:
        paths = [path for given in files for path in (sorted(p for p in given.rglob("*") if p.is_file()) if given.is_dir() else [given])]
        messages = [part for path in paths for part in (split_messages(path.read_bytes()) if path.suffix != ".json" else [path.read_bytes()])]
    except OSError as error:
        ERR.print(f"[red]Error:[/red] {error.filename}: {error.strerror}")
        raise typer.Exit(USAGE) from None
    if urlsplit(to).scheme not in ("mllp", "mllps", "http", "https") or not urlsplit(to).hostname:
        ERR.print("[red]Error:[/red] --to must be like mllp://127.0.0.1:2575 or https://hub.example.org/hl7v2")
        raise typer.Exit(USAGE)
    counts, seconds = run(_send_all(messages, to, key, connections, timeout))
    unanswered = sum(count for code, count in counts.items() if code.startswith("no answer"))
    refused = sum(count for code, count in counts.items() if code not in _GOOD) - unanswered
    rate = len(messages) / seconds if seconds else 0.0
    if as_json:
        print_json({"messages": len(messages), "answers": dict(counts), "seconds": round(seconds, 3), "perSecond": round(rate, 1)})
    else:
        OUT.print(
            f"{len(messages)} messages in {seconds:.2f} s ({rate:,.0f}/s): " + ", ".join(f"{count} × {code}" for code, count in counts.most_common()),
            soft_wrap=True,
        )
    raise typer.Exit(UNAVAILABLE if unanswered else REFUSED if refused else OK)


async def _send_all(messages: Sequence[bytes], to: str, key: str, connections: int, timeout_s: float) -> tuple[Counter[str], float]:
    counts: Counter[str] = Counter()
    queue = iter(messages)
    progress = Progress(TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=ERR, transient=True)
    task = progress.add_task("", total=len(messages))

    async def worker() -> None:
        async with _poster(to, key, timeout_s) as post:
            for message in queue:
                counts[await post(message)] += 1
                progress.advance(task)

    began = time.perf_counter()
    with progress:
        await asyncio.gather(*(worker() for _ in range(min(connections, max(1, len(messages))))))
    return counts, time.perf_counter() - began


@asynccontextmanager
async def _poster(to: str, key: str, timeout_s: float) -> AsyncIterator[Post]:
    from carelane.exchange.ports import Ambiguous, NotSent, Parcel, Tools  # noqa: PLC0415
    from carelane.kit.clock import SystemClock  # noqa: PLC0415
    from carelane.kit.http import Guard, HttpClient, networks  # noqa: PLC0415

    guard = Guard(networks(["0.0.0.0/0", "::/0"]))  # the person at this command line chose the address
    client = HttpClient(guard)
    parts = urlsplit(to)
    if parts.scheme in ("http", "https"):

        async def post(message: bytes) -> str:
            kind = "application/json" if message.lstrip()[:1] == b"{" else "x-application/hl7-v2+er7"
            headers = {"content-type": kind, "idempotency-key": str(uuid4()), **({"authorization": f"Bearer {key}"} if key else {})}
            try:
                return str((await client.post(to, message, headers, timeout_s=timeout_s)).status)
            except (OSError, TimeoutError) as error:
                return f"no answer: {type(error).__name__}"

        try:
            yield post
        finally:
            await client.close()
        return
    from carelane.transports.mllp import Sender, Settings  # noqa: PLC0415

    async def nowhere(*_: object) -> None:
        return None

    settings = Settings(host=parts.hostname or "", port=parts.port or 2575, timeout_s=timeout_s, tls=parts.scheme == "mllps")
    sender = Sender(None, settings, Tools(client, guard, SystemClock(), nowhere))  # type: ignore[arg-type]

    async def ask(message: bytes) -> str:
        try:
            reply = await sender.send(Parcel("", uuid4(), 1, message, ""))
        except (NotSent, Ambiguous) as error:
            return f"no answer: {error}"
        return _code(reply.body)

    try:
        yield ask
    finally:
        await sender.close()


def _code(reply: bytes) -> str:
    """Read MSA-1."""
    for line in reply.replace(b"\n", b"\r").split(b"\r"):
        if line[:3] == b"MSA" and len(line) > 6:
            return line[4:6].decode("latin-1")
    return "no MSA"
