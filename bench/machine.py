"""What a figure was measured on, and the processes a benchmark starts."""

import asyncio
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carelane import __version__
from carelane.cli.demo_seed import MODELS
from carelane.domain.ids import OrgId
from carelane.domain.listening import ListenPorts
from carelane.ops.settings import Settings
from carelane.store.catalogue.endpoint import create_endpoint, create_key
from carelane.store.catalogue.listen_port import Claim
from carelane.store.catalogue.organization import create_organization
from carelane.store.catalogue.subscription import connect, subscribe
from carelane.store.store import Store, open_store

_EVERY_PORT = ListenPorts.parse("0-65535", each=65535)
ADT = (
    "MSH|^~\\&|SIMEHR|LAKESIDE|CARELANE|HUB|20260101120000+0000||ADT^A01^ADT_A01|{control}|P|2.5.1||||||UNICODE UTF-8\r"
    "EVN|A01|20260101120000+0000\rPID|1||{patient}^^^LAKESIDE^MR||Alder^Elif^Q||19960813|M||2106-3^White^HL70005|123 Elm Street^^Monroe^WI^53566^US^H"
    "||(608)555-0136^PRN^PH|||M|||V78300211\rNK1|1|Alder^Robin|SPO^Spouse^HL70063||(608)555-0117^PRN^PH\r"
    "PV1|1|I|4W^33^A^LAKESIDE|E|||1902^Berg^Ingrid^^^^MD^^NPI|||MED|||||||||V78300211^^^LAKESIDE^VN|||||||||||||||||||||||||20260101120000+0000\r"
    "AL1|1|DA^Drug allergy^HL70127|7980^Penicillin^RXNORM|MO^Moderate^HL70128|Rash\rDG1|1||R07.9^Chest pain, unspecified^I10|||A\r"
    "IN1|1|PPO1^Preferred plan|4471^^^^PAYERID|Northern Mutual|9 Insurance Way^^Lakeside^WI^53590|||GRP-88|Lakeside Mills|||20260101|20261231\r"
)


def adt(control: str, size: int = 2048, patient: str = "07056020") -> bytes:
    """Return an ADT of about this size; NTE lines fill it up."""
    text = ADT.format(control=control, patient=patient)
    number = 1
    while len(text) < size:
        text += f"NTE|{number}|L|{'Synthetic note to bring the message to its size. ' * 3}"[: max(20, size - len(text) - 1)] + "\r"
        number += 1
    return text.encode()


def spin() -> float:
    """Return how long a fixed piece of plain Python takes now, in milliseconds: shared machines change their speed by the minute."""
    began = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return round((time.perf_counter() - began) * 1000, 1)


_SPIN_AT_START = spin()


def machine() -> dict[str, Any]:
    """Describe the machine beside a figure."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "carelane": __version__, "spin_ms": [_SPIN_AT_START, spin()]}


def report(name: str, figures: dict[str, Any]) -> None:
    """Print the one JSON line."""
    print(json.dumps({"bench": name, **figures, "machine": machine()}))


def free_port() -> int:
    """Return a port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class To:
    """Where the lane of a source goes: a destination as its owner would set it up."""

    transport: str
    settings: Mapping[str, object]
    format: str = "datamodel"


