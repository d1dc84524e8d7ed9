"""The constraints of every field of every request, in one table.

``RULES`` maps each message to the rules of its fields. Its parts are in the modules beside, one for each
proto. The rules are compiled to functions at import, so a valid request costs microseconds. A test fails if a
field has no rule. Constraints that depend on stored state, such as a change of status, belong to the
services.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from orchestration_server.errors import InvalidArgument
from orchestration_server.validation import admin, agents, documents, events, leases, schedules, work
from orchestration_server.validation.compiler import compile_rules
from orchestration_server.validation.constraints import Check, Rules
from orchestration_server.validation.request_parser import Unreadable
from orchestration_server.validation.work import SERVER_SET

__all__ = ["ACROSS", "RULES", "SERVER_SET", "check", "validate"]

RULES: Rules = {
    **work.RULES,
    **leases.RULES,
    **events.RULES,
    **agents.RULES,
    **documents.RULES,
    **schedules.RULES,
    **admin.RULES,
}
ACROSS: Mapping[type[Message], Check] = {
    **work.ACROSS,
    **leases.ACROSS,
    **events.ACROSS,
    **agents.ACROSS,
    **documents.ACROSS,
    **schedules.ACROSS,
    **admin.ACROSS,
}

_CHECKS = compile_rules(RULES, ACROSS)


def check(request: Any) -> None:
    """Raise InvalidArgument if a message of a stream does not parse or breaks a rule."""
    if isinstance(request, Unreadable):
        raise request.error
    validate(request)


def validate(request: Message) -> None:
    """Raise InvalidArgument with all violations of a request, by the path of the field."""
    if found := _CHECKS[type(request)](request):
        raise InvalidArgument(found)
