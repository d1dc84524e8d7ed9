"""The rules of admin.proto."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import admin_pb2
from orchestration_server.rules import Check, Rules

RULES: Rules = {
    admin_pb2.GetServerInfoRequest: {},
    admin_pb2.GetStorageStatsRequest: {},
}
ACROSS: Mapping[type[Message], Check] = {}
