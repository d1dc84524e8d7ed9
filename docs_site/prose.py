"""Comments of protos as Markdown: names become code or links, and everything else stays text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""`(?P<code>[^`]+)`
      | (?P<class>\[[^\]\s]*-[^\]\s]*\]) | (?P<metadata>orchestration-[a-z-]+[a-z])
      | (?P<page>docs/[\w/-]+\.md)
      | (?P<quoted>"[^"\s]*[^"\s.,]")
      | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)""",
    re.VERBOSE,
)
_CAMEL = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")
_SPECIAL = re.compile(r"[\\`*_\[\]<>{}|#&]")
_STATUSES = frozenset(
    re.findall(
        r"\w+",
        """
        OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED
        RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE
        DATA_LOSS UNAUTHENTICATED
        """,
    )
)
"""The status codes of gRPC."""
ERROR = re.compile(r"(?P<status>[A-Z_]+)(?P<reasons>, reasons? [A-Z_, or]+)?(?P<rest>[:,] .*)", re.DOTALL)
_REASON = re.compile(r"[A-Z]+(?:_[A-Z]+)+")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or the items of a list."""

    lines: tuple[str, ...]
    is_list: bool = False


def blocks(comment: str) -> Iterator[Block]:
    """Yield the paragraphs and lists of a comment, each paragraph and item on one line."""
    for part in re.split(r"\n\s*\n", comment):
        paragraph, items = [], list[str]()
        for line in part.splitlines():
            if line.startswith("- "):
                items.append(line[2:].strip())
            elif items:
                items[-1] += f" {line.strip()}"
            else:
                paragraph.append(line.strip())
        if paragraph:
            yield Block((" ".join(paragraph),))
        if items:
            yield Block(tuple(items), is_list=True)


class Prose:
    """A converter of text, with the links and the words that it knows.

    Args:
        link: returns the target of a name such as `TaskService.GetTask`, or None if the name has no place.
        page: returns the target of a path such as `docs/errors.md`.
        words: names that are set as code, such as the short names of enum values.
    """

    def __init__(
        self, link: Callable[[str], str | None], page: Callable[[str], str], words: frozenset[str]
    ) -> None:
        self._link = link
        self._page = page
        self._words = words | _STATUSES

    def target(self, name: str) -> str | None:
        """Return the target of a name, or None if it has no place."""
        return self._link(name)

    def inline(self, text: str) -> str:
        """Return a text of one line as Markdown."""
        parts, end = [], 0
        for match in _TOKEN.finditer(text):
            parts += [_escaped(text[end : match.start()]), self._token(match)]
            end = match.end()
        return "".join([*parts, _escaped(text[end:])])

    def markdown(self, comment: str) -> str:
        """Return a comment as paragraphs and lists."""
        return "\n\n".join(
            "\n".join(f"- {self.inline(item)}" for item in block.lines)
            if block.is_list
            else self.inline(*block.lines)
            for block in blocks(comment)
        )

    def cell(self, comment: str) -> str:
        """Return a comment as the content of a table's cell."""
        return "<br>".join(
            "<br>".join(f"• {self.inline(item)}" for item in block.lines)
            if block.is_list
            else self.inline(*block.lines)
            for block in blocks(comment)
        )

    def error(self, item: str) -> str:
        """Return an item of a list of errors, with its status and its reasons marked."""
        found = ERROR.fullmatch(item)
        if found is None or found["status"] not in _STATUSES:
            return self.inline(item)
        reasons = _REASON.findall(found["reasons"] or "")
        target = self._page("docs/errors.md")
        named = " or ".join(f"[`{reason}`]({target})" for reason in reasons)
        return (
            f"**{found['status']}**".replace("_", r"\_")
            + (f", {named}" if named else "")
            + self.inline(found["rest"])
        )

    def _token(self, match: re.Match[str]) -> str:
        if match["code"]:
            return f"`{match['code']}`"
        if match["class"] or match["metadata"]:
            return f"`{match[0]}`"
        if match["page"]:
            return f"[{_escaped(match['page'].removeprefix('docs/'))}]({self._page(match['page'])})"
        if match["quoted"]:
            return f"`{match['quoted'][1:-1]}`"
        name = match["name"]
        target = self._link(name) if "." in name or _CAMEL.fullmatch(name) else None
        if target is not None:
            return f"[`{name}`]({target})"
        return f"`{name}`" if self._is_code(name) else _escaped(name)

    def _is_code(self, name: str) -> bool:
        return "_" in name or "." in name or name in self._words


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text)


def first_sentence(comment: str) -> str:
    """Return the first sentence of a comment, on one line."""
    text = next(iter(blocks(comment))).lines[0]
    return re.split(r"(?<=[.:]) (?=[A-Z])", text, maxsplit=1)[0].removesuffix(":")
