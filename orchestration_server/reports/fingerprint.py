"""Tells whether two reports are of one bug: what differs from one occurrence to the next is left out."""

from __future__ import annotations

import re
from hashlib import sha256

# A report may be 100,000 characters of anything: each pattern begins where none of its own characters stands
# before, so that none looks at a text again and again.
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
# One mark for all: an id in hexadecimal may happen to have no letters.
_NUMBER = re.compile(
    _WORD_START + r"(?:0x[0-9a-f]+|(?=\d*[a-f])[0-9a-f]{8,})" + _WORD_END
    + r"|(?:(?<!\w)[+-])?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?"
)  # fmt: skip


def normalized(text: str) -> str:
    """The text as it would be in another occurrence of the same bug."""
    text = " ".join(text.lower().translate(_QUOTES).split())
    text = _PATH.sub("<path>", text)
    text = _UUID.sub("<uuid>", text)
    text = _TIME.sub("<time>", text)
    return _NUMBER.sub("<number>", text)


def fingerprint(*, component: str, title: str, error_text: str, stack_trace: str) -> bytes:
    """SHA-256 of what tells the bug from others; BugReport.fingerprint says what that is.

    ``title`` counts where there is neither an error nor a stack trace.
    """
    told = [normalized(error_text), normalized(stack_trace)]
    parts = [normalized(component), *(told if any(told) else [normalized(title)])]
    return sha256("\0".join(parts).encode()).digest()
