import pytest

from carelane.kit.idempotency import MOST_CHARACTERS, read_key


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("8e03978e-40d5", "8e03978e-40d5"),
        ('"8e03978e-40d5"', "8e03978e-40d5"),
        ('"a \\"b\\" \\\\c"', 'a "b" \\c'),
        ("x" * MOST_CHARACTERS, "x" * MOST_CHARACTERS),
    ],
)
def test_a_key_is_read_bare_or_as_a_structured_string(field, key):
    assert key == read_key([field])


def test_no_field_is_no_key():
    assert None is read_key([])


@pytest.mark.parametrize(
    "fields",
    [
        [""],
        [" "],
        ["a b"],
        ["a\0b"],
        ["schlüssel"],
        ["x" * (MOST_CHARACTERS + 1)],
        ['"' + "x" * (MOST_CHARACTERS + 1) + '"'],
        ['""'],
        ['"open'],
        ['"a"b"'],
        ["a", "b"],
    ],
)
def test_what_is_no_key_is_refused(fields):
    with pytest.raises(ValueError, match="Idempotency-Key"):
        read_key(fields)
