"""Hostile input for as long as you like: mutated messages and JSON through parser, maps and FHIR; what crashes or hangs is printed and kept.

python -m bench.fuzz MINUTES [SAMPLES] [--seed N]
"""

import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from bench.machine import adt, report
from carelane.domain.errors import CarelaneError
from carelane.domain.message import Leftovers
from carelane.formats.datamodel.format import FORMAT as DATAMODEL
from carelane.formats.fhir.format import FORMAT as FHIR
from carelane.formats.hl7v2.format import FORMAT as HL7
from carelane.models.examples import example
from carelane.models.schemas import classic_models, model_events

CARRY = {"leftovers": "carry"}
SLOW_S = 1.0
MOST_BYTES = 200_000
_V2 = b'| ^ ~ \\ & "" \\X0D\\ \\.br\\ MSH| MSH|^~\\& OBX|1| ORC| PID| 20261301 +9999'.split()
_JSON = b'{ } [ ] : , null 1e999 -0 "Meta" "resourceType" \\ud800'.split()
TOKENS = (*_V2, *_JSON, b"\r", b"\n", b"\r\n", b"\x00", b"\xff", b"\xc3\x28", b"9" * 40, b" ", b"-")


def seeds(samples: Path | None) -> list[bytes]:
    """Return what mutations start from: messages, documents and bundles."""
    found = [adt("C1"), adt("C2", 600)]
    for model in classic_models():
        found += [orjson.dumps(example(model, event)) for event in model_events()[model]]
    for folder in ("hl7v2-*", "v2-to-fhir-pairs-*", "redox-json", "fhir-us-core-examples", "fhir-r4-examples", "hostile-json") if samples else ():
        for one in sorted(samples.glob(folder)) if samples else ():
            found += [path.read_bytes() for path in sorted(one.iterdir()) if path.is_file() and 0 < path.stat().st_size < MOST_BYTES]
    return found


def mutated(raw: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Return a few changes of one input: bytes flipped, cut, repeated, spliced with another, or delimiters put in."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.randint(1, 60)]
        elif kind == 2:
            data[at:at] = data[at : at + chance.randint(1, 200)] * chance.randint(1, 20)
        elif kind == 3:
            other = chance.choice(others)
            cut = chance.randrange(len(other) + 1)
            data[at:] = other[cut : cut + chance.randint(1, 2000)]
        else:
            data[at:at] = chance.choice(TOKENS) * chance.randint(1, 5)
    return bytes(data[:MOST_BYTES])


def hl7(raw: bytes) -> None:
    """Split, peek, read both ways of carrying, write as HL7 v2 and FHIR, explain."""
    for part in HL7.split(raw)[:5]:
        HL7.peek(part, {})
        HL7.read(part, {})
        for one in HL7.read(part, {}, Leftovers.CARRY):
            broken = [issue.row for issue in one.issues if issue.code == "row-error"]
            if broken:
                raise AssertionError(f"rows failed: {broken[:3]}")
            again, _ = HL7.write(one.document, CARRY, "1")
            HL7.read(again, {}, Leftovers.CARRY)
            FHIR.write(one.document, {}, "1")
        HL7.explain(part, {})


def json(raw: bytes) -> None:
    """The JSON and FHIR doors, each by itself: a refusal at one says nothing of the other."""
    for words in (DATAMODEL, FHIR):
        with contextlib.suppress(CarelaneError):
            words.peek(raw, {})
            for one in words.read(raw, {}):
                for writer in (HL7, FHIR, DATAMODEL):
                    with contextlib.suppress(CarelaneError):
                        writer.write(one.document, CARRY, "1")


def tried(work: Callable[[bytes], None], raw: bytes) -> str | None:
    """Return what went wrong, None for a result or a refusal with a sentence."""
    try:
        work(raw)
    except CarelaneError as reason:
        return None if str(reason) else "refused without a sentence"
    except RecursionError:
        return "RecursionError"
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "?"
        return f"{type(error).__name__} at {place}"
    return None


def inputs(found: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Yield mutations for ever."""
    while True:
        yield mutated(chance.choice(found), chance, found)


def main() -> None:
    minutes = float(sys.argv[1])
    seed = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 1
    samples = Path(sys.argv[2]) if len(sys.argv) > 2 and not sys.argv[2].startswith("--") else None
    chance = random.Random(seed)
    found = seeds(samples)
    for one in found:  # maps and validators are compiled when first used: that is not what is timed
        tried(json if one.lstrip()[:1] in (b"{", b"[") else hl7, one)
    until, tries, slowest = time.monotonic() + minutes * 60, 0, 0.0
    wrong: Counter[str] = Counter()
    for raw in inputs(found, chance):
        if time.monotonic() > until:
            break
        work = json if raw.lstrip()[:1] in (b"{", b"[") else hl7
        began = time.perf_counter()
        what = tried(work, raw)
        took = time.perf_counter() - began
        tries += 1
        slowest = max(slowest, took)
        if took > SLOW_S:
            what = what or "slow"
        if what is not None:
            wrong[what] += 1
            if wrong[what] == 1:
                Path(f"/tmp/carelane-fuzz-{len(wrong)}.bin").write_bytes(raw)
    report("fuzz", {"minutes": minutes, "seed": seed, "inputs": tries, "wrong": dict(wrong), "slowest_s": round(slowest, 2)})


if __name__ == "__main__":
    main()
