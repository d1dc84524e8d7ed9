"""ContextService through its stub."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from orchestration.v1 import (
    common_pb2,
    context_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
)
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.context import compact_json
from orchestration_server.embedded.engines import Engines
from tests.conftest import Server, open_channel
from tests.support import factories, statements, tokenizer
from tests.support.ledger import ASSEMBLED, TARGETS, Ledger, Target
from tests.support.rpc_errors import refused

pytestmark = pytest.mark.shared_server


@pytest.fixture
def ledger(channel: grpc.Channel) -> Ledger:
    return Ledger(channel)


@pytest.fixture
def sprint(ledger: Ledger) -> None:
    ledger.plan()


def types(context: context_pb2.Context) -> list[str]:
    return [event.type.removeprefix("orchestration.") for event in context.events]


def test_a_tasks_context(ledger: Ledger, sprint: None) -> None:
    context = ledger.context({"task_code": "t"})
    assert (context.target_type, context.target_code) == (common_pb2.ENTITY_TYPE_TASK, "t")
    assert (context.task.code, context.task.metadata["m"]) == ("t", 1)
    assert not context.task.acceptance_criteria
    assert not context.task.HasField("agent_config")
    assert list(context.acceptance_criteria) == ["it works", "it is fast"]
    assert dict(context.agent_config) == {"model": "big"}
    assert context.sprint.code == "s"
    assert (context.progress.total, context.progress.pending) == (2, 2)
    assert [(b.task_code, b.depends_on_code, b.kind, b.title) for b in context.blockers] == [
        ("t", "u", 1, "Task u")
    ]
    assert [(d.depends_on_code, d.kind, d.status) for d in context.dependencies] == [("v", 4, 1)]
    assert not context.tasks
    assert not context.HasField("session")
    assert types(context) == ["task.created", "task.dependency_added", "task.dependency_added"]
    assert context.next_steps[0] == "Task t waits for u (pending): have that done first."
    assert not context.files

    ledger.set_status("u", 4)
    after = ledger.context({"task_code": "t"})
    assert not after.blockers
    assert [(d.depends_on_code, d.kind, d.status) for d in after.dependencies] == [("u", 1, 4), ("v", 4, 1)]
    assert after.progress_percent == 50.0
    assert after.next_steps[0] == "Start task t: set it in progress."
    ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="v"))
    gone = ledger.context({"task_code": "t"}).dependencies[1]
    assert (gone.depends_on_code, gone.title, gone.status) == ("v", "", 0)


def test_a_sprints_context(ledger: Ledger, sprint: None) -> None:
    context = ledger.context({"sprint_code": "s"})
    assert context.sprint.code == "s"
    assert not context.HasField("task")
    assert dict(context.agent_config) == {"model": "m"}
    assert [(task.code, task.title) for task in context.tasks] == [("t", "Task t"), ("u", "Task u")]
    assert [(b.task_code, b.depends_on_code) for b in context.blockers] == [("t", "u")]
    assert not context.dependencies
    assert context.next_steps == ["Start what is ready, the most urgent first: u."]
    assert types(context)[0] == "sprint.created"
    assert types(context).count("task.created") == 2


def test_a_sprints_tasks_come_in_pages(ledger: Ledger) -> None:
    ledger.sprint("s")
    tasks = [task_pb2.NewTask(task=factories.task(f"t{n:03}", sprint_code="s")) for n in range(120)]
    ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=tasks))
    found: list[str] = []
    token = ""
    while True:
        context = ledger.context({"sprint_code": "s"}, page_size=50, page_token=token)
        found += [task.code for task in context.tasks]
        assert context.progress.total == 120
        token = context.next_page_token
        if not token:
            break
    assert found == [f"t{n:03}" for n in range(120)]
    first = ledger.context({"sprint_code": "s"})
    assert len(first.tasks) == 50
    ledger.sprint("other")
    with refused(StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_FOREIGN"):
        ledger.context({"sprint_code": "other"}, page_token=first.next_page_token)
    with refused(StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"):
        ledger.context({"sprint_code": "s"}, page_token="x")


def test_a_sessions_context_has_each_event_once(ledger: Ledger, sprint: None) -> None:
    ledger.session("k", task_code="t")
    activity = session_pb2.LogActivityRequest(session_key="k", kind="note", message="done")
    ledger.sessions.LogActivity(activity)
    context = ledger.context({"session_key": "k"}, include_ids=True)
    assert (context.session.key, context.task.code, context.sprint.code) == ("k", "t", "s")
    assert not context.session.HasField("last_activity_time")
    assert types(context)[-2:] == ["session.started", "activity.logged"]
    assert len({event.id for event in context.events}) == len(context.events) == 5
    assert dict(context.agent_config) == {"model": "big"}

    ledger.session("on-sprint", sprint_code="s")
    on_sprint = ledger.context({"session_key": "on-sprint"}, include_ids=True)
    assert [task.code for task in on_sprint.tasks] == ["t", "u"]
    assert not on_sprint.HasField("task")
    assert len({event.id for event in on_sprint.events}) == len(on_sprint.events)

    ledger.sessions.CloseSession(session_pb2.CloseSessionRequest(session_key="k"))
    assert ledger.context({"session_key": "k"}).next_steps[0].startswith("This session is closed")
    ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="u"))
    ledger.session("on-v", task_code="v")
    ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="v"))
    orphan = ledger.context({"session_key": "on-v"})
    assert not orphan.HasField("task")
    assert orphan.next_steps == ["The task v was deleted: close this session."]


def test_what_is_not_there_is_not_found(ledger: Ledger) -> None:
    ledger.task("gone")
    ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="gone"))
    ledger.sprint("past")
    ledger.sprints.DeleteSprint(sprint_pb2.DeleteSprintRequest(sprint_code="past"))
    for target in (*TARGETS, {"task_code": "gone"}, {"sprint_code": "past"}):
        with refused(StatusCode.NOT_FOUND):
            ledger.ask(**target)


def test_a_context_takes_three_statements_and_one_if_cached(
    ledger: Ledger, sprint: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version, the rest, and the event: three statements for any amount of content."""
    ledger.session("k", sprint_code="s")
    tasks = [task_pb2.NewTask(task=factories.task(f"t{n:03}", sprint_code="s")) for n in range(100)]
    ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=tasks))
    for number in range(10):
        ledger.link("t", f"t{number:03}")
    options = context_pb2.ContextOptions(max_events=200, page_size=90)
    for target in TARGETS:
        with statements.counted(monkeypatch) as seen:
            cold = ledger.ask(options, **target)
        assert (len(own(seen)), cold.from_cache) == (3, False)
        with statements.counted(monkeypatch) as seen:
            cached = ledger.ask(options, **target)
        assert (len(own(seen)), cached.from_cache) == (1, True)
        assert cached.context == cold.context
        with statements.counted(monkeypatch) as seen:
            ledger.context(target, since_cursor=cold.context.as_of_cursor, token_budget=5_000)
        assert len(own(seen)) == 3


