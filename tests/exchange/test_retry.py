from hypothesis import given
from hypothesis import strategies as st

from carelane.exchange.retry import delay_s, horizon_passed


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_the_wait_is_never_shorter_than_a_second_nor_longer_than_two_minutes(attempts, chance):
    assert 1 <= delay_s(attempts, None, lambda: chance) <= 120


def test_it_starts_with_seconds_and_settles_at_a_beat_of_one_to_two_minutes():
    assert [(1, 2), (2, 4), (4, 8), (60, 120), (60, 120)] == [(delay_s(n, None, lambda: 0), delay_s(n, None, lambda: 1)) for n in (1, 2, 3, 10, 5000)]


def test_the_receivers_wish_is_honoured_up_to_an_hour():
    assert (300, 3600) == (delay_s(1, 300, lambda: 1), delay_s(1, 10**6, lambda: 1))


def test_a_lane_is_given_up_only_after_its_horizon():
    week = 7 * 24 * 3600.0
    assert (False, True) == (horizon_passed(week, week), horizon_passed(week + 1, week))
