"""The generator of the table of settings in docs/configuration.md (`make docs`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from orchestration_server.config.settings import Settings, variable

BEGIN, END = "<!-- settings: written by `make docs` -->\n", "<!-- end of settings -->\n"
_HEAD = "| flag | variable | key in the file | default | meaning |\n|---|---|---|---|---|\n"
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def page(text: str) -> str:
    """Return the page with the current table. Raises ValueError if the page has no marks for it."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError("the page has no marks for the table of settings")
    return before + BEGIN + _HEAD + "".join(_rows()) + END + after


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        flag = name.replace("_", "-")
        flags = f"`--{flag}`, `--no-{flag}`" if field.annotation is bool else f"`--{flag}`"
        meaning = " ".join((field.description or "").split()) + _limits(field)
        cells = (
            flags,
            f"`{variable(name)}`",
            f"`{name}`",
            _default(field.default),
            meaning.replace("|", "\\|"),
        )
        yield f"| {' | '.join(cells)} |\n"


def _default(value: Any) -> str:
    if value in (None, ""):
        return ""
    if isinstance(value, Enum):
        value = value.value
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _limits(field: FieldInfo) -> str:
    parts = [
        f"{words} {getattr(limit, name):,}"
        for name, words in _BOUNDS.items()
        for limit in field.metadata
        if hasattr(limit, name)
    ]
    return f" ({', '.join(parts)})" if parts else ""


def main() -> None:
    """Write the page named on the command line."""
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text()))


if __name__ == "__main__":
    main()