def own(seen: list[str]) -> list[str]:
    """Return the statements that read a target or write the log, without those of background services."""
    return [query for query in seen if "target as materialized" in query or "into events" in query]


def test_an_assembly_is_logged_and_is_no_part_of_contexts(ledger: Ledger, sprint: None) -> None:
    ids = context_pb2.ContextOptions(include_ids=True)
    first = ledger.ask(ids, task_code="t")
    (event,) = ledger.log(ASSEMBLED)
    assert (event.entity_code, event.entity_uid) == ("t", first.context.task.uid)
    assert event.payload["version"] == first.context.version
    assert event.payload["token_estimate"] == first.context.token_estimate
    assert event.sprint_code == "s"
    for target in TARGETS[:2]:
        for _ in range(3):
            context = ledger.context(target, max_events=500)
            assert ASSEMBLED not in [event.type for event in context.events]
    again = ledger.ask(ids, task_code="t")
    assert again.from_cache
    assert again.context == first.context


def raw(channel: grpc.Channel, **target: Any) -> bytes:
    """Return the serialized response without from_cache."""
    request = context_pb2.AssembleContextRequest(**target).SerializeToString()
    call: Any = channel.unary_unary("/orchestration.v1.ContextService/AssembleContext")
    answer: bytes = call(request)
    return answer.removesuffix(context_pb2.AssembleContextResponse(from_cache=True).SerializeToString())


def test_equal_states_give_equal_bytes(
    ledger: Ledger, sprint: None, channel: grpc.Channel, database_url: str
) -> None:
    """A server without a cache assembles the same bytes."""
    ledger.session("k", task_code="t")
    app = App(Settings(address="127.0.0.1:0", database_url=database_url, grace_seconds=1))
    try:
        with open_channel(app.start()) as other:
            for target in TARGETS:
                assert len({raw(channel, **target), raw(other, **target), raw(other, **target)}) == 1
                version = ledger.context(target).version
                assert version == Ledger(other).context(target).version
    finally:
        app.stop()


