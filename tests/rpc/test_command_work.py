"""The verbs on work: what they do, what they print, and their exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from orchestration.v1 import task_pb2
from orchestration.v1.coordination_pb2 import AddDependencyRequest
from tests.conftest import Server
from tests.support.commands import LedgerCommand

pytestmark = pytest.mark.shared_server(by_address=True)


@pytest.fixture
def run(server: Server) -> LedgerCommand:
    return LedgerCommand(server.address, server.project)


@pytest.fixture
def plan(run: LedgerCommand) -> None:
    """An active sprint in which w2 waits for w1."""
    run("sprint", "create", "s1", "First", "--start")
    run("task", "add", "w1", "Parser", "-s", "s1", "-p", "P1")
    run("task", "add", "w2", "Pages", "-s", "s1", "--after", "w1")


def test_a_first_session_says_what_changed_and_what_follows(run: LedgerCommand) -> None:
    where = run.words
    assert run("sprint", "create", "s1", "First sprint") == (
        "s1 is created, in planning\n"
        f"next: orchestration task add CODE TITLE -s s1 {where}\n"
        f"its tasks are ready after: orchestration sprint start s1 {where}\n"
    )
    assert run("task", "add", "w1", "Parser", "-s", "s1", "-p", "p1") == (
        f"w1 is created (P1 in s1)\nw1 is not ready; next: orchestration why w1 {where}\n"
    )
    assert run("sprint", "start", "s1") == "s1 is active\nw1 is ready now\n"
    assert run("task", "add", "w2", "Pages", "-s", "s1", "--after", "w1") == (
        f"w2 is created (P2 in s1)\nw2 waits for w1\nw2 is not ready; next: orchestration why w2 {where}\n"
    )
    assert run("ready") == "TASK  PRIO  SPRINT  TITLE\nw1    P1    s1      Parser\n"
    assert run("start", "w1") == (
        f"w1 is in_progress\nnext, when it is finished: orchestration done w1 {where}\n"
    )
    assert run("done", "w1", "-m", "merged") == "w1 is completed: merged\nw2 is ready now\n"
    assert run("done", "w1") == "w1 was completed already\n"
    assert run("block", "w2", "-m", "no access") == (
        f"w2 is blocked: no access\nnext, when it can go on: orchestration task reopen w2 {where}\n"
    )
    assert run("task", "reopen", "w2") == "w2 is pending\nw2 is ready now\n"
    assert run("assign", "w2", "ann") == "w2 has another assignee (revision 5)\n"
    assert run("assign", "w2", "ann") == "w2 stays as it is\n"
    assert run("task", "cancel", "w2") == "w2 is cancelled\n"
    assert run("sprint", "list") == "SPRINT  STATUS  OWNER  TITLE\ns1      active  -      First sprint\n"


@pytest.mark.usefixtures("plan")
def test_a_task_with_dependencies_cannot_be_claimed_before_they_are_stored(run: LedgerCommand) -> None:
    """It is created as blocked: a claim between the two writes would get it else."""
    task = run.json("show", "w2")
    assert (task["task"]["status"], task["task"]["revision"]) == ("pending", 2)


def test_a_first_write_that_fails_leaves_no_task(run: LedgerCommand) -> None:
    run("task", "add", "w1", "Parser", "--after", "none", code=3)
    assert run("task", "list") == "no tasks\n"


def test_a_command_killed_halfway_goes_on_with_its_request_id(
    run: LedgerCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.cli import new_tasks

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    run("task", "add", "w1", "Parser")
    words = ("task", "add", "w2", "Pages", "--after", "w1", "--request-id", "r-1")
    with monkeypatch.context() as patched:
        patched.setattr(new_tasks, "_store_dependencies", killed)
        with pytest.raises(Killed):
            run.raw(*words)
    assert run.json("show", "w2")["task"]["status"] == "blocked"
    assert run("ready", "-o", "name").strip() == "w1"
    run(*words)
    run(*words)
    shown = run.json("show", "w2")
    assert (shown["task"]["status"], len(shown["depends_on"])) == ("pending", 1)
    # Without the id the second run is told that the code is taken.
    run("task", "add", "w2", "Pages", "--after", "w1", code=4)


def test_a_dependency_that_is_refused_leaves_a_blocked_task_and_the_way_on(
    run: LedgerCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.cli import new_tasks

    run("task", "add", "w1", "Parser")
    request = AddDependencyRequest
    monkeypatch.setattr(
        new_tasks,
        "AddDependencyRequest",
        lambda dependency, request_id: request(
            dependency=type(dependency)(task_code="w2", depends_on_code="gone")
        ),
    )
    output = run("task", "add", "w2", "Pages", "--after", "w1", code=3)
    assert "w2 is created and stays blocked" in output
    steps = output.split("fix: then ")[1].strip().split("; ")
    assert steps == [
        f"orchestration dep add w2 w1 {run.words}",
        f"orchestration task reopen w2 {run.words}",
    ]


@pytest.mark.usefixtures("plan")
def test_json_has_the_fields_of_the_protos_whole_numbers_and_short_words(run: LedgerCommand) -> None:
    task = run.json("show", "w1")["task"]
    fields = [field.name for field in task_pb2.Task.DESCRIPTOR.fields]
    assert list(task) == fields
    assert (task["revision"], task["status"], task["priority"]) == (1, "pending", "P1")
    assert (task["description"], task["labels"], task["due_time"]) == ("", [], None)
    listed = run.json("task", "list", "-s", "s1")
    assert list(listed) == ["tasks", "more"]
    assert listed == yaml.safe_load(run("task", "list", "-s", "s1", "-o", "yaml"))
    assert run("task", "list", "-o", "name") == "w1\nw2\n"
    assert run.json("done", "w1")["now_ready"] == ["w2"]


@pytest.mark.parametrize("before", [True, False])
def test_options_may_stand_before_or_after_the_verb(run: LedgerCommand, before: bool) -> None:
    words = ("--json", "ready") if before else ("ready", "--json")
    assert json.loads(run(*words)) == {"tasks": [], "more": False}
    # The later one wins, whichever of -o and --json it is.
    assert run("--json", "ready", "-o", "name") == ""


@pytest.mark.usefixtures("plan")
def test_lists_say_that_there_is_more(run: LedgerCommand) -> None:
    assert run("task", "list", "-n", "1").endswith("these are the first 1; --limit lists more\n")
    assert run.json("task", "list", "-n", "1")["more"] is True
    assert run.json("task", "list", "-n", "2")["more"] is False


@pytest.mark.usefixtures("plan")
def test_edits_change_what_they_name(run: LedgerCommand) -> None:
    run(
        "edit",
        "w2",
        "--title",
        "More pages",
        "-p",
        "P0",
        "-l",
        "a",
        "-l",
        "b",
        "--due",
        "2030-01-02T03:04:05Z",
    )
    task = run.json("show", "w2")["task"]
    assert (task["title"], task["priority"], task["labels"]) == ("More pages", "P0", ["a", "b"])
    assert (task["due_time"], task["sprint_code"]) == ("2030-01-02T03:04:05Z", "s1")
    run("task", "edit", "w2", "-l", "", "-s", "", "--due", "")
    task = run.json("show", "w2")["task"]
    assert (task["labels"], task["sprint_code"], task["due_time"]) == ([], "", None)
    assert "nothing to change" in run("edit", "w2", code=2)
    assert "revision" in run("edit", "w2", "--title", "x", "--revision", "1", code=4)


@pytest.mark.usefixtures("plan")
def test_links_say_what_waits(run: LedgerCommand) -> None:
    assert run("dep", "list", "w2") == "TASK  WAITS FOR  KIND\nw2    w1         blocks\n"
    assert run("dep", "list", "w1", "--dependents", "-o", "name") == "w2\n"
    assert run("dep", "rm", "w2", "w1") == "w2 waits for w1 no more\nw2 is ready now\n"
    assert run("dep", "add", "w2", "w1").startswith("w2 waits for w1\nw2 is not ready; next: ")
    assert "waits for nothing" in run("dep", "list", "w1")
    output = run("dep", "add", "w1", "w2", code=1)
    assert "fix: leave this dependency out" in output


ERRORS: list[tuple[tuple[str, ...], int, str]] = [
    (("show", "ghost"), 3, "see what there is: orchestration task list"),
    (("sprint", "show", "ghost"), 3, "see what there is: orchestration sprint list"),
    (("task", "add", "w1", "Again"), 4, "choose another code, or see the one that is there"),
    (("task", "add", "w 1", "Bad"), 2, "task.code"),
    (("task", "add", "w9", "Bad", "-p", "P9"), 2, "use one of P0, P1, P2, P3, P4"),
    (("task", "add", "w9", "Bad", "--due", "soon"), 2, "write 2026-12-24"),
    (("task", "list", "--status", "doing"), 2, "use one of pending, in_progress"),
    (("task", "add", "w9"), 2, "Missing argument 'TITLE'"),
    (("sprint", "start", "s1"), 0, "s1 is active"),
]


@pytest.mark.usefixtures("plan")
@pytest.mark.parametrize(("words", "code", "text"), ERRORS, ids=[" ".join(one[0]) for one in ERRORS])
def test_errors_have_a_reason_a_fix_and_a_code(
    run: LedgerCommand, words: tuple[str, ...], code: int, text: str
) -> None:
    assert text in run(*words, code=code)


@pytest.mark.usefixtures("plan")
def test_a_refused_change_says_what_is_allowed(run: LedgerCommand) -> None:
    run("sprint", "cancel", "s1")
    assert "sprint s1 is cancelled" in run("sprint", "complete", "s1", code=1)
    assert "fix: " not in run("sprint", "start", "s1", code=1)
    run("task", "cancel", "w1")
    output = run("done", "w1", code=1)
    assert f"fix: what is allowed: orchestration task reopen w1 {run.words}\n" in output
    error = json.loads(run("done", "w1", "--json", code=1).splitlines()[-1])["error"]
    assert (error["exit_code"], error["reason"], error["metadata"]["current"]) == (
        1,
        "TRANSITION_REFUSED",
        "cancelled",
    )
    assert list(error) == ["exit_code", "reason", "message", "violations", "metadata", "fix"]


def test_what_others_wrote_cannot_steer_the_terminal(run: LedgerCommand) -> None:
    run("task", "add", "w1", "red \x1b[31m\r bell\x07", "-d", "one\ntwo\x1b]0;x\x07")
    for words in (("ready",), ("show", "w1"), ("task", "list")):
        output = run(*words)
        assert "\x1b" not in output
        assert "\x07" not in output
        assert "\\x1b[31m" in output


@pytest.mark.usefixtures("plan")
def test_colours_come_when_they_are_asked_for(run: LedgerCommand) -> None:
    assert "\x1b[2m" in run("ready", "--color", "always")
    assert "\x1b" not in run("ready")
    assert "\x1b[31merror:" in run("show", "ghost", "--color", "always", code=3)


def test_a_change_whose_consequences_cannot_be_read_is_still_told(
    run: LedgerCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grpc

    from orchestration.cli import follows

    def gone(*_: object) -> Any:
        raise grpc.RpcError("gone")

    run("task", "add", "w1", "Parser")
    monkeypatch.setattr(follows, "dependents", gone)
    assert run("done", "w1") == "w1 is completed\nwhat follows could not be read: gone\n"
    monkeypatch.undo()
    assert run.json("show", "w1")["task"]["status"] == "completed"


@pytest.mark.usefixtures("plan")
def test_any_rpc_can_be_called(run: LedgerCommand) -> None:
    task = json.loads(run("call", "TaskService/GetTask", '{"task_code": "w1"}'))
    assert task == {"task": run.json("show", "w1")["task"], "progress": None}
    changed = run.json("call", "task/updatetaskstatus", '{"task_code": "w1", "status": "in_progress"}')
    assert changed["task"]["status"] == "in_progress"
    events = run("call", "EventService/StreamTimeline", '{"last": 1}')
    (line,) = [one for one in map(json.loads, events.splitlines()) if one["events"]]
    assert line["events"]["events"][0]["type"] == "orchestration.task.status_updated"
    sent = '[{"request_id": "1", "events": [{"type": "mine.note"}]}, {"request_id": "2", "events": []}]'
    first, second = map(json.loads, run("call", "EventService/EmitEvents", sent).splitlines())
    assert (first["stored"], second["error"]["code"]) == (1, 3)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("TaskService/GetTsk", "{}"), "such as TaskService/GetTask"),
        (("TaskService/GetTask", "{task}"), "the request is no JSON"),
        (("TaskService/GetTask", "[]"), "the request is no JSON object"),
        (("TaskService/GetTask", '{"code": "w1"}'), "the fields are task_code, view"),
        (("TaskService/UpdateTaskStatus", '{"task_code": "w1", "status": "doing"}'), "use one of pending"),
        (("TaskService/GetTask", "{}"), "task_code"),
    ],
)
def test_a_wrong_call_is_explained(run: LedgerCommand, words: tuple[str, ...], text: str) -> None:
    assert text in run("call", *words, code=2)


def test_every_rpc_has_a_name_for_call(run: LedgerCommand) -> None:
    from orchestration.cli import rpcs
    from tests.support.rpc_catalog import METHODS

    assert {*run("call").splitlines()} == set(METHODS)
    for name in rpcs.methods():
        assert rpcs.find(name).request.DESCRIPTOR.name == f"{name.partition('/')[2]}Request"


def test_a_task_that_needs_an_able_agent_says_so(run: LedgerCommand) -> None:
    assert run("task", "add", "w1", "Train", "--able", "gpu") == (
        "w1 is created (P2)\nw1 is ready now, for an agent that is able to gpu\n"
    )
    assert "is not ready" in run("why", "w1", code=1)
    assert run("why", "w1", "--able", "gpu").startswith("w1 is ready")
