"""Random work under faults for as long as is asked: ``python -m tests.robustness --minutes 60``."""

from __future__ import annotations

import argparse
import sys
from random import Random
from time import monotonic

from tests.robustness.faults import Cluster
from tests.robustness.run import run

CALLS = 1_500


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.robustness", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    end, seed, calls, events, faults = monotonic() + given.minutes * 60, given.seed, 0, 0, 0
    cluster = Cluster()
    try:
        while monotonic() < end:
            order = cluster.faults()
            Random(seed).shuffle(order)
            report = run(cluster.addresses, calls=CALLS, seed=seed, faults=order)
            calls, events, faults = calls + report.calls, events + report.events, faults + len(order)
            print(
                f"seed {seed}: {calls} calls, {events} events, {faults} faults; undecided {report.undecided}"
            )
            if report.faults:
                print("\n".join(report.faults[:20]))
                return 1
            seed += 1
    finally:
        cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
