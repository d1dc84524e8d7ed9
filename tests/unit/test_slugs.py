"""Slugs equal those of the whole text normalized at once, in time linear in its length."""

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration_server.cli.importing import words
from orchestration_server.codec import slugs


@given(st.text(st.characters(), max_size=60))
@example("ǅ ﬃ ½ ß Å")
@example("a\u0316\u0301b")
@example("\uac00\u1100\u1161")
def test_a_slug_equals_that_of_the_whole_text_normalized(text: str) -> None:
    whole = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    assert slugs.slug(text, 1_000) == slugs.slug(whole, 1_000)


@pytest.mark.parametrize("call", [lambda text: slugs.slug(text, 48), words.fold], ids=["slug", "fold"])
def test_no_long_run_of_combining_marks_is_sorted(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    """Sorting combining marks takes quadratic time: 20,000 of them took 1.5 s."""
    longest, normalize = 0, unicodedata.normalize

    def counted(form: Any, text: str) -> str:
        nonlocal longest
        longest = max(longest, len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", counted)
    call("a" + "\u0301\u0316" * 10_000)
    assert longest <= 1_000
    call("\u00e9")
    assert longest > 0, "what normalizes was watched"
