"""Documents of MDM: text beside files, several files, and files that are not there."""

from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write
from tests.formats.hl7v2.test_families import documents

TXA = "TXA|1|DS|TX|20260101||||||||DOC1||||||AU"
TEXT = "OBX|1|TX|11488-4^Note^LN||Critical potassium 7.1||||||F"
FIRST, SECOND = "OBX|2|ED|PDF^Scan^L||APP^AP^PDF^Base64^JVBERi0=||||||F", "OBX|3|ED|PDF2^Scan2^L||APP^AP^RTF^Base64^U0VDT05E||||||F"
EMPTY = "OBX|1|ED|PDF^Scan^L||SCANAPP^AP^PDF^Base64^"


def media(*segments: str) -> list[dict]:
    return [one["Media"] for one in documents("MDM^T02", *([] if segments[0].startswith("TXA") else [TXA]), *segments)]


def test_two_files_are_two_documents():
    assert [("JVBERi0=", "Scan", "PDF"), ("U0VDT05E", "Scan2", "RTF")] == [
        (one["FileContents"], one["DocumentDescription"], one["FileType"]) for one in media(TEXT, FIRST, SECOND)
    ]


def test_the_text_beside_files_comes_with_each():
    assert ["Critical potassium 7.1"] * 2 == [one["Extensions"]["text"]["string"] for one in media(TEXT, FIRST, SECOND)]


def test_a_file_is_described_by_its_own_segment_and_not_by_the_text_before_it():
    assert [("Scan", "PDF")] == [(one["DocumentDescription"], one["Extensions"]["content-code"]["string"]) for one in media(TEXT, FIRST)]


def test_pieces_of_one_file_are_one_file():
    assert ["JVBERi0xLjQ="] == [
        one["FileContents"] for one in media("OBX|1|ED|PDF^Scan^L||^AP^PDF^Base64^JVBERi0x", "OBX|2|ED|PDF^Scan^L||^AP^PDF^Base64^LjQ=")
    ]


def test_the_application_a_file_came_from_is_not_its_content():
    assert ["PDF"] == [one["FileType"] for one in media(EMPTY)]
    assert [] == [one["FileContents"] for one in media(EMPTY) if "FileContents" in one]


def test_whether_a_document_can_be_had_is_told_only_where_the_sender_tells_it():
    assert [None, "Available"] == [media(txa, FIRST)[0].get("Availability") for txa in (TXA, f"{TXA}|AV")]


def test_a_file_that_is_the_whole_field_is_found_where_it_stands():
    assert ["JVBERi0="] == [one["FileContents"] for one in media("OBX|1|ED|PDF^Scan^L||JVBERi0=")]


def test_text_and_file_come_back_as_they_stood():
    lines = ["PID|1||7^^^N^MR||Doe^Jo", TXA, TEXT, FIRST]
    raw = "\r".join(["MSH|^~\\&|A|B|C|D|20260101||MDM^T02|C1|P|2.5.1", "EVN|T02|20260101", *lines, ""]).encode()
    back = write(read(raw, {}, Leftovers.CARRY)[0].document, {"leftovers": "carry"}, "C1")[0].decode().split("\r")
    assert lines == back[2:-1]


def test_a_pointer_to_a_file_comes_back_as_one():
    pointer = "OBX|1|RP|PDF^Scan^L||https://files.example/1^^PDF||||||F"
    raw = "\r".join(["MSH|^~\\&|A|B|C|D|20260101||MDM^T02|C1|P|2.5.1", "EVN|T02|20260101", "PID|1||7^^^N^MR||Doe^Jo", TXA, pointer, ""]).encode()
    back = write(read(raw, {})[0].document, {}, "C1")[0].decode().split("\r")
    assert ["RP", "https://files.example/1^^PDF"] == [field for line in back if line.startswith("OBX") for field in (line.split("|")[2], line.split("|")[5])]
