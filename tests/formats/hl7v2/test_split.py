from carelane.formats.hl7v2.split import split_messages

ONE, TWO = b"MSH|^~\\&|A|1\rPID|1\r", b"MSH|^~\\&|A|2\rPID|2\r"


def test_one_message_stays_as_it_is():
    assert [ONE] == split_messages(ONE)


def test_messages_in_a_row_are_taken_apart():
    assert [ONE, TWO] == split_messages(ONE + TWO)


def test_a_batch_loses_its_envelope_only():
    assert [ONE.rstrip(b"\r") + b"\r", TWO.rstrip(b"\r")] == split_messages(b"FHS|^~\\&\rBHS|^~\\&\r" + ONE + TWO + b"BTS|2\rFTS|1\r")


def test_what_has_no_msh_comes_back_whole():
    assert [b"FHS|^~\\&\rPID|1"] == split_messages(b"FHS|^~\\&\rPID|1")


def test_msh_inside_a_field_is_text():
    assert 1 == len(split_messages(b"MSH|^~\\&|A\rNTE|1||MSH|x\r"))
