"""Random histories with debounced changes: any past state equals what was read at that time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import sprint_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.codec import content
from orchestration_server.codec.timestamps import to_datetime
from orchestration_server.embedded.engines import Engines
from tests.conftest import Server
from tests.rpc.test_random_histories import (
    SPRINTS,
    TASKS,
    Ledger,
    Request,
    created,
    created_sprint,
    in_batch,
    new_task,
    requests,
    sprint_codes,
    task_codes,
    with_status,
)
from tests.support.emission import DEBOUNCE, serving, tell_all


@pytest.fixture
def server(engines: Engines, database_url: str, tmp_path: Path) -> Iterator[Server]:
    with serving(engines, database_url, tmp_path, DEBOUNCE) as found:
        yield found


class Holding(Ledger):
    """A player that finds changes by reading, because the log may have them only later."""

    def call(self, request: Request) -> None:
        before = self.moments[-1].state if self.moments else {}
        super().call(request)
        last = self.moments[-1]
        times = [state.update_time for entity, state in last.state.items() if before.get(entity) != state]
        if last.time is not None:
            times.append(last.time)
        # As of a cursor the state is what the log had by then.
        self.moments[-1] = last._replace(cursors=[], time=max(times, key=to_datetime, default=None))


def sprint_status(code: str, status: int) -> Request:
    sprint = sprint_pb2.Sprint(code=code, status=status)  # type: ignore[arg-type]  # a number
    request = sprint_pb2.UpdateSprintRequest(sprint=sprint, update_mask=FieldMask(paths=["status"]))
    return Request("UpdateSprint", request)


turns = st.sampled_from([1, 2, 2, 4])
changes = st.one_of(
    st.builds(with_status, task_codes, turns),
    st.builds(with_status, task_codes, turns),
    st.dictionaries(task_codes, turns, min_size=1).map(in_batch),
    st.builds(sprint_status, sprint_codes, st.integers(1, 4)),
    requests,
    st.none(),
)
"""None: all pending changes are logged."""


@settings(max_examples=6)
@given(st.lists(changes, min_size=30, max_size=50), st.data())
def test_rebuilt_states_equal_what_was_read(
    server: Server,
    sprints: SprintServiceStub,
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    events: EventServiceStub,
    monkeypatch: pytest.MonkeyPatch,
    history: list[Request | None],
    data: st.DataObject,
) -> None:
    monkeypatch.setattr(content, "SNAPSHOT_EVERY", 3)
    ledger = Holding(sprints, tasks, coordination, events)
    first = [
        *(created_sprint(code, {}) for code in SPRINTS),
        *(created(new_task(c, {}, False)) for c in TASKS),
    ]
    for request in [*first, *history]:
        if request is None:
            tell_all(server)
        else:
            ledger.call(request)
    for _ in range(2):
        # With pending changes, and once the log has all of them.
        ledger.check_all(lambda calls: data.draw(st.sets(st.integers(0, calls - 1), max_size=6)))
        tell_all(server)
