"""Room for bytes that wait: a little is everybody's, more of it is asked for and given in the order of asking."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

_MB = 1024 * 1024


@dataclass(eq=False, slots=True)
class Wait:
    """Somebody in the row; ``go`` is called once the room is theirs."""

    owner: Hashable
    weight: int
    go: Callable[[], None]


class Room:
    """So many bytes and no more. One owner gets a quarter at most, but always one grant."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._taken: Counter[Hashable] = Counter()
        self._row: deque[Wait] = deque()
        self.used = 0
        """Bytes granted now."""

    def take(self, owner: Hashable, weight: int) -> bool:
        """Take room if there is some now and nobody has waited longer for it."""
        weight = min(weight, self._most)
        if self._at_share(owner, weight) or self.used + weight > self._most or any(not self._at_share(one.owner, one.weight) for one in self._row):
            return False
        self._grant(owner, weight)
        return True

    def wait(self, owner: Hashable, weight: int, go: Callable[[], None]) -> Wait:
        """Wait in the row."""
        wait = Wait(owner, min(weight, self._most), go)
        self._row.append(wait)
        return wait

    def leave(self, wait: Wait) -> None:
        """Leave the row."""
        self._row.remove(wait)
        self._serve()

    def give(self, owner: Hashable, weight: int) -> None:
        """Give room back; who waited longest gets it."""
        weight = min(weight, self._most)
        self.used -= weight
        self._taken[owner] -= weight
        if not self._taken[owner]:
            del self._taken[owner]
        self._serve()

    def _serve(self) -> None:
        """From the head of the row: an owner at its share is passed over; where the room is too small for now, the row waits."""
        passed: list[Wait] = []
        served: list[Wait] = []
        while self._row:
            wait = self._row.popleft()
            if self._at_share(wait.owner, wait.weight):
                passed.append(wait)
            elif self.used + wait.weight <= self._most:
                self._grant(wait.owner, wait.weight)
                served.append(wait)
            else:
                self._row.appendleft(wait)
                break
        self._row.extendleft(reversed(passed))
        for wait in served:
            wait.go()

    def _at_share(self, owner: Hashable, weight: int) -> bool:
        taken = self._taken[owner]
        return taken > 0 and taken + weight > self._most // 4

    def _grant(self, owner: Hashable, weight: int) -> None:
        self.used += weight
        self._taken[owner] += weight


@dataclass(frozen=True)
class Step:
    """Those that hold no more than ``most_bytes``, and the room they share."""

    most_bytes: int
    room: Room


def _steps() -> tuple[Step, ...]:
    return Step(_MB, Room(64 * _MB)), Step(8 * _MB, Room(64 * _MB)), Step(64 * _MB, Room(128 * _MB))


@dataclass
class Rooms:
    """What all listeners of one process share: a number of connections, and steps of room for those that hold more than a little.

    Who has outgrown a step keeps it and asks for a higher one; on the highest nobody needs more. So somebody can always
    go on, and all that is held is bounded: the little of every connection, and the sum of the steps.
    """

    most_connections: int = 4096
    little_bytes: int = 64 * 1024
    steps: Sequence[Step] = field(default_factory=_steps)
    connections: int = 0


class Tenant:
    """One connection's claim on the rooms. It grows with what the connection holds, and shrinks with it."""

    def __init__(self, rooms: Rooms, owner: Hashable, most_bytes: int, go: Callable[[], None]) -> None:
        self._rooms = rooms
        self._owner = owner
        self._most = most_bytes
        self._go = go
        self._height = 0
        self._wait: Wait | None = None
        self._target = 0

    def fits(self, held: int) -> bool:
        """Say whether a connection that holds so many bytes may read on; when not, ``go`` is called once it may."""
        wanted = self._step(held)
        if wanted == self._height and self._wait is None:
            return True  # the usual case
        if wanted > self._height:
            return self._rise(wanted)
        self._stop_waiting()
        self._shrink(wanted)
        return True

    def close(self) -> None:
        """Give everything back."""
        self._stop_waiting()
        self._shrink(0)

    def _step(self, held: int) -> int:
        if held <= self._rooms.little_bytes:
            return 0
        steps = self._rooms.steps
        return next((number for number, step in enumerate(steps, 1) if held <= step.most_bytes), len(steps))

    def _rise(self, wanted: int) -> bool:
        if self._wait is not None:
            return False
        room, weight = self._room(wanted)
        if room.take(self._owner, weight):
            self._move(wanted)
            return True
        self._target = wanted
        self._wait = room.wait(self._owner, weight, self._granted)
        return False

    def _shrink(self, wanted: int) -> None:
        """A lower step is taken before the higher one is given back; where there is none, the higher one is kept."""
        if wanted and wanted < self._height:
            room, weight = self._room(wanted)
            if not room.take(self._owner, weight):
                return
        self._move(wanted)

    def _granted(self) -> None:
        self._wait = None
        self._move(self._target)
        self._go()

    def _move(self, height: int) -> None:
        before, self._height = self._height, height
        if before and before != height:
            room, weight = self._room(before)
            room.give(self._owner, weight)

    def _room(self, height: int) -> tuple[Room, int]:
        step = self._rooms.steps[height - 1]
        return step.room, min(step.most_bytes, self._most)

    def _stop_waiting(self) -> None:
        if self._wait is not None:
            wait, self._wait = self._wait, None
            self._room(self._target)[0].leave(wait)
