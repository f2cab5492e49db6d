"""Two and three simulated nodes, thousands of seeds: order errors, losses, unexplained repeats, lanes that stand still; and mechanisms taken out.

    python -m bench.simulate [--seeds 10000] [--first 0] [--processes 2]

A seed that fails is told: ``python -m carelane.testing.simulation SEED`` runs it again, step by step.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor

from bench.machine import report
from carelane.testing.simulation import simulate

_MUTANTS = ("fence", "poll", "quiet", "last look")
_MUTANT_SEEDS = 200


def run(seed: int) -> tuple[int, list[str]]:
    return seed, simulate(seed, nodes=2 + seed % 2)[0]


def found_after(mechanism: str) -> int | None:
    """Return how many seeds it took to notice that a mechanism is missing."""
    for seed in range(_MUTANT_SEEDS):
        if simulate(seed, nodes=2 + seed % 2, without=frozenset({mechanism}))[0]:
            return seed + 1
    return None


def _main(first: int, seeds: int, processes: int) -> None:
    began = time.perf_counter()
    with ProcessPoolExecutor(processes) as pool:
        failed = {seed: found[:3] for seed, found in pool.map(run, range(first, first + seeds), chunksize=20) if found}
        noticed = dict(zip(_MUTANTS, pool.map(found_after, _MUTANTS), strict=True))
    report("simulate", {"first": first, "seeds": seeds, "violations": failed, "taken_out_noticed_after_seeds": noticed,
                        "seconds": round(time.perf_counter() - began, 1)})  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    _main(given.first, given.seeds, given.processes)
