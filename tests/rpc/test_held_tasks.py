"""Only the holder's fence changes the status or assignee of a held task, or deletes it, whatever the way.

The rpcs come from the descriptors, so a new one fails here until someone decides what it may do to a held
task. Imports and templates make their changes by these rpcs, and the sync of files only writes files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from orchestration.v1 import common_pb2, coordination_pb2, task_pb2
from tests.conftest import Server
from tests.support import automation
from tests.support.ledger import Ledger
from tests.support.rpc_catalog import METHODS, Place, call, requests
from tests.support.rpc_errors import refused

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
COMPLETED = common_pb2.TASK_STATUS_COMPLETED
PLACE = Place("s", "t", "u", "k", "new")

FENCED = {
    "TaskService/UpdateTask", "TaskService/UpdateTaskStatus", "TaskService/BatchUpdateTaskStatus",
    "TaskService/DeleteTask",
}  # fmt: skip
"""The rpcs that change what a holder owns. They take a fence for each task."""
ENDS = {
    "CoordinationService/ReleaseTask": "requires the fence",
    "CoordinationService/PreemptTask": "ends the attempt of any holder, as a coordinator",
    "SessionService/CloseSession": "ends the leases of its own session",
}
"""The rpcs that end an attempt."""
CANNOT = {
    "SprintService/CreateSprint", "SprintService/UpdateSprint", "SprintService/DeleteSprint",
    "SprintService/CreateSprintFromTemplate", "SprintService/SyncSprint", "TaskService/CreateTask",
    "TaskService/BatchCreateTasks", "TaskService/CreateTasksFromTemplate", "EventService/EmitEvent",
    "EventService/EmitEvents", "SessionService/InitAgent", "SessionService/LogActivity",
    "SessionService/PauseSession", "CoordinationService/AddDependency",
    "CoordinationService/RemoveDependency", "CoordinationService/ClaimTask", "CoordinationService/Heartbeat",
    "CoordinationService/PauseWork", "CoordinationService/ResumeWork", "CoordinationService/SetWorkLimit",
    "ScheduleService/CreateSchedule", "ScheduleService/UpdateSchedule", "ScheduleService/DeleteSchedule",
    "ScheduleService/TriggerSchedule", "ReportService/CreateAdr", "ReportService/CreateBugReport",
    "AdminService/ArchiveEvents",
}  # fmt: skip
"""The rpcs that write something else."""
READS = ("Get", "List", "Stream", "Render", "Explain", "Assemble", "Read", "Reconstruct", "Replay")
"""The first words of the rpcs that write nothing."""


def fenced_requests() -> Mapping[str, Message]:
    """Return a request of each fenced rpc that changes what a holder owns."""
    change = task_pb2.TaskStatusChange(task_code="t", status=COMPLETED)
    assigned = task_pb2.Task(code="t", assignee="thief")
    return {
        "TaskService/UpdateTask": task_pb2.UpdateTaskRequest(
            task=assigned, update_mask=FieldMask(paths=["assignee"])
        ),
        "TaskService/UpdateTaskStatus": task_pb2.UpdateTaskStatusRequest(task_code="t", status=COMPLETED),
        "TaskService/BatchUpdateTaskStatus": task_pb2.BatchUpdateTaskStatusRequest(changes=[change]),
        "TaskService/DeleteTask": task_pb2.DeleteTaskRequest(task_code="t"),
    }


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    made = Ledger(channel)
    made.sprint("s", status=common_pb2.SPRINT_STATUS_ACTIVE)
    for code in ("t", "u"):
        made.task(code, sprint_code="s")
    made.session("k", sprint_code="s")
    return made


@pytest.fixture
def held(ledger: Ledger) -> Iterator[coordination_pb2.ClaimedTask]:
    """Claim the task; fail if it is no longer held at the end, or if what its holder owns has changed."""
    one, other = (
        ledger.coordination.ClaimTask(
            coordination_pb2.ClaimTaskRequest(task_code=code, agent="holder")
        ).claims[0]
        for code in ("t", "u")
    )
    yield one
    refs = [coordination_pb2.LeaseRef(task_code=c.task.code, fence=c.lease.fence) for c in (one, other)]
    states = ledger.coordination.Heartbeat(coordination_pb2.HeartbeatRequest(leases=refs)).leases
    assert [state.status for state in states] == [coordination_pb2.LEASE_STATUS_HELD] * 2
    for code in ("t", "u"):
        task = ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code=code)).task
        assert (task.status, task.assignee) == (common_pb2.TASK_STATUS_IN_PROGRESS, "holder")


def test_each_rpc_is_decided() -> None:
    """A new rpc that may change a held task belongs into FENCED; then give its request in fenced_requests."""
    open_rpcs = {rpc for rpc in METHODS if not rpc.partition("/")[2].startswith(READS)}
    assert open_rpcs == FENCED | ENDS.keys() | CANNOT
    assert fenced_requests().keys() == FENCED


def test_each_request_with_a_fence_is_decided() -> None:
    def names_fence(message: Message) -> bool:
        parts = [message.DESCRIPTOR, *(field.message_type for field in message.DESCRIPTOR.fields)]
        return any(part is not None and "fence" in part.fields_by_name for part in parts)

    found = {rpc for rpc, request in requests(PLACE).items() if names_fence(request)}
    assert found == FENCED | {"CoordinationService/ReleaseTask", "CoordinationService/Heartbeat"}


@pytest.mark.shared_server
@pytest.mark.parametrize("rpc", sorted(FENCED))
def test_a_held_task_is_changed_only_with_the_fence(
    channel: grpc.Channel, held: coordination_pb2.ClaimedTask, rpc: str
) -> None:
    outcome = call(channel, rpc, fenced_requests()[rpc])
    assert outcome == (PRECONDITION, "TASK_HELD")


@pytest.mark.shared_server
@pytest.mark.parametrize("rpc", sorted(CANNOT | ENDS.keys() - {"CoordinationService/PreemptTask"}))
def test_other_rpcs_leave_held_tasks_alone(
    channel: grpc.Channel, held: coordination_pb2.ClaimedTask, rpc: str
) -> None:
    """The fixture looks at the tasks afterwards."""
    call(channel, rpc, requests(PLACE)[rpc])


@pytest.mark.shared_server
@pytest.mark.parametrize("rpc", sorted(FENCED))
def test_the_fence_of_an_ended_attempt_changes_nothing(
    channel: grpc.Channel, ledger: Ledger, rpc: str
) -> None:
    claim = coordination_pb2.ClaimTaskRequest(task_code="t", agent="holder")
    old = ledger.coordination.ClaimTask(claim).claims[0].lease.fence
    ledger.coordination.PreemptTask(coordination_pb2.PreemptTaskRequest(task_code="t", reason="r"))
    ledger.coordination.ClaimTask(claim)
    request = type(fenced_requests()[rpc])()
    request.CopyFrom(fenced_requests()[rpc])
    target = request.changes[0] if isinstance(request, task_pb2.BatchUpdateTaskStatusRequest) else request
    target.fence = old  # type: ignore[attr-defined]  # each of them has it
    assert call(channel, rpc, request) == (PRECONDITION, "STALE_FENCE")
    task = ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="t")).task
    assert (task.status, task.assignee) == (common_pb2.TASK_STATUS_IN_PROGRESS, "holder")


@pytest.mark.shared_server
def test_one_held_task_refuses_the_whole_batch(ledger: Ledger, held: coordination_pb2.ClaimedTask) -> None:
    ledger.task("free")
    changes = [task_pb2.TaskStatusChange(task_code=code, status=COMPLETED) for code in ("free", "t")]
    with refused(PRECONDITION, "TASK_HELD"):
        ledger.tasks.BatchUpdateTaskStatus(task_pb2.BatchUpdateTaskStatusRequest(changes=changes))
    free = ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="free")).task
    assert free.status == common_pb2.TASK_STATUS_PENDING


def test_a_rule_of_automation_leaves_a_held_task_alone(
    ledger: Ledger, server: Server, held: coordination_pb2.ClaimedTask, tmp_path: Path
) -> None:
    rules = automation.rules_of(
        tmp_path,
        "rules:\n  - name: x\n    on: agents.note.taken\n    then: [{set_status: {of: task, to: completed}}]",
    )
    ledger.task("free")
    for code in ("t", "free"):
        ledger.emit(code)
    automation.drain(automation.automation(server, rules))
    free = ledger.tasks.GetTask(task_pb2.GetTaskRequest(task_code="free")).task
    assert free.status == COMPLETED
