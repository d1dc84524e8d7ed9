"""TaskService without its lists, through its stub."""

from collections.abc import Callable
from itertools import product

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import task_pb2
from orchestration.v1.common_pb2 import Priority, TaskStatus
from orchestration.v1.sprint_pb2 import CreateSprintRequest
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.model import TASK_TRANSITIONS
from orchestration_server.model import TaskStatus as Status
from tests.support import factories
from tests.support.rpc_errors import details, refused, violations
from tests.support.task_calls import batch, create, delete, listed

pytestmark = pytest.mark.shared_server

BATCH = 1_000


def get(tasks: TaskServiceStub, code: str) -> task_pb2.Task:
    return tasks.GetTask(task_pb2.GetTaskRequest(task_code=code)).task


def update(
    tasks: TaskServiceStub, task: task_pb2.Task, *paths: str, expected_revision: int = 0
) -> task_pb2.Task:
    request = task_pb2.UpdateTaskRequest(
        task=task, update_mask=FieldMask(paths=paths), expected_revision=expected_revision
    )
    return tasks.UpdateTask(request).task


def set_status(tasks: TaskServiceStub, code: str, status: int, expected: int = 0) -> task_pb2.Task:
    request = task_pb2.UpdateTaskStatusRequest(
        task_code=code,
        status=TaskStatus.ValueType(status),
        expected_revision=expected,
    )
    return tasks.UpdateTaskStatus(request).task


def test_a_created_task_is_read_as_it_was_returned(tasks: TaskServiceStub) -> None:
    created = create(
        tasks,
        "a",
        description="what to do",
        priority=Priority.PRIORITY_P0,
        labels=["x", "y"],
        objectives=["one", "two"],
        metadata={"nested": {"list": [1, 2.5, None, True, "é"]}},
    )

    assert created.revision == 1
    assert created.uid
    assert created.status == TaskStatus.TASK_STATUS_PENDING
    assert len(created.hash) == 64
    assert created.create_time == created.update_time
    payload = json_format.MessageToDict(created.metadata)
    assert payload["nested"]["list"][4] == "é"
    assert get(tasks, "a") == created


def test_unset_fields_get_their_defaults(tasks: TaskServiceStub) -> None:
    created = create(tasks, "a")

    assert created.priority == Priority.PRIORITY_P2
    assert created.sprint_code == created.assignee == created.phase == ""


def test_fields_that_the_server_sets_are_ignored_in_requests(tasks: TaskServiceStub) -> None:
    created = create(tasks, "a", uid="mine", revision=77, hash="none")

    assert created.revision == 1
    assert created.uid != "mine"
    assert created.hash != "none"


def test_a_task_may_be_created_with_a_final_status_and_an_earlier_time(
    tasks: TaskServiceStub,
) -> None:
    request = task_pb2.CreateTaskRequest(task=factories.task("old", status=TaskStatus.TASK_STATUS_COMPLETED))
    request.occur_time.FromJsonString("2020-01-02T03:04:05.000006Z")

    created = tasks.CreateTask(request).task

    assert created.status == TaskStatus.TASK_STATUS_COMPLETED
    assert created.create_time == request.occur_time
    assert created.update_time.seconds > created.create_time.seconds


def test_a_code_is_used_once(tasks: TaskServiceStub) -> None:
    create(tasks, "a")
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as caught:
        create(tasks, "a")
    assert details(caught.value)["ResourceInfo"].resource_name == "a"

    delete(tasks, "a")
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", "deleted"):
        create(tasks, "a")


def test_a_task_joins_only_an_existing_sprint(tasks: TaskServiceStub, sprints: SprintServiceStub) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
        create(tasks, "a", sprint_code="s")
    assert details(caught.value)["ResourceInfo"].resource_name == "s"

    sprints.CreateSprint(CreateSprintRequest(sprint=factories.sprint("s")))
    assert create(tasks, "a", sprint_code="s").sprint_code == "s"
    create(tasks, "b")
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        update(tasks, task_pb2.Task(code="b", sprint_code="none"), "sprint_code")


