"""Conversion of any values to fields of a task that the ledger accepts.

Only a task's code and title are essential. Any other field is cut at the ledger's limit or left out rather
than losing the row. The original is kept in the metadata, with a note. Both importers use this module.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import task_pb2
from orchestration_server import names
from orchestration_server.cli.importing import values
from orchestration_server.cli.importing.row_notes import RowNotes, brief
from orchestration_server.codec.retry_policies import to_retry_policy
from orchestration_server.codec.timestamps import to_timestamp
from orchestration_server.errors import InvalidArgument
from orchestration_server.validation import validate
from orchestration_server.validation.constraints import LAST_SECOND, STRUCT_BYTES, Items, Text
from orchestration_server.validation.occur_time import MAX_AHEAD_SECONDS
from orchestration_server.validation.work import RULES

# The metadata is smaller than a field above this limit, so it keeps only the part that does not fit.
_LONG = 10_000
_SINGULAR = {"labels": "a label", "capabilities": "a capability"}


def limit(name: str) -> int:
    """Return the maximum length of a text field of a task."""
    rule = RULES[task_pb2.Task][name]
    assert isinstance(rule, Text)
    return rule.high


def _limits(name: str) -> tuple[int, int]:
    rule = RULES[task_pb2.Task][name]
    assert isinstance(rule, Items)
    assert isinstance(rule.rule, Text)
    return rule.high, rule.rule.high


def text(value: Any, name: str, notes: RowNotes, *, most: int) -> str:
    """Return a text field of at most `most` characters; empty if the value is missing or no text."""
    plain = _scalar(value)
    if plain is None:
        if value not in ([], {}, None):
            notes.keep(name, value)
            notes.changes.append(f"{name} is no text: left out")
        return ""
    plain = values.text_of(plain, name, notes)
    if len(plain) <= most:
        return plain
    if most >= _LONG:
        notes.keep(f"{name}_rest", plain[most:])
        notes.changes.append(
            f"{name} has {len(plain):,} characters: cut to {most:,}, the rest is kept in the metadata"
        )
    else:
        notes.keep(name, plain)
        notes.changes.append(f"{name} has {len(plain):,} characters: cut to {most:,}")
    return plain[:most]


def assignee(value: Any, notes: RowNotes) -> str:
    """Return the assignee. Of a list, return the first name and keep the list in the metadata."""
    if not isinstance(value, list):
        return text(value, "assignee", notes, most=limit("assignee"))
    names = [name for item in value if (name := _named(item))]
    if names:
        notes.changes.append(f"assignee is a list of {len(value)}: {brief(names[0])} is used")
    elif value:
        notes.changes.append("assignee is a list without a name: left out")
    if value:
        notes.keep("assignee", value)
    return text(names[0], "assignee", notes, most=limit("assignee")) if names else ""


def labels(value: Any, notes: RowNotes, *, name: str = "labels") -> list[str]:
    """Return the labels, or other names, without duplicates. A text is split at commas."""
    if value is None:
        return []
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        items = [items] if _named(items) else []
        notes.changes.append(f"{name} is no list" + ("" if items else ": left out"))
    count, length = _limits(name)
    found: list[str] = []
    left_out = 0
    for item in items:
        one = (_named(item) or "").strip() if isinstance(value, str) else _named(item) or ""
        if not one.strip():
            left_out += 1
            continue
        found.append(values.text_of(one, name, notes))
    cut = list(dict.fromkeys(one[:length] for one in found))
    if len(cut) < len(found):
        notes.warnings.append(f"{_SINGULAR[name]} is repeated: used once")
    wrong = [
        f"{left_out} that are empty or no text are left out" if left_out else "",
        f"one has more than {length} characters and is cut"
        if max(map(len, found), default=0) > length
        else "",
        f"the first {count} of {len(cut)} are used" if len(cut) > count else "",
    ]
    if any(wrong) and items:
        notes.changes.append(f"{name}: " + ", ".join(filter(None, wrong)))
    if any(wrong) or isinstance(value, dict) or any(isinstance(item, dict) for item in items):
        notes.keep(name, value)
    return cut[:count]


def capabilities(value: Any, notes: RowNotes) -> list[str]:
    """Return the capabilities. If some are lost, the task must not be ready: any agent could claim it."""
    before = len(notes.changes)
    found = labels(value, notes, name="capabilities")
    if len(notes.changes) > before:
        notes.block("not all of its capabilities are known")
    return found


def lines(value: Any, name: str, notes: RowNotes) -> list[str]:
    """Return a list of lines, such as the objectives. A text is split into its lines."""
    if value is None or value in ([], {}):
        return []
    items = [one for one in value.splitlines() if one.strip()] if isinstance(value, str) else value
    if not isinstance(items, list):
        items = [items]
    count, length = _limits(name)
    found = [values.text_of(one, name, notes) for item in items if (one := _scalar(item)) is not None]
    wrong = [
        f"{len(items) - len(found)} that are no text are left out" if len(found) < len(items) else "",
        f"one has more than {length:,} characters and is cut"
        if max(map(len, found), default=0) > length
        else "",
        f"the first {count} of {len(found)} are used" if len(found) > count else "",
    ]
    if any(wrong):
        notes.changes.append(f"{name}: " + ", ".join(filter(None, wrong)))
        notes.keep(name, value)
    return [line[:length] for line in found[:count]]


def moment(
    value: Any, name: str, notes: RowNotes, *, zone_needed: bool = False, past: bool = True
) -> Timestamp | None:
    """Return a time that the ledger accepts; None if the row has none. With ``past``, it is not ahead."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    wrong = "is no ISO 8601 time"
    if isinstance(value, str) and not isinstance(value, values.NumberText):
        try:
            found = datetime.fromisoformat(value.strip())
            if found.tzinfo is None and not zone_needed:
                found = found.replace(tzinfo=UTC)
            wrong = "has no time zone" if found.tzinfo is None else _out_of_range(found, past=past)
        except (ValueError, OverflowError):
            pass
        else:
            if not wrong:
                return to_timestamp(found)
    notes.keep(name, value)
    notes.changes.append(f"{name} {brief(value)} {wrong}: left out")
    return None


