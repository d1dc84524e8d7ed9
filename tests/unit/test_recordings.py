"""The reader of pages that are run: what counts as the same, and what must not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recordings import matching, picture, runner
from recordings.__main__ import DOCS, PAGES
from recordings.page import File, Page, Session, Step

# Python misses a SIGINT that comes just before it begins to read: what Ctrl-C ends here is no Python.
PAGE = """\
# A page

```python title="hello.py"
import sys
print("hello", *sys.argv[1:])
```

Then:

```console
$ python3 hello.py you
hello you
$ echo one \\
>   two
one two
$ cd /tmp && pwd
/tmp
```

```console title="another terminal"
$ sh -c 'echo up; exec sleep 60'
up
^C
$ pwd
~/orchestration
$ sh -c 'echo ready; exec sleep 60'
ready
```
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="home-") as found:
        yield Path(found)


def check(text: str, home: Path) -> None:
    page = home / "page.md"
    page.write_text(text)
    runner.check(page, home)


@pytest.mark.slow
def test_a_page_is_done_in_its_order_and_its_terminals(home: Path) -> None:
    check(PAGE, home)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shown", "other"),
    [
        ("hello you\n", "hello me\n"),
        ("hello you\n", ""),
        ("hello you\n", "hello you\nand me\n"),
        ("$ echo one", "$ echo  0one"),
        ('print("hello"', 'print("bye"'),
        ("~/orchestration", "/tmp"),
    ],
)
def test_a_page_that_shows_something_else_fails(
    shown: str, other: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: each fault of a page is found."""
    monkeypatch.setattr(runner, "SECONDS", 5.0)
    with pytest.raises(AssertionError, match=r"page\.md: \$ "):
        check(PAGE.replace(shown, other), home)


@pytest.mark.slow
def test_a_recording_writes_what_is_shown_and_keeps_what_is_the_same(home: Path) -> None:
    path = home / "page.md"
    path.write_text("```console\n$ date +%H:%M:%S\n12:00:00\n$ echo new\nold\n$ printf 'a\\nb\\n'\n…\n```\n")
    steps = runner.record(path, home)
    assert path.read_text() == (
        "```console\n$ date +%H:%M:%S\n12:00:00\n$ echo new\nnew\n$ printf 'a\\nb\\n'\n…\n```\n"
    )
    assert [step.step.text for step in steps] == ["date +%H:%M:%S", "echo new", "printf 'a\\nb\\n'"]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_is_a_session_or_a_file(page: str) -> None:
    text = (DOCS / page).read_text()
    assert Page.parse(text).text() == text


def test_a_page_is_read_as_it_is_written() -> None:
    found = Page.parse(PAGE)
    assert found.text() == PAGE
    file, own, other = found.blocks
    assert file == File("hello.py", 'import sys\nprint("hello", *sys.argv[1:])\n')
    assert isinstance(own, Session)
    assert isinstance(other, Session)
    assert own.steps[1] == Step("echo one \\\n  two", ("one two",))
    assert other.terminal == "another terminal"
    assert [step.is_key for step in other.steps] == [False, True, False, False]


@pytest.mark.parametrize("info", ["", "python", "bash", 'console title=""', "text"])
def test_a_block_that_would_not_be_run_is_refused(info: str) -> None:
    with pytest.raises(ValueError, match="neither a session nor a file"):
        Page.parse(f"```{info}\nls\n```\n")


@pytest.mark.parametrize(
    ("lines", "output", "same"),
    [
        (["12:04:05  w1"], "23:59:00  w1\n", True),
        (["- 2026-11-02 14:05 a claimed; 14:06 logged"], "- 2027-01-30 09:00 a claimed, logged", True),
        (["b-1  3s   1m"], "b-1  12s  59s", True),
        (["[1] 4711"], "[1] 12", True),
        (["\x1b[31mred\x1b[0m"], "red", False),
        (["red"], "\x1b[31mred\x1b[0m\r\n", True),
        (["w1 is ready"], "w2 is ready", False),
        (["fence 1"], "fence 2", False),
        (["a", "…", "d"], "a\nb\nc\nd", True),
        (["a", "…", "d"], "a\nd", True),
        (["a…", "c"], "a\nb\nc", False),
        (["a"], "a\nb", False),
        (["a"], "ab", False),
        ([], "", True),
        ([], "a", False),
    ],
)
def test_two_outputs_are_the_same_up_to_times_and_ids(lines: list[str], output: str, same: bool) -> None:
    assert matching.matches(lines, output) is same


def test_an_output_that_goes_on_begins_as_the_page_says() -> None:
    assert matching.matches(["a"], "a\nb\n", begins=True)
    assert not matching.matches(["b"], "a\nb\n", begins=True)
    assert not matching.matches(["a"], "", begins=True)


def test_a_picture_has_the_text_and_the_colours_of_its_lines() -> None:
    lines = ["\x1b[32m$\x1b[0m orchestration ready", "", "T-1   <P2> & \x1b[31mred\x1b[0m  “quoted”  ×4"]
    drawn = picture.svg(lines, "A picture", "one")
    assert picture.text(drawn).splitlines() == [matching.plain(line) for line in lines]
    assert "#98ce78" in drawn
    assert "@font-face" not in drawn


def test_a_picture_is_written_only_if_it_shows_something_else(tmp_path: Path) -> None:
    path = tmp_path / "one.svg"
    assert picture.write(path, picture.svg(["12:00:00 a"], "One", "one"))
    assert not picture.write(path, picture.svg(["13:00:00 a"], "One", "one"))
    assert picture.write(path, picture.svg(["13:00:00 b"], "One", "one"))
