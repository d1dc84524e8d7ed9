"""All clients at once while servers are replaced: `python -m clients.conformance.rolling --minutes 10`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

from benchmarks.processes import ServerProcess
from benchmarks.rolling import SHARE_PORT
from clients.conformance.driver import FAULT, Driver, Language, languages
from clients.conformance.ledgers import Ledgers
from orchestration import Client
from orchestration.v1.event_pb2 import EventFilter, ListEventsRequest

PROJECT, LABEL = "rolling", "soak"
REPLACEMENTS = 6
ANSWER_SECONDS = 90.0
"""The seconds after its time in which a driver has to answer. It reads the last events first."""
COLUMNS = ("calls", "failed", "emitted", "seen", "repeated", "missed", "claimed")
EVENTS_OF_PAGE = 500

Answers = Mapping[str, Mapping[str, Any]]
Held = tuple[float, float, str, str]
"""The start and the end of a hold, its fence and its client."""


def name_of(language: str) -> str:
    """Return the name of a client's soak, which its tasks and events begin with."""
    return f"soak-{language}"


def soak(
    chosen: Sequence[Language], ledgers: Ledgers, seconds: float, replacements: int, fault: str = ""
) -> dict[str, dict[str, Any]]:
    """Run the soak of all clients at once, while the server is replaced. Return their answers."""
    env = {FAULT: fault} if fault else {}
    server = ledgers.new_server(SHARE_PORT)
    address = server.address
    with ExitStack() as stack:
        drivers = {one.name: stack.enter_context(Driver(one, env)) for one in chosen}
        pending: dict[str, Future[dict[str, Any]]] = {}
        for language, driver in drivers.items():
            fields = {"address": address, "project": PROJECT, "agent": f"agent-{language}"}
            _answer(driver.send({"op": "open", "client": "a", **fields}), 30.0)
            command = {"op": "soak", "client": "a", "seconds": seconds, "label": LABEL}
            pending[language] = driver.send(command | {"name": name_of(language)})
        began = time.monotonic()
        try:
            for number in range(1, replacements + 1):
                # Early in its part of the time, as a start takes some seconds.
                due = began + seconds * (number - 0.7) / replacements
                time.sleep(max(0.0, due - time.monotonic()))
                server = _replaced(server, ledgers)
                at = time.monotonic() - began
                print(f"{at:6.1f} s: replacement {number}", flush=True)
                if at > seconds:
                    raise RuntimeError("the server was replaced after the end: take more minutes")
            left = began + seconds + ANSWER_SECONDS - time.monotonic()
            return {language: _answer(future, left) for language, future in pending.items()}
        finally:
            server.stop()


def _replaced(old: ServerProcess, ledgers: Ledgers) -> ServerProcess:
    new = ledgers.new_server(SHARE_PORT, address=old.address)
    old.stop()
    return new


def _answer(future: Future[dict[str, Any]], seconds: float) -> dict[str, Any]:
    answer = future.result(timeout=max(1.0, seconds))
    if "error" in answer:
        raise RuntimeError(f"a driver answered with an error: {answer['error']}")
    found: dict[str, Any] = answer["ok"]
    return found


def doubly_held(answers: Answers) -> list[str]:
    """Return each task that two claims held at the same time, with the two."""
    by_task: dict[str, list[Held]] = defaultdict(list)
    for language, answer in answers.items():
        for task, fence, start, end in answer["held"]:
            by_task[task].append((start, end, fence, language))
    return [
        f"{task}: fence {earlier[2]} of {earlier[3]} until {earlier[1]:.3f},"
        f" fence {later[2]} of {later[3]} from {later[0]:.3f}"
        for task, holds in by_task.items()
        for earlier, later in pairwise(sorted(holds))
        if later[0] < earlier[1]
    ]


def stored(ledgers: Ledgers, language: str) -> int:
    """Return how many events of a client the ledger has."""
    request = ListEventsRequest(
        filter=EventFilter(types=[f"{name_of(language)}.step"]), page_size=EVENTS_OF_PAGE
    )
    with Client(ledgers.address, project=PROJECT) as client:
        return sum(1 for _ in client.pages(client.events.ListEvents, request))


def report(answers: Answers, counted: Mapping[str, int]) -> int:
    """Print the table, and return the number of faults."""
    held = doubly_held(answers)
    print(f"\n{'client':<12}" + "".join(f"{name:>10}" for name in COLUMNS) + f"{'stored':>10}")
    for language, answer in answers.items():
        numbers = "".join(f"{answer[name]:>10,}" for name in COLUMNS)
        print(f"{language:<12}{numbers}{counted[language]:>10,}")
    for language, answer in answers.items():
        for text in answer["errors"]:
            print(f"{language}: {text}")
    for text in held:
        print(f"doubly held: {text}")
    idle = [
        language
        for language, answer in answers.items()
        if not (answer["calls"] and answer["emitted"] and answer["seen"])
    ]
    if idle:
        print(f"did nothing: {', '.join(idle)}")
    wrong = sum(a["failed"] + a["repeated"] + a["missed"] for a in answers.values())
    differing = sum(abs(answer["emitted"] - counted[language]) for language, answer in answers.items())
    print(f"claims doubly held: {len(held)}; events stored and not counted, or the reverse: {differing}")
    return sum((int(wrong), len(held), int(differing), len(idle)))


def main(given: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m clients.conformance.rolling", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--replacements", type=int, default=REPLACEMENTS)
    parser.add_argument("--fault", default="", help="break the drivers in this way, to see that it is found")
    parser.add_argument("--language", action="append", help="only this client; repeat it")
    arguments = parser.parse_args(given)
    chosen = [one for one in languages() if not arguments.language or one.name in arguments.language]
    with Ledgers() as ledgers:
        seconds = arguments.minutes * 60
        answers = soak(chosen, ledgers, seconds, arguments.replacements, arguments.fault)
        faults = report(answers, {one.name: stored(ledgers, one.name) for one in chosen})
    print(
        f"{len(chosen)} clients, {arguments.minutes:g} minutes, {arguments.replacements} replacements: ",
        end="",
    )
    print(f"{faults} faults" if faults else "no fault")
    return 1 if faults else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
