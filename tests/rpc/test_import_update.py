"""Import of files that SyncSprint wrote: they are read back unchanged, and a person's edits are accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from orchestration import Client
from orchestration.v1 import common_pb2, coordination_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration_server.cli.importing.tree_updates import TreeUpdates
from orchestration_server.jobs.file_sync import FileSync
from tests.conftest import Server
from tests.support import factories
from tests.support.delegation_imports import findings, run

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
TITLE = TEXT.map(lambda text: f"t{text}")
SPRINTS = ("S-1", "S-2")
CODES = ("A", "b", "T-1.0", "T-10", "none", "007", "TASK.md")
KINDS = st.integers(1, 4)
METADATA = st.dictionaries(TEXT, st.none() | TEXT | st.floats(allow_nan=False, allow_infinity=False))
NANOS = st.integers(0, 999_999_999)
TIMES = st.builds(Timestamp, seconds=st.integers(0, 2**33), nanos=NANOS)
POLICIES = st.builds(
    task_pb2.RetryPolicy,
    max_attempts=st.integers(0, 100),
    backoff=st.none()
    | st.builds(Duration, seconds=st.integers(0, 86_399), nanos=st.integers(0, 999_999_999)),
    max_backoff=st.none() | st.builds(Duration, seconds=st.integers(0, 30 * 86_400)),
)
FIELDS = st.fixed_dictionaries(
    {
        "title": TITLE, "description": TEXT, "status": st.integers(1, 5), "priority": st.integers(1, 5),
        "sprint_code": st.sampled_from(["", *SPRINTS]), "assignee": TEXT, "phase": TEXT,
        "labels": st.lists(TEXT.filter(bool), max_size=2, unique=True),
        "objectives": st.lists(TEXT, max_size=2),
    },
    optional={
        "capabilities": st.lists(TEXT.filter(bool), max_size=2, unique=True), "not_before": TIMES,
        "due_time": TIMES, "retry_policy": POLICIES, "completed_by_children": st.booleans(),
    },
)  # fmt: skip


def sync(server: Server, root: Path) -> None:
    """Write the requested files."""
    assert server.app is not None
    service = FileSync(server.app.db, root, server.app.hub.wake)
    while service.run_once():
        pass


def ask_for_files(client: Client, tasks: Any = CODES) -> None:
    for sprint in client.pages(client.sprints.ListSprints, sprint_pb2.ListSprintsRequest()):
        client.sprints.SyncSprint(sprint_pb2.SyncSprintRequest(sprint_code=sprint.code))
    for task in state(client).values():
        if not task.sprint_code:
            request = task_pb2.UpdateTaskRequest(task=task, sync_to_file=True)
            request.update_mask.paths.append("title")
            client.tasks.UpdateTask(request)


def state(client: Client) -> dict[str, task_pb2.Task]:
    pages = client.pages(client.tasks.ListTasks, task_pb2.ListTasksRequest(page_size=500))
    return {task.code: task for task in pages}


def ready(client: Client) -> set[str]:
    request = coordination_pb2.ListReadyTasksRequest(page_size=500, include_not_due=True)
    return {task.code for task in client.pages(client.coordination.ListReadyTasks, request)}


def link(client: Client, task: str, depends_on: str, kind: Any = 1) -> None:
    dependency = coordination_pb2.Dependency(task_code=task, depends_on_code=depends_on, kind=kind)
    client.coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=dependency))


def unlink(client: Client, task: str, depends_on: str) -> None:
    dependency = coordination_pb2.Dependency(task_code=task, depends_on_code=depends_on)
    client.coordination.RemoveDependency(coordination_pb2.RemoveDependencyRequest(dependency=dependency))


def file_events(client: Client) -> list[str]:
    events = client.follow(event_pb2.EventFilter(types=["orchestration.file.*"]), follow=False)
    return [event.type.removeprefix("orchestration.file.") for event in events]


@settings(
    max_examples=25, deadline=None, phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_a_synced_project_comes_back_with_its_links(
    server: Server, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The copy must have the hashes and the ready tasks of the first project."""
    root = tmp_path_factory.mktemp("round")
    one, two = f"{root.name}-a", f"{root.name}-b"
    codes = data.draw(st.lists(st.sampled_from(CODES), min_size=1, unique=True))
    with Client(server.address, project=one) as client:
        for code in SPRINTS:
            made = factories.sprint(code, goal=data.draw(TEXT), status=data.draw(st.integers(1, 4)))
            client.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=made))
        for code in codes:
            task = factories.task(code, **data.draw(FIELDS), metadata=data.draw(METADATA))
            client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task))
        # Links point only forward, so that none closes a cycle.
        pairs = [(codes[n], codes[m]) for n in range(len(codes)) for m in range(n)]
        for waiting, blocker in data.draw(st.lists(st.sampled_from(pairs), max_size=8)) if pairs else ():
            link(client, waiting, blocker, data.draw(KINDS))
        for code in data.draw(st.sets(st.sampled_from(codes), max_size=1)):
            client.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=code))
        ask_for_files(client)
        sync(server, root)
        result = run(server, "--delegation", root / "projects" / one, "--project", two)
        assert result.exit_code == 0, result.output
        with Client(server.address, project=two) as copy:
            hashes = [{code: task.hash for code, task in state(each).items()} for each in (client, copy)]
            assert hashes[0] == hashes[1]
            assert ready(client) == ready(copy)
            # The files of the copy equal those of the first project, except for fields that the server sets.
            ask_for_files(copy)
            sync(server, root)
        assert texts(root / "projects" / one) == texts(root / "projects" / two)


