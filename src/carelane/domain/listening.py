"""The TCP ports a hub may listen on for its sources, as its operator says."""

from collections.abc import Iterable
from dataclasses import dataclass

_LAST = 65535


@dataclass(frozen=True, slots=True)
class ListenPorts:
    """Which ports, written ``2575,20000-29999``, and how many of them one organization may hold.

    Port 0 stands for one the system chooses: useful for trials, and allowed only where it is written.
    """

    ranges: tuple[tuple[int, int], ...]
    each: int = 100
    but: frozenset[int] = frozenset()
    """Ports the hub needs itself, whatever the ranges say."""

    @classmethod
    def parse(cls, text: str, *, each: int = 100, but: Iterable[int] = ()) -> "ListenPorts":
        """Read ranges; raises ``ValueError`` for what is none."""
        return cls(_merged(sorted(_range(part.strip()) for part in text.split(","))), each, frozenset(but) - {0})

    def __contains__(self, port: int) -> bool:
        return port not in self.but and any(low <= port <= high for low, high in self.ranges)

    def __str__(self) -> str:
        return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self.ranges)


def _range(part: str) -> tuple[int, int]:
    first, dash, last = part.partition("-")
    low, high = _number(first), _number(last) if dash else _number(first)
    if low > high:
        raise ValueError(f"the range {low}-{high} runs backwards; write {high}-{low}")
    return low, high


def _number(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > _LAST:
        raise ValueError(f"write ports up to {_LAST} and ranges of them, such as 2575,20000-29999")
    return int(text)


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for low, high in ranges:
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)
