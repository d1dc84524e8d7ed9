"""The agent of agent.py with the generated stubs alone: `python agent_with_stubs.py SPRINT`.

It does what the client does for agent.py: metadata, deadlines, retries, heartbeats, and no task twice.
"""

import json
import os
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # it has no types
from grpc_status import rpc_status  # type: ignore[import-untyped]  # as above

from orchestration.v1.common_pb2 import ENTITY_TYPE_TASK
from orchestration.v1.context_pb2 import AssembleContextRequest, Context, ContextOptions
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.coordination_pb2 import (
    LEASE_STATUS_HELD,
    ClaimedTask,
    ClaimTaskRequest,
    HeartbeatRequest,
    LeaseRef,
    ListReadyTasksRequest,
    ReleaseTaskRequest,
)
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.event_pb2 import EmitEventRequest, NewEvent
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.lease_pb2 import (
    ATTEMPT_OUTCOME_COMPLETED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_RETURNED,
    AttemptOutcome,
    Usage,
)
from orchestration.v1.report_pb2 import GetSprintStatusReportRequest
from orchestration.v1.report_pb2_grpc import ReportServiceStub

METADATA: tuple[tuple[str, str | bytes], ...] = (
    ("orchestration-agent", "builder-1"),
    ("orchestration-project", os.environ.get("ORCHESTRATION_PROJECT") or "default"),
)
SECONDS = 10.0


def ask_model(prompt: str) -> str:
    """Stand for a call of a model."""
    return f"read {len(prompt.split())} words"


def reason_of(error: grpc.RpcError) -> str:
    """Return the reason of an error; empty if it has none."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def text_of(context: Context) -> str:
    """Return a context as JSON, for a model."""
    return json.dumps(json_format.MessageToDict(context, preserving_proto_field_name=True))


class Agent:
    """An agent with a channel of its own."""

    def __init__(self, address: str, config: str) -> None:
        options: Sequence[tuple[str, str]] = [("grpc.service_config", config)]
        self.channel = grpc.insecure_channel(address, options)
        self.coordination = CoordinationServiceStub(self.channel)
        self.contexts = ContextServiceStub(self.channel)
        self.events = EventServiceStub(self.channel)
        self.reports = ReportServiceStub(self.channel)
        self.given_back: set[str] = set()

    def beat(self, claimed: ClaimedTask, stop: threading.Event, lost: threading.Event) -> None:
        """Keep a lease until the work has ended."""
        pause = claimed.lease.duration.ToTimedelta().total_seconds() / 3
        lease = LeaseRef(task_code=claimed.lease.task_code, fence=claimed.lease.fence)
        while not stop.wait(pause):
            try:
                answer = self.coordination.Heartbeat(
                    HeartbeatRequest(leases=[lease]), metadata=METADATA, timeout=pause
                )
            except grpc.RpcError:
                continue
            if answer.leases[0].status != LEASE_STATUS_HELD:
                lost.set()
                return

    def claim(self, sprint: str) -> ClaimedTask | None:
        """Claim the next ready task that this agent has not given back."""
        request = ListReadyTasksRequest(sprint_code=sprint, page_size=500)
        while True:
            page = self.coordination.ListReadyTasks(request, metadata=METADATA, timeout=SECONDS)
            for task in page.tasks:
                if task.code in self.given_back:
                    continue
                wanted = ClaimTaskRequest(task_code=task.code, request_id=uuid.uuid4().hex)
                try:
                    answer = self.coordination.ClaimTask(wanted, metadata=METADATA, timeout=SECONDS)
                except grpc.RpcError as error:
                    if reason_of(error) not in ("TASK_HELD", "TASK_NOT_READY", "NOT_FOUND"):
                        raise
                else:
                    return answer.claims[0]
            if not page.next_page_token:
                return None
            request.page_token = page.next_page_token

    def work_on(self, claimed: ClaimedTask) -> None:
        """Do the work of one task."""
        event = NewEvent(
            type="agent.work.logged", entity_type=ENTITY_TYPE_TASK, entity_code=claimed.task.code
        )
        event.payload.update({"message": "started", "attempt": claimed.lease.attempt})
        logged = EmitEventRequest(event=event, request_id=uuid.uuid4().hex)
        self.events.EmitEvent(logged, metadata=METADATA, timeout=SECONDS)
        asked = AssembleContextRequest(
            task_code=claimed.task.code, options=ContextOptions(token_budget=2_000)
        )
        context = self.contexts.AssembleContext(asked, metadata=METADATA, timeout=SECONDS).context
        answer = ask_model(text_of(context))
        if "enough for today" in answer:
            self.given_back.add(claimed.task.code)
            self.release(claimed, ATTEMPT_OUTCOME_RETURNED, answer)
        else:
            self.release(claimed, ATTEMPT_OUTCOME_COMPLETED, answer, Usage(tool_calls=1))

    def release(
        self,
        claimed: ClaimedTask,
        outcome: AttemptOutcome.ValueType,
        reason: str,
        usage: Usage | None = None,
    ) -> None:
        """End the attempt."""
        request = ReleaseTaskRequest(
            task_code=claimed.task.code,
            fence=claimed.lease.fence,
            outcome=outcome,
            reason=reason[:2_000],
            usage=usage,
            request_id=uuid.uuid4().hex,
        )
        self.coordination.ReleaseTask(request, metadata=METADATA, timeout=SECONDS)

    def run(self, sprint: str) -> None:
        """Take ready work until there is none, and print the report of the sprint."""
        while (claimed := self.claim(sprint)) is not None:
            stop, lost = threading.Event(), threading.Event()
            beating = threading.Thread(target=self.beat, args=(claimed, stop, lost), daemon=True)
            beating.start()
            try:
                self.work_on(claimed)
            except grpc.RpcError as error:
                print(claimed.task.code, error.details())
                if not lost.is_set() and reason_of(error) != "STALE_FENCE":
                    self.release(claimed, ATTEMPT_OUTCOME_FAILED, str(error.details()))
            finally:
                stop.set()
                beating.join()
        request = GetSprintStatusReportRequest(sprint_code=sprint, include_markdown=True)
        print(self.reports.GetSprintStatusReport(request, metadata=METADATA, timeout=SECONDS).markdown)


if __name__ == "__main__":
    service_config = Path(__file__).parents[2] / "service_config.json"
    agent = Agent(os.environ.get("ORCHESTRATION_ADDRESS", "127.0.0.1:20051"), service_config.read_text())
    agent.run(sys.argv[1])
