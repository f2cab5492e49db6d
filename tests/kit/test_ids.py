from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from carelane.kit.ids import born_at, born_on, parse_number, parse_uuid, public, uuid7


def test_ids_sort_by_birth_also_within_a_millisecond():
    made = [uuid7() for _ in range(5000)]
    assert made == sorted(made)
    assert len(made) == len(set(made))


def test_an_id_tells_when_it_was_born():
    assert abs(born_at(uuid7()) - datetime.now(UTC)) < timedelta(seconds=2)


def test_public_ids_read_back_with_and_without_their_prefix():
    identity = uuid7()
    assert identity == parse_uuid("msg", public("msg", identity)) == parse_uuid("msg", str(identity))


@pytest.mark.parametrize("text", ["", "msg_", "lane_12", "msg_xyz", "١٢"])
def test_a_wrong_message_id_is_refused(text):
    with pytest.raises(ValueError, match="not an id"):
        parse_uuid("msg", text)


@pytest.mark.parametrize("text", ["", "lane_", "lane_-1", "lane_1.5", "١٢"])
def test_a_wrong_number_is_refused(text):
    with pytest.raises(ValueError, match="not an id"):
        parse_number("lane", text)


def test_an_id_from_somebody_else_has_some_birthday_and_breaks_nothing():
    assert 9999 == born_on(UUID(int=2**128 - 1)).year
    assert 1970 == born_on(UUID(int=0)).year
