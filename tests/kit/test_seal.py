import pytest
from hypothesis import given
from hypothesis import strategies as st

from carelane.kit.seal import Key, Unsealable, new_key


@given(st.binary(max_size=9000), st.binary(max_size=40))
def test_what_is_sealed_opens_again_in_its_own_context(plain, context):
    key = Key(new_key())
    assert plain == key.unseal(key.seal(plain, context), context)


def test_it_does_not_open_in_another_context():
    key = Key(new_key())
    with pytest.raises(Unsealable):
        key.unseal(key.seal(b"secret", b"org 1"), b"org 2")


def test_it_does_not_open_with_another_key():
    with pytest.raises(Unsealable):
        Key(new_key()).unseal(Key(new_key()).seal(b"secret", b""), b"")


@given(st.integers(min_value=0, max_value=30))
def test_one_changed_bit_is_noticed(at):
    key = Key(new_key())
    sealed = bytearray(key.seal(b"some secret", b""))
    sealed[at % len(sealed)] ^= 1
    with pytest.raises(Unsealable):
        key.unseal(bytes(sealed), b"")


def test_a_key_never_prints_its_bytes():
    assert "Key(…)" == repr(Key(b"k" * 32))


def test_equal_texts_have_equal_tokens_under_one_key_only():
    one, other = Key(new_key()), Key(new_key())
    assert one.token("4711") == one.token("4711")
    assert one.token("4711") != other.token("4711")
