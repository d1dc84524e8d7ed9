"""ContextService: contexts and the files that they name."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.v1 import context_pb2
from orchestration_server.codec.wire import RESULT_FIELD, embed
from orchestration_server.context.broker import Broker, Target, directory_of
from orchestration_server.model import Call, EntityType
from orchestration_server.workspace.reader import WorkspaceFiles
from orchestration_server.writes.gate import Gate

TARGET_TYPES = {
    "task_code": EntityType.TASK,
    "sprint_code": EntityType.SPRINT,
    "session_key": EntityType.SESSION,
}
"""The types of entities by the fields in which requests name a target."""
_FROM_CACHE = context_pb2.AssembleContextResponse(from_cache=True).SerializeToString()


class ContextService:
    """The rpcs of ContextService."""

    def __init__(self, gate: Gate, broker: Broker, files: WorkspaceFiles) -> None:
        self._gate = gate
        self._broker = broker
        self._files = files

    def AssembleContext(self, request: context_pb2.AssembleContextRequest, call: Call) -> bytes:
        found = self._broker.assemble(call, _target(request), request.options)
        if found.event is not None:
            self._gate.record(call, [found.event])
        return embed(RESULT_FIELD, found.body) + (_FROM_CACHE if found.from_cache else b"")

    def ReadContextFile(
        self, request: context_pb2.ReadContextFileRequest, call: Call
    ) -> Iterator[context_pb2.ReadContextFileResponse]:
        directory = directory_of(self._broker.version(call, _target(request)))
        first = True
        for data, size, digest in self._files.read(call, request.path, directory=directory):
            response = context_pb2.ReadContextFileResponse(data=data)
            if first:
                response.size, response.sha256 = size, digest
            yield response
            first = False


def _target(request: context_pb2.AssembleContextRequest | context_pb2.ReadContextFileRequest) -> Target:
    name = request.WhichOneof("target") or ""
    return Target(TARGET_TYPES[name], getattr(request, name))
