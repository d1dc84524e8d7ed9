"""The commands of the driver, each as the client's users would write it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from conformance_driver import faults
from conformance_driver.followers import Follower
from conformance_driver.messages import new_message, to_json
from orchestration import Client, Ledger, error_details
from orchestration._sync.claim import Work
from orchestration._sync.work import Claims
from orchestration.errors import ErrorDetails
from orchestration.reasons import LeaseLost
from orchestration.v1 import coordination_pb2, event_pb2, task_pb2

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
ATTRIBUTES = {
    "SprintService": "sprints",
    "TaskService": "tasks",
    "EventService": "events",
    "SessionService": "sessions",
    "ContextService": "contexts",
    "CoordinationService": "coordination",
    "TemplateService": "templates",
    "ScheduleService": "schedules",
    "ReportService": "reports",
    "AdminService": "admin",
}


class Closed(Exception):
    """Raised for a command of a client that is closed, or was never open."""


class Commands:
    """The clients, followers, works and calls of the driver by name, and what to do with them."""

    def __init__(self) -> None:
        self._clients: dict[str, Ledger] = {}
        self._followers: dict[str, Follower] = {}
        self._works: dict[str, tuple[Client, Work]] = {}
        self._calls: dict[str, Any] = {}
        self._begun: dict[str, threading.Event] = {}

    def run(self, command: dict[str, Any]) -> Any:
        """Carry out a command, and return its answer."""
        op = command.pop("op")
        method: Callable[..., Any] = getattr(self, f"do_{op}")
        return method(command) or {}

    def do_open(self, given: dict[str, Any]) -> None:
        """Open a client. What is absent comes from the environment."""
        options: dict[str, Any] = {
            "address": given.get("address"),
            "token": given.get("token"),
            "project": given.get("project", ""),
            "agent": given.get("agent", ""),
            "session": given.get("session", ""),
            "correlation_id": given.get("correlation"),
            "credentials": _credentials(given),
            "options": OWN_CONNECTION + faults.channel_options(),
        }
        if "timeout" in given:
            options["timeout"] = given["timeout"]
        self._clients[given["client"]] = Ledger(**options | faults.ledger_options())

    def do_close(self, given: dict[str, Any]) -> None:
        """Close a client."""
        if (ledger := self._clients.pop(given["client"], None)) is None:
            raise Closed(f"the client {given['client']} is not open")
        ledger.close()

    def do_call(self, given: dict[str, Any]) -> dict[str, Any]:
        """Make a unary call."""
        client = self._client(given)
        service, _, name = given["method"].partition("/")
        stub = getattr(getattr(client, ATTRIBUTES[service]), name)
        request = new_message(given["method"], given.get("request", {}))
        calling = faults.caller(stub.future)(request, timeout=given.get("timeout"))
        if named := given.get("call"):
            self._calls[named] = calling
        try:
            return {"response": to_json(calling.result())}
        except grpc.FutureCancelledError:
            raise _Cancelled from None
        finally:
            self._calls.pop(given.get("call", ""), None)

    def do_cancel(self, given: dict[str, Any]) -> None:
        """Cancel a call."""
        if (call := self._calls.get(given["call"])) is not None:
            call.cancel()

    def do_list(self, given: dict[str, Any]) -> dict[str, Any]:
        """Iterate over a list."""
        client = self._client(given)
        service, _, name = given["method"].partition("/")
        stub = getattr(getattr(client, ATTRIBUTES[service]), name)
        items: Iterator[Message] = client.pages(stub, new_message(given["method"], given.get("request", {})))
        return {"items": [to_json(item) for item in islice(items, given.get("limit"))]}

    def do_follow(self, given: dict[str, Any]) -> None:
        """Begin to follow the timeline."""
        request = event_pb2.StreamTimelineRequest()
        new_message("EventService/StreamTimeline", given.get("request", {}), request)
        start = request.WhichOneof("start")
        self._followers[given["follower"]] = Follower(
            self._client(given).follow(
                request.filter,
                after_cursor=request.after_cursor,
                from_time=_aware(request) if start == "from_time" else None,
                last=request.last if start == "last" else None,
                follow=request.follow,
                include_archived=request.include_archived,
            )
        )

    def do_next(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the next events of a follower."""
        return self._followers[given["follower"]].next(given["count"], given["timeout"])

    def do_unfollow(self, given: dict[str, Any]) -> None:
        """End a follower."""
        self._followers[given["follower"]].close()

    def do_emitAll(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the name of the command
        """Store many events."""
        events = (
            (new_message("NewEvent", event) for event in given["events"])
            if "events" in given
            else _numbered(given["count"], given["type"])
        )
        batch = {"batch": given["batch"]} if "batch" in given else {}
        totals = self._client(given).emit_all(events, **batch)
        return {"stored": totals.stored, "duplicates": totals.duplicates, "sampledOut": totals.sampled_out}

    def do_claim(self, given: dict[str, Any]) -> dict[str, Any]:
        """Claim one task, and keep its lease."""
        client = self._client(given)
        request = coordination_pb2.ClaimTaskRequest()
        new_message("CoordinationService/ClaimTask", given.get("request", {}), request)
        taken = client.claim_of(request).take()
        if not taken:
            return {}
        self._works[given["work"]] = client, taken[0]
        lease = taken[0].lease
        return {"taskCode": lease.task_code, "fence": str(lease.fence), "attempt": lease.attempt}

    def do_claims(self, given: dict[str, Any]) -> dict[str, Any]:
        """Run the claim loop, which logs a line and finishes each task."""
        request = coordination_pb2.ClaimTaskRequest()
        new_message("CoordinationService/ClaimTask", given.get("request", {}), request)
        wait = request.wait.seconds + request.wait.nanos / 1e9
        request.ClearField("wait")
        done = []
        for work in islice(Claims(self._ledger(given), request, wait), given.get("limit")):
            with work:
                work.log("started")
                work.done("done")
            done.append(work.code)
        return {"taskCodes": done}

    def do_log(self, given: dict[str, Any]) -> None:
        """Log a line about a task."""
        self._work(given).log(given["message"])

    def do_update(self, given: dict[str, Any]) -> None:
        """Write fields of a task."""
        task = task_pb2.Task()
        new_message("Task", given["task"], task)
        self._work(given).update(**{field.name: value for field, value in task.ListFields()})

    def do_finish(self, given: dict[str, Any]) -> None:
        """Complete a task."""
        self._work(given).finish(given.get("reason", ""))

    def do_return(self, given: dict[str, Any]) -> None:
        """Give a task back."""
        self._work(given).give_back(given.get("reason", ""))

    def do_fail(self, given: dict[str, Any]) -> None:
        """Report a failed attempt."""
        self._work(given).fail(given.get("reason", ""))

    def do_block(self, given: dict[str, Any]) -> None:
        """Block a task."""
        self._work(given).block(given.get("reason", ""))

    def do_state(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the state of a lease."""
        work = self._work(given)
        return {
            "lost": work.lost.is_set(),
            "reason": work._lost_reason or work.directive_reason,
            "directive": coordination_pb2.Directive.Name(work.directive),
        }

    def do_awaitLost(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the name of the command
        """Wait until a lease is lost."""
        self._work(given).lost.wait(given["timeout"])
        return self.do_state(given)

    def do_abandon(self, given: dict[str, Any]) -> None:
        """End the heartbeats of a lease."""
        client, work = self._works[given["work"]]
        client._keeper.drop(work._kept)

    def do_soak(self, given: dict[str, Any]) -> dict[str, Any]:
        """Work as an agent would."""
        from conformance_driver.soak import soak

        return soak(self._ledger(given), given["seconds"], given["name"], given.get("label", given["name"]))

    def _ledger(self, given: dict[str, Any]) -> Ledger:
        if (ledger := self._clients.get(given["client"])) is None:
            raise Closed(f"the client {given['client']} is not open")
        return ledger

    def _client(self, given: dict[str, Any]) -> Client:
        return self._ledger(given).raw

    def _work(self, given: dict[str, Any]) -> Work:
        return self._works[given["work"]][1]


class _Cancelled(Exception):
    """Raised by a call that was cancelled here."""


def _credentials(given: dict[str, Any]) -> grpc.ChannelCredentials | None:
    if ("cert" in given) != ("key" in given):
        raise ValueError("cert and key belong together")
    if "ca" not in given:
        return None
    if given["ca"] == "system":
        return grpc.ssl_channel_credentials()
    files = [Path(given[name]).read_bytes() if name in given else None for name in ("ca", "key", "cert")]
    return grpc.ssl_channel_credentials(*files)


def _aware(request: event_pb2.StreamTimelineRequest) -> Any:
    from datetime import UTC

    return request.from_time.ToDatetime(tzinfo=UTC)


def _numbered(count: int, type_: str) -> Iterator[event_pb2.NewEvent]:
    for number in range(count):
        event = event_pb2.NewEvent(type=type_)
        event.payload["n"] = number
        yield event


def error_of(error: Exception) -> dict[str, Any]:
    """Return an error as the protocol has it."""
    if isinstance(error, LeaseLost):
        return _local("LEASE_LOST", str(error))
    if isinstance(error, Closed):
        return _local("CLOSED", str(error))
    if isinstance(error, _Cancelled):
        return {"code": "CANCELLED", "reason": "", "message": "cancelled by the caller"}
    if isinstance(error, grpc.RpcError):
        return _shown(error_details(error))
    if isinstance(error, (ValueError, OSError)):
        return _local("INVALID", str(error))
    return _local("INTERNAL", f"{type(error).__name__}: {error}")


def _local(reason: str, message: str) -> dict[str, Any]:
    return {"code": "LOCAL", "reason": reason, "message": message, "metadata": {}, "violations": {}}


def _shown(error: ErrorDetails) -> dict[str, Any]:
    found: dict[str, Any] = {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": dict(error.metadata),
        "violations": dict(error.violations),
    }
    if error.resource is not None:
        found["resource"] = {"type": error.resource.type, "name": error.resource.name}
    if error.retry_delay is not None:
        found["retryDelay"] = error.retry_delay
    return found
