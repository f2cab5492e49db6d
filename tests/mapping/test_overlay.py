import pytest

from carelane.domain.errors import PackBroken
from carelane.mapping.overlay import load_overlay, overlay_of, parse_overlay

TEXT = 'overlay: a\nversion: "1"\npack: p\nchanges:\n- disable: x\n'


def test_equal_overlays_are_one_whatever_the_order_of_their_keys():
    assert parse_overlay(TEXT) == parse_overlay('pack: p\nversion: "1"\noverlay: a\nchanges: [{disable: x}]\n')


def test_settings_without_an_overlay_have_none():
    assert overlay_of({}) is None is overlay_of({"overlay": ""})


@pytest.mark.parametrize(
    "text", ["[]", "overlay: a", TEXT + "more: 1\n", TEXT.replace("- disable: x", "- 7"), "a: [", TEXT.replace("changes:\n- disable: x", "changes: 7")]
)
def test_what_is_no_overlay_is_refused_with_a_reason(text):
    with pytest.raises(PackBroken):
        parse_overlay(text)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PackBroken):
        load_overlay(tmp_path / "none.yaml")
