"""The cases, as the YAML files of `cases/` describe them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from clients.conformance.faults import Fault
from clients.conformance.protos import RPCS

DIRECTORY = Path(__file__).with_name("cases")
CASE_SECONDS = 40.0
STEP_SECONDS = 20.0

DRIVER_OPS = frozenset({
    "open", "call", "cancel", "list", "follow", "next", "unfollow", "emitAll", "claim", "claims", "log",
    "update", "finish", "return", "fail", "block", "state", "awaitLost", "abandon", "close", "soak",
})  # fmt: skip
"""The operations of a driver."""
RUNNER_OPS = frozenset({
    "ledger", "fault", "clear", "forget", "wire", "goaway", "replace", "wait", "sleep", "join", "check",
})  # fmt: skip
"""The operations of the runner itself."""
_FAULT_FIELDS = frozenset(one.name for one in dataclasses.fields(Fault))
_CHECK_FIELDS = frozenset({
    "method", "count", "same", "distinct", "unique", "metadata", "no_metadata", "deadline", "requests",
    "each", "messages", "gaps", "waiting", "code", "left",
})  # fmt: skip
SERVERS = ("open", "keys", "tls", "mutual", "own")


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes:
        name: A family and what must hold, such as "retry/an ABORTED call is not retried".
        about: What the client promises.
        steps: What the driver and the runner do, in order.
        setup: Calls to the ledger before, by the runner.
        faults: What the front does to calls, from the start.
        calls: What the front must have seen at the end.
        wire: What the TCP layer must have seen: the number of connections or pings.
        client: The fields of the client "a", which is open at the start; None to open none.
        server: The kind of server: open; keys, which requires them; tls; mutual, which requires a certificate
            of the client; own, which is a ledger's process without a front, to replace.
        env: Variables of the environment. The driver is then a process of its own.
        timeout: The seconds after which the case has failed.
        control: The fault of the Python driver that turns this case red, for the runner's --controls.
    """

    name: str
    about: str
    steps: Sequence[Mapping[str, Any]]
    setup: Sequence[Mapping[str, Any]] = ()
    faults: Sequence[Mapping[str, Any]] = ()
    calls: Sequence[Mapping[str, Any]] = ()
    wire: Mapping[str, Any] = field(default_factory=dict)
    client: Mapping[str, Any] | None = field(default_factory=dict)
    server: str = "open"
    env: Mapping[str, str] | None = None
    timeout: float = CASE_SECONDS
    control: str = ""

    @property
    def family(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]


def load() -> list[Case]:
    """Return all cases. Raises ValueError for one that is not valid."""
    found: list[Case] = []
    for file in sorted(DIRECTORY.glob("*.yaml")):
        for fields in yaml.safe_load(file.read_text()):
            try:
                case = Case(**fields)
                _check(case)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{file.name}: {fields.get('name', fields)}: {error}") from None
            found.append(case)
    names = [case.name for case in found]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two cases have one name: {sorted(repeated)}")
    return found


def _check(case: Case) -> None:
    if "/" not in case.name:
        raise ValueError("the name has no family")
    if case.server not in SERVERS:
        raise ValueError(f"no such server: {case.server}")
    for step in case.steps:
        _check_step(step)
    for fault in case.faults:
        _check_fault(fault)
    for one in case.calls:
        _check_calls(one)
    for call in case.setup:
        _check_method(call["method"])


def _check_step(step: Mapping[str, Any]) -> None:
    op = step.get("op")
    if op not in DRIVER_OPS | RUNNER_OPS:
        raise ValueError(f"no such op: {op}")
    if op in {"call", "list", "ledger"}:
        _check_method(step["method"])
    if op == "fault":
        _check_fault({key: value for key, value in step.items() if key != "op"})
    if op in {"check", "wait"}:
        for one in step.get("calls", ()):
            _check_calls(one)


def _check_method(method: str) -> None:
    if method not in RPCS:
        raise ValueError(f"no such rpc: {method}")


def _check_fault(fault: Mapping[str, Any]) -> None:
    _check_method(fault["method"])
    if unknown := set(fault) - _FAULT_FIELDS:
        raise ValueError(f"a fault has no {sorted(unknown)}")


def _check_calls(one: Mapping[str, Any]) -> None:
    _check_method(one["method"])
    if unknown := set(one) - _CHECK_FIELDS:
        raise ValueError(f"an expectation of calls has no {sorted(unknown)}")
