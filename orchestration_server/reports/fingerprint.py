"""Fingerprints of bug reports, which ignore what differs between two occurrences of one bug."""

from __future__ import annotations

import re
from hashlib import sha256

# A report may have 100,000 arbitrary characters. Each pattern starts only after a character that it cannot
# contain, so that no pattern scans a text more than once.
_QUOTES = str.maketrans(dict.fromkeys('"`´‘’“”„«»', "'"))
_WORD_START = r"(?<![^\W_])"
_WORD_END = r"(?![^\W_])"
_UUID = re.compile(_WORD_START + r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}" + _WORD_END)
_PATH = re.compile(r"""(?<![^\s'()\[\]{}<>|:;,=])(?:[a-z]:(?=[/\\]))?(?:[^\s'()\[\]{}<>|:;,=/\\]*[/\\])+""")
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]m)?(?: ?(?:z|utc|gmt|[+-]\d\d:?\d\d))?"
_DAY = (
    r"(?:(?:mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
    r",? )?"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_TIMES = (
    rf"\d{{4}}-\d\d-\d\d(?:[t ]{_CLOCK})?",
    rf"{_DAY}{_MONTH} \d{{1,2}}(?:,? \d{{4}})?,? {_CLOCK}(?: \d{{4}})?",
    rf"{_DAY}{_MONTH} \d{{1,2}},? \d{{4}}",
    rf"{_DAY}\d{{1,2}}[ -]{_MONTH}[ -]\d{{4}}(?:[ :]{_CLOCK})?",
    r"\d{1,2}:\d\d:\d\d(?:[.,]\d+)?(?: ?[ap]m)?",
)
_TIME = re.compile(_WORD_START + "(?:" + "|".join(_TIMES) + ")" + _WORD_END)
# Numbers and hexadecimal ids get one placeholder, because such an id may happen to have no letters.
_NUMBER = re.compile(
    _WORD_START + r"(?:0x[0-9a-f]+|(?=\d*[a-f])[0-9a-f]{8,})" + _WORD_END
    + r"|(?:(?<!\w)[+-])?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?"
)  # fmt: skip


def normalized(text: str) -> str:
    """Return a text with placeholders for paths, UUIDs, times and numbers."""
    text = " ".join(text.lower().translate(_QUOTES).split())
    text = _PATH.sub("<path>", text)
    text = _UUID.sub("<uuid>", text)
    text = _TIME.sub("<time>", text)
    return _NUMBER.sub("<number>", text)


def fingerprint(*, component: str, title: str, error_text: str, stack_trace: str) -> bytes:
    """Return the SHA-256 of the texts that identify a bug, as documented at BugReport.fingerprint.

    ``title`` counts only if the report has neither an error text nor a stack trace.
    """
    evidence = [normalized(error_text), normalized(stack_trace)]
    parts = [normalized(component), *(evidence if any(evidence) else [normalized(title)])]
    return sha256("\0".join(parts).encode()).digest()
