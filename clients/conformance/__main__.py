"""Run the cases with the driver of each client, and print the table: `python -m clients.conformance`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from types import TracebackType

from clients.conformance import case_files
from clients.conformance.case_files import Case
from clients.conformance.driver import FAULT, Driver, Language, languages, start_driver
from clients.conformance.ledgers import Ledgers
from clients.conformance.run import CaseRun, Outcome
from clients.conformance.table import Run, print_controls, print_failures, print_table
from clients.conformance.wire import Loop

AT_ONCE = 16
"""Cases at the same time: most of them wait for a pause or a timeout."""
IN_EVERY_DRIVER = frozenset({"forget-cursor", "fresh-request-id"})
"""The faults that each driver has. The driver of Python has one for each family."""


class KeptDriver:
    """The driver of a language, started again if its process has ended."""

    def __init__(self, language: Language, env: Mapping[str, str]) -> None:
        self.language, self.env = language, env
        self._lock = threading.Lock()
        self._driver: Driver | None = None

    def get(self) -> Driver:
        """Return a driver that runs."""
        with self._lock:
            if self._driver is None or self._driver.ended:
                self._driver = start_driver(self.language, self.env)
            return self._driver

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._driver is not None:
                self._driver.close()


class Runner:
    """The ledger, the wires and the drivers for a number of cases."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._numbers = count(1)

    def __enter__(self) -> Runner:
        self._loop = Loop()
        self._stack.callback(self._loop.close)
        self._ledgers = self._stack.enter_context(Ledgers())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run_all(
        self, cases: Sequence[Case], chosen: Sequence[Language], *, controls: bool
    ) -> dict[Run, Outcome]:
        """Run each case with each language, and with ``controls`` also broken drivers. The longest begin."""
        self._ledgers.prepare(repr(cases))
        with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
            kept = {language.name: KeptDriver(language, {}) for language in chosen}
            for one in kept.values():
                stack.callback(one.close)
            pending: dict[Run, Future[Outcome]] = {}
            for case in sorted(cases, key=lambda case: -case.timeout):
                for language in chosen:
                    key = Run(case.name, language.name, "")
                    pending[key] = pool.submit(self._run, case, kept[language.name])
                    if controls and _has_control(case, language):
                        key = Run(case.name, language.name, case.control)
                        pending[key] = pool.submit(self._run_broken, case, language)
            return {key: future.result() for key, future in pending.items()}

    def _run(self, case: Case, kept: KeptDriver) -> Outcome:
        run = CaseRun(
            case, kept.language, kept.get, self._ledgers, self._loop,
            number=next(self._numbers), env=kept.env,
        )  # fmt: skip
        try:
            return run.run()
        except Exception as error:
            return Outcome(f"the runner failed: {type(error).__name__}: {error}", 0.0)

    def _run_broken(self, case: Case, language: Language) -> Outcome:
        kept = KeptDriver(language, {FAULT: case.control})
        try:
            return self._run(replace(case, timeout=min(case.timeout, 60.0)), kept)
        finally:
            kept.close()


def _has_control(case: Case, language: Language) -> bool:
    return bool(case.control) and (language.name == "python" or case.control in IN_EVERY_DRIVER)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clients.conformance", description=__doc__)
    parser.add_argument("--language", action="append", help="only this client; repeat it")
    parser.add_argument("--case", action="append", help="only cases whose name contains this; repeat it")
    parser.add_argument("--controls", action="store_true", help="also run drivers that are broken on purpose")
    parser.add_argument("--list", action="store_true", help="list the cases")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    arguments = _arguments(given)
    cases = [
        case
        for case in case_files.load()
        if not arguments.case or any(part in case.name for part in arguments.case)
    ]
    if arguments.list:
        for case in cases:
            print(f"{case.name}: {case.about}")
        return 0
    chosen = [one for one in languages() if not arguments.language or one.name in arguments.language]
    missing = set(arguments.language or ()) - {one.name for one in chosen}
    if missing or not chosen or not cases:
        print(f"no driver of {', '.join(sorted(missing))}" if missing else "no such case", file=sys.stderr)
        return 2
    return _run(cases, chosen, controls=arguments.controls)


def _run(cases: Sequence[Case], chosen: Sequence[Language], *, controls: bool) -> int:
    began = time.monotonic()
    with Runner() as runner:
        outcomes = runner.run_all(cases, chosen, controls=controls)
    results = {run: outcome for run, outcome in outcomes.items() if not run.fault}
    broken = {run: outcome for run, outcome in outcomes.items() if run.fault}
    print_table([case.name for case in cases], [one.name for one in chosen], results)
    unseen = print_controls(broken)
    print_failures(results)
    failed = sum(bool(outcome.failure) for outcome in results.values())
    print(f"\n{len(cases)} cases, {len(chosen)} languages, {time.monotonic() - began:.0f} s")
    if unseen:
        print(f"{unseen} faults of drivers were not seen")
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or unseen else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread of a front that still waits for a client must not keep the process.
    os._exit(code)
