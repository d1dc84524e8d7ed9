"""The rules of session.proto and context.proto."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf.message import Message

from orchestration.v1 import context_pb2, session_pb2
from orchestration_server import names
from orchestration_server.validation.constraints import (
    Check,
    EnumValue,
    Flag,
    Int,
    Items,
    Json,
    Pattern,
    Rule,
    Rules,
    Sub,
    Text,
    Violations,
)
from orchestration_server.validation.fields import (
    AGENT,
    CODE,
    CODE_OR_NONE,
    CURSOR_OR_NONE,
    EMITTED_POLICY,
    PAGE,
    REASON,
    REQUEST_ID,
    SESSION_STATUS,
    enum_of,
    one_of,
)

_SHORT_FORM = Pattern(
    re.compile(f"(T|S|SESSION):{names.CODE.pattern}"),
    'must be "T:" and a task\'s code, "S:" and a sprint\'s, or "SESSION:" and a session\'s key',
    high=len("SESSION:") + 128,
    required=True,
)
_PART = r"(?!\.{1,2}(/|\Z))[^/\\\x00-\x1f\x7f]+"
_PATH = Pattern(
    re.compile(f"{_PART}(/{_PART})*"),
    'must be a path of at most 512 characters below the workspace: parts joined by "/", none of them empty,'
    ' "." or "..", without backslashes and control characters',
    high=512,
    required=True,
)
_KIND = Pattern(
    re.compile(r"[a-z0-9_-]+"), "must be 1 to 64 characters of [a-z0-9_-]", high=64, required=True
)
_SECTIONS = context_pb2.DESCRIPTOR.enum_types_by_name["ContextSection"]
_TARGET: dict[str, Rule] = {"task_code": CODE, "sprint_code": CODE, "session_key": CODE}
_OPTIONS = Sub(context_pb2.ContextOptions)


def _allowed_together(options: context_pb2.ContextOptions) -> Violations | None:
    found = {}
    if context_pb2.CONTEXT_SECTION_TARGET in options.omit_sections:
        found["omit_sections"] = "must not have TARGET"
    if options.include_ids and options.format == context_pb2.CONTEXT_FORMAT_MARKDOWN:
        found["include_ids"] = "is not possible with MARKDOWN, which has no ids"
    return found or None


def _resumed_or_new(request: session_pb2.InitAgentRequest) -> Violations | None:
    if found := _one_target(request):
        return found
    if not (request.HasField("session_key") or request.short_form.startswith("SESSION:")):
        return None
    given = [name for name in ("new_session_key", "force_new") if getattr(request, name)]
    return dict.fromkeys(given, "must not be given with a session to resume") or None


_one_target = one_of(session_pb2.InitAgentRequest, "target")

RULES: Rules = {
    # session.proto
    session_pb2.InitAgentRequest: {
        **_TARGET,
        "short_form": _SHORT_FORM,
        "agent": AGENT,
        "new_session_key": CODE_OR_NONE,
        "force_new": Flag(),
        "metadata": Json(),
        "context_options": _OPTIONS,
        "request_id": REQUEST_ID,
    },
    session_pb2.GetSessionRequest: {"session_key": CODE},
    session_pb2.ListSessionsRequest: {
        "statuses": Items(3, EnumValue(SESSION_STATUS, required=True)),
        "agent": AGENT,
        "task_code": CODE,
        "sprint_code": CODE,
        **PAGE,
    },
    session_pb2.GetSessionContextRequest: {"session_key": CODE, "options": _OPTIONS},
    session_pb2.LogActivityRequest: {
        "session_key": CODE,
        "kind": _KIND,
        "message": Text(1, 10_000),
        "payload": Json(),
        "request_id": REQUEST_ID,
        "emission_policy": EMITTED_POLICY,
    },
    session_pb2.PauseSessionRequest: {"session_key": CODE, "reason": REASON, "request_id": REQUEST_ID},
    session_pb2.CloseSessionRequest: {
        "session_key": CODE,
        "summary": Text(0, 10_000),
        "outcome": enum_of(session_pb2.CloseSessionRequest, "outcome"),
        "request_id": REQUEST_ID,
    },
    # context.proto
    context_pb2.ContextOptions: {
        "max_events": Int(0, 500),
        "token_budget": Int(200, 1_000_000, or_zero=True),
        "since_cursor": CURSOR_OR_NONE,
        "omit_sections": Items(14, EnumValue(_SECTIONS, required=True), unique=True),
        "include_ids": Flag(),
        "format": enum_of(context_pb2.ContextOptions, "format"),
        **PAGE,
    },
    context_pb2.AssembleContextRequest: {**_TARGET, "options": _OPTIONS},
    context_pb2.ReadContextFileRequest: {**_TARGET, "path": _PATH},
}

ACROSS: Mapping[type[Message], Check] = {
    session_pb2.InitAgentRequest: _resumed_or_new,
    context_pb2.ContextOptions: _allowed_together,
    context_pb2.AssembleContextRequest: one_of(context_pb2.AssembleContextRequest, "target"),
    context_pb2.ReadContextFileRequest: one_of(context_pb2.ReadContextFileRequest, "target"),
}
