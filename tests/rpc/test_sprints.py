"""SprintService through its stub."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration.v1.common_pb2 import Priority, SprintStatus, TaskStatus
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.model import SPRINT_TRANSITIONS
from orchestration_server.model import SprintStatus as Status
from tests.support import factories
from tests.support.rpc_errors import details, refused, violations

pytestmark = pytest.mark.shared_server


def create(sprints: SprintServiceStub, code: str, **fields: object) -> sprint_pb2.Sprint:
    request = sprint_pb2.CreateSprintRequest(sprint=factories.sprint(code, **fields))
    return sprints.CreateSprint(request).sprint


def get(sprints: SprintServiceStub, code: str) -> sprint_pb2.Sprint:
    return sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code=code)).sprint


def full(sprints: SprintServiceStub, code: str, size: int = 0) -> sprint_pb2.GetSprintResponse:
    return sprints.GetSprint(
        sprint_pb2.GetSprintRequest(sprint_code=code, view=sprint_pb2.SPRINT_VIEW_FULL, task_page_size=size)
    )


def update(
    sprints: SprintServiceStub, sprint: sprint_pb2.Sprint, *paths: str, expected: int = 0
) -> sprint_pb2.Sprint:
    request = sprint_pb2.UpdateSprintRequest(
        sprint=sprint, update_mask=FieldMask(paths=paths), expected_revision=expected
    )
    return sprints.UpdateSprint(request).sprint


def delete(sprints: SprintServiceStub, code: str, expected: int = 0) -> None:
    sprints.DeleteSprint(sprint_pb2.DeleteSprintRequest(sprint_code=code, expected_revision=expected))


def listed(sprints: SprintServiceStub, **fields: object) -> list[str]:
    request = sprint_pb2.ListSprintsRequest(**fields)  # type: ignore[arg-type]  # any field
    return [sprint.code for sprint in sprints.ListSprints(request).sprints]


def add_task(tasks: TaskServiceStub, code: str, sprint: str, **fields: object) -> task_pb2.Task:
    request = task_pb2.CreateTaskRequest(task=factories.task(code, sprint_code=sprint, **fields))
    return tasks.CreateTask(request).task


def test_a_created_sprint_is_read_as_it_was_returned(sprints: SprintServiceStub) -> None:
    created = create(
        sprints,
        "s",
        owner="ann",
        goal="ship",
        start_date="2025-01-06",
        end_date="2025-01-17",
        metadata={"team": "blue"},
    )

    assert created.status == SprintStatus.SPRINT_STATUS_PLANNING
    assert created.revision == 1
    assert created.uid
    assert len(created.hash) == 64
    assert get(sprints, "s") == created


def test_a_code_is_used_once(sprints: SprintServiceStub) -> None:
    create(sprints, "s")
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS") as caught:
        create(sprints, "s")
    assert details(caught.value)["ResourceInfo"].resource_name == "s"

    delete(sprints, "s")
    with refused(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", "deleted"):
        create(sprints, "s")
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        get(sprints, "s")
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        delete(sprints, "s")
    assert listed(sprints) == []


def test_an_update_changes_what_its_mask_names_and_nothing_else(sprints: SprintServiceStub) -> None:
    before = create(sprints, "s", owner="ann", goal="old", metadata={"k": 1})

    after = update(sprints, sprint_pb2.Sprint(code="s", goal="new", title="not named"), "goal", "metadata")

    assert (after.goal, after.title, after.owner) == ("new", before.title, "ann")
    assert not after.metadata.fields
    assert after.revision == 2
    assert get(sprints, "s") == after
    assert update(sprints, after, "goal", "owner") == after


@pytest.mark.parametrize("paths", [(), ("code",), ("hash",), ("tasks",)])
def test_a_mask_names_at_least_one_field_that_may_change(
    sprints: SprintServiceStub, paths: tuple[str, ...]
) -> None:
    create(sprints, "s")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        update(sprints, factories.sprint("s"), *paths)
    assert any(field.startswith("update_mask") for field in violations(caught.value))


def test_a_sprint_cannot_end_before_it_starts(sprints: SprintServiceStub) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT") as caught:
        create(sprints, "s", start_date="2025-02-01", end_date="2025-01-31")
    assert any(field.endswith("end_date") for field in violations(caught.value))
    create(sprints, "s", start_date="2025-02-01")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        update(sprints, factories.sprint("s", end_date="2025-01-31"), "end_date")
    for wrong in ("2025-02-30", "tomorrow", "2025-2-1"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            create(sprints, "t", start_date=wrong)


def test_a_stale_revision_is_refused_with_the_current_one(sprints: SprintServiceStub) -> None:
    create(sprints, "s")
    update(sprints, factories.sprint("s", goal="g"), "goal", expected=1)

    for call in (
        lambda: update(sprints, factories.sprint("s", goal="h"), "goal", expected=1),
        lambda: delete(sprints, "s", expected=1),
    ):
        with refused(grpc.StatusCode.ABORTED, "STALE_REVISION") as caught:
            call()
        assert details(caught.value)["ErrorInfo"].metadata["current_revision"] == "2"


def test_each_change_of_status_is_allowed_or_refused_as_the_table_says(
    sprints: SprintServiceStub,
) -> None:
    for before, after in product(Status, Status):
        code = f"{before.name}-{after.name}"
        create(sprints, code, status=before.value)
        change = factories.sprint(code, status=after.value)

        if before == after or after in SPRINT_TRANSITIONS[before]:
            assert update(sprints, change, "status").status == after.value
            continue
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "TRANSITION_REFUSED") as caught:
            update(sprints, change, "status")
        allowed = details(caught.value)["ErrorInfo"].metadata["allowed"].split(",")
        assert set(allowed) == {status.name.lower() for status in SPRINT_TRANSITIONS[before]}
        assert get(sprints, code).status == before.value


def test_a_sprint_with_tasks_cannot_be_deleted(sprints: SprintServiceStub, tasks: TaskServiceStub) -> None:
    create(sprints, "s")
    add_task(tasks, "a", "s")
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        delete(sprints, "s")

    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="a"))
    delete(sprints, "s")


def test_a_task_never_joins_a_sprint_that_is_being_deleted(
    sprints: SprintServiceStub, tasks: TaskServiceStub
) -> None:
    def outcome(call: object) -> bool:
        assert callable(call)
        try:
            call()
        except grpc.RpcError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for number in range(15):
            code = f"s{number}"
            create(sprints, code)
            joins = [
                pool.submit(outcome, lambda c=f"{code}-{n}", s=code: add_task(tasks, c, s)) for n in range(4)
            ]
            deleted = pool.submit(outcome, lambda s=code: delete(sprints, s))
            joined = sum(join.result() for join in joins)

            assert deleted.result() is (joined == 0) or (joined > 0 and not deleted.result())
            if joined:
                assert full(sprints, code).task_counts.total == joined


def test_full_view_counts_tasks_and_lists_the_first_page(
    sprints: SprintServiceStub, tasks: TaskServiceStub
) -> None:
    create(sprints, "s")
    for number, status in enumerate([1, 1, 1, 2, 3, 3, 4, 5]):
        add_task(tasks, f"t{number}", "s", status=status, priority=1 + number % 2)
    add_task(tasks, "gone", "s")
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="gone"))

    found = full(sprints, "s", size=3)

    assert found.sprint == get(sprints, "s")
    assert found.task_counts == task_pb2.TaskCounts(
        total=8, pending=3, in_progress=1, blocked=2, completed=1, cancelled=1
    )
    assert [task.code for task in found.tasks] == ["t0", "t2", "t4"]
    rest = tasks.ListTasks(
        task_pb2.ListTasksRequest(
            sprint_code="s",
            order=task_pb2.TASK_ORDER_PRIORITY,
            page_token=found.next_task_page_token,
        )
    )
    assert [task.code for task in rest.tasks] == ["t6", "t1", "t3", "t5", "t7"]
    assert not rest.next_page_token


def test_full_view_shows_each_change_at_once(sprints: SprintServiceStub, tasks: TaskServiceStub) -> None:
    create(sprints, "s")
    create(sprints, "other")
    assert full(sprints, "s").task_counts.total == 0
    add_task(tasks, "a", "s")
    assert full(sprints, "s").task_counts.pending == 1

    for status in (TaskStatus.TASK_STATUS_IN_PROGRESS, TaskStatus.TASK_STATUS_COMPLETED):
        tasks.UpdateTaskStatus(task_pb2.UpdateTaskStatusRequest(task_code="a", status=status))
        assert full(sprints, "s").tasks[0].status == status
        assert full(sprints, "s").tasks[0].status == status
    update(sprints, factories.sprint("s", goal="new"), "goal")
    assert full(sprints, "s").sprint.goal == "new"
    tasks.UpdateTask(
        task_pb2.UpdateTaskRequest(
            task=task_pb2.Task(code="a", sprint_code="other", priority=Priority.PRIORITY_P0),
            update_mask=FieldMask(paths=["sprint_code", "priority"]),
        )
    )
    assert full(sprints, "s").task_counts.total == 0
    assert full(sprints, "other").task_counts.completed == 1
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="a"))
    assert not full(sprints, "other").tasks


def test_lists_are_filtered_and_paged_newest_first(sprints: SprintServiceStub) -> None:
    for number in range(7):
        create(sprints, f"s{number}", owner="ann" if number % 2 else "", status=1 + number % 3)

    assert listed(sprints) == [f"s{number}" for number in range(6, -1, -1)]
    assert listed(sprints, owner="ann") == ["s5", "s3", "s1"]
    assert listed(sprints, statuses=[1]) == ["s6", "s3", "s0"]
    assert listed(sprints, statuses=[1, 2], owner="ann") == ["s3", "s1"]
    page = sprints.ListSprints(sprint_pb2.ListSprintsRequest(page_size=4))
    assert [sprint.code for sprint in page.sprints] == ["s6", "s5", "s4", "s3"]
    assert listed(sprints, page_token=page.next_page_token) == ["s2", "s1", "s0"]

    token = page.next_page_token
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
        listed(sprints, page_token=token, owner="ann")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"):
        listed(sprints, page_token=token[:-1] + ("A" if token[-1] != "A" else "B"))


def test_equal_content_has_equal_hashes_and_projects_are_separate(
    sprints: SprintServiceStub,
) -> None:
    other = (("orchestration-project", "other"),)
    mine = create(sprints, "s", metadata={"a": 1, "b": "x"})
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code="s"), metadata=other)

    theirs = sprints.CreateSprint(
        sprint_pb2.CreateSprintRequest(sprint=factories.sprint("s", metadata={"b": "x", "a": 1})),
        metadata=other,
    ).sprint

    assert theirs.hash == mine.hash
    assert theirs.uid != mine.uid
