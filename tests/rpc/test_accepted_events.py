"""Accepted events are answered at once and stored soon, up to a limit that is fair to projects."""

from concurrent.futures import Future
from contextlib import suppress
from threading import Event
from typing import Any

import grpc
import pytest

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server.errors import ResourceExhausted, Unavailable
from orchestration_server.store import writes
from orchestration_server.telemetry import metrics
from orchestration_server.writes import acceptance, group_commit
from orchestration_server.writes.drafts import EmitResult
from orchestration_server.writes.group_commit import Clock, GroupCommit
from tests.conftest import Server
from tests.support import factories
from tests.support.automation import history as log_of
from tests.support.automation import payload
from tests.support.group_commits import StandingClock, committing, emission
from tests.support.ledger import Ledger

BATCH = common_pb2.EMISSION_POLICY_BATCH
ACCEPTED = event_pb2.DURABILITY_ACCEPTED


def test_accepted_events_are_answered_at_once_and_stored_soon(server: Server, channel: grpc.Channel) -> None:
    ledger = Ledger(channel)
    request = event_pb2.EmitEventRequest(
        event=factories.event(dedup_key="k", payload={"a": 1}), request_id="r", durability=ACCEPTED
    )
    first, again = ledger.events.EmitEvent(request), ledger.events.EmitEvent(request)
    assert first.event.id != again.event.id
    assert (first.event.type, payload(first.event), first.event.cursor) == ("agents.note.taken", {"a": 1}, "")
    messages = [
        event_pb2.EmitEventsRequest(request_id=str(n), events=[factories.event()] * 3, durability=ACCEPTED)
        for n in range(5)
    ]
    answers = list(ledger.events.EmitEvents(iter(messages)))
    assert [(one.accepted, one.stored, one.duplicates) for one in answers] == [(3, 0, 0)] * 5
    # A durable message behind them in the queue is answered after all of them are stored.
    ledger.emit()
    stored = [event.id for event in log_of(ledger.events)]
    assert stored[:-1] == [first.event.id, *(id_ for one in answers for id_ in one.event_ids)]


def test_no_message_is_accepted_above_the_limit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "ACCEPTED_EVENTS", 10)
    clock = StandingClock()
    with committing(server, clock) as commits:
        wishes: dict[str, Any] = {"emission_policy": BATCH, "durability": ACCEPTED}
        commits.submit(emission(6, **wishes))
        with pytest.raises(ResourceExhausted) as refused:
            commits.submit(emission(5, **wishes))
        assert refused.value.reason == "ACCEPTED_QUEUE_FULL"
        assert refused.value.retry_after is not None
        # Callers that wait have a limit of their own.
        assert commits.submit(emission(500)).result(10).stored == 500
        assert commits.submit(emission(5, **wishes)).result(0).accepted == 5


def test_a_project_that_fills_the_queue_shuts_no_other_out(
    server: Server, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "QUEUE_EVENTS", 100)
    monkeypatch.setattr(group_commit, "GROUP_EVENTS", 100)
    store, commit = Event(), GroupCommit._commit

    def later(commits: GroupCommit, *given: Any) -> Any:
        assert store.wait(30)
        return commit(commits, *given)

    monkeypatch.setattr(GroupCommit, "_commit", later)
    with committing(server, Clock()) as commits:
        sent: list[Any] = []
        with suppress(ResourceExhausted):
            while True:
                sent.append(commits.submit(emission(50)))
        other = emission(1)
        other.call = other.call._replace(project="other")
        found = commits.submit(other)
        store.set()
        assert found.result(10).stored == 1
        assert [one.result(10).stored for one in sent] == [50] * len(sent)


def test_no_message_is_answered_early_behind_too_many_events(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, commit = Event(), GroupCommit._commit

    def later(commits: GroupCommit, *given: Any) -> Any:
        assert store.wait(30)
        return commit(commits, *given)

    monkeypatch.setattr(GroupCommit, "_commit", later)
    with committing(server, StandingClock()) as commits:
        before = [commits.submit(emission(500)) for _ in range(4)]
        accepted = commits.submit(emission(1, durability=ACCEPTED))
        with pytest.raises(TimeoutError):
            accepted.result(0)
        store.set()
        assert accepted.result(10).accepted == 1
        assert [one.result(10).stored for one in before] == [500] * 4


def test_no_message_is_answered_early_while_the_database_is_stuck(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, commit = Event(), GroupCommit._commit

    def later(commits: GroupCommit, *given: Any) -> Any:
        assert store.wait(30)
        return commit(commits, *given)

    monkeypatch.setattr(GroupCommit, "_commit", later)
    clock = StandingClock()
    with committing(server, clock) as commits:
        assert commits.submit(emission(3, durability=ACCEPTED)).result(0).accepted == 3
        clock.goes_on(acceptance.ACCEPTED_SECONDS)
        held_back = [commits.submit(emission(3, durability=ACCEPTED)) for _ in range(3)]
        assert not any(answer.done() for answer in held_back)
        store.set()
        assert [answer.result(30).accepted for answer in held_back] == [3, 3, 3]


def test_accepted_events_that_cannot_be_stored_are_counted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: Future[EmitResult] = Future()

    def fails(*_: Any, **__: Any) -> None:
        raise Unavailable

    def count() -> float:
        return metrics.EVENTS_ACCEPTED_LOST._value.get()  # type: ignore[no-any-return]

    before = count()
    with committing(server, StandingClock()) as commits:
        with monkeypatch.context() as patch:
            patch.setattr(writes, "apply", fails)
            one = emission(3, durability=ACCEPTED)
            one.done.add_done_callback(lambda done: lost.set_exception(done.exception()))
            assert commits.submit(one).result(0).accepted == 3
            with pytest.raises(Unavailable):
                lost.result(10)
        assert commits.submit(emission()).result(10).stored == 1
    assert count() == before + 3
