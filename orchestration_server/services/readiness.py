"""The rpc of CoordinationService that explains readiness."""

from __future__ import annotations

from orchestration.v1 import coordination_pb2
from orchestration_server.db.database import Database
from orchestration_server.errors import NotFound
from orchestration_server.model import Call
from orchestration_server.store import readiness as readiness_store
from orchestration_server.store.claims import Claimer, TaskFilter
from orchestration_server.work import readiness
from orchestration_server.work.claiming import Claiming


class ReadinessRpcs:
    """The rpc about readiness. CoordinationService inherits it."""

    _db: Database
    _claiming: Claiming

    def ExplainReadiness(self, request: coordination_pb2.ExplainReadinessRequest, call: Call) -> bytes:
        claimer = Claimer(
            request.agent or call.agent, call.session_key, request.provider, sorted(set(request.capabilities))
        )
        if not request.task_code:
            tasks = TaskFilter(request.sprint_code, tuple(request.labels), tuple(request.priorities))
            with self._db.connection(call) as conn:
                counted = readiness_store.for_claimer(
                    conn, project=call.project, claimer=claimer, tasks=tasks
                )
            # The counts are of the first tasks alone; others may be ready.
            ready = self._claiming.any_ready(call, tasks, claimer)
            return readiness.summary(counted, ready=ready).SerializeToString()
        with self._db.connection(call) as conn:
            found = readiness_store.of_task(
                conn, project=call.project, code=request.task_code, claimer=claimer,
                order=self._claiming.order,
            )  # fmt: skip
        if found is None:
            raise NotFound("task", request.task_code)
        return coordination_pb2.ExplainReadinessResponse(
            ready=not found.unready,
            reasons=readiness.reasons(found.unready, found.causes),
            tasks_before=found.before,
        ).SerializeToString()
