"""The table of cases and languages, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clients.conformance.run import Outcome


class Run(NamedTuple):
    """A case with the driver of a language, which has a fault or none."""

    case: str
    language: str
    fault: str


Results = Mapping[Run, Outcome]


def print_table(cases: Sequence[str], languages: Sequence[str], results: Results) -> None:
    """Print a row a case and a column a language, then the seconds of each language."""
    width = max((len(name) for name in cases), default=4)
    print("case".ljust(width), *(name.ljust(_width(name)) for name in languages), sep="  ")
    for case in cases:
        marks = (_mark(results.get(Run(case, name, ""))).ljust(_width(name)) for name in languages)
        print(case.ljust(width), *marks, sep="  ")
    spent = {
        name: sum(outcome.seconds for run, outcome in results.items() if run.language == name)
        for name in languages
    }
    print(
        "seconds, added up".ljust(width), *(f"{spent[n]:.0f}".ljust(_width(n)) for n in languages), sep="  "
    )


def _width(name: str) -> int:
    return max(len(name), 6)


def _mark(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    return "FAILED" if outcome.failure else "ok"


def print_failures(results: Results) -> None:
    """Print why cases failed, with the calls that were seen."""
    for run, outcome in results.items():
        if outcome.failure:
            print(f"\n{run.language}: {run.case}, after {outcome.seconds:.1f} s")
            print("  " + outcome.failure.replace("\n", "\n  "))


def print_controls(results: Results) -> int:
    """Print a row a fault: in which languages each of its cases turned red. Return how often none did."""
    faults = list(dict.fromkeys(run.fault for run in results))
    if faults:
        print("\na driver that is broken on purpose turns its cases red")
    width = max((len(fault) for fault in faults), default=0)
    for fault in faults:
        found = {run: outcome for run, outcome in results.items() if run.fault == fault}
        seen = [f"{run.language}: {run.case}" for run, outcome in found.items() if outcome.failure]
        missed = [f"{run.language}: {run.case}" for run, outcome in found.items() if not outcome.failure]
        languages = ", ".join(sorted({run.language for run in found}))
        print(fault.ljust(width), f"{len(seen)} of {len(found)}", languages, sep="  ")
        for name in missed:
            print(f"  NOT SEEN by {name}")
    return sum(not outcome.failure for outcome in results.values())
