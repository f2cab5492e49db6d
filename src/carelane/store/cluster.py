"""Makes the files of an embedded server: a new cluster, whole or not at all."""

import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from carelane.domain.errors import StoreLost
from carelane.store.place import PORT, SUPERUSER, Place


def make_cluster(place: Place) -> None:
    """Create the cluster beside its place and move it there when it is complete: a hub killed meanwhile starts from nothing.

    Raises:
        StoreLost: ``initdb`` failed; its last words are told.
    """
    if not place.password_file.exists() or not place.password_file.read_text().strip():
        place.password_file.touch(mode=0o600)
        place.password_file.write_text(secrets.token_hex(24))
    making = place.cluster.with_name(f"{place.cluster.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    place.user.own_folder(making)
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(place.password_file.read_bytes())
        copy.flush()
        place.user.own_file(Path(copy.name))
        command = [str(place.binaries / "initdb"), "-D", str(making), "-U", SUPERUSER, f"--pwfile={copy.name}", *_INITDB]
        made = subprocess.run(command, capture_output=True, cwd="/", check=False, start_new_session=True, **place.user.spawn())
    if made.returncode != 0:
        shutil.rmtree(making, ignore_errors=True)
        raise StoreLost(f"could not create the database in {place.cluster}: {made.stderr.decode(errors='replace').strip()[-400:]}")
    with (making / "postgresql.conf").open("a") as conf:
        conf.write(_configuration(place.socket_folder))
    making.rename(place.cluster)


_WAL_SEGMENT_MB = 4
"""A new segment of the write-ahead log is filled with noughts while every commit waits: 16 MB, the usual size, take about 50 ms."""


def _configuration(socket_folder: Path) -> str:
    settings = {
        "listen_addresses": "''",
        "unix_socket_directories": f"'{socket_folder}'",
        "unix_socket_permissions": "0700",
        "port": str(PORT),
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_sync_retry": "off",
        "restart_after_crash": "on",
        "max_wal_size": "1GB",
        "wal_compression": "pglz",
        "max_connections": "60",
        "shared_buffers": "128MB",
        "jit": "off",
        "lock_timeout": "'30s'",
        "log_min_messages": "warning",
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_parameter_max_length_on_error": "0",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "checkpoint_timeout": "'10min'",
    }
    return "\n# written by carelane\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


_INITDB = (
    "--auth-local=scram-sha-256",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--data-checksums",
    "--no-instructions",
    f"--wal-segsize={_WAL_SEGMENT_MB}",
)
