import pytest

from carelane.domain.listening import ListenPorts


def test_numbers_and_ranges_are_read_and_written_back_in_order():
    assert "0,2575,20000-29999" == str(ListenPorts.parse("20000-29999, 2575,0"))


def test_ranges_that_touch_become_one():
    assert ((10, 40),) == ListenPorts.parse("10-20,15-30,31-40").ranges


@pytest.mark.parametrize(("port", "allowed"), [(2575, True), (20000, True), (29999, True), (30000, False), (2576, False), (0, False), (8080, False)])
def test_a_port_is_allowed_inside_the_ranges_only(port, allowed):
    assert allowed == (port in ListenPorts.parse("2575,8080,20000-29999", but=[8080]))


@pytest.mark.parametrize("text", ["", ",", "x", "20000-", "-1", "1-2-3", "65536", "20000:20010", "2575;2576", "٢٥٧٥", "1e3", "9" * 5000])
def test_what_is_no_range_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="such as 2575,20000-29999"):
        ListenPorts.parse(text)


def test_a_range_that_runs_backwards_is_refused_with_the_right_order():
    with pytest.raises(ValueError, match="write 10-20"):
        ListenPorts.parse("20-10")
