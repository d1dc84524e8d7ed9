"""Policies of callers' events: batches, and samples that keep sessions whole."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import common_pb2, event_pb2, session_pb2
from orchestration_server.embedded.engines import Engines
from orchestration_server.errors import Unavailable
from orchestration_server.jobs import cleanup
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.rules.emission import sample_position
from orchestration_server.telemetry import metrics
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.automation import history as log_of
from tests.support.automation import payload
from tests.support.emission import serving
from tests.support.group_commits import StandingClock, committing, emission
from tests.support.ledger import Ledger
from tests.support.rpc_errors import Metadata
from tests.support.statements import counted

BATCH = common_pb2.EMISSION_POLICY_BATCH
SAMPLE = common_pb2.EMISSION_POLICY_SAMPLE
IMMEDIATE = common_pb2.EMISSION_POLICY_IMMEDIATE
ACCEPTED = event_pb2.DURABILITY_ACCEPTED
VERBOSE = """
policies:
  - on: [agents.trace.*, orchestration.activity.logged]
    emit: sample
    rate: 0.1
"""


def writes_of(statements: list[str]) -> int:
    return sum("ledger_expect(" in text for text in statements)


@contextmanager
def working(
    engines: Engines, database_url: str, folder: Path, policies: str
) -> Iterator[tuple[Server, Ledger]]:
    with serving(engines, database_url, folder, policies) as server, open_channel(server.address) as channel:
        yield server, Ledger(channel)


def session(number: int) -> Metadata:
    return (("orchestration-session", f"s-{number}"), ("orchestration-agent", f"agent-{number % 3}"))


def kept(number: int, rate: float = 0.1) -> bool:
    return sample_position("default", f"s-{number}", "") < rate


def test_a_batch_is_stored_once_it_is_full(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of many callers share one insert, and each is answered after it."""
    with counted(monkeypatch) as statements, committing(server, StandingClock()) as commits:
        waiting = [commits.submit(emission(emission_policy=BATCH)) for _ in range(499)]
        assert not any(one.done() for one in waiting)
        assert writes_of(statements) == 0
        waiting.append(commits.submit(emission(emission_policy=BATCH)))
        assert [one.result(10).stored for one in waiting] == [1] * 500
        assert writes_of(statements) == 1


def test_a_batch_is_stored_once_its_time_is_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StandingClock()
    with counted(monkeypatch) as statements, committing(server, clock) as commits:
        waiting = [commits.submit(emission(emission_policy=BATCH)) for _ in range(3)]
        clock.goes_on(0.1)
        waiting.append(commits.submit(emission(emission_policy=BATCH)))
        assert not any(one.done() for one in waiting)
        clock.goes_on(0.11)
        assert [one.result(10).stored for one in waiting] == [1] * 4
        assert writes_of(statements) == 1


def test_a_message_that_does_not_wait_ends_the_batch(server: Server) -> None:
    with committing(server, StandingClock()) as commits:
        waiting = commits.submit(emission(emission_policy=BATCH))
        assert commits.submit(emission()).result(10).stored == 1
        assert waiting.result(10).stored == 1


def test_a_stop_stores_waiting_messages(server: Server, channel: grpc.Channel) -> None:
    with committing(server, StandingClock()) as commits:
        waiting = commits.submit(emission(emission_policy=BATCH))
        accepted = commits.submit(emission(emission_policy=BATCH, durability=ACCEPTED)).result(0)
        assert (accepted.accepted, accepted.stored) == (1, 0)
    assert waiting.result(0).stored == 1
    stored = [event.id for event in log_of(Ledger(channel).events)]
    assert stored == [waiting.result(0).ids[0], accepted.ids[0]]
    with pytest.raises(Unavailable):
        commits.submit(emission())


def test_activities_are_batched(engines: Engines, database_url: str, tmp_path: Path) -> None:
    policies = "policies: [{on: orchestration.activity.logged, emit: batch, events: 4, seconds: 5}]"
    with working(engines, database_url, tmp_path, policies) as (_, ledger):
        ledger.task("A", sprint_code="")
        ledger.session("k", task_code="A")

        def log(n: int) -> event_pb2.Event:
            request = session_pb2.LogActivityRequest(
                session_key="k", kind="progress", message=str(n), request_id=f"r{n}"
            )
            return ledger.sessions.LogActivity(request, timeout=20).event

        with ThreadPoolExecutor(4) as pool:
            events = list(pool.map(log, range(4)))
        assert {payload(event)["message"] for event in events} == {"0", "1", "2", "3"}
        assert log(2) == events[2]
        assert {event.entity_uid for event in events} == {
            ledger.log("orchestration.task.created")[0].entity_uid
        }
        assert {event.session_key for event in events} == {"k"}
        assert len(ledger.log("orchestration.activity.logged")) == 4


