"""The rules for every field of every request: one table, enforced in one place.

``RULES`` gives each message its rules by field name; its parts stand by service in the modules beside.
They are compiled at import to plain functions (``rules``), so that a good request costs microseconds;
a field without a rule fails a test. What depends on stored state (a status change, a date beside one
that is already stored) is the services' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from orchestration_server.errors import InvalidArgument
from orchestration_server.validation import admin, agents, documents, events, work
from orchestration_server.validation.compiler import compile_rules
from orchestration_server.validation.constraints import Check, Rules
from orchestration_server.validation.request_parser import Unreadable
from orchestration_server.validation.work import SERVER_SET

__all__ = ["ACROSS", "RULES", "SERVER_SET", "check", "validate"]

RULES: Rules = {**work.RULES, **events.RULES, **agents.RULES, **documents.RULES, **admin.RULES}
ACROSS: Mapping[type[Message], Check] = {
    **work.ACROSS,
    **events.ACROSS,
    **agents.ACROSS,
    **documents.ACROSS,
    **admin.ACROSS,
}

_CHECKS = compile_rules(RULES, ACROSS)


def check(request: Any) -> None:
    """Raise InvalidArgument if a message of a stream does not parse or breaks a rule."""
    if isinstance(request, Unreadable):
        raise request.error
    validate(request)


def validate(request: Message) -> None:
    """Raises InvalidArgument with everything that is wrong with a request, by the field's path."""
    if found := _CHECKS[type(request)](request):
        raise InvalidArgument(found)
