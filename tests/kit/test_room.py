from hypothesis import given
from hypothesis import strategies as st

from carelane.kit.room import Room, Rooms, Step, Tenant


class Caller:
    """Remembers how often it was called."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1


def rooms(*steps: tuple[int, int]) -> Rooms:
    return Rooms(little_bytes=10, steps=[Step(most, Room(size)) for most, size in steps])


def test_room_is_taken_until_there_is_none():
    room = Room(100)
    assert [True, True, False] == [room.take(owner, 40) for owner in ("a", "b", "c")]


def test_one_owner_gets_a_quarter_and_always_one_grant():
    room = Room(100)
    assert [True, True, False, True, False] == [room.take("a", 10), room.take("a", 10), room.take("a", 10), room.take("b", 60), room.take("b", 1)]


def test_who_waited_longest_gets_what_was_given_back():
    room, first, second = Room(100), Caller(), Caller()
    room.take("a", 100)
    room.wait("b", 60, first)
    room.wait("c", 60, second)
    room.give("a", 100)
    assert (1, 0, 60) == (first.times, second.times, room.used)


def test_nobody_overtakes_a_large_one_that_waits():
    room = Room(100)
    room.take("a", 50)
    room.wait("b", 60, Caller())
    assert not room.take("c", 10)


def test_an_owner_at_its_share_does_not_hold_up_the_others():
    room, other = Room(100), Caller()
    room.take("a", 100)
    room.wait("a", 25, Caller())
    room.wait("b", 60, other)
    room.give("a", 80)
    assert (1, 80) == (other.times, room.used)


def test_who_leaves_the_row_makes_way():
    room, small = Room(100), Caller()
    room.take("a", 50)
    large = room.wait("b", 60, Caller())
    room.wait("c", 10, small)
    room.leave(large)
    assert 1 == small.times


def test_a_little_is_everybodys():
    shared = rooms((100, 100))
    assert [True] * 50 == [Tenant(shared, number, 100, Caller()).fits(10) for number in range(50)]


def test_more_waits_for_room_and_is_called_when_there_is_some():
    shared, called = rooms((100, 100)), Caller()
    first, second = Tenant(shared, "a", 100, Caller()), Tenant(shared, "b", 100, called)
    assert (True, False, 0) == (first.fits(50), second.fits(50), called.times)
    first.fits(0)
    assert (1, True) == (called.times, second.fits(50))


def test_who_outgrows_a_step_keeps_it_while_waiting_for_the_next():
    shared = rooms((20, 20), (100, 100))
    first, second = Tenant(shared, "a", 100, Caller()), Tenant(shared, "b", 100, Caller())
    first.fits(100)
    second.fits(20)
    assert (False, 20, 100) == (second.fits(30), shared.steps[0].room.used, shared.steps[1].room.used)
    first.close()
    assert (0, 100) == (shared.steps[0].room.used, shared.steps[1].room.used)


def test_closing_gives_everything_back_and_leaves_the_row():
    shared, called = rooms((100, 100)), Caller()
    first, second = Tenant(shared, "a", 100, Caller()), Tenant(shared, "b", 100, called)
    first.fits(50)
    second.fits(50)
    second.close()
    first.close()
    assert (0, 0) == (shared.steps[0].room.used, called.times)


class Sending:
    """A connection: what it holds grows only while it may go on, and it looks again when it is called."""

    def __init__(self, shared: Rooms, owner: str):
        self.held, self.may = 0, True
        self._tenant = Tenant(shared, owner, 100, self.look)

    def hold(self, held: int):
        self.held = held if self.may else self.held
        self.look()

    def look(self):
        self.may = self._tenant.fits(self.held)


MOVES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 120)), max_size=200)


@given(MOVES)
def test_rooms_are_never_overfull(moves):
    shared = rooms((20, 60), (100, 200))
    sending = [Sending(shared, f"owner {number % 3}") for number in range(8)]
    used = [(sending[number].hold(held), shared.steps[0].room.used <= 60, shared.steps[1].room.used <= 200) for number, held in moves]
    assert [(None, True, True)] * len(moves) == used


@given(MOVES)
def test_whoever_may_go_on_ends_and_in_the_end_nobody_waits(moves):
    shared = rooms((20, 60), (100, 200))
    sending = [Sending(shared, f"owner {number % 3}") for number in range(8)]
    for number, held in moves:
        sending[number].hold(held)
    while any(not one.may for one in sending):
        next(one for one in sending if one.may and one.held).hold(0)
    assert [True] * 8 == [one.may for one in sending]


@given(MOVES)
def test_everything_is_given_back_in_the_end(moves):
    shared = rooms((20, 60), (100, 200))
    tenants = [Tenant(shared, number % 3, 100, Caller()) for number in range(8)]
    for number, held in moves:
        tenants[number].fits(held)
    for tenant in tenants:
        tenant.close()
    assert [0, 0] == [step.room.used for step in shared.steps]
