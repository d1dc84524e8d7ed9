"""Run the example agent of each client on a sprint of its own: `python -m clients.conformance.examples`."""

from __future__ import annotations

import subprocess
import sys
import time

from clients.conformance.driver import Language, languages, own_environment
from clients.conformance.ledgers import Ledgers
from orchestration import Ledger

SPRINT = "S1"
TASKS = ("parse", "check", "print")
SECONDS = 60.0


def run(language: Language, ledgers: Ledgers) -> str:
    """Run an agent, and return what is wrong; an empty text if nothing is."""
    project = f"example-{language.name}"
    with Ledger(ledgers.address, agent="planner", project=project) as ledger:
        ledger.sprint(SPRINT, title="An example").start()
        for code in TASKS:
            ledger.create_task(code, f"Write {code}", sprint=SPRINT)
        env = {"ORCHESTRATION_ADDRESS": ledgers.address, "ORCHESTRATION_PROJECT": project}
        try:
            done = subprocess.run(
                [*language.example, SPRINT],
                cwd=language.directory,
                env=own_environment() | env,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"it did not end in {SECONDS:.0f} s"
        if done.returncode:
            return f"it ended with {done.returncode}: {done.stdout}{done.stderr}"
        return _wrong(ledger, done.stdout)


def _wrong(ledger: Ledger, output: str) -> str:
    for code in TASKS:
        attempts = list(ledger.attempts(code))
        if len(attempts) != 1 or attempts[0].outcome != "completed" or attempts[0].agent != "builder-1":
            return f"the attempts at {code} are {attempts}"
        if not attempts[0].reason.startswith("read "):
            return f"the reason of {code} is {attempts[0].reason!r}"
    logged = sorted(event.entity for event in ledger.events(types=["agent.work.logged"]))
    if logged != sorted(TASKS):
        return f"lines were logged about {logged}"
    if SPRINT not in output:
        return f"it printed no report of the sprint: {output[:300]!r}"
    return ""


def main() -> int:
    """Run all agents, and return the exit code."""
    failed = 0
    with Ledgers() as ledgers:
        for language in languages():
            began = time.monotonic()
            wrong = run(language, ledgers) if language.example else "driver.json names no example"
            failed += bool(wrong)
            seconds = time.monotonic() - began
            print(f"example agent in {language.name:<12}{wrong or 'ok'} ({seconds:.1f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
