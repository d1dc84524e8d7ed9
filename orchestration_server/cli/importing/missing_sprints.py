"""Creation of sprints that rows name and the ledger does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from orchestration.v1 import sprint_pb2
from orchestration_server.cli.importing.client import CallFailed, ImportClient
from orchestration_server.cli.importing.jsonl_format import ImportTaskRow
from orchestration_server.cli.importing.progress import Listing


class MissingSprints:
    """The sprints that the rows of one import name."""

    def __init__(self, client: ImportClient, listing: Listing) -> None:
        self._client = client
        self._listing = listing
        # The codes that were looked up, with True if a task may name the sprint.
        self._usable: dict[str, bool] = {}

    def with_usable_sprints(self, rows: Sequence[ImportTaskRow]) -> list[ImportTaskRow]:
        """Return the rows with sprints that exist. A sprint that was deleted is left out of its row."""
        settled: list[ImportTaskRow] = []
        for row in rows:
            code = row.new.task.sprint_code
            if code and code not in self._usable:
                self._usable[code] = self._make(row.line, code)
            if code and not self._usable[code]:
                self._listing.changed(row.line, f"task {row.code}: sprint {code} is deleted: left out")
                row = row.without(["sprint_code"])
            settled.append(row)
        return settled

    def _make(self, line: int, code: str) -> bool:
        """Create a sprint if it does not exist. Return False if it was deleted."""
        sprints = self._client.sprints
        request = sprint_pb2.GetSprintRequest(sprint_code=code)
        if self._allow_overwrite(sprints.GetSprint, request, unless=grpc.StatusCode.NOT_FOUND):
            return True
        sprint = sprint_pb2.Sprint(code=code, title=code)
        create = sprint_pb2.CreateSprintRequest(sprint=sprint)
        if not self._allow_overwrite(sprints.CreateSprint, create, unless=grpc.StatusCode.ALREADY_EXISTS):
            return False
        self._listing.changed(line, f"sprint {code} was not in the ledger: created in planning")
        return True

    def _allow_overwrite(self, method: Any, request: Any, *, unless: grpc.StatusCode) -> bool:
        """Call a method. Return False if it fails with the code `unless`."""
        try:
            self._client.call(method, request)
        except CallFailed as failure:
            if failure.code is not unless:
                raise
            return False
        return True