def texts(root: Path) -> dict[str, str]:
    stamps = re.compile(r"^(?:create_time|update_time|uid|revision): .*\n", re.MULTILINE)
    return {
        str(file.relative_to(root)): stamps.sub("", file.read_text())
        for file in root.rglob("*")
        if file.is_file() and file.suffix in (".md", ".yml")
    }


class Desk:
    """A person who edits the files that a ledger writes."""

    def __init__(self, server: Server, root: Path, report: Path) -> None:
        self.server = server
        self.root = root
        self.client = Client(server.address)
        self._report = report

    def sync(self) -> list[str]:
        """Write all files, and return the events about them."""
        before = len(file_events(self.client))
        ask_for_files(self.client)
        sync(self.server, self.root)
        return file_events(self.client)[before:]

    def path(self, code: str) -> Path:
        name = "SPRINT.md" if code.startswith("S-") else "TASK.md"
        return next(file for file in self.root.rglob(name) if file.parent.name == code)

    def edit(self, code: str, *changes: tuple[str, str]) -> None:
        file = self.path(code)
        text = file.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        file.write_text(text)

    def update(self) -> tuple[int, dict[str, list[tuple[str, str]]]]:
        result = run(self.server, "--delegation", self.root, "--update", "--report", self._report)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, findings(self._report)

    def task(self, code: str) -> task_pb2.Task:
        return state(self.client)[code]


@pytest.fixture
def desk(server: Server, tmp_path: Path) -> Iterator[Desk]:
    root = tmp_path / "workspace"
    root.mkdir()
    made = Desk(server, root, tmp_path / "report.jsonl")
    with made.client as client:
        client.sprints.CreateSprint(
            sprint_pb2.CreateSprintRequest(sprint=factories.sprint("S-1", goal="All"))
        )
        for code in ("dig", "sow", "mow"):
            task = factories.task(code, sprint_code="S-1", description=f"To {code}.")
            client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=task))
        link(client, "sow", "dig")
        made.sync()
        yield made


def test_an_edit_is_accepted(desk: Desk) -> None:
    desk.edit(
        "sow",
        ("title: Task sow", "title: Sow: peas  # a remark"),
        ("status: pending", "status: wip"),
        ("assignee: ''", "assignee: ann"),
        ("To sow.", "To sow peas.\n\nEarly."),
    )
    desk.edit("S-1", ("status: planning", "status: active"), ("All", "All of it"))
    (desk.path("sow").parent / "AGENT.yml").write_text("model: large\n")
    assert desk.sync().count("conflict_found") == 3
    code, found = desk.update()
    assert code == 0, found
    sow = desk.task("sow")
    assert (sow.title, sow.status, sow.assignee) == ("Sow: peas  # a remark", 2, "ann")
    assert (sow.description, sow.revision) == ("To sow peas.\n\nEarly.", 2)
    assert sow.agent_config["model"] == "large"
    sprint = desk.client.sprints.GetSprint(sprint_pb2.GetSprintRequest(sprint_code="S-1")).sprint
    assert (sprint.status, sprint.goal) == (common_pb2.SPRINT_STATUS_ACTIVE, "All of it")
    # The ledger has written the files again, and a second update finds nothing.
    assert "conflict_found" not in desk.sync()
    assert "revision: 2" in desk.path("sow").read_text()
    again, found = desk.update()
    assert (again, found["conflict"]) == (0, [])
    assert desk.task("sow").revision == 2


