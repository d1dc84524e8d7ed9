"""The forms of names in the ledger: codes, projects, types of events. Use the patterns with ``fullmatch``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Codes of sprints and tasks, session keys, names of templates and rules."""
CODE_FORM = "1 to 128 characters of [A-Za-z0-9._-], the first a letter or a digit"
PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ALERT = re.compile(r"[a-z0-9_]{1,64}")
PRINTABLE = re.compile(r"[ -~]{0,128}")
LABEL = re.compile(r"[ -~]{1,128}")
"""A printable name that is required, such as that of a key or the subject of a JWT."""

EVENT_TYPE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
EVENT_TYPE_FILTER = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.(\*|[a-z0-9_-]+)")
EVENT_TYPE_FILTER_FORM = 'an event type, or one whose last part is "*"'
MAX_EVENT_TYPE = 128
"""Characters of a type or of a filter."""
_WILDCARD = ".*"


def type_matches(type_: str, filters: Iterable[str]) -> bool:
    """Return whether one of the filters takes a type of event.

    A filter that ends in ``.*`` takes a prefix.
    """
    return any(type_.startswith(one[:-1]) if one.endswith(_WILDCARD) else type_ == one for one in filters)


def split_types(filters: Iterable[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Split filters into exact types and prefixes, which end in a dot. Keep their order, drop repeats."""
    once = dict.fromkeys(filters)
    exact = [one for one in once if not one.endswith(_WILDCARD)]
    return exact, [one[:-1] for one in once if one.endswith(_WILDCARD)]
