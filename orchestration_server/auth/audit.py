"""An audit of refused calls: a sample of them as events in the log, large enough to see an attack.

The first refusal of each caller, rpc and reason in a minute is logged as an event at once. The others of that
minute are counted, and one event logs their number when the minute ends. A process logs at most 60 such
events a minute. The metric counts all refusals.
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

MAX_KEYS = 1_000
"""Combinations of caller, rpc and reason that are counted apart."""
MAX_KEYS_PER_CALLER = 12
"""The same for one caller, or for one address if the caller is unknown. Further ones are counted together."""
OTHERS = "others"
ANY = "any"
"""Stands for the rpc when all rpcs count together."""
EVENTS_PER_MINUTE = 60
WINDOW_SECONDS = 60.0
COLLECT_SECONDS = 0.5
TYPE = "access.refused"


class RefusalKey(NamedTuple):
    """The fields that refusals are counted by."""

    project: str
    rpc: str
    reason: str
    peer: str
    """The caller's address, without its port."""
    caller: str
    """The id of the caller's key, or the subject of its JWT; empty if the caller is unknown."""

    @property
    def caller_or_peer(self) -> str:
        """The caller, as far as the server can tell callers apart."""
        return self.caller or self.peer


@dataclass
class _Count:
    since: float
    logged: int = 0
    pending: int = 0


@dataclass
class _Window:
    """The events logged in the current minute."""

    since: float
    events: int = field(default=0)


class RefusalAudit:
    """An audit that counts refusals and logs a sample of them as events, on its own thread."""

    def __init__(
        self, gate: Gate, now: Callable[[], datetime], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``now`` is the database's clock, ``clock`` a monotonic one."""
        self._gate = gate
        self._now = now
        self._clock = clock
        self._counts: dict[RefusalKey, _Count] = {}
        self._keys_of: Counter[str] = Counter()
        """The number of keys of each caller."""
        self._window = _Window(clock())
        self._failing = False
        self._lock = threading.Lock()
        self._recorded = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusal-audit", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def record(self, key: RefusalKey) -> None:
        """Count one more refused call. It does not wait and never fails."""
        RPC_REFUSED.labels(reason=key.reason).inc()
        with self._lock:
            count = self._counts.get(key)
            if count is None:
                key = self._merged(key)
                count = self._counts.get(key)
            if count is None:
                count = self._counts[key] = _Count(self._clock())
                self._keys_of[key.caller_or_peer] += 1
            count.pending += 1
        self._recorded.set()

    def _merged(self, key: RefusalKey) -> RefusalKey:
        """Return the key that a new key is counted under. The lock is held."""
        if len(self._counts) >= MAX_KEYS:
            return RefusalKey(DEFAULT_PROJECT, OTHERS, key.reason, OTHERS, "")
        if self._keys_of[key.caller_or_peer] >= MAX_KEYS_PER_CALLER:
            return key._replace(project=DEFAULT_PROJECT, rpc=OTHERS, reason=OTHERS)
        return key

    def flush(self, *, last: bool = False) -> int:
        """Log the events that are due, or with ``last`` all pending ones. Return their number."""
        due = self._due(last=last)
        for key, count, seconds in due:
            now = self._now()
            call = Call(rpc=key.rpc, project=key.project)
            payload = {"rpc": key.rpc, "reason": key.reason, "peer": key.peer, "count": count}
            if key.caller:
                payload["caller"] = key.caller
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

    def _due(self, *, last: bool) -> list[tuple[RefusalKey, int, float]]:
        now = self._clock()
        due: list[tuple[RefusalKey, int, float]] = []
        with self._lock:
            if now - self._window.since >= WINDOW_SECONDS:
                self._window = _Window(now)
            for key, count in list(self._counts.items()):
                over = now - count.since >= WINDOW_SECONDS
                if count.pending and (not count.logged or over or last):
                    if self._window.events >= EVENTS_PER_MINUTE:
                        break
                    self._window.events += 1
                    due.append((key, count.pending, now - count.since))
                    count.logged += 1
                    count.pending = 0
                    if over:
                        count.since = now
                elif over:
                    del self._counts[key]
                    self._keys_of[key.caller_or_peer] -= 1
                    if not self._keys_of[key.caller_or_peer]:
                        del self._keys_of[key.caller_or_peer]
        return due

    def _run(self) -> None:
        while not self._closed.is_set():
            # The timeout logs the counts of a past minute even if no further call is refused.
            self._recorded.wait(timeout=WINDOW_SECONDS if self._counts else None)
            self._closed.wait(COLLECT_SECONDS)
            self._recorded.clear()
            self.flush()
        self.flush(last=True)

    def close(self) -> None:
        """Log the pending events and stop the thread."""
        self._closed.set()
        self._recorded.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
