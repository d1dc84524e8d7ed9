"""Slugs: texts as parts of file names."""

from __future__ import annotations

import re
import unicodedata

_OTHER = re.compile(r"[^a-z0-9]+")


def slug(text: str, length: int) -> str:
    """Return a text as at most ``length`` characters of [a-z0-9-]; empty if it has no letter or digit.

    Characters are normalized one by one. Normalizing the whole text would take time quadratic in the length
    of a run of combining marks, and the slug drops these marks anyway.
    """
    if not text.isascii():
        text = "".join([unicodedata.normalize("NFKD", character) for character in text])
    plain = text.encode("ascii", "ignore").decode().lower()
    return _OTHER.sub("-", plain).strip("-")[:length].rstrip("-")
