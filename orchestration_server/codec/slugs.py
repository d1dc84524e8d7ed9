"""Texts as parts of names of files."""

from __future__ import annotations

import re
import unicodedata

_OTHER = re.compile(r"[^a-z0-9]+")


def slug(text: str, length: int) -> str:
    """Return a text as up to ``length`` of [a-z0-9-]; empty if it has no such letter or digit.

    Each character is normalized apart. To put a run of combining marks in order takes the square of its
    length, and none of them is left in the end.
    """
    if not text.isascii():
        text = "".join([unicodedata.normalize("NFKD", character) for character in text])
    plain = text.encode("ascii", "ignore").decode().lower()
    return _OTHER.sub("-", plain).strip("-")[:length].rstrip("-")
