"""Data keys: one per organization, wrapped by a master key that lives outside the database."""

import base64
import binascii
import os
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from carelane.domain.errors import Misconfigured
from carelane.domain.ids import OrgId
from carelane.kit.seal import KEY_BYTES, Key, Unsealable, new_key
from carelane.store.database import Database


def load_master_key(folder: Path, from_environment: str | None) -> Key:
    """Read the master key from the environment (base64, 32 bytes) or from ``keys/master.key``, made on the first start.

    Raises:
        Misconfigured: it has the wrong length, or others may read its file.
    """
    if from_environment:
        try:
            return Key(base64.b64decode(from_environment, validate=True))
        except (ValueError, binascii.Error):
            raise Misconfigured(f"CARELANE_MASTER_KEY must be {KEY_BYTES} bytes in base64 (make one: openssl rand -base64 32)") from None
    path = folder / "master.key"
    if not path.exists():
        _write_durably(path, new_key())
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"{path} can be read by other users; run: chmod 400 {path}")
    try:
        return Key(path.read_bytes())
    except ValueError as error:
        raise Misconfigured(f"{path}: {error}; restore it from your backup: without it no stored message can be read") from None


def _write_durably(path: Path, content: bytes) -> None:
    """A key that is lost in a power cut would take every message with it: the file and its name are flushed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_suffix(".new")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400)
    try:
        os.write(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass
class Keyring:
    """The unwrapped keys in memory. ``context`` binds a sealed value to its organization, message and kind."""

    master: Key
    _body: dict[tuple[int, int], Key] = field(default_factory=dict, repr=False)
    _current: dict[int, int] = field(default_factory=dict, repr=False)
    _search: dict[int, Key] = field(default_factory=dict, repr=False)

    @property
    def master_id(self) -> str:
        """Name the master key without telling it."""
        return sha256(self.master.digest("carelane master key id")).hexdigest()[:16]

    async def load(self, database: Database) -> None:
        """Unwrap every key in the database.

        Raises:
            Misconfigured: a key was wrapped by another master key.
        """
        rows = await database.engine.fetch("SELECT org_id, id, purpose, wrapped, master_id FROM data_key WHERE wrapped IS NOT NULL ORDER BY org_id, id")
        for row in rows:
            if (row["org_id"], row["id"]) in self._body:
                continue
            if row["master_id"] != self.master_id:
                raise Misconfigured(
                    f"the data was sealed with master key {row['master_id']}, this one is {self.master_id}; "
                    "restore keys/master.key or CARELANE_MASTER_KEY from your backup"
                )
            self._take(row["org_id"], row["id"], row["purpose"], row["wrapped"])

    def _take(self, org: int, key_id: int, purpose: str, wrapped: bytes) -> None:
        key = Key(self.master.unseal(wrapped, _wrap_context(org, key_id, purpose)))
        if purpose == "search":
            self._search[org] = key
        else:
            self._body[org, key_id] = key
            self._current[org] = key_id

    def wrap_new(self, org: int, key_id: int, purpose: str) -> bytes:
        """Make a key for an organization and return it wrapped, ready for the database."""
        wrapped = self.master.seal(new_key(), _wrap_context(org, key_id, purpose))
        self._take(org, key_id, purpose, wrapped)
        return wrapped

    def seal(self, org: OrgId, thing: UUID, kind: str, plain: bytes) -> tuple[int, bytes]:
        """Encrypt with the organization's current key; return the key's id and the sealed value."""
        key_id = self._current[org]
        return key_id, self._body[org, key_id].seal(plain, _context(org, thing, kind))

    def unseal(self, org: OrgId, thing: UUID, kind: str, key_id: int, sealed: bytes) -> bytes:
        """Decrypt.

        Raises:
            Unsealable: another organization's, another message's, or changed bytes.
        """
        key = self._body.get((org, key_id))
        if key is None:
            raise Unsealable(f"key {key_id} of this organization is not in the keyring")
        return key.unseal(sealed, _context(org, thing, kind))

    def token(self, org: OrgId, kind: str, value: str) -> int:
        """Return the search token of a value: the same for equal values of one organization, meaningless elsewhere."""
        return self._search[org].token(f"{kind}|{value.strip().casefold()}")

    def knows(self, org: int) -> bool:
        """Say whether the organization's keys are loaded."""
        return org in self._current


def _wrap_context(org: int, key_id: int, purpose: str) -> bytes:
    return b"carelane|data-key|%d|%d|%s" % (org, key_id, purpose.encode())


def _context(org: int, thing: UUID, kind: str) -> bytes:
    return b"%d|%s|%s" % (org, thing.bytes, kind.encode())