def test_an_update_changes_what_its_mask_names_and_nothing_else(tasks: TaskServiceStub) -> None:
    before = create(tasks, "a", description="old", assignee="ann", labels=["x"])

    after = update(
        tasks,
        task_pb2.Task(code="a", title="New", description="not named", labels=["y", "z"]),
        "title",
        "labels",
        "assignee",
    )

    assert (after.title, after.description, after.assignee) == ("New", "old", "")
    assert list(after.labels) == ["y", "z"]
    assert after.revision == 2
    assert after.hash != before.hash
    assert after.create_time == before.create_time
    assert after.uid == before.uid
    assert get(tasks, "a") == after


@pytest.mark.parametrize("paths", [(), ("code",), ("revision",), ("title", "nothing")])
def test_a_mask_names_at_least_one_field_that_may_change(
    tasks: TaskServiceStub, paths: tuple[str, ...]
) -> None:
    create(tasks, "a")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        update(tasks, factories.task("a"), *paths)
    assert any(field.startswith("update_mask") for field in violations(caught.value))


def test_an_update_to_the_same_values_changes_nothing(tasks: TaskServiceStub) -> None:
    before = create(tasks, "a", metadata={"k": 1})

    assert update(tasks, before, "title", "metadata", "status") == before
    assert set_status(tasks, "a", before.status) == before
    assert get(tasks, "a") == before


def test_a_stale_revision_is_refused_with_the_current_one(tasks: TaskServiceStub) -> None:
    create(tasks, "a")
    set_status(tasks, "a", TaskStatus.TASK_STATUS_BLOCKED, expected=1)

    stale: list[Callable[[], object]] = [
        lambda: update(tasks, factories.task("a", title="x"), "title", expected_revision=1),
        lambda: set_status(tasks, "a", TaskStatus.TASK_STATUS_PENDING, expected=1),
        lambda: delete(tasks, "a", expected=3),
        lambda: tasks.BatchUpdateTaskStatus(
            task_pb2.BatchUpdateTaskStatusRequest(
                changes=[
                    task_pb2.TaskStatusChange(
                        task_code="a", status=TaskStatus.TASK_STATUS_PENDING, expected_revision=1
                    )
                ]
            )
        ),
    ]
    for call in stale:
        with refused(grpc.StatusCode.ABORTED, "STALE_REVISION") as caught:
            call()
        assert details(caught.value)["ErrorInfo"].metadata["current_revision"] == "2"

    delete(tasks, "a", expected=2)


def test_a_deleted_task_is_not_found(tasks: TaskServiceStub) -> None:
    create(tasks, "a")
    create(tasks, "b")
    delete(tasks, "a")

    assert listed(tasks) == ["b"]
    for call in (
        lambda: get(tasks, "a"),
        lambda: delete(tasks, "a"),
        lambda: set_status(tasks, "a", TaskStatus.TASK_STATUS_BLOCKED),
        lambda: update(tasks, factories.task("a"), "title"),
    ):
        with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
            call()
        assert details(caught.value)["ResourceInfo"].resource_name == "a"


def test_each_change_of_status_is_allowed_or_refused_as_the_table_says(
    tasks: TaskServiceStub,
) -> None:
    for before, after in product(Status, Status):
        single, masked = f"{before.name}-{after.name}", f"{before.name}-{after.name}-masked"
        for code in (single, masked):
            create(tasks, code, status=before.value)

        if before == after or after in TASK_TRANSITIONS[before]:
            assert set_status(tasks, single, after).status == after.value
            changed = update(tasks, factories.task(masked, status=after.value), "status")
            assert changed.status == after.value
            continue
        allowed = {status.name.lower() for status in TASK_TRANSITIONS[before]}
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "TRANSITION_REFUSED") as caught:
            set_status(tasks, single, after)
        assert set(details(caught.value)["ErrorInfo"].metadata["allowed"].split(",")) == allowed
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "TRANSITION_REFUSED"):
            update(tasks, factories.task(masked, status=after.value), "status")
        assert get(tasks, single).status == get(tasks, masked).status == before.value


