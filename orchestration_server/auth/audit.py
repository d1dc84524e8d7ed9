"""What was refused, as a sample in the log of events: enough to see an attack, too little to be one.

The first refusal of each caller, rpc and reason in a minute is an event at once, and the others of that
minute are counted in one at its end. A process writes at most 60 such events a minute; the metric counts
them all.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import structlog

from orchestration_server.auth.permissions import DEFAULT_PROJECT
from orchestration_server.codec.events import change_event
from orchestration_server.model import Call, EntityType
from orchestration_server.telemetry.metrics import RPC_REFUSED
from orchestration_server.writes.gate import Gate

log = structlog.get_logger()

KINDS = 1_000
"""Callers, rpcs and reasons that are counted apart."""
KINDS_OF_ONE = 12
"""Of one caller, or of one address whose caller is unknown: its others are counted together."""
OTHERS = "others"
ANY = "any"
"""Where what was called does not matter."""
EVENTS_A_MINUTE = 60
WINDOW_SECONDS = 60.0
COLLECT_SECONDS = 0.5
TYPE = "access.refused"


class Kind(NamedTuple):
    """What refusals are counted by."""

    project: str
    rpc: str
    reason: str
    peer: str
    """The caller's address, without its port."""
    caller: str
    """The id of its key, or its token's subject; empty where that is unknown."""

    @property
    def one(self) -> str:
        """Whoever is one caller as far as is known."""
        return self.caller or self.peer


@dataclass
class _Count:
    since: float
    told: int = 0
    waiting: int = 0


@dataclass
class _Window:
    """Events of the minute that runs."""

    since: float
    events: int = field(default=0)


class Refusals:
    """Counts refusals and has events of some written, on a thread of its own."""

    def __init__(
        self, gate: Gate, now: Callable[[], datetime], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``now`` is the database's clock, ``clock`` the monotonic one."""
        self._gate = gate
        self._now = now
        self._clock = clock
        self._counts: dict[Kind, _Count] = {}
        self._of_one: Counter[str] = Counter()
        """How many kinds there are of each caller."""
        self._window = _Window(clock())
        self._failing = False
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
        self._thread.start()

    def note(self, kind: Kind) -> None:
        """One more call was refused. Takes no time and never fails."""
        RPC_REFUSED.labels(reason=kind.reason).inc()
        with self._lock:
            count = self._counts.get(kind)
            if count is None:
                kind = self._kept(kind)
                count = self._counts.get(kind)
            if count is None:
                count = self._counts[kind] = _Count(self._clock())
                self._of_one[kind.one] += 1
            count.waiting += 1
        self._wanted.set()

    def _kept(self, kind: Kind) -> Kind:
        """What a kind that is new is counted as; the lock is held."""
        if len(self._counts) >= KINDS:
            return Kind(DEFAULT_PROJECT, OTHERS, kind.reason, OTHERS, "")
        if self._of_one[kind.one] >= KINDS_OF_ONE:
            return kind._replace(project=DEFAULT_PROJECT, rpc=OTHERS, reason=OTHERS)
        return kind

    def flush(self, *, last: bool = False) -> int:
        """Writes the events that are due, with ``last`` all that waits; how many."""
        due = self._due(last=last)
        for kind, count, seconds in due:
            now = self._now()
            call = Call(rpc=kind.rpc, project=kind.project)
            payload = {"rpc": kind.rpc, "reason": kind.reason, "peer": kind.peer, "count": count}
            if kind.caller:
                payload["caller"] = kind.caller
            if count > 1:
                payload["seconds"] = round(seconds)
            event = change_event(
                call, TYPE, now, entity=EntityType.NONE, code="", uid="", revision=0, payload=payload
            )
            try:
                self._gate.record(call, [event])
            except Exception as error:
                if not self._failing:
                    log.warning("refusal not recorded", error=error)
                self._failing = True
            else:
                self._failing = False
        return len(due)

    def _due(self, *, last: bool) -> list[tuple[Kind, int, float]]:
        now = self._clock()
        due: list[tuple[Kind, int, float]] = []
        with self._lock:
            if now - self._window.since >= WINDOW_SECONDS:
                self._window = _Window(now)
            for kind, count in list(self._counts.items()):
                over = now - count.since >= WINDOW_SECONDS
                if count.waiting and (not count.told or over or last):
                    if self._window.events >= EVENTS_A_MINUTE:
                        break
                    self._window.events += 1
                    due.append((kind, count.waiting, now - count.since))
                    count.told += 1
                    count.waiting = 0
                    if over:
                        count.since = now
                elif over:
                    del self._counts[kind]
                    self._of_one[kind.one] -= 1
                    if not self._of_one[kind.one]:
                        del self._of_one[kind.one]
        return due

    def _run(self) -> None:
        while not self._closed.is_set():
            # Counts of a minute that is over are told though nothing new comes.
            self._wanted.wait(timeout=WINDOW_SECONDS if self._counts else None)
            self._closed.wait(COLLECT_SECONDS)
            self._wanted.clear()
            self.flush()
        self.flush(last=True)

    def close(self) -> None:
        """Writes what waits and ends."""
        self._closed.set()
        self._wanted.set()
        self._thread.join(timeout=5)
