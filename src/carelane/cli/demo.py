"""``carelane demo``: a hub with two invented organizations, a hospital that sends and a vendor that receives."""

import asyncio
import base64
import random
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from pydantic import SecretStr

from carelane.cli.console import OUT, run

if TYPE_CHECKING:
    from carelane.ops.settings import Settings
    from carelane.ops.signals import Ending

MLLP_PORT, VENDOR_PORT = 2575, 8099


def demo(
    data: Annotated[Path, typer.Option(help="Folder that keeps the demo's data between starts.")] = Path(".carelane/demo"),
    port: Annotated[int, typer.Option(help="Port of the dashboard and the HTTP API.")] = 8080,
    mllp_port: Annotated[int, typer.Option(help="Port of the hospital's MLLP source.")] = MLLP_PORT,
    vendor_port: Annotated[int, typer.Option(help="Port of the vendor's webhook; the same at every start.")] = VENDOR_PORT,
    rate: Annotated[float, typer.Option(min=0, max=1000, help="Messages a second from the simulated hospital.")] = 2.0,
) -> None:
    """Run the main job with invented partners: real ports, real database, synthetic patients. Ctrl-C stops it all."""
    from carelane.ops.signals import keep_signals  # noqa: PLC0415

    keep_signals()
    run(_demo(data, port, mllp_port, vendor_port, rate))


async def _demo(data: Path, port: int, mllp_port: int, vendor_port: int, rate: float) -> None:
    from carelane.ops.logs import configure  # noqa: PLC0415  (seconds of imports that --help does without)
    from carelane.ops.settings import Settings  # noqa: PLC0415
    from carelane.ops.signals import heard, until_ended  # noqa: PLC0415

    configure(pretty=True)
    OUT.print("Starting the hub …" if (data / "pg").exists() else "Making a database and starting the hub …")
    settings = Settings(
        data=data, port=port, allowed_networks="127.0.0.0/8", listen_ports=f"{mllp_port},20000-29999", database_url=SecretStr(""), low_water_mb=512
    )
    with heard(settings.grace_s) as ending:
        await until_ended(ending, _run(settings, (mllp_port, vendor_port), rate, ending))


async def _run(settings: "Settings", ports: tuple[int, int], rate: float, ending: "Ending") -> None:
    from carelane.assembly import run_hub_with_web  # noqa: PLC0415
    from carelane.cli.demo_seed import EMAIL, seed  # noqa: PLC0415
    from carelane.sandbox.vendor import Vendor  # noqa: PLC0415
    from carelane.store.catalogue.listen_port import Claim  # noqa: PLC0415
    from carelane.web.server import running  # noqa: PLC0415

    began, secret, mllp_port = time.perf_counter(), _secrets(settings.data), ports[0]
    vendor = Vendor(secret["token"], secret["signing"])
    async with running(vendor.app(), "127.0.0.1", ports[1]) as vendor_port:
        async with run_hub_with_web(settings, ending) as (hub, web_port):
            ending.minded.set()
            await seed(hub.store, secret, mllp=Claim(mllp_port, settings.listening), vendor_port=vendor_port)
            sending = asyncio.get_running_loop().create_task(_send(mllp_port, rate, ending.stop))
            while vendor.received == 0 and not ending.stop.is_set() and rate > 0 and time.perf_counter() - began < 60:
                await asyncio.sleep(0.02)
            _greet(web_port, mllp_port, {**secret, "email": EMAIL}, time.perf_counter() - began, vendor.received)
            await ending.stop.wait()
            OUT.print("\nStopping: what was taken is answered, what is in flight ends …")
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        told = f"Stopped. {vendor.received} messages were delivered to the vendor this time, {vendor.repeats} of them repeats. "
        OUT.print(told + "Started again, it goes on where it was.")


def _greet(port: int, mllp_port: int, secret: dict[str, str], seconds: float, received: int) -> None:
    said = f"first message delivered after {seconds:.1f} s" if received else f"ready after {seconds:.1f} s"
    OUT.print(f"\n[bold green]Carelane is running[/bold green] ({said}).\n", highlight=False)
    OUT.print(f"  Dashboard  [link=http://127.0.0.1:{port}]http://127.0.0.1:{port}[/link]", highlight=False)
    OUT.print(f"  Sign in    {secret['email']}  /  {secret['password']}\n", highlight=False)
    OUT.print("Three things to try:\n", highlight=False)
    OUT.print("  1. Watch Connections: Lakeside Hospital sends admissions and results to Bright Health's webhook.", highlight=False)
    OUT.print("  2. Send your own message, then find it under Messages by its control id ME1:", highlight=False)
    message = (
        "\\x0bMSH|^~\\\\&|ME|HERE|CARELANE|HUB|20260101120000+0000||ADT^A01^ADT_A01|ME1|T|2.5.1\\rEVN|A01|20260101120000+0000\\r"
        "PID|1||4711^^^HERE^MR||Doe^Jo||19800101|F\\rPV1|1|I|3N^12^A\\r\\x1c\\r"
    )
    OUT.print(f"     printf '{message}' | nc -q1 127.0.0.1 {mllp_port}", highlight=False, markup=False, soft_wrap=True)
    OUT.print("  3. Send files over HTTP, with a key:", highlight=False)
    OUT.print(f"     .venv/bin/carelane send FILE.hl7 --to http://127.0.0.1:{port}/hl7v2 --key {secret['key']}", highlight=False, soft_wrap=True)
    OUT.print("\nCtrl-C stops everything.", highlight=False)


async def _send(port: int, rate: float, stop: asyncio.Event) -> None:
    """The hospital's interface engine: one connection, one message after another, each sent until it is acknowledged."""
    from carelane.exchange.ports import Ambiguous, NotSent, Parcel, Tools  # noqa: PLC0415
    from carelane.kit.clock import SystemClock, utc_now  # noqa: PLC0415
    from carelane.kit.http import Guard, HttpClient, networks  # noqa: PLC0415
    from carelane.kit.ids import uuid7  # noqa: PLC0415
    from carelane.sandbox.hospital import Hospital  # noqa: PLC0415
    from carelane.transports.mllp import Sender, Settings  # noqa: PLC0415

    async def nowhere(*_: object) -> None:
        return None

    guard = Guard(networks(["127.0.0.0/8"]))
    sender = Sender(None, Settings(port=port, timeout_s=10), Tools(HttpClient(guard), guard, SystemClock(), nowhere))  # type: ignore[arg-type]
    hospital = Hospital(seed=random.SystemRandom().randrange(10**6))
    try:
        while not stop.is_set() and rate > 0:
            for message in hospital.messages(utc_now()):
                acknowledged = False
                while not acknowledged and not stop.is_set():
                    try:
                        acknowledged = bool((await sender.send(Parcel("", uuid7(), 1, message, ""))).body)
                    except (NotSent, Ambiguous):
                        await asyncio.sleep(0.5)
            await asyncio.sleep(1 / rate)
    finally:
        await sender.close()


def _secrets(data: Path) -> dict[str, str]:
    """The demo's own passwords and keys, made once and kept beside its data."""
    path = data / "demo.json"
    if path.exists():
        found: dict[str, str] = orjson.loads(path.read_bytes())
        return found
    data.mkdir(parents=True, exist_ok=True)
    made = {
        "password": secrets.token_urlsafe(9),
        "token": secrets.token_urlsafe(16),
        "key": f"ck_{secrets.token_urlsafe(24)}",
        "signing": "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
    }
    path.touch(mode=0o600)
    path.write_bytes(orjson.dumps(made))
    return made
