"""A cache bounded by what its values weigh: who was not asked for longest goes first. Safe to use from several threads."""

from collections import OrderedDict
from collections.abc import Container
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class WeighedCache(Generic[K, V]):
    """Keeps values up to a weight all together; a value that is heavier by itself is not kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    @property
    def weight(self) -> int:
        """What everything kept weighs."""
        return self._weight

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def get(self, key: K) -> V | None:
        """Return a value, and note that it was asked for."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Keep a value; let go of others until there is room."""
        with self._lock:
            self._drop(key)
            if weight > self._most:
                return
            self._kept[key] = (value, weight)
            self._weight += weight
            while self._weight > self._most:
                self._drop(next(iter(self._kept)))

    def keep_only(self, keys: Container[K]) -> None:
        """Let go of every value whose key is not among these."""
        with self._lock:
            for key in [key for key in self._kept if key not in keys]:
                self._drop(key)

    def _drop(self, key: K) -> None:
        kept = self._kept.pop(key, None)
        self._weight -= kept[1] if kept is not None else 0
