"""Says whether a text can be a host to connect to, or an address of this machine to listen on, without asking a name server."""

import ipaddress
import re

_LABEL = re.compile(rb"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253


def check_host(text: str) -> str:
    """Return a host name or IP address, trimmed; raises ``ValueError`` for what can be neither."""
    host = text.strip()
    if _is_address(host):
        return host
    try:
        encoded = host.removesuffix(".").encode("idna")
    except UnicodeError:
        encoded = b""
    if not encoded or len(encoded) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in encoded.split(b".")):
        raise ValueError("write a host name, such as lab.example.org, or an IP address")
    return host


def check_listen_address(text: str) -> str:
    """Return an address of this machine, trimmed; raises ``ValueError`` for a name, which somebody else's name server would answer for."""
    address = text.strip()
    if address != "localhost" and not _is_address(address):
        raise ValueError("a source listens on an address of this machine: write 0.0.0.0 or :: for all of them, 127.0.0.1, or another IP address")
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