@asynccontextmanager
async def seeded(
    data: Path, sources: Sequence[int | str], to: str | Sequence[To], concurrency: int = 64, database_url: str | None = None
) -> AsyncIterator[Store]:
    """Create one hospital source and one lane for each of ``sources``, in a fresh data folder and an empty database (the embedded one unless told).

    A source is given as its MLLP port, or as the key of an HTTP source. All of them go to one webhook, or in turn to several destinations. Lanes are
    numbered from 1 on, in the order of the sources.
    """
    destinations = [To("webhook", {"url": to, "concurrency": concurrency})] if isinstance(to, str) else to
    async with open_store(data, database_url, None, serve=True) as store:
        hospital = await create_organization(store.database, store.keyring, slug="lakeside", name="Lakeside", kind="provider")
        vendor = await create_organization(store.database, store.keyring, slug="bright", name="Bright", kind="health-tech vendor")
        link = await connect(store.database, org=vendor, partner=hospital, models=[(hospital, vendor, model) for model in MODELS], purpose="", actor="bench")
        made = [await _destination(store, vendor, number, one) for number, one in enumerate(destinations)]
        for number, door in enumerate(sources):
            source, target = await _source(store, hospital, number, door), number % len(made)
            working = "native" if destinations[target].format == "hl7v2" else "datamodel"
            await subscribe(
                store.database,
                name=f"feed {number}",
                connection_id=link,
                source=source,
                destination=made[target],
                data_model="PatientAdmin",
                working_model=working,
            )
        yield store


async def _destination(store: Store, org: OrgId, number: int, to: To) -> int:
    made, _ = await create_endpoint(
        store.database,
        store.keyring,
        "destination",
        org=org,
        environment="development",
        name=f"{to.transport} {number}",
        transport=to.transport,
        format=to.format,
        settings=to.settings,
    )
    return made


async def _source(store: Store, org: OrgId, number: int, door: int | str) -> int:
    made, _ = await create_endpoint(
        store.database,
        store.keyring,
        "source",
        org=org,
        environment="development",
        name=f"feed {number}",
        transport="http" if isinstance(door, str) else "mllp",
        format="hl7v2",
        settings={} if isinstance(door, str) else {"port": door},
        listens=None if isinstance(door, str) else Claim(door, _EVERY_PORT),
    )
    if isinstance(door, str):
        await create_key(store.database, org=org, source=made, name="bench", token=door)
    return made


def mortal(last_signal: str = "KILL") -> list[str]:
    """Return what goes in front of a command so that its program ends when we do, however we end; nothing where util-linux is not at hand."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", last_signal] if setpriv else []


class Hub:
    """A hub in a process of its own, started with ``carelane serve``; ``log`` keeps what it tells on standard error."""

    def __init__(self, data: Path, port: int, settings: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        self.data, self.port = data, port
        self.settings, self.log = settings or {}, log
        self.process: asyncio.subprocess.Process | None = None

    async def launch(self) -> None:
        """Start it, without waiting."""
        env = {
            **os.environ,
            "CARELANE_DATA": str(self.data),
            "CARELANE_PORT": str(self.port),
            "CARELANE_ALLOWED_NETWORKS": "127.0.0.0/8",
            "CARELANE_LOW_WATER_MB": "256",
            "CARELANE_LISTEN_PORTS": str(_EVERY_PORT),
            **self.settings,
        }
        with (self.log or Path(os.devnull)).open("ab") as told:
            self.process = await asyncio.create_subprocess_exec(*mortal(), sys.executable, "-m", "carelane", "serve", env=env, stderr=told)

    async def start(self, mllp: int) -> None:
        """Start it and wait until its listener answers."""
        await self.launch()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", mllp)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise RuntimeError("the hub did not start within 60 s")

    def cpu_s(self) -> float:
        """Return the processor time the hub process has used."""
        assert self.process is not None
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Return the resident memory of the hub process."""
        assert self.process is not None
        line = next(text for text in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if text.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    async def stop(self, how: int = signal.SIGTERM) -> None:
        """Stop it: gracefully by default."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)
            await self.process.wait()


async def until_told(work: Coroutine[Any, Any, int]) -> int:
    """Run a harness; a SIGTERM takes everything down as the end does."""
    running = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await running


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of sorted or unsorted values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def chunks(count: int, parts: int) -> Iterator[int]:
    """Split a count into nearly equal parts."""
    for number in range(parts):
        yield count // parts + (number < count % parts)


def settings() -> Settings:
    """Return settings for a benchmark's own process."""
    return Settings(allowed_networks="127.0.0.0/8")
