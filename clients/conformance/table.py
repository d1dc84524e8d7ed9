"""The table of cases and languages, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clients.conformance.run import Outcome

Results = Mapping[tuple[str, str], Outcome]
"""Outcomes by case and language."""


def print_table(cases: Sequence[str], languages: Sequence[str], results: Results) -> None:
    """Print a row a case and a column a language, then the seconds of each language."""
    width = max((len(name) for name in cases), default=4)
    print("case".ljust(width), *(name.ljust(_width(name)) for name in languages), sep="  ")
    for case in cases:
        marks = (_mark(results.get((case, name))).ljust(_width(name)) for name in languages)
        print(case.ljust(width), *marks, sep="  ")
    spent = {
        name: sum(outcome.seconds for (_, language), outcome in results.items() if language == name)
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
    for (case, language), outcome in results.items():
        if outcome.failure:
            print(f"\n{language}: {case}, after {outcome.seconds:.1f} s")
            print("  " + outcome.failure.replace("\n", "\n  "))


def print_controls(rows: Iterable[tuple[str, str, str, Outcome]]) -> int:
    """Print whether each fault turned its case red. Return how many did not."""
    unseen = 0
    for language, fault, case, outcome in rows:
        seen = "red" if outcome.failure else "NOT SEEN"
        unseen += not outcome.failure
        first = outcome.failure.splitlines()[0] if outcome.failure else ""
        print(f"{language:<12}{fault:<22}{seen:<10}{case}: {first[:160]}")
    return unseen
