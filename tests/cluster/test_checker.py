"""The checker behind every fault harness shouts when a message is lost, swapped or sent too often."""

from dataclasses import dataclass, field

from bench.events import Event, without_excuse
from bench.traffic import Logged, Repeat, check, repeats

NOTHING = {"lost": 0, "order_errors": 0, "repeats": 0, "most_repeats_of_a_lane_after_a_crash": 0, "repeats_over_bound": 0}


@dataclass
class Sent:
    tag: str = "K000"
    acknowledged: list[str] = field(default_factory=lambda: [control(number) for number in range(1, 11)])


def control(number: int) -> str:
    return f"K000{number:07d}"


def arrived(*numbers: int, crash: int = 0) -> list[Logged]:
    return [Logged("lane", number, control(number), crash) for number in numbers]


def test_everything_once_and_in_order_is_no_violation():
    assert NOTHING == check([Sent()], arrived(*range(1, 11)))


def test_a_message_that_never_arrived_is_lost_and_leaves_a_gap():
    assert {**NOTHING, "lost": 1, "order_errors": 1} == check([Sent()], arrived(1, 2, 3, 5, 6, 7, 8, 9, 10))


def test_the_last_message_is_missed_although_no_gap_shows_it():
    assert {**NOTHING, "lost": 1} == check([Sent()], arrived(*range(1, 10)))


def test_two_swapped_messages_are_order_errors():
    assert check([Sent()], arrived(1, 2, 4, 3, 5, 6, 7, 8, 9, 10))["order_errors"] > 0


def test_a_sender_whose_messages_were_numbered_in_another_order_is_an_order_error():
    log = [Logged("lane", 1, control(2), 0), Logged("lane", 2, control(1), 0)]
    assert {**NOTHING, "order_errors": 1} == check([Sent(acknowledged=[control(1), control(2)])], log)


def test_the_head_may_come_again_once_after_a_crash():
    log = arrived(1, 2, 3) + arrived(3, 4, 5, 6, 7, 8, 9, 10, crash=1)
    assert {**NOTHING, "repeats": 1, "most_repeats_of_a_lane_after_a_crash": 1} == check([Sent()], log)


def test_a_second_repeat_after_the_same_crash_is_over_the_bound():
    log = arrived(1, 2, 3) + arrived(3, 3, 4, 5, 6, 7, 8, 9, 10, crash=1)
    assert {**NOTHING, "repeats": 2, "most_repeats_of_a_lane_after_a_crash": 2, "repeats_over_bound": 1} == check([Sent()], log)


def test_a_repeat_without_a_crash_is_over_the_bound():
    assert 1 == check([Sent()], arrived(1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10))["repeats_over_bound"]


def test_a_repeat_of_anything_but_the_head_is_an_order_error():
    assert 1 == check([Sent()], arrived(1, 2, 3) + arrived(2, 4, 5, 6, 7, 8, 9, 10, crash=1))["order_errors"]


def test_repeats_are_counted_by_the_crash_they_followed():
    assert {("lane", 1): 1, ("lane", 2): 2} == repeats(arrived(1) + arrived(1, 2, crash=1) + arrived(2, 2, 3, crash=2))


def test_what_its_receiver_did_not_take_may_come_again_any_time():
    log = [*arrived(1), Logged("lane", 2, "", 0, well=False), Logged("lane", 2, "", 0, well=False), *arrived(2, 3, 4, 5, 6, 7, 8, 9, 10)]
    assert NOTHING == check([Sent()], log)


def test_what_was_never_taken_is_lost_although_it_was_sent():
    log = [*arrived(1, 2, 3, 4, 5, 6, 7, 8, 9), Logged("lane", 10, "", 0, well=False)]
    assert {**NOTHING, "lost": 1} == check([Sent()], log)


def test_what_follows_a_delivery_that_was_not_taken_is_an_order_error():
    log = [*arrived(1), Logged("lane", 2, "", 0, well=False), *arrived(3, 4, 5, 6, 7, 8, 9, 10)]
    assert {**NOTHING, "lost": 1, "order_errors": 1} == check([Sent()], log)


def test_what_a_person_skipped_need_not_arrive():
    assert NOTHING == check([Sent()], arrived(1, 2, 3, 6, 7, 8, 9, 10), {"lane": {4, 5}})


def test_a_repeat_is_explained_by_an_event_between_its_two_deliveries():
    assert [] == without_excuse([Repeat("lane", 3, first=0, again=2)], [Event("kill", 1)])


def test_a_repeat_is_not_explained_by_an_event_that_was_over_before_its_first_delivery():
    late = Repeat("lane", 3, first=2, again=2)
    assert [late] == without_excuse([late], [Event("kill", 1)])


def test_an_orderly_end_explains_no_repeat():
    again = Repeat("lane", 3, first=0, again=2)
    assert [again] == without_excuse([again], [Event("restart", 0)])


def test_an_event_explains_one_repeat_of_each_lane():
    first, second, other = (Repeat("lane", 3, 0, 1), Repeat("lane", 3, 1, 1), Repeat("other", 9, 0, 1))
    assert [second] == without_excuse([first, second, other], [Event("kill", 1)])