def test_a_batch_creates_a_thousand_in_the_order_of_the_request(tasks: TaskServiceStub) -> None:
    codes = [f"t{number}" for number in reversed(range(BATCH))]

    created = tasks.BatchCreateTasks(batch(codes)).tasks

    assert [task.code for task in created] == codes
    assert {task.revision for task in created} == {1}
    assert len({task.uid for task in created}) == BATCH
    assert get(tasks, "t500") == created[codes.index("t500")]


def test_a_batch_creates_all_or_none(tasks: TaskServiceStub) -> None:
    create(tasks, "t500")
    codes = [f"t{number}" for number in range(BATCH)]

    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", "t500"):
        tasks.BatchCreateTasks(batch(codes))
    broken = batch(codes[:10])
    broken.tasks[7].task.title = ""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        tasks.BatchCreateTasks(broken)
    assert any("7" in field for field in violations(caught.value))
    for wrong in (batch(["a", "b", "a"]), batch([]), batch([f"t{n}" for n in range(BATCH + 1)])):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "tasks") as caught:
            tasks.BatchCreateTasks(wrong)
        assert all(field.startswith("tasks") for field in violations(caught.value))

    assert listed(tasks) == ["t500"]


def test_a_batch_of_status_changes_is_all_or_none(tasks: TaskServiceStub) -> None:
    codes = [f"t{number}" for number in range(BATCH)]
    tasks.BatchCreateTasks(batch(codes))
    done = TaskStatus.TASK_STATUS_COMPLETED
    request = task_pb2.BatchUpdateTaskStatusRequest(
        changes=[task_pb2.TaskStatusChange(task_code=code, status=done) for code in codes]
    )
    set_status(tasks, "t999", TaskStatus.TASK_STATUS_CANCELLED)

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "TRANSITION_REFUSED", "t999"):
        tasks.BatchUpdateTaskStatus(request)
    assert listed(tasks, statuses=[done]) == []

    set_status(tasks, "t999", TaskStatus.TASK_STATUS_PENDING)
    changed = tasks.BatchUpdateTaskStatus(request).tasks
    assert [task.code for task in changed] == codes
    assert {(task.status, task.revision) for task in changed[:-1]} == {(done, 2)}
    assert changed[-1].revision == 4


def test_equal_content_has_equal_hashes(tasks: TaskServiceStub) -> None:
    content = factories.task("a", metadata={"a": 1, "b": [1, 2]}, labels=["x"])
    mixed = factories.task("a", metadata={"b": [1, 2.0], "a": 1.0}, labels=["x"])
    hashes = [
        tasks.CreateTask(
            task_pb2.CreateTaskRequest(task=body), metadata=(("orchestration-project", project),)
        ).task.hash
        for project, body in (("default", content), ("other", mixed))
    ]
    assert hashes[0] == hashes[1]

    changed = update(tasks, factories.task("a", title="Other"), "title")
    assert changed.hash != hashes[0]
    restored = update(tasks, content, "title")
    assert restored.hash == hashes[0]
    assert restored.revision == 3


def test_projects_do_not_see_each_other(tasks: TaskServiceStub) -> None:
    other = (("orchestration-project", "other"),)
    create(tasks, "a")

    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        tasks.GetTask(task_pb2.GetTaskRequest(task_code="a"), metadata=other)
    assert not tasks.ListTasks(task_pb2.ListTasksRequest(), metadata=other).tasks
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("a", title="Theirs")), metadata=other)
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="a"), metadata=other)
    assert get(tasks, "a").title == "Task a"
