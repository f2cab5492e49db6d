"""HL7v2 parse and read, and ADT → PatientAdmin, beside the ``hl7`` and ``hl7apy`` packages in the same run.

python -m bench.mapping
"""

import time
from collections.abc import Callable
from typing import Any

import hl7
from hl7apy.parser import parse_message

from bench.machine import adt, report
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.packs import compiled_map
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.write import write
from carelane.mapping.runtime import Run

FIELDS = [("MSH", n) for n in (3, 4, 7, 9, 10, 11, 12)] + [("EVN", 2)] + [("PID", n) for n in (3, 5, 7, 8, 10, 11, 13, 16, 18)] + [
    ("PV1", n) for n in (2, 3, 4, 7, 10, 19, 44)] + [("NK1", 2), ("NK1", 3), ("AL1", 3), ("DG1", 3), ("IN1", 2), ("IN1", 4)]  # fmt: skip


def timed(work: Callable[[], Any], rounds: int, repeat: int = 40) -> float:
    """Return the best mean of many short runs, in microseconds."""
    best = float("inf")
    for _ in range(repeat):
        began = time.perf_counter()
        for _ in range(rounds):
            work()
        best = min(best, (time.perf_counter() - began) / rounds)
    return round(best * 1e6, 1)


def main() -> None:
    raw = adt("C1", 1024)
    text = raw.decode()

    def ours() -> None:
        message = parse(raw)
        for segment, field in FIELDS:
            message.get(segment, field)

    def theirs() -> None:
        message = hl7.parse(text)
        for segment, field in FIELDS:
            str(message.segment(segment)[field] if field < len(message.segment(segment)) else "")

    def apy() -> None:
        message = parse_message(text, find_groups=False)
        for segment, field in FIELDS:
            getattr(getattr(message, segment), f"{segment}_{field}").to_er7()

    parsed = parse(raw)
    for segment in parsed.segments:
        _ = segment.fields
    pack = compiled_map("patientadmin").compiled

    def rows() -> None:
        pack.program(Scope(parsed.by_name, Context(parsed), members=parsed.segments), {}, Run())

    document = read(raw, {})[0].document
    figures = {
        "message_bytes": len(raw), "fields": len(FIELDS), "parse_and_read_us": timed(ours, 200), "hl7_us": timed(theirs, 10), "hl7apy_us": timed(apy, 1, 5),
        "map_us": timed(rows, 200), "read_to_document_us": timed(lambda: read(raw, {}), 100), "write_back_us": timed(lambda: write(document, {}, "M"), 50),
    }  # fmt: skip
    figures["hl7_times_ours"] = round(figures["hl7_us"] / figures["parse_and_read_us"], 1)
    figures["hl7apy_times_ours"] = round(figures["hl7apy_us"] / figures["parse_and_read_us"], 1)
    report("mapping", figures)


if __name__ == "__main__":
    main()