def test_a_kept_session_is_whole_and_statistics_count_the_rest(
    engines: Engines, database_url: str, tmp_path: Path
) -> None:
    with working(engines, database_url, tmp_path, VERBOSE) as (server, ledger):
        ledger.sprint("S")
        ledger.task("A", sprint_code="S")
        about = {"entity_type": common_pb2.ENTITY_TYPE_TASK, "entity_code": "A"}
        sessions = range(60)
        assert 0 < sum(map(kept, sessions)) < 20
        for number in sessions:
            request = event_pb2.EmitEventsRequest(
                request_id=str(number),
                events=[
                    factories.event("agents.trace.step", **about),
                    factories.event("agents.trace.call", **about),
                    factories.event("agents.note.taken", **about),
                    factories.event("agents.trace.call", priority=common_pb2.PRIORITY_P1),
                    factories.event("agents.trace.call", dedup_key=f"k{number}"),
                ],
            )
            for _ in range(2):
                # The second call is a retry.
                (answer,) = ledger.events.EmitEvents(iter([request]), metadata=session(number))
                left_out = 0 if kept(number) else 2
                assert (answer.stored, answer.duplicates, answer.sampled_out) == (5 - left_out, 0, left_out)
                assert [bool(one) for one in answer.event_ids] == [kept(number)] * 2 + [True] * 3

        found = Counter((event.session_key, event.type) for event in log_of(ledger.events))
        for number in sessions:
            here = (found[f"s-{number}", "agents.trace.step"], found[f"s-{number}", "agents.trace.call"])
            assert here == ((1, 3) if kept(number) else (0, 2))
        _check_stats(server, ledger, len(sessions))


def _check_stats(server: Server, ledger: Ledger, sessions: int) -> None:
    """Check that statistics count all events: before and after the rollups, by each group and by sprint."""
    end = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    G = event_pb2  # noqa: N806  # short

    def stats(group: int, sprint: str = "") -> dict[str, int]:
        request = event_pb2.GetEventStatsRequest(
            group_by=group, sprint_code=sprint,  # type: ignore[arg-type]  # an enum's number
            start_time=Timestamp(seconds=int((end - timedelta(days=2)).timestamp())),
            end_time=Timestamp(seconds=int(end.timestamp())),
        )  # fmt: skip
        answer = ledger.events.GetEventStats(request)
        assert answer.total >= sum(count.count for count in answer.counts)
        return {count.key or str(count.start_time.seconds): count.count for count in answer.counts}

    assert server.app is not None
    for _ in range(2):
        by_type = stats(G.EVENT_GROUPING_TYPE)
        assert by_type["agents.trace.step"] == sessions
        assert by_type["agents.trace.call"] == 3 * sessions
        assert stats(G.EVENT_GROUPING_ENTITY)["task/A"] == 3 * sessions + 1
        assert stats(G.EVENT_GROUPING_ACTOR)["agent-1"] == 5 * sessions // 3
        assert sum(stats(G.EVENT_GROUPING_HOUR).values()) == 5 * sessions + 2
        assert stats(G.EVENT_GROUPING_TYPE, "S")["agents.trace.call"] == sessions
        Rollups(server.app.db).run_once()


def test_cached_statistics_are_not_stale(engines: Engines, database_url: str, tmp_path: Path) -> None:
    left_out = next(n for n in range(100) if not kept(n))
    with working(engines, database_url, tmp_path, VERBOSE) as (_, ledger):
        request = event_pb2.EmitEventRequest(event=factories.event("agents.trace.step"))
        ask = event_pb2.GetEventStatsRequest()
        ledger.emit()
        for n in range(1, 4):
            assert ledger.events.EmitEvent(request, metadata=session(left_out)).sampled_out
            counts = {count.key: count.count for count in ledger.events.GetEventStats(ask).counts}
            assert counts == {"agents.note.taken": 1, "agents.trace.step": n}


