"""The record of a context."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestration.model.words import CONTEXT_PARTS, ENTITY_KINDS, ContextPart, EntityKind
from orchestration.v1 import context_pb2


@dataclass(frozen=True, slots=True)
class Context:
    """What an agent needs to know, for a program. ``prompt`` returns it as text for a model.

    Attributes:
        kind: The kind of target: "task", "sprint" or "session".
        target: The code of the task or sprint, or the key of the session.
        next_steps: What to do next, in sentences, the most pressing first.
        accept: The conditions under which the task is done.
        trimmed: The sections of which a budget left something out.
        unchanged: With ``since``, the sections that are left out because they have not changed.
        tokens: An upper estimate of the tokens of the message as JSON.
        cursor: The position in the log, for ``since`` of a later context and ``after`` of ``follow``.
        version: Identifies the state. Equal contexts have equal versions.
        raw: The message, which has every section.
    """

    kind: EntityKind
    target: str
    next_steps: tuple[str, ...]
    accept: tuple[str, ...]
    trimmed: tuple[ContextPart, ...]
    unchanged: tuple[ContextPart, ...]
    tokens: int
    cursor: str
    version: str
    raw: context_pb2.Context = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: context_pb2.Context) -> Context:
        """Return the record of a message."""
        return cls(
            ENTITY_KINDS.word(raw.target_type),
            raw.target_code,
            tuple(raw.next_steps),
            tuple(raw.acceptance_criteria),
            tuple(CONTEXT_PARTS.word(each.section) for each in raw.trimmed),
            tuple(CONTEXT_PARTS.word(each) for each in raw.unchanged),
            raw.token_estimate,
            raw.as_of_cursor,
            raw.version,
            raw,
        )
