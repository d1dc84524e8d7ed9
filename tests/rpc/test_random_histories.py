"""Random histories through the stubs: any past state equals what was read at that time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec import content
from orchestration_server.codec.timestamps import to_datetime
from tests.support import factories
from tests.support.rpc_errors import Metadata, must_be, refused

pytestmark = pytest.mark.shared_server

TASK, SPRINT = EntityType.ENTITY_TYPE_TASK, EntityType.ENTITY_TYPE_SPRINT
TASKS = ("t-0", "t-1", "t-2")
SPRINTS = ("s-0", "s-1")
REFUSALS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
)
_projects = count(1)

Entity = tuple[EntityType.ValueType, str]


class Request(NamedTuple):
    """A call of a random history."""

    rpc: str
    message: Any


# Few codes, so that calls meet, and values that are easily confused.
texts = st.sampled_from(["", "a", "b", "true", "é\u2028\U0001f600", "0"])
titles = texts.filter(bool)
lines = st.lists(titles, max_size=3, unique=True)
leaves = st.one_of(
    st.none(), st.booleans(), texts, st.sampled_from([0, 1, -1, 0.5, 1e21, 2**53, 5e-324, 123456789.25])
)
structs = st.dictionaries(
    texts,
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
times = st.builds(Timestamp, seconds=st.integers(0, 2), nanos=st.sampled_from([0, 1_000]))
pauses = st.none() | st.builds(Duration, seconds=st.integers(0, 2))
days = st.sampled_from(["", "2026-01-01", "2026-02-01"])
TASK_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "title": titles,
    "description": texts,
    "sprint_code": st.sampled_from(["", *SPRINTS]),
    "status": st.integers(1, 5),
    "priority": st.integers(0, 5),
    "phase": texts,
    "assignee": texts,
    "labels": lines,
    "objectives": lines,
    "deliverables": lines,
    "acceptance_criteria": lines,
    "agent_config": structs,
    "metadata": structs,
    "capabilities": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
    "not_before": times,
    "due_time": times,
    "retry_policy": st.builds(task_pb2.RetryPolicy, max_attempts=st.integers(0, 2), backoff=pauses),
    "completed_by_children": st.booleans(),
}
SPRINT_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "title": titles,
    "status": st.integers(1, 4),
    "owner": texts,
    "goal": texts,
    "start_date": days,
    "end_date": days,
    "metadata": structs,
}
task_codes, sprint_codes = st.sampled_from(TASKS), st.sampled_from(SPRINTS)


def fields(of: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return some of the fields."""
    return st.fixed_dictionaries({}, optional=of)


def task_of(code: str, given_fields: dict[str, Any]) -> task_pb2.Task:
    return factories.task(code, **given_fields)


def new_task(code: str, given_fields: dict[str, Any], occurred: bool) -> task_pb2.NewTask:
    new = task_pb2.NewTask(task=task_of(code, given_fields))
    if occurred:
        new.occur_time.CopyFrom(Timestamp(seconds=1_700_000_000, nanos=123_456_789))
    return new


def created(new: task_pb2.NewTask) -> Request:
    request = task_pb2.CreateTaskRequest(task=new.task)
    if new.HasField("occur_time"):
        request.occur_time.CopyFrom(new.occur_time)
    return Request("CreateTask", request)


def updated(code: str, given_fields: dict[str, Any]) -> Request:
    mask = FieldMask(paths=list(given_fields))
    return Request(
        "UpdateTask", task_pb2.UpdateTaskRequest(task=task_of(code, given_fields), update_mask=mask)
    )


def updated_sprint(code: str, given_fields: dict[str, Any]) -> Request:
    mask = FieldMask(paths=list(given_fields))
    sprint = factories.sprint(code, **given_fields)
    return Request("UpdateSprint", sprint_pb2.UpdateSprintRequest(sprint=sprint, update_mask=mask))


def in_batch(statuses: dict[str, int]) -> Request:
    changes = [
        task_pb2.TaskStatusChange(task_code=code, status=status)  # type: ignore[arg-type]  # a number
        for code, status in statuses.items()
    ]
    return Request("BatchUpdateTaskStatus", task_pb2.BatchUpdateTaskStatusRequest(changes=changes))


