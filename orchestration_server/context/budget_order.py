"""The order in which sections of a context get room in a token budget, and how their items are shortened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestration.v1 import context_pb2
from orchestration_server.context.compact_json import cut, members, size, to_json
from orchestration_server.context.token_estimate import STRUCTURE

TARGET = context_pb2.CONTEXT_SECTION_TARGET
EVENTS = context_pb2.CONTEXT_SECTION_EVENTS
TASKS = context_pb2.CONTEXT_SECTION_TASKS
SHARES: dict[int, float] = {
    TARGET: 0.35,
    context_pb2.CONTEXT_SECTION_NOTES: 0.3,
    context_pb2.CONTEXT_SECTION_ATTEMPTS: 0.15,
    context_pb2.CONTEXT_SECTION_NEXT_STEPS: 0.1,
    context_pb2.CONTEXT_SECTION_PROGRESS: 0.1,
    context_pb2.CONTEXT_SECTION_ACCEPTANCE_CRITERIA: 0.15,
    context_pb2.CONTEXT_SECTION_AGENT_CONFIG: 0.1,
    context_pb2.CONTEXT_SECTION_BLOCKERS: 0.1,
    context_pb2.CONTEXT_SECTION_DEPENDENCIES: 0,
    context_pb2.CONTEXT_SECTION_SPRINT: 0,
    context_pb2.CONTEXT_SECTION_DECISIONS: 0,
    TASKS: 0,
    context_pb2.CONTEXT_SECTION_SESSIONS: 0,
    context_pb2.CONTEXT_SECTION_FILES: 0,
    EVENTS: 0,
}
"""The sections of a context, most useful first, and the share of a budget that each gets at first."""
ALWAYS = ("target_type", "target_code", "unchanged", "as_of_cursor", "version")
LISTS: dict[int, str] = {
    context_pb2.CONTEXT_SECTION_NOTES: "notes",
    context_pb2.CONTEXT_SECTION_ATTEMPTS: "attempts",
    context_pb2.CONTEXT_SECTION_NEXT_STEPS: "next_steps",
    context_pb2.CONTEXT_SECTION_ACCEPTANCE_CRITERIA: "acceptance_criteria",
    context_pb2.CONTEXT_SECTION_BLOCKERS: "blockers",
    context_pb2.CONTEXT_SECTION_DEPENDENCIES: "dependencies",
    context_pb2.CONTEXT_SECTION_DECISIONS: "decisions",
    TASKS: "tasks",
    context_pb2.CONTEXT_SECTION_SESSIONS: "sessions",
    context_pb2.CONTEXT_SECTION_FILES: "files",
    EVENTS: "events",
}
WHOLES: dict[int, tuple[str, ...]] = {
    context_pb2.CONTEXT_SECTION_PROGRESS: ("progress", "progress_percent"),
    context_pb2.CONTEXT_SECTION_AGENT_CONFIG: ("agent_config",),
    context_pb2.CONTEXT_SECTION_SPRINT: ("sprint",),
}
# Fields of the target, the last to be left out first. Fields without a place here come right after the codes.
_CODES = ("key", "code")
_LAST_TO_GO = (
    "title", "pause_reason", "labels", "description", "goal", "summary", "objectives", "deliverables",
    "capabilities", "metadata", "retry_policy", "close_time", "update_time", "create_time",
    "correlation_id", "uid", "hash",
)  # fmt: skip
LINE_FIELDS = frozenset(("labels", "objectives", "deliverables", "capabilities"))
TEXT_FIELDS = frozenset(("title", "pause_reason", "description", "goal", "summary"))
# Texts of an item that are cut or left out if it does not fit, in this order.
CUTTABLE: dict[int, tuple[str, ...]] = {
    context_pb2.CONTEXT_SECTION_NOTES: ("text",),
    context_pb2.CONTEXT_SECTION_ATTEMPTS: ("reason",),
    context_pb2.CONTEXT_SECTION_BLOCKERS: ("description", "outcome", "title"),
    context_pb2.CONTEXT_SECTION_DEPENDENCIES: ("description", "outcome", "title"),
    context_pb2.CONTEXT_SECTION_DECISIONS: ("text", "title"),
    TASKS: ("title",),
    context_pb2.CONTEXT_SECTION_SESSIONS: ("summary",),
}
# Fields that a shortened item has whole or not at all.
_OPTIONAL: dict[int, tuple[str, ...]] = {context_pb2.CONTEXT_SECTION_ATTEMPTS: ("usage", "artifacts")}
_NEEDED: dict[int, tuple[str, ...]] = {
    context_pb2.CONTEXT_SECTION_NOTES: ("text",),
    context_pb2.CONTEXT_SECTION_ATTEMPTS: ("number",),
    context_pb2.CONTEXT_SECTION_BLOCKERS: ("title",),
    context_pb2.CONTEXT_SECTION_DEPENDENCIES: ("title",),
    context_pb2.CONTEXT_SECTION_DECISIONS: ("title",),
    TASKS: ("title",),
    context_pb2.CONTEXT_SECTION_SESSIONS: ("summary",),
}
# The fields that an event keeps first if only a part of it fits.
_EVENT_FIRST = ("type", "occur_time", "id", "entity_type", "entity_code", "agent", "actor", "payload")


@dataclass(slots=True)
class SectionTrim:
    """The parts of a section that are left out."""

    section: int
    left_out: int
    shortened: bool = False
    """True if a text was cut."""

    def size(self) -> int:
        """Return the size of the report in the context, in bytes of JSON."""
        return size(to_json(self.message())) + STRUCTURE

    def message(self) -> context_pb2.ContextTrim:
        """Return what the context reports of the trimmed section."""
        return context_pb2.ContextTrim(
            section=self.section,  # type: ignore[arg-type]  # the numbers are the enum's
            left_out=self.left_out,
            shortened=self.shortened,
        )


class Piece(NamedTuple):
    """A field of the target, with the name of the message that has it."""

    owner: str
    name: str
    value: Any


def pieces_of(whole: dict[str, Any], owners: Sequence[str]) -> list[Piece]:
    """Return the fields of the target's messages, the last to be left out first."""

    def rank(piece: Piece) -> int:
        if piece.name in _CODES:
            return 0
        return 2 + _LAST_TO_GO.index(piece.name) if piece.name in _LAST_TO_GO else 1

    found = [Piece(owner, name, value) for owner in owners for name, value in whole[owner].items()]
    return sorted(found, key=rank)


