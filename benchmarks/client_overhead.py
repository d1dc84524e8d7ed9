"""Measure what the Python client of plain values costs a call: `python -m benchmarks.client_overhead`.

A server of stubs in this process answers each call at once. Calls alternate between the ledger, the stubs of
the thin client below it, and stubs on a channel of their own, so that noise meets all of them. "Alone" is the
ledger with the stub replaced by a function that returns the answer, among those calls; "in a row" is the same
without them, when the processor has it in its caches.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc

from orchestration import Ledger
from orchestration.v1 import event_pb2, event_pb2_grpc, task_pb2, task_pb2_grpc
from orchestration.v1.common_pb2 import ENTITY_TYPE_TASK, PRIORITY_P1, PRIORITY_P2, TASK_STATUS_PENDING

Call = Callable[[], Any]
TASK = task_pb2.Task(
    code="parse",
    title="Write the parser",
    description="A recursive descent parser for the language of the filters. " * 8,
    sprint_code="S1",
    status=TASK_STATUS_PENDING,
    priority=PRIORITY_P1,
    assignee="builder-1",
    labels=["parser", "core"],
    acceptance_criteria=["tests pass", "no recursion without a limit"],
    revision=3,
    uid="0193f0c5-7c1e-7000-8000-000000000001",
    hash="0" * 64,
)
TASK.agent_config.update({"max_turns": 40, "model": "big", "tools": ["read", "write"]})
TASK.create_time.GetCurrentTime()
TASK.update_time.GetCurrentTime()
EVENT = event_pb2.Event(
    id="0193f0c5-7c1e-7000-8000-000000000002", cursor="c" * 60, type="build.finished",
    entity_type=ENTITY_TYPE_TASK, entity_code="parse", priority=PRIORITY_P2, agent="builder-1",
)  # fmt: skip
EVENT.payload.update({"files": 3, "ok": True})
EVENT.emit_time.GetCurrentTime()
EVENT.occur_time.GetCurrentTime()


class Tasks(task_pb2_grpc.TaskServiceServicer):
    def GetTask(  # noqa: N802 - the name of the rpc
        self, request: Any, context: grpc.ServicerContext
    ) -> task_pb2.GetTaskResponse:
        return task_pb2.GetTaskResponse(task=TASK)

    def CreateTask(  # noqa: N802 - as above
        self, request: Any, context: grpc.ServicerContext
    ) -> task_pb2.CreateTaskResponse:
        return task_pb2.CreateTaskResponse(task=TASK)


class Events(event_pb2_grpc.EventServiceServicer):
    def EmitEvent(  # noqa: N802 - as above
        self, request: Any, context: grpc.ServicerContext
    ) -> event_pb2.EmitEventResponse:
        return event_pb2.EmitEventResponse(event=EVENT)


def started() -> tuple[grpc.Server, str]:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    task_pb2_grpc.add_TaskServiceServicer_to_server(Tasks(), server)  # type: ignore[abstract]
    event_pb2_grpc.add_EventServiceServicer_to_server(Events(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


def microseconds(call: Call) -> float:
    started_at = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started_at) / 1_000


def create_request() -> task_pb2.CreateTaskRequest:
    task = task_pb2.Task(
        code="parse",
        title="Write the parser",
        sprint_code="S1",
        priority=PRIORITY_P1,
        acceptance_criteria=["pass"],
    )
    task.agent_config.update({"max_turns": 40})
    return task_pb2.CreateTaskRequest(task=task, request_id="r")


def emit_request() -> event_pb2.EmitEventRequest:
    event = event_pb2.NewEvent(type="build.finished", entity_type=ENTITY_TYPE_TASK, entity_code="parse")
    event.payload.update({"files": 3, "ok": True})
    return event_pb2.EmitEventRequest(event=event, request_id="r")


def calls(ledger: Ledger, bare: grpc.Channel) -> dict[str, tuple[Call, Call, Call, Call]]:
    """Return for each call that of the ledger, the thin client, the bare stub, and the ledger alone."""
    tasks, events = task_pb2_grpc.TaskServiceStub(bare), event_pb2_grpc.EventServiceStub(bare)
    get = task_pb2.GetTaskRequest(task_code="parse")
    alone = Ledger("127.0.0.1:1")
    got, created = task_pb2.GetTaskResponse(task=TASK), task_pb2.CreateTaskResponse(task=TASK)
    emitted = event_pb2.EmitEventResponse(event=EVENT)
    for stub, name, answer in (
        (alone.raw.tasks, "GetTask", got), (alone.raw.tasks, "CreateTask", created),
        (alone.raw.events, "EmitEvent", emitted),
    ):  # fmt: skip
        setattr(stub, name, lambda request, answer=answer: answer)

    def create(by: Ledger) -> Call:
        return lambda: by.create_task(
            "parse", "Write the parser", sprint="S1", priority="P1", accept=["pass"],
            config={"max_turns": 40}, request_id="r",
        )  # fmt: skip

    def emit(by: Ledger) -> Call:
        return lambda: by.emit("build.finished", {"files": 3, "ok": True}, task="parse", request_id="r")

    return {
        "get_task": (
            lambda: ledger.get_task("parse"), lambda: ledger.raw.tasks.GetTask(get),
            lambda: tasks.GetTask(get), lambda: alone.get_task("parse"),
        ),
        "create_task": (
            create(ledger), lambda: ledger.raw.tasks.CreateTask(create_request()),
            lambda: tasks.CreateTask(create_request()), create(alone),
        ),
        "emit": (
            emit(ledger), lambda: ledger.raw.events.EmitEvent(emit_request()),
            lambda: events.EmitEvent(emit_request()), emit(alone),
        ),
    }  # fmt: skip


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    server, address = started()
    print(
        f"median of {rounds} calls, in microseconds; the requests of the stubs are built for each call, too"
    )
    print(
        f"{'call':12} {'ledger':>8} {'client':>8} {'stub':>8} {'ledger-client':>14} {'ledger alone':>13}"
        f" {'in a row':>9}"
    )
    with Ledger(address, agent="builder-1") as ledger, grpc.insecure_channel(address) as bare:
        for name, kinds in calls(ledger, bare).items():
            for kind in kinds:
                for _ in range(500):
                    kind()
            taken: list[list[float]] = [[] for _ in kinds]
            for _ in range(rounds):
                for kind, times in zip(kinds, taken, strict=True):
                    times.append(microseconds(kind))
            row = statistics.median(microseconds(kinds[3]) for _ in range(rounds))
            whole, client, stub, alone = (statistics.median(times) for times in taken)
            print(
                f"{name:12} {whole:8.1f} {client:8.1f} {stub:8.1f} {whole - client:14.1f} {alone:13.1f}"
                f" {row:9.1f}"
            )
    server.stop(None).wait()


if __name__ == "__main__":
    main()
