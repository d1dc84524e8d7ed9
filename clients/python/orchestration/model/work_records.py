"""Records of coordination: dependencies, readiness, leases and attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestration.model.times import duration, moment, period
from orchestration.model.words import (
    ATTEMPT_OUTCOMES,
    DEPENDENCY_KINDS,
    REASON_KINDS,
    TASK_STATUSES,
    AttemptOutcome,
    DependencyKind,
    ReasonKind,
    TaskStatus,
)
from orchestration.v1 import coordination_pb2, lease_pb2


@dataclass(frozen=True, slots=True)
class Dependency:
    """A dependency of one task on another.

    Attributes:
        task: The code of the task that depends on the other one.
        on: The code of the task that it depends on.
        kind: "blocks", "parent_child", "discovered_from" or "related".
        raw: The message.
    """

    task: str
    on: str
    kind: DependencyKind
    raw: coordination_pb2.Dependency = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: coordination_pb2.Dependency) -> Dependency:
        """Return the record of a message."""
        return cls(raw.task_code, raw.depends_on_code, DEPENDENCY_KINDS.word(raw.kind), raw)


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for which a task is not ready, or an agent gets no task. str() is its sentence.

    Attributes:
        kind: The kind of the reason, such as "blocker" or "held".
        message: One sentence that says why, and what would change it.
        subject: The code of the task, sprint, agent, label, provider or capability that it is about.
        status: The status of the blocking task or of the task itself, if the reason is about one.
        holder: The agent that holds the task or its blocker, or that paused the work.
        until: When the reason ends by itself, if it does.
        tasks: The number of tasks that the reason keeps from the agent; 0 in the explanation of one task.
        raw: The message.
    """

    kind: ReasonKind
    message: str
    subject: str
    status: TaskStatus | None
    holder: str
    until: datetime | None
    tasks: int
    raw: coordination_pb2.ReadinessReason = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.message

    @classmethod
    def of(cls, raw: coordination_pb2.ReadinessReason) -> Reason:
        """Return the record of a message."""
        return cls(
            REASON_KINDS.word(raw.kind),
            raw.message,
            raw.subject,
            TASK_STATUSES.optional(raw.status),
            raw.holder,
            moment(raw.until) if raw.HasField("until") else None,
            raw.tasks,
            raw,
        )


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why a task is ready or not, or what an agent would get. It is true if a claim would succeed now.

    Attributes:
        ready: True if a claim would succeed now.
        reasons: All reasons, if it would not.
        tasks_before: The number of tasks that claims take before it; 0 without a task.
        ready_tasks: The number of tasks that are ready for the agent; 0 with a task.
        partial: True if there are more tasks than were looked at. ``ready`` is about all of them.
        raw: The message.
    """

    ready: bool
    reasons: tuple[Reason, ...]
    tasks_before: int
    ready_tasks: int
    partial: bool
    raw: coordination_pb2.ExplainReadinessResponse = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.ready

    def __str__(self) -> str:
        return "ready" if self.ready else "\n".join(reason.message for reason in self.reasons)

    @classmethod
    def of(cls, raw: coordination_pb2.ExplainReadinessResponse) -> Readiness:
        """Return the record of a message."""
        reasons = tuple(Reason.of(each) for each in raw.reasons)
        return cls(raw.ready, reasons, raw.tasks_before, raw.ready_tasks, raw.partial, raw)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of an agent to work on a task for a limited time.

    Attributes:
        task: The code of the task.
        fence: The number that proves the lease. Every later lease of the task has a higher one.
        attempt: The number of the attempt, counted from 1 for each task.
        agent: The agent that holds the lease.
        session: The session that holds the lease.
        started: When the task was claimed.
        expires: When the lease ends unless a heartbeat extends it.
        duration: How far each heartbeat extends the lease.
        deadline: When the attempt ends even if heartbeats arrive, if it does.
        raw: The message.
    """

    task: str
    fence: int
    attempt: int
    agent: str
    session: str
    started: datetime
    expires: datetime
    duration: timedelta
    deadline: datetime | None
    raw: lease_pb2.Lease = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: lease_pb2.Lease) -> Lease:
        """Return the record of a message."""
        return cls(
            raw.task_code,
            raw.fence,
            raw.attempt,
            raw.agent,
            raw.session_key,
            moment(raw.start_time),
            moment(raw.expire_time),
            period(raw.duration),
            moment(raw.deadline) if raw.HasField("deadline") else None,
            raw,
        )


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """The use of one model in an attempt.

    Attributes:
        model: The name of the model.
        provider: The provider of the model.
        input_tokens: The number of tokens that the model read.
        output_tokens: The number of tokens that the model wrote.
        cached_tokens: The number of those input tokens that came from the provider's cache.
        cost_micros: The cost in millionths of a US dollar.
    """

    model: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_micros: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used.

    Attributes:
        models: The use of models, up to 20.
        tool_calls: The number of calls of tools.
        wall_time: The time that the work took, as the holder measured it.
    """

    models: tuple[ModelUsage, ...] = ()
    tool_calls: int = 0
    wall_time: timedelta | None = None

    def message(self) -> lease_pb2.Usage:
        """Return the message of the usage."""
        return lease_pb2.Usage(
            models=[
                lease_pb2.ModelUsage(
                    provider=each.provider, model=each.model, input_tokens=each.input_tokens,
                    output_tokens=each.output_tokens, cached_tokens=each.cached_tokens,
                    cost_micros=each.cost_micros,
                )
                for each in self.models
            ],
            tool_calls=self.tool_calls,
            wall_time=None if self.wall_time is None else duration(self.wall_time),
        )  # fmt: skip

    @classmethod
    def of(cls, raw: lease_pb2.Usage) -> Usage:
        """Return the record of a message."""
        models = tuple(
            ModelUsage(
                each.model, each.provider, each.input_tokens, each.output_tokens, each.cached_tokens,
                each.cost_micros,
            )
            for each in raw.models
        )  # fmt: skip
        return cls(models, raw.tool_calls, period(raw.wall_time) if raw.HasField("wall_time") else None)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that an attempt produced.

    Attributes:
        name: The name of the artifact.
        uri: Where the artifact is.
        hash: A hash of the artifact, in the form that the caller uses.
    """

    name: str
    uri: str = ""
    hash: str = ""

    def message(self) -> lease_pb2.Artifact:
        """Return the message of the artifact."""
        return lease_pb2.Artifact(name=self.name, uri=self.uri, hash=self.hash)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one holder at a task, from claim to end.

    Attributes:
        task: The code of the task.
        number: The number of the attempt, counted from 1 for each task.
        fence: The fence of the lease.
        agent: The agent that made the attempt.
        session: The session that made the attempt.
        outcome: How the attempt ended, or None while it is open.
        reason: The reason that was given at the end.
        retryable: False if the holder said that another try cannot succeed.
        usage: What the attempt used.
        artifacts: What the attempt produced.
        started: When the task was claimed; None in a history, which leaves the times to the change.
        ended: When the attempt ended.
        raw: The message.
    """

    task: str
    number: int
    fence: int
    agent: str
    session: str
    outcome: AttemptOutcome | None
    reason: str
    retryable: bool
    usage: Usage
    artifacts: tuple[Artifact, ...]
    started: datetime | None
    ended: datetime | None
    raw: lease_pb2.Attempt = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: lease_pb2.Attempt) -> Attempt:
        """Return the record of a message."""
        return cls(
            raw.task_code,
            raw.number,
            raw.fence,
            raw.agent,
            raw.session_key,
            ATTEMPT_OUTCOMES.optional(raw.outcome),
            raw.reason,
            not raw.not_retryable,
            Usage.of(raw.usage),
            tuple(Artifact(each.name, each.uri, each.hash) for each in raw.artifacts),
            moment(raw.start_time) if raw.HasField("start_time") else None,
            moment(raw.end_time) if raw.HasField("end_time") else None,
            raw,
        )
