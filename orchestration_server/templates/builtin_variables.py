"""The variables that every template of a kind has without declaring them.

Each has a name, a type, a default and a description. The names are those of the fields of the requests that
use the templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

REQUIRED: Final = object()
"""Stands for the default of a variable that callers have to give."""

_Given = tuple[str, str, Any, str]

_ABOUT: tuple[_Given, ...] = (
    ("sprint_code", "string", "", "The sprint of the document."),
    ("task_code", "string", "", "The task of the document."),
    ("code", "string", "", "The code of the document."),
    ("date", "string", "", "The day of the record, as YYYY-MM-DD."),
)

VARIABLES: Mapping[str, tuple[_Given, ...]] = {
    "SPRINT": (("sprint_code", "string", REQUIRED, "The code of the sprint to create."),),
    "TASK": (
        ("task_code", "string", REQUIRED, "The code of the task to create."),
        ("sprint_code", "string", "", "The sprint that the task goes to; empty for none."),
    ),
    "AGENT": (),
    "ADR": (
        ("title", "string", REQUIRED, "The decision in one line."),
        ("context", "string", "", "The circumstances that led to the decision."),
        ("decision", "string", REQUIRED, "The decision."),
        ("consequences", "string", "", "The consequences of the decision."),
        ("alternatives", "list", [], "The alternatives: a list of texts."),
        ("status", "string", "proposed", "proposed, accepted, rejected, deprecated or superseded."),
        ("author", "string", "", "The author of the record."),
        *_ABOUT,
    ),
    "BUG_REPORT": (
        ("title", "string", REQUIRED, "The bug in one line."),
        ("description", "string", "", "The bug."),
        ("steps_to_reproduce", "list", [], "The steps that show the bug: a list of texts."),
        ("expected_behavior", "string", "", "The expected behavior."),
        ("actual_behavior", "string", "", "The actual behavior."),
        ("severity", "string", "medium", "critical, high, medium or low."),
        ("component", "string", "", "The part of the system that has the bug."),
        ("environment", "string", "", "The environment of the bug: versions, machines, settings."),
        ("error_text", "string", "", "The message of the error."),
        ("stack_trace", "string", "", "The stack trace."),
        ("reporter", "string", "", "The reporter of the bug."),
        ("occur_time", "string", "", "The time of the bug, as RFC 3339."),
        *_ABOUT,
    ),
}
