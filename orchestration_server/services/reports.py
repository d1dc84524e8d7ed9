"""ReportService."""

from __future__ import annotations

from orchestration.v1 import report_pb2
from orchestration_server.cache import Cache
from orchestration_server.convert import Tokens
from orchestration_server.db import Database
from orchestration_server.emission import Gate
from orchestration_server.errors import Unimplemented
from orchestration_server.model import Call


class ReportService:
    """Makes reports and documents."""

    def __init__(self, db: Database, gate: Gate, tokens: Tokens, cache: Cache) -> None:
        self._cache = cache
        self._db = db
        self._gate = gate
        self._tokens = tokens

    def GetSprintStatusReport(self, request: report_pb2.GetSprintStatusReportRequest, call: Call) -> bytes:
        raise Unimplemented("GetSprintStatusReport is not built yet")

    def CreateAdr(self, request: report_pb2.CreateAdrRequest, call: Call) -> bytes:
        raise Unimplemented("CreateAdr is not built yet")

    def CreateBugReport(self, request: report_pb2.CreateBugReportRequest, call: Call) -> bytes:
        raise Unimplemented("CreateBugReport is not built yet")