def test_optional_fields_are_edited_added_and_removed(desk: Desk) -> None:
    added = (
        "labels: []\n",
        "labels: []\ncapabilities: [gpu, '1.0']\nnot_before: 2030-01-02 04:04:05+01:00\n"
        "due_time: 2030-02-01\nretry_policy:\n  max_attempts: 5\n  backoff_seconds: 0.5\n"
        "completed_by_children: true\n",
    )
    desk.edit("sow", added)
    code, found = desk.update()
    assert (code, found["changed"]) == (0, [])
    sow = desk.task("sow")
    assert list(sow.capabilities) == ["gpu", "1.0"]
    assert sow.not_before.ToJsonString() == "2030-01-02T03:04:05Z"
    assert sow.due_time.ToJsonString() == "2030-02-01T00:00:00Z"
    assert sow.retry_policy == task_pb2.RetryPolicy(max_attempts=5, backoff=Duration(nanos=500_000_000))
    assert (sow.completed_by_children, sow.revision) == (True, 2)
    assert "conflict_found" not in desk.sync()
    assert "\ndue_time: '2030-02-01T00:00:00Z'\n" in desk.path("sow").read_text()
    desk.edit("sow", ("max_attempts: 5", "max_attempts: 6"), ("completed_by_children: true\n", ""))
    assert desk.update()[0] == 0
    edited = desk.task("sow")
    assert (edited.retry_policy.max_attempts, edited.completed_by_children) == (6, False)
    assert (edited.due_time, edited.revision) == (sow.due_time, 3)
    desk.sync()
    # A value that cannot be used changes nothing of the task.
    for wrong in ("max_attempts: 101", "max_attempts: many", "attempts: 1"):
        desk.edit("sow", ("max_attempts: 6", wrong))
        code, found = desk.update()
        assert code == 3
        assert "not updated" in found["refused"][0][1]
        assert desk.task("sow") == edited
        desk.edit("sow", (wrong, "max_attempts: 6"))


def test_links_that_were_edited(desk: Desk) -> None:
    desk.edit("sow", ("  - dig\n", "  - mow\n  - code: dig\n    kind: relates-to\n"))
    # A link that someone else adds meanwhile stays.
    desk.client.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("rake", sprint_code="S-1")))
    link(desk.client, "sow", "rake")
    code, found = desk.update()
    assert code == 0, found
    desk.sync()
    text = desk.path("sow").read_text()
    assert "depends_on:\n  - mow\n  - rake\n  - code: dig\n    kind: related\n" in text
    assert "links: blocks mow, blocks rake, related dig\n" in text
    # A file that was not edited does not bring back a link that was removed in the ledger.
    unlink(desk.client, "sow", "mow")
    assert desk.update()[0] == 0
    desk.sync()
    assert "- mow" not in desk.path("sow").read_text()
    # If a link cannot be created, the file stays as it is.
    desk.edit("mow", ("depends_on: []", "depends_on: [sow, nowhere]"))
    desk.edit("sow", ("  - rake", "  - mow"))
    code, found = desk.update()
    assert code == 3
    # One link is to a missing task, and the other would close a cycle.
    assert len(found["unresolved"]) == len(found["refused"]) == 1
    assert desk.sync().count("conflict_found") == 2


