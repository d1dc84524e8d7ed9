"""The run of one case with the driver of one language."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from typing import Any

import grpc

from clients.conformance.case_files import DRIVER_OPS, STEP_SECONDS, Case
from clients.conformance.driver import Driver, DriverEnded, Language, start_driver
from clients.conformance.expectations import unmet
from clients.conformance.faults import Fault
from clients.conformance.ledgers import Ledgers
from clients.conformance.matching import MISSING, at_path, mismatch, substitute
from clients.conformance.protos import RPCS, from_json, to_json
from clients.conformance.stage import Stage
from clients.conformance.wire import Loop

CLIENT = "a"
AGENT = "builder-1"
NAMES = ("client", "call", "follower", "work")
"""The fields of commands with names, which get a prefix: cases run at once in one driver."""
WITHOUT_CLIENT = frozenset({
    "cancel", "next", "unfollow", "log", "update", "finish", "return", "fail", "block", "state", "awaitLost",
    "abandon",
})  # fmt: skip
CLOSE_SECONDS = 5.0
AGAIN_SECONDS = 0.2
"""The pause before a step with `eventually` is tried again."""
SHOWN_CALLS = 12


class Failed(Exception):
    """Raised if something is not as the case expects it."""


@dataclass(frozen=True)
class Outcome:
    """The result of a case: why it failed, or an empty text, and how long it took."""

    failure: str
    seconds: float


class CaseRun:
    """The run of a case with a language's driver, or with a new process if the case has an environment."""

    def __init__(
        self,
        case: Case,
        language: Language,
        kept: Callable[[], Driver],
        ledgers: Ledgers,
        loop: Loop,
        *,
        number: int,
        env: Mapping[str, str],
    ) -> None:
        self._case, self._language, self._kept, self._env = case, language, kept, env
        self._ledgers, self._loop = ledgers, loop
        self._prefix = f"{number}:"
        self._project = f"case-{number}"
        self._clients: list[str] = []
        self._waiting: dict[str, Future[dict[str, Any]]] = {}
        self._saved: dict[str, Any] = {}
        self._until = 0.0

    def run(self) -> Outcome:
        """Run the case."""
        with Stage(self._case, self._ledgers, self._loop) as self._stage:
            if self._case.env is None:
                self._driver = self._kept()
                return self._judge()
            own = dict(self._env) | self._filled(self._case.env)
            with start_driver(self._language, own) as self._driver:
                return self._judge()

    def _judge(self) -> Outcome:
        """Run the steps, and return what is not as expected."""
        began = time.monotonic()
        failure = ""
        self._until = time.monotonic() + self._case.timeout
        try:
            self._play()
        except (Failed, DriverEnded) as error:
            failure = f"{error}\n{self._seen()}"
        except Exception as error:
            failure = f"{type(error).__name__}: {error}\n{self._seen()}"
        wrong = self._close_clients()
        return Outcome(failure or wrong, time.monotonic() - began)

    def _play(self) -> None:
        for call in self._case.setup:
            self._ledger({"op": "ledger", **call})
        for fault in self._case.faults:
            self._stage.add_fault(Fault(**self._filled(fault)))
        if self._case.client is not None:
            self._command({"op": "open", **self._case.client})
        for number, step in enumerate(self._case.steps, start=1):
            try:
                self._step(step)
            except (Failed, NoAnswer) as error:
                text = str(error) or "no answer in time"
                raise Failed(f"step {number}, {_step_name(step)}: {text}") from None
        if wrong := unmet(self._filled(self._case.calls), self._stage.recorder):
            raise Failed(wrong)
        self._check_wire()

    def _step(self, step: Mapping[str, Any]) -> None:
        until = time.monotonic() + float(step.get("eventually", 0))
        while True:
            try:
                if step["op"] in DRIVER_OPS:
                    self._command(step)
                else:
                    getattr(self, f"_{step['op']}")(step)
                return
            except Failed:
                if time.monotonic() > until:
                    raise
                time.sleep(AGAIN_SECONDS)

    def _command(self, step: Mapping[str, Any]) -> None:
        """Send a command to the driver, and compare its answer unless the step goes on without it."""
        own = {"ok", "error", "save", "background", "took", "within", "eventually"}
        command = self._filled({key: value for key, value in step.items() if key not in own})
        if step["op"] not in WITHOUT_CLIENT:
            command.setdefault("client", CLIENT)
        if step["op"] == "open":
            command = self._opening(command)
        for name in NAMES:
            if name in command:
                command[name] = f"{self._prefix}{command[name]}"
        if step["op"] == "open":
            self._clients.append(command["client"])
        began = time.monotonic()
        answer = self._driver.send(command)
        if "background" in step:
            self._waiting[step["background"]] = answer
            return
        self._compare(step, answer, began)

    def _opening(self, command: dict[str, Any]) -> dict[str, Any]:
        usual: dict[str, Any] = {
            "address": self._stage.wire.address,
            "agent": AGENT,
            "project": self._project,
        }
        if self._case.server in {"tls", "mutual"}:
            port = self._stage.wire.address.rpartition(":")[2]
            usual |= {"address": f"localhost:{port}", "ca": str(self._ledgers.certificates.ca)}
        return {key: value for key, value in (usual | command).items() if value is not None}

    def _compare(
        self, step: Mapping[str, Any], future: Future[dict[str, Any]], began: float | None = None
    ) -> None:
        wait = float(step.get("within", STEP_SECONDS)) + float(step.get("timeout") or 0)
        left = self._until - time.monotonic()
        try:
            answer = future.result(timeout=max(0.1, min(wait, left)))
        except NoAnswer:
            raise Failed("the driver did not answer in time") from None
        took = time.monotonic() - began if began is not None else 0.0
        wanted_error = self._filled(step.get("error"))
        if wanted_error is None:
            if "error" in answer:
                raise Failed(f"the answer is an error: {answer['error']}")
            wrong = mismatch(self._filled(step.get("ok", {})), answer.get("ok", MISSING), "ok")
        else:
            if "error" not in answer:
                raise Failed(f"the answer is no error: {str(answer)[:400]}")
            wrong = mismatch(wanted_error, answer["error"], "error")
        if wrong:
            raise Failed(wrong)
        if "took" in step and (wrong := mismatch(step["took"], took, "the time of the answer")):
            raise Failed(wrong)
        self._save(step, answer)

    def _save(self, step: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        for name, path in step.get("save", {}).items():
            found = at_path(answer, path)
            if found is MISSING:
                raise Failed(f"the answer has no {path}: {str(answer)[:400]}")
            self._saved[name] = found

    # What the runner does itself.

    def _ledger(self, step: Mapping[str, Any]) -> None:
        rpc = RPCS[step["method"]]
        request = from_json(rpc.request, self._filled(step.get("request", {})))
        metadata = (
            ("orchestration-project", self._filled(step.get("project", self._project))),
            ("orchestration-agent", step.get("as", "operator")),
        )
        call = self._ledgers.upstream.unary_unary(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        answer: dict[str, Any]
        try:
            answer = {"ok": {"response": to_json(call(request, metadata=metadata, timeout=STEP_SECONDS))}}
        except grpc.RpcError as error:
            answer = {"error": {"code": error.code().name, "message": error.details()}}
        done: Future[dict[str, Any]] = Future()
        done.set_result(answer)
        self._compare(step, done)

    def _fault(self, step: Mapping[str, Any]) -> None:
        fields = {key: value for key, value in self._filled(step).items() if key != "op"}
        self._stage.add_fault(Fault(**fields))

    def _clear(self, step: Mapping[str, Any]) -> None:
        self._stage.faults.clear()

    def _forget(self, step: Mapping[str, Any]) -> None:
        self._stage.recorder.forget()
        self._stage.wire.pings.clear()

    def _wire(self, step: Mapping[str, Any]) -> None:
        wire = self._stage.wire
        match step["do"]:
            case "cut":
                wire.cut()
            case "refuse":
                wire.refuse()
            case "silence":
                wire.silence(new=step.get("new", False))
            case "delay":
                wire.delay(step["seconds"])
            case "restore":
                wire.restore()
            case other:
                raise ValueError(f"a wire cannot {other}")

    def _goaway(self, step: Mapping[str, Any]) -> None:
        self._stage.goaway(step.get("grace", 1.0))

    def _replace(self, step: Mapping[str, Any]) -> None:
        self._stage.replace()

    def _wait(self, step: Mapping[str, Any]) -> None:
        expected = self._filled(step["calls"])
        recorder = self._stage.recorder
        seconds = min(float(step.get("within", STEP_SECONDS)), self._until - time.monotonic())
        if not recorder.wait(lambda: unmet(expected, recorder) is None, max(0.1, seconds)):
            raise Failed(f"it did not come: {unmet(expected, recorder)}")

    def _sleep(self, step: Mapping[str, Any]) -> None:
        time.sleep(step["seconds"])

    def _join(self, step: Mapping[str, Any]) -> None:
        self._compare(step, self._waiting.pop(step["of"]))

    def _check(self, step: Mapping[str, Any]) -> None:
        if wrong := unmet(self._filled(step["calls"]), self._stage.recorder):
            raise Failed(wrong)

    def _check_wire(self) -> None:
        wire = self._stage.wire
        seen = {"connections": wire.accepted, "pings": len(wire.pings)}
        if wrong := mismatch(self._case.wire, seen, "the wire"):
            raise Failed(wrong)

    def _filled(self, value: Any) -> Any:
        return substitute(value, self._variables)

    @property
    def _variables(self) -> Mapping[str, Any]:
        return _Variables(
            {"project": self._project, "address": self._stage.wire.address, **self._saved},
            self._ledgers.variables(),
        )

    def _seen(self) -> str:
        calls = self._stage.recorder.calls()
        lines = [f"  {call.describe()}" for call in calls[:SHOWN_CALLS]]
        more = [f"  and {len(calls) - SHOWN_CALLS} more"] if len(calls) > SHOWN_CALLS else []
        log = [f"  log: {line}" for line in self._driver.log.splitlines()[-5:]]
        return "\n".join(["calls that were seen:", *(lines or ["  none"]), *more, *log])

    def _close_clients(self) -> str:
        """Close the clients of the case. Return what went wrong."""
        self._stage.wire.restore()
        answers = [
            self._driver.send({"op": "close", "client": name}) for name in dict.fromkeys(self._clients)
        ]
        for answer in answers:
            try:
                answer.result(timeout=CLOSE_SECONDS)
            except NoAnswer:
                return f"close was not answered in {CLOSE_SECONDS:.0f} s\n{self._seen()}"
            except DriverEnded as error:
                return str(error)
        return ""


class _Variables(dict[str, Any]):
    """Variables of a case; those of the ledgers are made when they are used."""

    def __init__(self, present: Mapping[str, Any], lazy: Mapping[str, Any]) -> None:
        super().__init__(present)
        self._lazy = lazy

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._lazy

    def __missing__(self, name: str) -> Any:
        return self._lazy[name]()


def _step_name(step: Mapping[str, Any]) -> str:
    return f"{step['op']} {step.get('method', step.get('do', ''))}".strip()