def not_before(value: Any, notes: RowNotes, *, zone_needed: bool = False) -> Timestamp | None:
    """Return the time before which the task is not ready. If it is lost, the task must not be ready."""
    before = len(notes.changes)
    found = moment(value, "not_before", notes, zone_needed=zone_needed, past=False)
    if len(notes.changes) > before:
        notes.block("its not_before is not known")
    return found


def _out_of_range(found: datetime, *, past: bool) -> str:
    """Return why the ledger would refuse a time; empty if it accepts it."""
    # A float has not all microseconds of the last second.
    seconds = to_timestamp(found).seconds
    if seconds < 0:
        return "is before 1970"
    if seconds > LAST_SECOND:
        return "is after 9999"
    return "is ahead of now" if past and seconds > time.time() + MAX_AHEAD_SECONDS else ""


def settings(value: Any, name: str, notes: RowNotes) -> Struct | None:
    """Return an object field, such as agent_config; None if it is missing or does not fit the ledger."""
    if value is None or value == {}:
        return None
    if isinstance(value, dict) and values.fits(value):
        return values.struct(value, name, notes, most=STRUCT_BYTES)
    notes.keep(name, value)
    wrong = "is too large" if isinstance(value, dict) else "is no object"
    notes.changes.append(f"{name} {wrong}: left out")
    return None


def retry_policy(value: Any, notes: RowNotes) -> task_pb2.RetryPolicy | None:
    """Return the retry policy; None if it is missing or one of its values cannot be used."""
    if value is None or value == {}:
        return None
    wrong = "is no object"
    if isinstance(value, dict):
        try:
            policy = to_retry_policy({name: _number(item) for name, item in value.items()})
            validate(policy)
        except ValueError as error:
            wrong = f"cannot be used: {error}"
        except InvalidArgument as error:
            wrong = "cannot be used: " + ", ".join(f"{at} {text}" for at, text in error.violations.items())
        else:
            return policy
    notes.keep("retry_policy", value)
    notes.changes.append(f"retry_policy {wrong}: left out")
    return None


def flag(value: Any, name: str, notes: RowNotes) -> bool:
    """Return a boolean, which may be written as text; False if it is missing or is none."""
    if value is None or isinstance(value, bool):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in ("true", "false", ""):
        notes.keep(name, value)
        notes.changes.append(f"{name} {brief(value)} is neither true nor false: left out")
    return word == "true"


def metadata(notes: RowNotes) -> Struct:
    """Return a task's metadata with everything that the notes keep. Call this last."""
    return values.struct(notes.metadata, "metadata", notes)


def _scalar(value: Any) -> str | None:
    """Return a text, number or boolean as text; None for any other value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) <= values.LARGEST:
        value = int(value)
    return str(value) if isinstance(value, str | int | float) else None


def _number(value: Any) -> Any:
    """Return a number that is written as text as the number."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _named(item: Any) -> str | None:
    """Return a name given as text, or as an object in which trackers write people and labels."""
    if isinstance(item, dict):
        keys: Sequence[str] = ("name", "login", "username", "title")
        return next((str(item[key]) for key in keys if isinstance(item.get(key), str) and item[key]), None)
    return _scalar(item)


def usable_code(value: Any) -> str:
    """Return a code as text; empty if the value is no valid code."""
    plain = "" if isinstance(value, bool) else _scalar(value) or ""
    return plain if names.CODE.fullmatch(plain) else ""
