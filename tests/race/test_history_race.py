"""Under concurrent writes a rebuilt entity equals the stored one, and its past does not change."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.common_pb2 import EntityType
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import must_be

WRITERS = 4
READERS = 2
CHANGES = 25
READS = 40


def test_verification_holds_while_others_write(tasks: TaskServiceStub, events: EventServiceStub) -> None:
    tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task("A")))
    together = Barrier(WRITERS + READERS)

    def write(writer: int) -> list[task_pb2.Task]:
        together.wait()
        found = []
        for n in range(CHANGES):
            task = factories.task("A", title=f"{writer}-{n}", assignee=str(writer), phase=str(n % 3))
            mask = FieldMask(paths=["title", "assignee", "phase"])
            try:
                request = task_pb2.UpdateTaskRequest(task=task, update_mask=mask)
                found.append(tasks.UpdateTask(request).task)
            except grpc.RpcError as error:
                must_be(error, grpc.StatusCode.ABORTED)
        return found

    def read(_: int) -> list[task_pb2.Task]:
        together.wait()
        found = []
        for _ in range(READS):
            answer = rebuild(events, verify=True)
            assert answer.verification.equal, answer.verification
            found.append(answer.task)
        return found

    with ThreadPoolExecutor(WRITERS + READERS) as pool:
        written = [pool.submit(write, n) for n in range(WRITERS)]
        seen = [pool.submit(read, n) for n in range(READERS)]
        known = {task.revision: task for done in written for task in done.result()}
        for reader in seen:
            revisions = [task.revision for task in reader.result()]
            assert revisions == sorted(revisions)
            assert all(task == known[task.revision] for task in reader.result() if task.revision > 1)

    assert sorted(known) == list(range(2, len(known) + 2))
    for revision, task in known.items():
        assert rebuild(events, revision=revision).task == task


def rebuild(events: EventServiceStub, **asked: Any) -> event_pb2.ReconstructStateResponse:
    request = event_pb2.ReconstructStateRequest(
        entity_type=EntityType.ENTITY_TYPE_TASK, entity_code="A", **asked
    )
    return events.ReconstructState(request)
