import pytest
from hypothesis import given
from hypothesis import strategies as st

from carelane.domain.errors import Unreadable
from carelane.formats.hl7v2.escapes import STANDARD, escape, unescape
from carelane.formats.hl7v2.message import NULL, parse

HEAD = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\r"


def test_fields_are_numbered_as_in_the_standard():
    message = parse(HEAD + b"PID|1||4711^^^NORTH^MR\r")
    assert ("|", "^~\\&", "A", "ADT") == tuple(message.first("MSH").field(n) if n < 4 else message.get("MSH", 9) for n in (1, 2, 3, 9))
    assert "NORTH" == message.get("PID", 3, 4)


def test_delimiters_are_read_from_the_message():
    message = parse(b"MSH$*!?%$A$B$C$D$20260101$$ADT*A01$C1$P$2.5\rPID$1$$4711***NORTH%X*MR!4712\r")
    assert ("4711", "NORTH", "X", "4712") == (
        message.get("PID", 3), message.get("PID", 3, 4), message.get("PID", 3, 4, 2), message.get("PID", 3, repetition=2),
    )  # fmt: skip


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_every_line_end_is_accepted_and_kept(end):
    raw = (HEAD + b"PID|1\r").replace(b"\r", end)
    message = parse(raw)
    assert (["MSH", "PID"], raw) == ([segment.name for segment in message.segments], message.encode())


def test_absent_empty_and_null_are_three_things():
    message = parse(HEAD + b'PID|1||""|x\r')
    assert (None, None, NULL, "x") == (message.get("PID", 9), message.get("PID", 2), message.get("PID", 3), message.get("PID", 4))


def test_only_the_changed_segment_is_written_anew():
    raw = HEAD.replace(b"\r", b"\r\n") + b"PID|1||4711^^^NORTH^MR|||\nZZZ|\\X41\\|\xe9\r"
    message = parse(raw)
    message.set(message.first("PID"), 3, "08|15", component=1)
    assert raw.replace(b"4711", b"08\\F\\15") == message.encode()


def test_a_broken_line_continues_the_field_before_it():
    message = parse(HEAD + b"OBX|1|FT|X||first line\rsecond line\rOBX|2\r")
    assert ("first line\nsecond line", ["continuation-line"]) == (message.get("OBX", 5), [issue.code for issue in message.issues])


def test_a_doubled_escape_character_in_msh_2_is_tolerated_and_reported():
    message = parse(b"MSH|^~\\\\&|A|B\rPID|1||a^b&c\r")
    assert ("b", "c", ["bad-delimiters"]) == (message.get("PID", 3, 2), message.get("PID", 3, 2, 2), [issue.code for issue in message.issues])


@pytest.mark.parametrize("raw", [b"", b"hello", b"PID|1\r", b"MSH", b"MSHX", b"\x00\x01", b"MS", b"MSH\r\r\r"])
def test_what_has_no_msh_is_unreadable(raw):
    with pytest.raises(Unreadable):
        parse(raw)


def test_latin_1_bytes_without_a_declared_charset_are_read_and_reported():
    message = parse(HEAD + "PID|1||||Müller\r".encode("cp1252"))
    assert ("Müller", ["bad-charset"]) == (message.get("PID", 5), [issue.code for issue in message.issues])


def test_a_charset_that_lies_is_read_as_utf_8_and_reported():
    head = HEAD.rstrip(b"\r") + b"||||||ASCII\r"
    message = parse(head + "PID|1||||Müller\r".encode())
    assert ("Müller", ["bad-charset"]) == (message.get("PID", 5), [issue.code for issue in message.issues])


def test_utf_16_is_refused_with_the_way_out():
    with pytest.raises(Unreadable, match="UTF-8"):
        parse("MSH|".encode("utf-16"))


@given(st.binary(max_size=400))
def test_no_bytes_crash_the_parser_and_all_come_back(tail):
    raw = HEAD + tail
    message = parse(raw)
    for segment in message.segments:
        for number in range(len(segment.fields)):
            message.leaf(segment.field(number), 2, 2, 2)
    assert raw == message.encode()


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=60)


@given(TEXT)
def test_any_text_survives_escaping(text):
    assert text == unescape(escape(text, STANDARD), STANDARD)


@given(TEXT.filter(lambda text: text and text != NULL))
def test_any_text_survives_being_set_and_read_back(text):
    message = parse(HEAD.rstrip(b"\r") + b"||||||UNICODE UTF-8\rPID|1||x~y^z&a\r")
    message.set(message.first("PID"), 3, text, component=2, subcomponent=2, repetition=2)
    again = parse(message.encode())
    assert (text, "x", "y") == (again.get("PID", 3, 2, 2, 2), again.get("PID", 3), again.get("PID", 3, repetition=2))


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("a\\F\\b", "a|b"), ("\\S\\\\T\\\\R\\\\E\\", "^&~\\"), ("\\X48656C6C6F\\", "Hello"), ("\\.br\\", "\n"), ("a\\.sp3\\b", "a\n\n\nb"), ("\\H\\b\\N\\", "b"),
        ("\\Zab\\", "\\Zab\\"), ("\\unknown\\", "\\unknown\\"), ("open \\", "open \\"), ("\\XZZ\\", "\\XZZ\\"), ("c:\\temp\\F\\", "c:\\temp|"),
    ],
)  # fmt: skip
def test_escape_sequences_mean_what_the_standard_says(raw, meant):
    assert meant == unescape(raw, STANDARD)


LINE = st.one_of(
    st.sampled_from(["PID|1||77^^^N~78||Doe^Jo", "PID", "PIDX|9", "PV1|1|I", "|still the same field", "ZZZ|1", "", "x", "PID|2||88", "MSH|^~\\&|B"]),
    st.text("PIDV1|^~\n", max_size=12),
)


@given(st.lists(LINE, max_size=6), st.sampled_from(["\r", "\n", "\r\n"]), st.sampled_from(["PID", "PV1", "MSH", "ZZZ"]), st.integers(0, 5))
def test_a_glanced_field_is_the_field_of_the_cut_message(lines, end, name, number):
    raw = end.join(["MSH|^~\\&|A", *lines]).encode()
    glanced = parse(raw).field(name, number)
    cut = parse(raw)
    found = cut.first(name)
    assert (found.field(number) if found else "") == glanced == cut.field(name, number)


def test_a_field_that_was_changed_is_read_as_changed():
    message = parse(b"MSH|^~\\&|A\rPID|1||77")
    assert "77" == message.field("PID", 3)
    message.set(message.first("PID"), 3, "78")
    assert ("78", "78") == (message.field("PID", 3), message.get("PID", 3))