def test_old_counts_are_kept_by_the_hour(engines: Engines, database_url: str, tmp_path: Path) -> None:
    left_out = next(n for n in range(100) if not kept(n))
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
    with working(engines, database_url, tmp_path, VERBOSE) as (server, ledger):

        def emit(*minutes: int) -> None:
            for minute in minutes:
                time = Timestamp(seconds=int((day + timedelta(minutes=minute)).timestamp()))
                request = event_pb2.EmitEventRequest(event=factories.event("agents.trace.x", occur_time=time))
                assert ledger.events.EmitEvent(request, metadata=session(left_out)).sampled_out

        def hours() -> list[int]:
            request = event_pb2.GetEventStatsRequest(group_by=event_pb2.EVENT_GROUPING_HOUR)
            return [count.count for count in ledger.events.GetEventStats(request).counts]

        def rows() -> int:
            with db.connection() as conn:
                found = conn.execute("select count(*) from sampled_out where minute > '-infinity'").fetchone()
            assert found is not None
            return int(found[0])

        assert server.app is not None
        db = server.app.db
        fold = next(service for service in cleanup.services(db) if service.name == "fold-sampled-out")
        emit(0, 1, 1, 59, 61, 119)
        assert (rows(), hours()) == (5, [4, 2])
        assert fold.run_once() == 4
        assert (rows(), hours()) == (2, [4, 2])
        # Late events join these counts.
        emit(0, 30, 60)
        assert hours() == [6, 3]
        assert fold.run_once() == 1
        assert (rows(), hours()) == (2, [6, 3])
        assert fold.run_once() == 0


def test_activities_are_sampled_by_their_session(engines: Engines, database_url: str, tmp_path: Path) -> None:
    with working(engines, database_url, tmp_path, VERBOSE) as (_, ledger):
        ledger.task("A")
        ledger.task("B", priority=common_pb2.PRIORITY_P0)
        left_out = next(n for n in range(100) if not kept(n))
        ledger.session(f"s-{left_out}", task_code="A")
        ledger.session(f"s-{left_out}-urgent", task_code="B")

        def log(key: str, **fields: Any) -> session_pb2.LogActivityResponse:
            request = session_pb2.LogActivityRequest(session_key=key, kind="step", message="m", **fields)
            return ledger.sessions.LogActivity(request)

        before = metrics.EVENTS_SAMPLED_OUT._value.get()
        for _ in range(2):
            answer = log(f"s-{left_out}", request_id="once")
            assert answer.sampled_out
            assert not answer.HasField("event")
        assert metrics.EVENTS_SAMPLED_OUT._value.get() == before + 1
        assert log(f"s-{left_out}-urgent").event.id
        assert log(f"s-{left_out}", emission_policy=IMMEDIATE).event.id
        counts = ledger.events.GetEventStats(event_pb2.GetEventStatsRequest()).counts
        assert {count.key: count.count for count in counts}["orchestration.activity.logged"] == 3
        assert len(ledger.log("orchestration.activity.logged")) == 2


def test_a_call_may_request_sampling(server: Server, channel: grpc.Channel) -> None:
    ledger = Ledger(channel)
    left_out = next(n for n in range(100) if not kept(n))
    event = factories.event()
    wish = event_pb2.EmitEventRequest(event=event, emission_policy=SAMPLE)
    assert ledger.events.EmitEvent(wish, metadata=session(left_out)).sampled_out
    event.priority = common_pb2.PRIORITY_P0
    wish = event_pb2.EmitEventRequest(event=event, emission_policy=SAMPLE)
    assert ledger.events.EmitEvent(wish, metadata=session(left_out)).event.cursor


def test_the_command_rejects_policies_that_break_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "emission.yaml"
    path.write_text("policies:\n  - on: orchestration.task.created\n    emit: sample\n")
    command = Path(sys.executable).with_name("orchestration")
    for name in ("serve", "worker"):
        ended = subprocess.run(
            [command, name, "--emission-file", path], capture_output=True, text=True, timeout=60,
            env={"DATABASE_URL": "postgresql:///none"},
        )  # fmt: skip
        assert ended.returncode == 2
        assert f"{path}:2: policies[0].on is never sampled" in ended.stderr
