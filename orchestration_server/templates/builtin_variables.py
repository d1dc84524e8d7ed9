"""The variables that every template of a kind has without declaring them: what its callers always know.

Name, type, default and description; the names are those of the fields of the requests that use the templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

REQUIRED: Final = object()
"""In the place of a default: the variable has to be given."""

_Given = tuple[str, str, Any, str]

_ABOUT: tuple[_Given, ...] = (
    ("sprint_code", "string", "", "The sprint that it belongs to."),
    ("task_code", "string", "", "The task that it belongs to."),
    ("code", "string", "", "The document's own code."),
    ("date", "string", "", "The day that it is recorded on, as YYYY-MM-DD."),
)

VARIABLES: Mapping[str, tuple[_Given, ...]] = {
    "SPRINT": (("sprint_code", "string", REQUIRED, "The code of the sprint to create."),),
    "TASK": (
        ("task_code", "string", REQUIRED, "The code of the task to create."),
        ("sprint_code", "string", "", "The sprint that the task goes to; empty for none."),
    ),
    "AGENT": (),
    "ADR": (
        ("title", "string", REQUIRED, "What is decided, in a line."),
        ("context", "string", "", "What led to it."),
        ("decision", "string", REQUIRED, "What was decided."),
        ("consequences", "string", "", "What follows from it."),
        ("alternatives", "list", [], "What else was thought of: texts."),
        ("status", "string", "proposed", "proposed, accepted, rejected, deprecated or superseded."),
        ("author", "string", "", "Who recorded it."),
        *_ABOUT,
    ),
    "BUG_REPORT": (
        ("title", "string", REQUIRED, "What is wrong, in a line."),
        ("description", "string", "", "What is wrong."),
        ("steps_to_reproduce", "list", [], "How to see it: texts."),
        ("expected_behavior", "string", "", "What should happen."),
        ("actual_behavior", "string", "", "What happens."),
        ("severity", "string", "medium", "critical, high, medium or low."),
        ("component", "string", "", "The part of the system that it is in."),
        ("environment", "string", "", "Where it was seen: versions, machines, settings."),
        ("error_text", "string", "", "The error's message."),
        ("stack_trace", "string", "", "The stack trace."),
        ("reporter", "string", "", "Who reports it."),
        ("occur_time", "string", "", "When it was seen, as an RFC 3339 time."),
        *_ABOUT,
    ),
}
