"""A compiler from the rules of a message to one function that checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from orchestration_server.validation.constraints import REQUIRED, Check, Compiled, Masked, Rules, Violations


def compile_rules(rules: Rules, across: Mapping[type[Message], Check]) -> Mapping[type[Message], Check]:
    """Return the check of each message: the rules of its fields, and those across fields."""
    checks: dict[type[Message], Check] = {}

    def compiled(message: type[Message]) -> Check:
        if message not in checks:
            checks[message] = _compile(message, rules, across, compiled)
        return checks[message]

    for message in rules:
        compiled(message)
    return checks


def _compile(
    message: type[Message], rules: Rules, rules_across: Mapping[type[Message], Check], compiled: Compiled
) -> Check:
    fields = message.DESCRIPTOR.fields_by_name
    scalars: list[tuple[str, Check]] = []
    optional: list[tuple[str, Check, bool]] = []
    across = [rules_across[message]] if message in rules_across else []
    for name, rule in rules[message].items():
        if isinstance(rule, Masked):
            across.insert(0, _masked(name, rule, rules, compiled))
        elif one := rule.check(compiled):
            if fields[name].has_presence:
                in_oneof = fields[name].containing_oneof is not None
                optional.append((name, one, rule.required and not in_oneof))
            else:
                scalars.append((name, one))
    return _walk(tuple(scalars), tuple(optional), tuple(across))


def _walk(
    scalars: tuple[tuple[str, Check], ...],
    optional: tuple[tuple[str, Check, bool], ...],
    across: tuple[Check, ...],
) -> Check:
    def check(message: Any) -> Violations | None:
        found: Violations = {}
        for name, one in scalars:
            if bad := one(getattr(message, name)):
                found |= {name + path: text for path, text in bad.items()}
        for name, one, required in optional:
            if message.HasField(name):
                if bad := one(getattr(message, name)):
                    found |= {name + path: text for path, text in bad.items()}
            elif required:
                found[name] = REQUIRED
        for rule in across:
            if bad := rule(message):
                found = bad | found
        return found or None

    return check


def _masked(name: str, rule: Masked, rules: Rules, compiled: Compiled) -> Check:
    """Return the check of an update: the entity's code and the fields that update_mask names."""
    inner = {**rules[rule.message], **dict(rule.stricter)}
    checks = {field: one for field, each in inner.items() if (one := each.check(compiled))}

    def check(request: Any) -> Violations | None:
        if not request.HasField(name):
            return {name: REQUIRED}
        entity = getattr(request, name)
        found: Violations = {}
        for field in dict.fromkeys(("code", *request.update_mask.paths)):
            if (one := checks.get(field)) and (bad := one(getattr(entity, field))):
                found |= {f"{name}.{field}{path}": text for path, text in bad.items()}
        return found or None

    return check
