"""Blocking of tasks whose blockers could not be loaded, so that they are not ready by mistake."""

from __future__ import annotations

from collections.abc import Container

import grpc

from orchestration.v1 import common_pb2, task_pb2
from orchestration_server.cli.importing.client import CallFailed, ImportClient
from orchestration_server.cli.importing.progress import Listing
from orchestration_server.cli.importing.row_notes import NOT_READY, join_reasons

# A task that others change at the same time is read again, this often.
_TRIES = 5


class UnmetBlockers:
    """The tasks of one import that wait for a task that could not be loaded."""

    def __init__(self, client: ImportClient, listing: Listing) -> None:
        self._client = client
        self._listing = listing
        self._reasons: dict[str, tuple[int, list[str]]] = {}

    def add(self, line: int, code: str, reason: str) -> None:
        """Note that a task must not be ready."""
        self._reasons.setdefault(code, (line, []))[1].append(reason)

    def apply(self, made: Container[str]) -> None:
        """Block the noted tasks. `made` has the codes of tasks that this run created.

        A task of an earlier run is blocked only if nobody has changed it since, so that a second run does not
        undo a person's decision.
        """
        for code, (line, reasons) in self._reasons.items():
            reason = join_reasons(reasons)
            if self._block(code, reason, created=code in made):
                self._listing.changed(line, f"task {code}: not ready: {reason}")
        self._reasons.clear()

    def _block(self, code: str, reason: str, *, created: bool) -> bool:
        for _ in range(_TRIES):
            try:
                answer = self._client.call(
                    self._client.tasks.GetTask, task_pb2.GetTaskRequest(task_code=code)
                )
                task = answer.task
                if task.status != common_pb2.TASK_STATUS_PENDING or NOT_READY in task.metadata.fields:
                    return False
                if not created and task.revision != 1:
                    return False
                self._update(task, reason)
            except CallFailed as failure:
                if failure.code is grpc.StatusCode.NOT_FOUND:
                    return False
                if failure.code is not grpc.StatusCode.ABORTED:
                    raise
            else:
                return True
        return False

    def _update(self, task: task_pb2.Task, reason: str) -> None:
        blocked = task_pb2.Task(code=task.code, status=common_pb2.TASK_STATUS_BLOCKED)
        blocked.metadata.CopyFrom(task.metadata)
        blocked.metadata.update({NOT_READY: reason})
        request = task_pb2.UpdateTaskRequest(task=blocked, expected_revision=task.revision)
        request.update_mask.paths.extend(["status", "metadata"])
        try:
            self._client.call(self._client.tasks.UpdateTask, request, final=grpc.StatusCode.ABORTED)
        except CallFailed as failure:
            if failure.code is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            # The metadata is full, so only the event has the reason.
            status = task_pb2.UpdateTaskStatusRequest(
                task_code=task.code,
                status=common_pb2.TASK_STATUS_BLOCKED,
                reason=reason,
                expected_revision=task.revision,
            )
            self._client.call(self._client.tasks.UpdateTaskStatus, status, final=grpc.StatusCode.ABORTED)
