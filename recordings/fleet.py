"""A sprint that several agents work on, as `watch` and `top` show it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import timedelta
from typing import NamedTuple

from orchestration import ClaimedWork, Ledger, NewTask, RetryPolicy
from recordings.terminal import Terminal

SPRINT = "web"
SECONDS = 30.0
_DRAWN_SECONDS = 0.3
"""The seconds in which a picture of `top` is drawn."""
_CLEAR = "\x1b[H\x1b[J"
_AT_ONCE = RetryPolicy(max_attempts=3, backoff=timedelta(milliseconds=100))
_PLAN = (
    NewTask("parser", "Write the parser", SPRINT, priority="P1"),
    NewTask("design", "Sketch the pages", SPRINT, priority="P1"),
    NewTask("store", "Store the pages", SPRINT, after="parser", labels="storage", retry=_AT_ONCE),
    NewTask("pages", "Render the pages", SPRINT, after=["design", "parser"]),
    NewTask("search", "Search the pages", SPRINT, after="store"),
    NewTask("login", "Log in with a key", SPRINT, priority="P3"),
    NewTask("docs", "Describe the first release", SPRINT, priority="P3"),
    NewTask("tests", "Test all of it", SPRINT, after=["pages", "store"]),
    NewTask("release", "Publish the first release", SPRINT, after=["search", "tests"]),
)


class Pictures(NamedTuple):
    """The lines of the two commands, with their colours."""

    watch: list[str]
    top: list[str]


def play(address: str, first: Terminal, second: Terminal, *, pace: float = 0.0) -> Pictures:
    """Let a fleet work on a server and return what `watch` and then `top` show in the terminals.

    ``pace`` is the seconds between two steps.
    """
    with ExitStack() as stack:

        def opened(agent: str) -> Ledger:
            return stack.enter_context(Ledger(address, agent=agent))

        planner, one, two, three = map(opened, ("planner", "builder-1", "builder-2", "writer-1"))
        sprint = planner.sprint(SPRINT, title="The web site")
        planner.create_tasks(_PLAN)
        sprint.start()
        _await_rule(planner, "orchestration.announcement.made")
        first.send(f"orchestration watch -s {SPRINT} -n 2")
        first.wait(lambda text: "announced" in text, SECONDS)
        held = _work(planner, one, two, three, pace)
        watch = first.wait(lambda text: "claimed docs" in text, SECONDS)
        _stop(first)
        second.send(f"orchestration top {SPRINT}")
        second.wait(lambda text: "release waits" in text.rpartition(_CLEAR)[2], SECONDS)
        top = second.settle(_DRAWN_SECONDS, SECONDS).rpartition(_CLEAR)[2]
        _stop(second)
        for work in held:
            work.give_back("the recording is over")
    return Pictures(watch.splitlines(), top.splitlines())


def _work(planner: Ledger, one: Ledger, two: Ledger, three: Ledger, pace: float) -> list[ClaimedWork]:
    """Do the story of the pictures. Return the work that is not finished at its end."""
    parser = one.claim("parser")
    time.sleep(pace)
    design = three.claim("design")
    time.sleep(2 * pace)
    parser.log("the grammar has 14 rules", files=2)
    time.sleep(pace)
    planner.block("login", reason="the review of the keys is not done")
    _await_rule(planner, "orchestration.notice.raised")
    time.sleep(pace)
    design.hand_over("the start page is drawn, the list is not")
    time.sleep(pace)
    parser.done("the tests pass")
    time.sleep(pace)
    store = two.claim("store", lease=900)
    design = one.claim("design")
    time.sleep(2 * pace)
    store.fail("the disk is full")
    time.sleep(pace)
    design.done("all pages are drawn")
    planner.update_task("search", priority="P1")
    time.sleep(pace)
    again = two.claim_next(sprint=SPRINT, priority="P2", labels="storage", lease=900, wait=20)
    assert again is not None
    time.sleep(3 * pace)
    pages = one.claim("pages", lease=90)
    time.sleep(2 * pace)
    return [again, pages, three.claim("docs", lease=300)]


def _await_rule(ledger: Ledger, type_: str) -> None:
    """Wait for the event of one of the ledger's own rules, which comes a moment after its cause."""
    with ledger.follow(types=type_) as feed:
        next(iter(feed))


def _stop(terminal: Terminal) -> None:
    terminal.press("^C")
    terminal.finish(SECONDS)
