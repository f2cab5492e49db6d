"""Authenticated encryption of values at rest, key wrapping and keyed hashes.

AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D). A sealed value is ``nonce ‖ ciphertext ‖ tag``; its
plain text starts with one byte that says whether the rest is deflated.
"""

import os
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from carelane.kit.entropy import random_bytes

KEY_BYTES = 32
_NONCE_BYTES = 12
_COMPRESS_FROM_BYTES = 4096
_PLAIN, _DEFLATED = b"\x00", b"\x01"


class Unsealable(Exception):
    """The value was sealed with another key or for another place, or its bytes have changed."""


class Key:
    """One AES-256 key that seals and unseals; it never prints its bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one has {len(key)}")
        self._mac = HMAC(key, SHA256())
        self._aead = AESGCM(key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt; ``context`` is authenticated but not stored, so the value opens nowhere else."""
        if len(plain) >= _COMPRESS_FROM_BYTES:
            body = _DEFLATED + zlib.compress(plain, 1)
        else:
            body = _PLAIN + plain
        nonce = random_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, body, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what ``seal`` made for the same context.

        Raises:
            Unsealable: wrong key, wrong context or changed bytes.
        """
        try:
            body = self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise Unsealable("wrong key, wrong context or changed bytes") from None
        return zlib.decompress(body[1:]) if body[:1] == _DEFLATED else body[1:]

    def digest(self, text: str) -> bytes:
        """Return the keyed hash (HMAC-SHA-256) of a text: equal texts can be found, none can be read back."""
        keyed = self._mac.copy()  # the key is hashed in once, not for every text
        keyed.update(text.encode("utf-8", "surrogatepass"))
        return keyed.finalize()

    def token(self, text: str) -> int:
        """Return the first 63 bits of ``digest``: small enough for an index of many per message."""
        return int.from_bytes(self.digest(text)[:8]) >> 1

    def __repr__(self) -> str:
        return "Key(…)"


def new_key() -> bytes:
    """Make the bytes of a new key."""
    return os.urandom(KEY_BYTES)
