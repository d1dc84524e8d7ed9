"""Codes for sprints and tasks that people named freely, and lookup of those by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from orchestration_server import names
from orchestration_server.cli.importing.delegation_format import ParsedFile
from orchestration_server.cli.importing.jsonl_format import BadRow
from orchestration_server.cli.importing.words import fold
from orchestration_server.validation.constraints import is_blank
from orchestration_server.workspace.tree import code_of

_NUMBERED = re.compile(r"([A-Za-z][A-Za-z0-9_]*-\d+(?:\.\d+)*)\s+-\s+(\S.*)")
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]*-\d+(?:\.\d+)*(?![A-Za-z0-9])")
_TICKED = re.compile(r"\s*`([^`]+)`")
_FIRST_WORD = re.compile(r"[\s`*_\[(#]*([A-Za-z0-9][A-Za-z0-9._-]*)(.*)", re.DOTALL)
_AFTER_CODE = re.compile(r"[`*_\])]*\s*(?:[:(\[,;–—].*|-\s.*|\Z)", re.DOTALL)
_LONGEST = 128
_DIGEST = 8


def code_and_title(name: str) -> tuple[str, str]:
    """Return the code and title in a file's name, such as `task-12 - Paint it`. The title may be empty."""
    match = _NUMBERED.fullmatch(name)
    return (match[1], match[2]) if match else (name, "")


def derived_code(name: str, kind: str, *, apart: bool = False) -> str:
    """Return a code made of a name that is no valid code, always the same for the same name.

    If the name has letters that a code cannot have, a digest of the name keeps the code unique. ``apart``
    adds the digest in any case.
    """
    normal = unicodedata.normalize("NFC", name)
    plain = unicodedata.normalize("NFKC", normal)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")
    lost = (
        any(c.isalnum() and not c.isascii() for c in plain) or "\udc80" <= max(plain, default="") <= "\udfff"
    )
    if slug and not lost and not apart and len(slug) <= _LONGEST:
        return slug
    digest = sha256(normal.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{(slug or kind)[: _LONGEST - _DIGEST - 1]}-{digest}"


def visible(text: str) -> bool:
    """Return False for a text of only white space and invisible characters."""
    return not is_blank(text)


class TreeCodes:
    """The codes of the files of a tree, each of which belongs to one file."""

    def __init__(self, name_of: Callable[[Path], str]) -> None:
        self._name_of = name_of
        self._files: dict[tuple[str, str], str] = {}

    def file_of(self, kind: str, code: str) -> str | None:
        """Return the file that has a code, or None."""
        return self._files.get((kind, code))

    def take(self, kind: str, parsed: ParsedFile, name: str, file: Path) -> str:
        """Return the code in the file, else that of its name. If it is no valid code, make one of it.

        Raises BadRow if another file has the code.
        """
        own_name = code_of(name)
        written = parsed.text("code").strip() or own_name
        code = written
        if not names.CODE.fullmatch(code):
            code = derived_code(written, kind)
            if (kind, code) in self._files:
                code = derived_code(written, kind, apart=True)
            parsed.notes.keep("code", written)
            parsed.notes.warnings.append(f"{written[:60]!r} is no valid code: {code} is used")
        first = self._files.setdefault((kind, code), self._name_of(file))
        if first != self._name_of(file):
            raise BadRow(f"{kind} {code} is already in {first}")
        return code


class NameIndex:
    """An index of a tree's sprints or tasks by the names that people give them."""

    def __init__(self) -> None:
        self._codes: set[str] = set()
        self._by_case: dict[str, set[str]] = {}
        self._by_letters: dict[str, set[str]] = {}

    def __contains__(self, code: str) -> bool:
        return code in self._codes

    def add(self, code: str, names: Iterable[str]) -> None:
        """Add a code with its other names."""
        self._codes.add(code)
        every = {name for name in (code, *names) if name}
        # People call `DASH-006-audit` or `DASH-006: Audit` DASH-006, too.
        for name in every | {found[0] for name in every if (found := _PREFIX.match(name))}:
            self._by_case.setdefault(name.casefold(), set()).add(code)
            self._by_letters.setdefault(fold(name), set()).add(code)

    def find(self, name: str) -> str | None:
        """Return the code that a name means; None if it means no code or several."""
        if name in self._codes:
            return name
        found = self._by_case.get(name.casefold(), set())
        # Punctuation counts in a code with a number: T-1.0 is not T-10.
        if not found and not (names.CODE.fullmatch(name) and re.search(r"\d", name)):
            found = self._by_letters.get(fold(name), set())
        return next(iter(found)) if len(found) == 1 else None

    def find_first(self, text: str) -> str | None:
        """Return the code that a text means or begins with, such as `T-1 (the parser)`."""
        found = self.find(text)
        if found is not None:
            return found
        if (ticked := _TICKED.match(text)) and (found := self.find(ticked[1].strip())):
            return found
        word = _FIRST_WORD.match(text)
        # The first word of a sentence is a code only if it has a digit.
        if word is None or not (_AFTER_CODE.fullmatch(word[2]) or re.search(r"\d", word[1])):
            return None
        return self.find(word[1].rstrip(".-"))