def linked(rpc: str, code: str, on: str, kind: int) -> Request:
    link = coordination_pb2.Dependency(task_code=code, depends_on_code=on, kind=kind)  # type: ignore[arg-type]  # a number
    request = getattr(coordination_pb2, f"{rpc}Request")(dependency=link)
    return Request(rpc, request)


def with_status(code: str, status: int) -> Request:
    request = task_pb2.UpdateTaskStatusRequest(task_code=code, status=status)  # type: ignore[arg-type]  # a number
    return Request("UpdateTaskStatus", request)


def created_sprint(code: str, given_fields: dict[str, Any]) -> Request:
    sprint = factories.sprint(code, **given_fields)
    return Request("CreateSprint", sprint_pb2.CreateSprintRequest(sprint=sprint))


def created_in_batch(new: list[task_pb2.NewTask]) -> Request:
    return Request("BatchCreateTasks", task_pb2.BatchCreateTasksRequest(tasks=new))


def deleted(code: str) -> Request:
    if code in TASKS:
        return Request("DeleteTask", task_pb2.DeleteTaskRequest(task_code=code))
    return Request("DeleteSprint", sprint_pb2.DeleteSprintRequest(sprint_code=code))


def without_status(of: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Set a status apart, because a random one is mostly refused, with all other changes."""
    return fields({name: values for name, values in of.items() if name != "status"}).filter(bool)


new_tasks = st.builds(new_task, task_codes, fields(TASK_FIELDS), st.booleans())
batches = st.lists(new_tasks, min_size=1, max_size=3, unique_by=lambda new: new.task.code)
statuses = st.integers(1, 5)
updates = st.builds(updated, task_codes, without_status(TASK_FIELDS))
sprint_updates = st.builds(updated_sprint, sprint_codes, without_status(SPRINT_FIELDS))
links = st.builds(
    linked, st.sampled_from(["AddDependency", "RemoveDependency"]), task_codes, task_codes, st.integers(1, 4)
)
requests = st.one_of(
    updates,
    updates,
    updates,
    sprint_updates,
    sprint_updates,
    st.builds(with_status, task_codes, statuses),
    st.dictionaries(task_codes, statuses, min_size=1).map(in_batch),
    st.builds(updated, task_codes, fields(TASK_FIELDS)),
    st.builds(updated_sprint, sprint_codes, fields(SPRINT_FIELDS)),
    links,
    st.one_of(
        new_tasks.map(created),
        batches.map(created_in_batch),
        st.builds(created_sprint, sprint_codes, fields(SPRINT_FIELDS)),
        st.sampled_from([*TASKS, *SPRINTS]).map(deleted),
    ),
)


class Moment(NamedTuple):
    """The state read after a call: each entity's message, and the last one of deleted entities."""

    state: dict[Entity, Any]
    deleted: frozenset[Entity]
    cursors: list[str]
    """The cursors of the call's events."""
    time: Timestamp | None
    """The time of the call's events; None if it logged none."""


class Ledger:
    """The player of a history in a separate project, which keeps the state after each call."""

    def __init__(
        self,
        sprints: SprintServiceStub,
        tasks: TaskServiceStub,
        coordination: CoordinationServiceStub,
        events: EventServiceStub,
    ) -> None:
        self._stubs = (sprints, tasks, coordination)
        self._events = events
        self._metadata: Metadata = (("orchestration-project", f"p-{next(_projects)}"),)
        self._seen: set[str] = set()
        self.moments: list[Moment] = []

    def call(self, request: Request) -> None:
        """Make a call, which may be refused, and read all entities."""
        stub = next(stub for stub in self._stubs if hasattr(stub, request.rpc))
        try:
            getattr(stub, request.rpc)(request.message, metadata=self._metadata)
        except grpc.RpcError as error:
            must_be(error, *REFUSALS)
        before = self.moments[-1].state if self.moments else {}
        state, deleted = {}, set()
        for entity in [*((TASK, code) for code in TASKS), *((SPRINT, code) for code in SPRINTS)]:
            read = self._get(entity)
            if read is not None:
                state[entity] = read
            elif entity in before:
                state[entity] = before[entity]
                deleted.add(entity)
        page = self._events.ListEvents(event_pb2.ListEventsRequest(page_size=500), metadata=self._metadata)
        new = [event for event in page.events if event.id not in self._seen]
        self._seen |= {event.id for event in new}
        time = max((event.emit_time for event in new), key=to_datetime, default=None)
        self.moments.append(Moment(state, frozenset(deleted), [event.cursor for event in new], time))

    def _get(self, entity: Entity) -> Any:
        kind, code = entity
        sprints, tasks, _ = self._stubs
        try:
            if kind == TASK:
                request = task_pb2.GetTaskRequest(task_code=code)
                return tasks.GetTask(request, metadata=self._metadata).task
            return sprints.GetSprint(
                sprint_pb2.GetSprintRequest(sprint_code=code), metadata=self._metadata
            ).sprint
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.NOT_FOUND)
            return None

    def rebuilt(self, entity: Entity, **as_of: Any) -> event_pb2.ReconstructStateResponse:
        request = event_pb2.ReconstructStateRequest(
            entity_type=entity[0], entity_code=entity[1], verify=True, **as_of
        )
        return self._events.ReconstructState(request, metadata=self._metadata)

    def check(self, moment_then: Moment, entity: Entity, **as_of: Any) -> None:
        """Check that an entity is rebuilt as it was, or is not found if it did not exist."""
        then = moment_then.state.get(entity)
        if then is None:
            with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
                self.rebuilt(entity, **as_of)
            return
        found = self.rebuilt(entity, **as_of)
        state = getattr(found, found.WhichOneof("state") or "")
        assert state == then
        assert state.SerializeToString(deterministic=True) == then.SerializeToString(deterministic=True)
        assert found.deleted == (entity in moment_then.deleted)
        assert found.revision == then.revision + found.deleted
        assert found.verification.equal, found.verification

    def check_all(self, some: Callable[[int], set[int]]) -> None:
        """Check each revision of each entity, and the times and cursors of some calls."""
        last = self.moments[-1]
        for entity in last.state:
            met = set()
            for one in self.moments:
                if entity in one.state:
                    revision = one.state[entity].revision + (entity in one.deleted)
                    if revision not in met:
                        self.check(one, entity, revision=revision)
                    met.add(revision)
            assert met == set(range(1, max(met) + 1))
            self.check(last, entity)
            for number in some(len(self.moments)):
                one = self.moments[number]
                for cursor in one.cursors:
                    self.check(one, entity, cursor=cursor)
                if one.time is not None:
                    self.check(one, entity, time=one.time)
                    self._check_just_before(number, entity)

    def _check_just_before(self, number: int, entity: Entity) -> None:
        """Check that a microsecond before a call the state was the previous one."""
        recorded = self.moments[number].time
        assert recorded is not None
        time = Timestamp()
        time.FromMicroseconds(recorded.ToMicroseconds() - 1)
        before = self.moments[number - 1] if number else Moment({}, frozenset(), [], None)
        self.check(before, entity, time=time)


@pytest.mark.parametrize("snapshot_every", [3, 32])
@settings(max_examples=6)
@given(st.lists(requests, min_size=30, max_size=50), st.data())
def test_rebuilt_states_equal_what_was_read(
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    events: EventServiceStub,
    monkeypatch: pytest.MonkeyPatch,
    snapshot_every: int,
    history: list[Request],
    data: st.DataObject,
) -> None:
    monkeypatch.setattr(content, "SNAPSHOT_EVERY", snapshot_every)
    ledger = Ledger(sprints, tasks, coordination, events)
    first = [created_sprint(SPRINTS[0], {}), *(created(new_task(code, {}, False)) for code in TASKS[:2])]
    for request in [*first, *history]:
        ledger.call(request)
    ledger.check_all(lambda calls: data.draw(st.sets(st.integers(0, calls - 1), max_size=6)))
