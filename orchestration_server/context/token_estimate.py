"""Estimates the number of tokens of a text: an upper bound that is cheap and the same on every server.

The estimate classifies the bytes of the text and counts some patterns of classes. benchmarks/token_weights.py
fits the weights of the patterns so that the estimate is not below the count of any tested tokenizer for any
sample; docs/context.md has the figures. JSON and Markdown have weights of their own. No pattern crosses a
quotation mark, a bracket, a comma or a line break, so the estimates of a text's parts add up.
"""

from __future__ import annotations

UNITS = 1_000
"""Units in a token. Sums of integers are exact."""

_CLASSES = {
    "l": b"abcdefghijklmnopqrstuvwxyz",
    "u": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "d": b"0123456789",
    " ": b" ",
    "q": b'"',
    "j": b"{}[],",
    ":": b":",
    "e": b"\\",
    "_": b"_-./",
    "n": b"\n",
    "2": bytes(range(0xC2, 0xE0)),
    "3": bytes(range(0xE0, 0xF0)),
    "4": bytes(range(0xF0, 0xF8)),
    "c": bytes(range(0x80, 0xC0)),
}
_KINDS = {byte: name for name, members in _CLASSES.items() for byte in members}
_TABLE = bytes(ord(_KINDS.get(byte, "p")) for byte in range(256))
_OTHERS = b"qj:e_pcn"

# A word, a run of capitals or a number begins after a byte of another class. After a space its weight is
# another one. The start of a text counts as a position after a quotation mark. In JSON no line break occurs.
WEIGHTS: dict[str, int] = {
    "word after a space": 1_267,
    "word": 1_159,
    "3 small letters": 0,
    "5 small letters": 201,
    "9 small letters": 866,
    "16 small letters": 7_818,
    "capitals after a space": 997,
    "capitals": 1_946,
    "capital": 104,
    "4 capitals": 0,
    "8 capitals": 1_525,
    "16 capitals": 10_837,
    "digit": 344,
    "number": 983,
    "2 spaces": 312,
    "quotation mark": 156,
    "bracket or comma": 156,
    "colon": 693,
    "backslash": 868,
    "joiner": 528,
    "other sign": 808,
    "line break": 808,
    "character of 2 bytes": 2_646,
    "character of 3 bytes": 1_791,
    "character of 4 bytes": 1_560,
}
MARKDOWN_WEIGHTS: dict[str, int] = {
    "word after a space": 1_179,
    "word": 1_614,
    "3 small letters": 0,
    "5 small letters": 0,
    "9 small letters": 400,
    "16 small letters": 9_360,
    "capitals after a space": 1_084,
    "capitals": 2_189,
    "capital": 137,
    "4 capitals": 0,
    "8 capitals": 0,
    "16 capitals": 11_842,
    "digit": 344,
    "number": 256,
    "2 spaces": 312,
    "quotation mark": 745,
    "bracket or comma": 1_011,
    "colon": 954,
    "backslash": 416,
    "joiner": 753,
    "other sign": 812,
    "line break": 1_374,
    "character of 2 bytes": 2_486,
    "character of 3 bytes": 1_791,
    "character of 4 bytes": 3_235,
}
"""The weights for Markdown, where quotation marks and brackets are no structure, and line breaks are."""
_COUNTED: dict[str, tuple[bytes, ...]] = {
    "word after a space": (b" l",),
    "word": tuple(bytes((other, ord("l"))) for other in _OTHERS + b"d"),
    "3 small letters": (b"l" * 3,),
    "5 small letters": (b"l" * 5,),
    "9 small letters": (b"l" * 9,),
    "16 small letters": (b"l" * 16,),
    "capitals after a space": (b" u",),
    "capitals": tuple(bytes((other, ord("u"))) for other in _OTHERS + b"dl"),
    "capital": (b"u",),
    "4 capitals": (b"u" * 4,),
    "8 capitals": (b"u" * 8,),
    "16 capitals": (b"u" * 16,),
    "digit": (b"d",),
    "number": tuple(bytes((other, ord("d"))) for other in _OTHERS + b" lu"),
    "2 spaces": (b"  ",),
    "quotation mark": (b"q",),
    "bracket or comma": (b"j",),
    "colon": (b":",),
    "backslash": (b"e",),
    "joiner": (b"_",),
    "other sign": (b"p",),
    "line break": (b"n",),
    "character of 2 bytes": (b"2",),
    "character of 3 bytes": (b"3",),
    "character of 4 bytes": (b"4",),
}


def _patterns(weights: dict[str, int]) -> tuple[tuple[bytes, int], ...]:
    return tuple(
        (pattern, weights[name])
        for name, patterns in _COUNTED.items()
        for pattern in patterns
        if weights[name]
    )


_PATTERNS = _patterns(WEIGHTS)
_MARKDOWN_PATTERNS = _patterns(MARKDOWN_WEIGHTS)


def counts(text: str) -> dict[str, int]:
    """Return how often each pattern occurs in a text, by the names of the weights."""
    kinds = _kinds(text)
    return {name: sum(map(kinds.count, patterns)) - (name == "quotation mark")
            for name, patterns in _COUNTED.items()}  # fmt: skip


def estimate(text: str) -> int:
    """Return the estimate of a text in units; 0 if it is empty."""
    count = _kinds(text).count
    return sum([weight * found for pattern, weight in _PATTERNS if (found := count(pattern))]) - _OPENING


def estimate_markdown(text: str) -> int:
    """Return the estimate of a text of Markdown in units; 0 if it is empty.

    The estimates of parts add up if each begins with a line break, a sign, or a space and a sign.
    """
    count = _kinds(text).count
    return (
        sum([weight * found for pattern, weight in _MARKDOWN_PATTERNS if (found := count(pattern))])
        - MARKDOWN_WEIGHTS["quotation mark"]
    )


def tokens(units: int) -> int:
    """Return units as whole tokens, rounded up."""
    return -(-units // UNITS)


def _kinds(text: str) -> bytes:
    return b"q" + text.encode("utf-8", "surrogatepass").translate(_TABLE)


_OPENING = WEIGHTS["quotation mark"]
STRUCTURE = WEIGHTS["bracket or comma"]
"""Units of one bracket, brace or comma."""
