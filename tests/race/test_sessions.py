"""Agents that start, resume, log and close sessions concurrently."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import grpc
import pytest

from orchestration.v1 import common_pb2, event_pb2, session_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.race.conftest import CALLS, at_once
from tests.support import factories
from tests.support.lengths import lengths
from tests.support.rpc_errors import must_be, refused

ROUNDS = 3


@pytest.fixture
def stubs(channels: list[grpc.Channel]) -> list[SessionServiceStub]:
    """Return channels to two servers, whose ledger has a task for each round."""
    for number in range(ROUNDS):
        TaskServiceStub(channels[0]).CreateTask(task_pb2.CreateTaskRequest(task=factories.task(f"T{number}")))
    return [SessionServiceStub(channel) for channel in channels]


def turns(calls: Sequence[Callable[[], Any]]) -> Callable[[], Any]:
    """Run calls concurrently, each with the next request in turn. Return None for a call that lost a race."""
    waiting: Iterator[Callable[[], Any]] = cycle(calls)

    def take() -> Any:
        try:
            return next(waiting)()
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.FAILED_PRECONDITION)
            return None

    return take


def inits(stubs: list[SessionServiceStub], *requests: session_pb2.InitAgentRequest) -> Callable[[], Any]:
    """Return each request with each server, in turn."""
    return turns([partial(stub.InitAgent, request, timeout=20) for request in requests for stub in stubs])


def logged(channel: grpc.Channel, key: str) -> list[event_pb2.Event]:
    """Return the events of a session without context.assembled."""
    request = event_pb2.StreamTimelineRequest(filter=event_pb2.EventFilter(session_key=key))
    stream = EventServiceStub(channel).StreamTimeline(request, timeout=10)
    found = [event for message in stream for event in message.events.events]
    return [event for event in found if event.type != "orchestration.context.assembled"]


@lengths("rounds", short=1, long=ROUNDS)
def test_one_of_sixteen_identical_inits_starts_a_session(
    stubs: list[SessionServiceStub], channels: list[grpc.Channel], rounds: int
) -> None:
    for number in range(rounds):
        request = session_pb2.InitAgentRequest(
            task_code=f"T{number}", agent="ann", force_new=True, request_id=f"once-{number}"
        )

        answers = at_once(inits(stubs, request))

        first = answers[0].session
        assert all(answer.session == first and not answer.resumed for answer in answers)
        assert [event.type for event in logged(channels[0], first.key)] == ["orchestration.session.started"]
        assert stubs[1].InitAgent(request).session == first
        request.force_new = False
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
            stubs[0].InitAgent(request)


@lengths("rounds", short=1, long=ROUNDS)
def test_a_resume_that_is_retried_resumes_once(
    stubs: list[SessionServiceStub], channels: list[grpc.Channel], rounds: int
) -> None:
    for number in range(rounds):
        start = session_pb2.InitAgentRequest(task_code=f"T{number}", agent="ann")
        key = stubs[0].InitAgent(start).session.key
        request = session_pb2.InitAgentRequest(session_key=key, agent="bob", request_id=f"once-{number}")

        answers = at_once(inits(stubs, request))

        assert all(answer.session == answers[0].session and answer.resumed for answer in answers)
        assert len(logged(channels[0], key)) == 2


@lengths("rounds", short=1, long=ROUNDS)
def test_concurrent_starts_of_an_agent_make_one_session(
    stubs: list[SessionServiceStub], channels: list[grpc.Channel], rounds: int
) -> None:
    for number in range(rounds):
        request = session_pb2.InitAgentRequest(task_code=f"T{number}", agent="ann")

        answers = at_once(inits(stubs, request))

        [key] = {answer.session.key for answer in answers}
        assert Counter(answer.resumed for answer in answers) == {False: 1, True: CALLS - 1}
        revisions = [event.entity_revision for event in logged(channels[0], key)]
        assert revisions == list(range(1, CALLS + 1))


def test_of_concurrent_resumptions_the_last_agent_owns_the_session(
    stubs: list[SessionServiceStub], channels: list[grpc.Channel]
) -> None:
    key = stubs[0].InitAgent(session_pb2.InitAgentRequest(task_code="T0", agent="ann")).session.key
    asked = [session_pb2.InitAgentRequest(session_key=key, agent=agent) for agent in ("bob", "cid")]

    answers = at_once(inits(stubs, *asked))

    events = logged(channels[0], key)
    assert [event.entity_revision for event in events] == list(range(1, CALLS + 2))
    owners = {event.entity_revision: event.agent for event in events}
    assert {answer.session.revision: answer.session.agent for answer in answers} == {
        revision: owner for revision, owner in owners.items() if revision > 1
    }
    session = stubs[1].GetSession(session_pb2.GetSessionRequest(session_key=key)).session
    assert session.agent == owners[CALLS + 1]


@lengths("rounds", short=1, long=ROUNDS)
def test_nothing_happens_in_a_session_after_its_end(
    stubs: list[SessionServiceStub], channels: list[grpc.Channel], rounds: int
) -> None:
    for number in range(rounds):
        start = session_pb2.InitAgentRequest(task_code=f"T{number}", agent="ann")
        key = stubs[0].InitAgent(start).session.key
        activity = session_pb2.LogActivityRequest(session_key=key, kind="note", message="x")
        end = session_pb2.CloseSessionRequest(session_key=key)
        logs = [partial(stub.LogActivity, activity, timeout=20) for stub in (*stubs, stubs[0])]
        ends = [partial(stubs[1].CloseSession, end, timeout=20)]

        answers = at_once(turns([*logs, *ends]))

        acknowledged = [answer.event.id for answer in answers if hasattr(answer, "event")]
        [closed] = [answer.session for answer in answers if hasattr(answer, "session")]
        assert closed.status == common_pb2.SESSION_STATUS_COMPLETED
        started, *activities, ended = logged(channels[0], key)
        assert started.type == "orchestration.session.started"
        assert ended.type == "orchestration.session.closed"
        assert sorted(event.id for event in activities) == sorted(acknowledged)