def shorter_piece(piece: Piece, room: int) -> tuple[Any, int]:
    """Return as much of a field as fits, and the number of its items that are left out."""
    if size(piece.value) <= room:
        return piece.value, 0
    if piece.name in TEXT_FIELDS:
        part = cut(piece.value, room)
        return part or None, 0 if part else 1
    if piece.name in LINE_FIELDS:
        lines: list[str] = []
        used = STRUCTURE
        for line in piece.value:
            used += size(line) + STRUCTURE
            if used > room:
                break
            lines.append(line)
        return lines or None, len(piece.value) - len(lines)
    return None, 1


def shorter_event(event: dict[str, Any], room: int) -> dict[str, Any] | None:
    """Return as much of an event as fits; None if not even its type fits."""
    order = [*(n for n in _EVENT_FIRST if n in event), *(n for n in event if n not in _EVENT_FIRST)]
    part = members(event, room, order, frozenset(("payload",)))
    return part if part and "type" in part else None


def shorter_item(section: int, item: Any, room: int) -> Any:
    """Return an item of a list with its texts cut; None if that does not make it fit."""
    if isinstance(item, str):
        return cut(item, room) or None
    cuttable, needed = CUTTABLE.get(section, ()), _NEEDED.get(section, ())
    if not needed or not all(name in item for name in needed):
        return None  # A file, or a link to a deleted task, has no text that can be cut.
    # The fields that name the item come first, then its texts, the shortest first.
    rest = (*reversed(cuttable), *_OPTIONAL.get(section, ()))
    order = [*(name for name in item if name not in rest), *rest]
    part = members(item, room, [name for name in order if name in item], frozenset(cuttable))
    kept_whole = (item.keys() - set(rest)) | set(needed)
    return part if part and kept_whole <= part.keys() else None
