"""A fingerprint ignores what differs between occurrences of a bug, and tells different bugs apart."""

import string
from operator import methodcaller

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.reports.fingerprint import fingerprint, normalized

WORDS = ("open", "socket", "refused", "timeout", "reading", "row", "while", "worker", "missing", "queue")
SAFE = string.ascii_lowercase + string.digits + "_-."

numbers = st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False)).map(str)
hexadecimals = st.one_of(
    st.integers(0, 2**64).map(hex),
    st.binary(min_size=4, max_size=32).map(bytes.hex),
    st.binary(min_size=4, max_size=32).map(lambda body: body.hex().upper()),
)
segments = st.text(SAFE, min_size=1, max_size=12)
directories = st.one_of(
    st.lists(segments, min_size=1, max_size=6).map(lambda names: "/" + "/".join(names) + "/"),
    st.lists(segments, min_size=1, max_size=6).map(lambda names: "./" + "/".join(names) + "/"),
    st.lists(segments, min_size=1, max_size=6).map(lambda names: "C:\\" + "\\".join(names) + "\\"),
)
FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%d %H:%M:%S,%f",
    "%Y-%m-%d %H:%M:%S+01:00",
    "%H:%M:%S",
    "%b %d %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)
moments = st.datetimes().filter(lambda time: time.year >= 1000)

NOISE: dict[str, st.SearchStrategy[str]] = {
    "number": numbers,
    "hexadecimal": hexadecimals,
    "uuid": st.uuids().map(str),
    "path": directories.map(lambda directory: directory + "server.py"),
    **{form: moments.map(methodcaller("strftime", form)) for form in FORMATS},
}
letters = st.text(string.ascii_letters + "     \t\n", max_size=30)
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)


def of(error: str = "", *, trace: str = "", title: str = "t", component: str = "") -> bytes:
    return fingerprint(component=component, title=title, error_text=error, stack_trace=trace)


@pytest.mark.parametrize("kind", NOISE)
@given(data=st.data(), before=letters, after=letters)
def test_noise_does_not_change_a_fingerprint(kind: str, data: st.DataObject, before: str, after: str) -> None:
    one, other = data.draw(NOISE[kind]), data.draw(NOISE[kind])
    opening, closing = data.draw(
        st.sampled_from([(" ", " "), ("'", "'"), ("(", ")"), ("=", ", "), ("[", "]")])
    )

    def text(noise: str) -> str:
        return f"{before}{opening}{noise}{closing}{after}"

    assert normalized(text(one)) == normalized(text(other))
    assert of(text(one), trace=text(other)) == of(text(other), trace=text(one))


@given(text=st.text(string.ascii_letters + string.digits + string.punctuation + " \n\t", max_size=80))
def test_case_quotes_and_white_space_do_not_change_a_fingerprint(text: str) -> None:
    assert of(text.upper()) == of(text.lower())
    assert of(text.replace('"', "'")) == of(text.replace("'", '"')) == of(text.replace("'", "’"))
    assert of("\n".join(text.split())) == of(f"  {text}\t")


@given(one=sentences, other=sentences, noise=st.sampled_from(sorted(NOISE)), data=st.data())
def test_different_errors_have_different_fingerprints(
    one: str, other: str, noise: str, data: st.DataObject
) -> None:
    drawn = data.draw(NOISE[noise])
    assert (of(f"{one} {drawn}") == of(f"{other} {drawn}")) == (one == other)


@given(text=st.text(max_size=200))
def test_any_text_is_normalized(text: str) -> None:
    found = normalized(text)
    assert found == found.lower()
    assert found.split() == found.split(" ") or not found
    assert not any(sign == '"' or sign.isdecimal() for sign in found)


def test_the_line_numbers_and_addresses_of_a_stack_trace_do_not_count() -> None:
    before = """Traceback (most recent call last):
  File "/srv/app/releases/20260102/worker.py", line 31, in run
    self.take(<Job object at 0x7f31aa90>)
KeyError: 'job-17'"""
    after = """Traceback (most recent call last):
  File "/home/ann/src/worker.py", line 1042, in run
    self.take(<Job object at 0x55d0c1f2e0>)
KeyError: 'job-99'"""
    assert of(trace=before) == of(trace=after)
    assert of(trace=before) != of(trace=before.replace("worker.py", "server.py"))
    assert of(trace=before) != of(trace=before.replace("in run", "in stop"))
    assert of(trace=before) != of(trace=before.replace("KeyError", "IndexError"))


def test_the_component_counts_and_the_title_if_there_is_no_error() -> None:
    assert of("broken", component="api") != of("broken", component="store")
    assert of("broken", title="One") == of("broken", title="Other")
    assert of(title="The list is empty") == of(title="the  LIST is empty") != of(title="The list is full")
    assert of(" \n", title="One") != of(" \n", title="Other")
    assert of("same") != of(trace="same") != of(title="same")


@pytest.mark.parametrize(
    "part",
    ["a", "0", "f", "/", "a/", "1:", "1-", "1,", "0x", "nov 1 ", "mon ", "12:34:56.", "abcdef12-", "'", "-"],
)
def test_the_longest_text_of_any_kind_is_read_once(part: str) -> None:
    assert of(trace=(part * 100_000)[:100_000] + "z")
