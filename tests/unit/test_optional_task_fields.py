"""The optional fields of tasks in files that the ledger wrote."""

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.v1 import task_pb2
from orchestration_server.cli.importing.delegation_format import parse_task
from orchestration_server.cli.importing.delegation_rows import task_row
from orchestration_server.cli.importing.words import DEFAULT
from orchestration_server.codec.content import task_content
from orchestration_server.workspace.rendering import document
from tests.unit.test_delegation_format import ANY

NAMES = st.lists(ANY.filter(bool), max_size=4, unique=True)
TIMES = st.builds(
    Timestamp, seconds=st.integers(0, 253_402_300_799), nanos=st.integers(0, 999_999).map(lambda n: n * 1_000)
)
PAUSES = st.builds(Duration, seconds=st.integers(0, 86_399), nanos=st.sampled_from([0, 1_000, 999_999_000]))
POLICIES = st.builds(
    task_pb2.RetryPolicy,
    max_attempts=st.integers(0, 100),
    backoff=st.none() | PAUSES,
    max_backoff=st.none() | PAUSES,
)


def task_of(**fields: Any) -> task_pb2.Task:
    required: dict[str, Any] = {"code": "T-1", "title": "t", "status": 1, "priority": 3}
    return task_pb2.Task(**required | fields)


@example({"not_before": Timestamp(seconds=253_402_300_799, nanos=999_999_000), "due_time": Timestamp()})
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "capabilities": NAMES, "labels": NAMES, "not_before": TIMES, "due_time": TIMES,
            "retry_policy": POLICIES, "completed_by_children": st.booleans(),
        },
    )
)  # fmt: skip
def test_they_come_back_as_they_were(fields: dict[str, Any]) -> None:
    task = task_of(**fields)
    text = document("task", task.SerializeToString()).files["TASK.md"]
    row = task_row(1, "T-1", "T-1", "", parse_task(text), (), DEFAULT)
    assert task_content(row.new.task) == task_content(task)
    assert (row.warnings, row.changes) == ((), ())


def test_a_task_without_them_has_the_file_that_it_had() -> None:
    """A new key would change every file of a workspace."""
    front = document("task", task_of().SerializeToString()).files["TASK.md"].decode().split("---\n")[1]
    assert [line.split(":")[0] for line in front.splitlines()] == [
        "format", "task", "title", "sprint", "status", "priority", "phase", "assignee", "labels",
        "depends_on", "metadata", "create_time", "update_time", "uid", "revision", "hash", "links",
    ]  # fmt: skip
