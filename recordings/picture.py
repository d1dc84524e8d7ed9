"""A terminal's lines as an SVG, with a font of the reader's machine and nothing of strangers' hosts."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from recordings.matching import same
from recordings.terminal import COLUMNS

_THEME = TerminalTheme(
    (24, 28, 36),
    (214, 218, 226),
    [
        (40, 44, 52), (240, 113, 120), (152, 206, 120), (233, 196, 106),
        (110, 176, 245), (199, 146, 234), (96, 200, 210), (214, 218, 226),
    ],
    [
        (106, 113, 128), (255, 140, 140), (180, 226, 150), (255, 214, 130),
        (140, 196, 255), (214, 170, 245), (130, 220, 230), (255, 255, 255),
    ],
)  # fmt: skip
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="TITLE">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas,
  monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_TEXT = re.compile(
    r'<text class="([\w-]+-r\d+)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+"([^>]*)>([^<]*)</text>\n?'
)
_CHARACTER, _LINE, _FIRST = 12.2, 24.4, 20.0
"""The width of a column and the height of a line in what rich draws, and the place of the first line."""


def svg(lines: Sequence[str], title: str, name: str) -> str:
    """Return lines with colours as a picture of a terminal."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        highlight=False, markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    form = _FORMAT.replace("TITLE", html.escape(title))
    drawn = console.export_svg(title=title, theme=_THEME, code_format=form, unique_id=name)
    return _TEXT.sub(_without_margins, drawn).strip() + "\n"


def _without_margins(found: re.Match[str]) -> str:
    """Return a text without the spaces around it, which some viewers drop and then stretch the rest."""
    x, content = float(found[2]), html.unescape(found[5]).replace("\xa0", " ").rstrip()
    shown = content.lstrip(" ")
    if not shown:
        return ""
    x += _CHARACTER * (len(content) - len(shown))
    size = f'x="{x:g}" y="{found[3]}" textLength="{_CHARACTER * len(shown):g}"'
    written = html.escape(shown).replace(" ", "&#160;")
    return f'<text class="{found[1]}" {size}{found[4]}>{written}</text>\n'


def text(drawn: str) -> str:
    """Return the text of a picture, line by line."""
    rows: dict[int, list[tuple[float, str]]] = {}
    for _, x, y, _, content in _TEXT.findall(drawn):
        row = round((float(y) - _FIRST) / _LINE)
        rows.setdefault(row, []).append((float(x), html.unescape(content).replace("\xa0", " ")))
    found = [""] * (max(rows, default=-1) + 1)
    for row, pieces in rows.items():
        for x, content in sorted(pieces):
            found[row] = found[row].ljust(round(x / _CHARACTER)) + content
    return "\n".join(found)


def write(path: Path, drawn: str) -> bool:
    """Write a picture, unless the one that is there shows the same but for times. Return True if it did."""
    if path.exists() and same(text(path.read_text())) == same(text(drawn)):
        return False
    path.parent.mkdir(exist_ok=True)
    path.write_text(drawn)
    return True
