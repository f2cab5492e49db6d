"""One member: a Patroni with the PostgreSQL server it keeps, in a folder of its own."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.cluster.parts import Parts
from bench.cluster.program import Program, kill_all, living_in
from carelane.store.embedded import live_postmaster

SUPERUSER, PASSWORD = "postgres", "of-a-test-cluster"

DURABLE: dict[str, Any] = {
    "ttl": 20,
    "loop_wait": 2,
    "retry_timeout": 3,
    "synchronous_mode": True,
    "synchronous_mode_strict": True,
    "synchronous_node_count": 1,
    "failsafe_mode": True,
    "postgresql": {
        "use_pg_rewind": True,
        "use_slots": True,
        "parameters": {
            "synchronous_commit": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "max_connections": 60,
            "shared_buffers": "64MB",
            "wal_compression": "pglz",
            "checkpoint_timeout": "10min",
            "jit": "off",
            "timezone": "UTC",
            "log_min_messages": "warning",
            "log_min_error_statement": "panic",
            "log_parameter_max_length_on_error": 0,
        },
    },
}
"""What the whole cluster agrees on: the settings a hub may trust with patients' messages."""

ASYNCHRONOUS = DURABLE | {"synchronous_mode": False, "synchronous_mode_strict": False, "maximum_lag_on_failover": 64 * 1024 * 1024}
"""A commit waits for no standby, as Patroni has it by default; a standby that lags by megabytes may lead, or nobody would."""


@dataclass
class Member:
    """Known by its name; ``database`` and ``control`` are the ports of its server and of its Patroni."""

    name: str
    folder: Path
    database: int
    control: int
    patroni: Program

    @property
    def data(self) -> Path:
        """The folder of its database."""
        return self.folder / "data"

    @property
    def postmaster(self) -> int | None:
        """The process id of its server, if it runs."""
        return live_postmaster(self.data)

    def crash(self) -> None:
        """Kill -9 its Patroni, then its server, with nothing in between: neither can hand over."""
        server = self.postmaster
        self.patroni.send(signal.SIGKILL)
        if server is not None:
            kill_all([server])

    def freeze(self) -> list[int]:
        """Stop every process of this member where it stands, as a machine that hangs; return what to thaw."""
        pids = living_in(self.folder)
        kill_all(pids, signal.SIGSTOP)
        return pids

    def receivers(self) -> list[int]:
        """The processes that take what the leader streams to this standby."""
        return [pid for pid in living_in(self.data) if b"walreceiver" in _title(pid)]


@dataclass(frozen=True)
class Ground:
    """What all members stand on: their folder, the port of etcd, the parts, and what the cluster agrees on from its first start."""

    folder: Path
    etcd: int
    parts: Parts
    agreed: dict[str, Any]


def make_member(name: str, ports: tuple[int, int], ground: Ground) -> Member:
    """Write a member's configuration; nothing is started yet."""
    home = ground.folder / name
    ground.parts.user.own_folder(home)
    database, control = ports
    config = home / "patroni.yml"
    config.write_bytes(orjson.dumps(_configuration(name, home, ports, ground)))  # every JSON text is YAML
    config.chmod(0o644)
    return Member(name, home, database, control, Program([*ground.parts.unprivileged, sys.executable, "-m", "patroni", str(config)], home))


def _configuration(name: str, home: Path, ports: tuple[int, int], ground: Ground) -> dict[str, Any]:
    database, control = ports
    everyone = {"username": SUPERUSER, "password": PASSWORD}
    return {
        "scope": "carelane",
        "name": name,
        "restapi": {"listen": f"127.0.0.1:{control}", "connect_address": f"127.0.0.1:{control}"},
        "etcd3": {"hosts": [f"127.0.0.1:{ground.etcd}"]},
        "bootstrap": {"dcs": ground.agreed, "initdb": [{"encoding": "UTF8"}, "no-locale", "data-checksums", {"wal-segsize": "4"}]},
        "postgresql": {
            "listen": f"127.0.0.1:{database}",
            "connect_address": f"127.0.0.1:{database}",
            "data_dir": str(home / "data"),
            "bin_dir": str(ground.parts.binaries),
            "pgpass": str(home / "pgpass"),
            "authentication": {"superuser": everyone, "replication": everyone, "rewind": everyone},
            "parameters": {"unix_socket_directories": str(home)},
            "pg_hba": ["host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256", "local all all scram-sha-256"],
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
    }


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