def test_a_conflict_changes_neither_side(desk: Desk) -> None:
    desk.edit("sow", ("assignee: ''", "assignee: ann"))
    desk.edit("mow", ("assignee: ''", "assignee: ann"))
    desk.edit("dig", ("status: pending", "status: completed"))
    for code, change in (("sow", {"title": "Sow peas"}), ("mow", {"assignee": "ann"})):
        request = task_pb2.UpdateTaskRequest(task=factories.task(code, **change))
        request.update_mask.paths.extend(change)
        desk.client.tasks.UpdateTask(request)
    mine = desk.path("sow").read_bytes()
    exit_code, found = desk.update()
    assert exit_code == 3
    ((file, reason),) = found["conflict"]
    assert file == "delegation/sprints/S-1/sow/TASK.md"
    assert "an edit of revision 1, but the ledger has 2: they differ in " in reason
    assert "title" in reason
    # Nothing is lost on either side, and the other edits were accepted.
    assert desk.path("sow").read_bytes() == mine
    assert (desk.task("sow").title, desk.task("sow").assignee) == ("Sow peas", "")
    assert (desk.task("mow").revision, desk.task("dig").status) == (2, 4)
    assert desk.sync().count("conflict_found") == 1
    # The person merges the other change, and shows that by the revision.
    desk.edit("sow", ("revision: 1", "revision: 2"), ("title: Task sow", "title: Sow peas"))
    assert desk.update()[0] == 0
    assert (desk.task("sow").title, desk.task("sow").assignee) == ("Sow peas", "ann")
    assert "conflict_found" not in desk.sync()


def test_edits_that_are_not_accepted_are_listed(desk: Desk) -> None:
    desk.edit("sow", ("status: pending", "status: nearly there"))
    desk.edit("mow", ("title: Task mow", "title: Mow it"))
    desk.client.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="mow"))
    desk.edit("dig", ("uid: ", "uid: 0"), ("title: Task dig", "title: Dig it"))
    desk.edit("S-1", ("status: planning", "status: completed"))
    code, found = desk.update()
    assert code == 3
    assert {Path(file).parent.name: reason for file, reason in found["conflict"]} == {
        "mow": "task mow was deleted in the ledger",
        "dig": "task dig: the file is about another one: left as it is",
    }
    refused = {Path(file).parent.name: reason for file, reason in found["refused"]}
    assert refused.keys() == {"sow", "S-1"}
    assert "FAILED_PRECONDITION" in refused["S-1"]
    assert {task.revision for task in state(desk.client).values()} == {1}


def test_an_update_of_another_project_and_of_peoples_files(
    desk: Desk, start_server: Callable[[str], Server], tmp_path: Path
) -> None:
    # A missing task is created. A file that a person wrote does not change an existing task.
    own = desk.root / "delegation" / "tasks" / "own"
    own.mkdir(parents=True)
    (own / "TASK.md").write_text("# Own\n")
    assert desk.update()[0] == 0
    (own / "TASK.md").write_text("# Changed\n")
    assert desk.update()[0] == 0
    assert desk.task("own").title == "Own"
    record = (desk.path("sow").parent / ".hash").read_bytes()
    result = run(desk.server, "--delegation", desk.root, "--update", "--project", "other")
    assert result.exit_code == 0, result.output
    desk.edit("sow", ("title: Task sow", "title: Sow it"))
    result = run(desk.server, "--delegation", desk.root, "--update", "--project", "other")
    assert result.exit_code == 3
    assert (desk.path("sow").parent / ".hash").read_bytes() == record
    assert run(desk.server, "--update").exit_code == 2


def test_controls_that_must_fail(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above detect links that are missing in the files, and a revision that is not sent."""
    file = desk.path("sow")
    written = file.read_text()
    file.write_text(written.replace("depends_on:\n  - dig\n", ""))
    run(desk.server, "--delegation", desk.root, "--project", "other")
    with Client(desk.server.address, project="other") as other:
        assert ready(desk.client) == {"dig", "mow"} != ready(other)
    file.write_text(written)
    send = TreeUpdates._send

    def late(updates: TreeUpdates, wanted: Any, fields: list[str], revision: int) -> Any:
        """Change the task just before the edit is sent."""
        request = task_pb2.UpdateTaskRequest(task=factories.task("sow", title="Theirs"))
        request.update_mask.paths.append("title")
        desk.client.tasks.UpdateTask(request)
        return send(updates, wanted, fields, revision if guarded else 0)

    monkeypatch.setattr(TreeUpdates, "_send", late)
    desk.edit("sow", ("title: Task sow", "title: Mine"))
    guarded = True
    assert len(desk.update()[1]["conflict"]) == 1
    assert desk.task("sow").title == "Theirs"
    guarded = False
    desk.edit("sow", ("revision: 1", "revision: 2"))
    desk.update()
    assert desk.task("sow").title == "Mine"
