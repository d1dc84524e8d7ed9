"""An agent that takes ready work until there is none: `python agent.py SPRINT`."""

import sys

from orchestration import ClaimedWork, Ledger, LedgerError, Usage


def ask_model(prompt: str) -> str:
    """Stand for a call of a model."""
    return f"read {len(prompt.split())} words"


def work_on(work: ClaimedWork) -> None:
    """Do the work of one task. The lease is kept meanwhile."""
    work.log("started", attempt=work.lease.attempt)
    answer = ask_model(work.prompt(tokens=2_000))
    if "enough for today" in answer:
        work.hand_over(answer)
    else:
        work.done(answer, usage=Usage(tool_calls=1))


with Ledger(agent="builder-1") as ledger:
    for work in ledger.claims(sprint=sys.argv[1]):
        try:
            with work:
                work_on(work)
        except LedgerError as error:
            print(work.code, error)
    print(ledger.sprint(sys.argv[1]).report())
