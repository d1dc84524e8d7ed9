"""Random calls of agents: each session equals a plain model of it."""

from dataclasses import dataclass, replace
from itertools import count

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import common_pb2, session_pb2, task_pb2
from orchestration.v1.session_pb2_grpc import SessionServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import Metadata, refused

pytestmark = pytest.mark.shared_server

ACTIVE = common_pb2.SESSION_STATUS_ACTIVE
PAUSED = common_pb2.SESSION_STATUS_PAUSED
COMPLETED = common_pb2.SESSION_STATUS_COMPLETED
AGENTS = ("ann", "bob")
TASKS = ("a", "b")
_projects = count()


@dataclass(frozen=True)
class Step:
    """One call, on a target or on an existing session."""

    what: str
    agent: str
    task: str
    session: int


@dataclass(frozen=True)
class Known:
    """The expected state of a session."""

    key: str
    task: str
    agent: str
    status: int = ACTIVE
    revision: int = 1

    def changed(self, **fields: object) -> "Known":
        return replace(self, revision=self.revision + 1, **fields)  # type: ignore[arg-type]  # any field

    @staticmethod
    def of(session: common_pb2.Session) -> "Known":
        return Known(session.key, session.target_code, session.agent, session.status, session.revision)


STEPS = st.builds(
    Step,
    what=st.sampled_from(["init", "init", "force", "resume", "pause", "close", "log"]),
    agent=st.sampled_from(AGENTS),
    task=st.sampled_from(TASKS),
    session=st.integers(0, 3),
)


class Model:
    """The model of one project's sessions, oldest first, checked against the ledger."""

    def __init__(self, stub: SessionServiceStub, metadata: Metadata) -> None:
        self.stub = stub
        self.metadata = metadata
        self.known: list[Known] = []

    def play(self, step: Step) -> None:
        if step.what in ("init", "force"):
            self.begin(step)
        elif self.known:
            self.act(step, step.session % len(self.known))

    def begin(self, step: Step) -> None:
        force = step.what == "force"
        request = session_pb2.InitAgentRequest(task_code=step.task, agent=step.agent, force_new=force)
        answer = self.stub.InitAgent(request, metadata=self.metadata)
        open_ = [
            index
            for index, one in enumerate(self.known)
            if (one.task, one.agent) == (step.task, step.agent) and one.status != COMPLETED
        ]
        assert answer.resumed == (bool(open_) and not force)
        if answer.resumed:
            self.known[open_[-1]] = self.known[open_[-1]].changed(status=ACTIVE)
            assert Known.of(answer.session) == self.known[open_[-1]]
        else:
            self.known.append(Known(answer.session.key, step.task, step.agent))
            assert Known.of(answer.session) == self.known[-1]

    def act(self, step: Step, index: int) -> None:
        one = self.known[index]
        if one.status == COMPLETED:
            with refused(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_CLOSED"):
                self.call(step, one.key)
            return
        self.call(step, one.key)
        if step.what == "resume":
            self.known[index] = one.changed(status=ACTIVE, agent=step.agent)
        elif step.what == "close":
            self.known[index] = one.changed(status=COMPLETED)
        elif step.what == "pause" and one.status == ACTIVE:
            self.known[index] = one.changed(status=PAUSED)

    def call(self, step: Step, key: str) -> None:
        if step.what == "resume":
            resume = session_pb2.InitAgentRequest(session_key=key, agent=step.agent)
            self.stub.InitAgent(resume, metadata=self.metadata)
        elif step.what == "pause":
            pause = session_pb2.PauseSessionRequest(session_key=key)
            self.stub.PauseSession(pause, metadata=self.metadata)
        elif step.what == "close":
            close = session_pb2.CloseSessionRequest(session_key=key)
            self.stub.CloseSession(close, metadata=self.metadata)
        else:
            activity = session_pb2.LogActivityRequest(session_key=key, kind="note", message="x")
            self.stub.LogActivity(activity, metadata=self.metadata)

    def listed(self, **fields: object) -> list[Known]:
        request = session_pb2.ListSessionsRequest(**fields)  # type: ignore[arg-type]  # any field
        page = self.stub.ListSessions(request, metadata=self.metadata)
        return [Known.of(session) for session in page.sessions]


@settings(max_examples=40)
@given(steps=st.lists(STEPS, min_size=1, max_size=15))
def test_sessions_equal_the_model(
    sessions: SessionServiceStub, tasks: TaskServiceStub, steps: list[Step]
) -> None:
    metadata = (("orchestration-project", f"history-{next(_projects)}"),)
    for code in TASKS:
        tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(code)), metadata=metadata)
    model = Model(sessions, metadata)

    for step in steps:
        model.play(step)

    newest_first = model.known[::-1]
    assert model.listed() == newest_first
    assert model.listed(statuses=[ACTIVE, PAUSED]) == [one for one in newest_first if one.status != COMPLETED]
    for agent in AGENTS:
        assert model.listed(agent=agent) == [one for one in newest_first if one.agent == agent]
    for task in TASKS:
        assert model.listed(task_code=task) == [one for one in newest_first if one.task == task]