CHANGES: dict[str, Callable[[Ledger], object]] = {
    "the task": lambda ledger: ledger.retitle("t", "another"),
    "its sprint": lambda ledger: ledger.sprints.UpdateSprint(
        sprint_pb2.UpdateSprintRequest(
            sprint=sprint_pb2.Sprint(code="s", goal="g"), update_mask=FieldMask(paths=["goal"])
        )
    ),
    "progress": lambda ledger: ledger.set_status("w", 2),
    "a blocker": lambda ledger: ledger.retitle("u", "another"),
    "a dependency": lambda ledger: ledger.link("t", "w", 4),
    "a dependency's end": lambda ledger: ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="u")),
    "an event of a caller": lambda ledger: ledger.emit("t"),
}
OTHERS: dict[str, Callable[[Ledger], object]] = {
    "another task": lambda ledger: ledger.task("x2"),
    "another task's event": lambda ledger: ledger.emit("x"),
    "an event about nothing": lambda ledger: ledger.emit(),
    "a context": lambda ledger: ledger.context({"task_code": "t"}, max_events=7),
    "a title in its sprint": lambda ledger: ledger.retitle("w", "another"),
    "a call of its session": lambda ledger: ledger.tasks.GetTask(
        task_pb2.GetTaskRequest(task_code="t"), metadata=(("orchestration-session", "k"),)
    ),
}


def test_each_change_is_in_the_next_context(ledger: Ledger, sprint: None) -> None:
    ledger.task("w", sprint_code="s")
    ledger.session("k", task_code="t")
    targets: list[Target] = [{"task_code": "t"}, {"session_key": "k"}]
    for what, change in CHANGES.items():
        before = [ledger.ask(**target).context for target in targets]
        change(ledger)
        for target, old in zip(targets, before, strict=True):
            after = ledger.ask(**target)
            assert not after.from_cache, what
            assert after.context.version != old.version, what


def test_each_change_of_a_sprint_is_in_its_next_context(ledger: Ledger, sprint: None) -> None:
    ledger.task("w", sprint_code="s")
    for what, change in (*CHANGES.items(), ("a title", lambda it: it.retitle("w", "another"))):
        before = ledger.context({"sprint_code": "s"})
        change(ledger)
        after = ledger.ask(sprint_code="s")
        assert not after.from_cache, what
        assert after.context.version != before.version, what


def test_other_changes_do_not_change_the_context(ledger: Ledger, sprint: None) -> None:
    ledger.task("w", sprint_code="s")
    ledger.task("x")
    ledger.session("k", task_code="t")
    targets: list[Target] = [{"task_code": "t"}, {"session_key": "k"}]
    before = [ledger.ask(**target).context for target in targets]
    for what, change in OTHERS.items():
        change(ledger)
        for target, old in zip(targets, before, strict=True):
            after = ledger.ask(**target)
            assert after.from_cache, what
            assert after.context == old, what


def test_only_the_last_events_are_shown_newest_last(ledger: Ledger, sprint: None) -> None:
    events = [ledger.emit("t", type_=f"agents.note.n{n}") for n in range(120)]
    context = ledger.context({"task_code": "t"}, include_ids=True)
    assert [event.id for event in context.events] == [event.id for event in events[-100:]]
    last = ledger.context({"task_code": "t"}, max_events=3, include_ids=True).events
    assert [e.cursor for e in last] == [e.cursor for e in events[-3:]]
    assert len(ledger.context({"task_code": "t"}, max_events=500).events) == 123


def test_a_servers_tokenizer_counts_its_contexts(server: Server, sprint: None, engines: Engines) -> None:
    app = App(
        Settings(
            address="127.0.0.1:0",
            database_url=server.database_url,
            redis_url=engines.redis_url or "",
            tokenizer="tests.support.tokenizer:count",
            grace_seconds=0,
        )
    )
    try:
        with open_channel(app.start()) as channel:
            for budget in (0, 200):
                context = Ledger(channel).context({"task_code": "t"}, token_budget=budget)
                estimate = context.token_estimate
                context.ClearField("token_estimate")
                assert estimate == tokenizer.count(compact_json.text(context))
                assert bool(context.trimmed) == bool(budget)
                assert not budget or 0.8 * budget <= estimate <= budget
    finally:
        app.stop()
