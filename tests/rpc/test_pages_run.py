"""The pages that are run word for word, and the pictures: a reader sees what they show."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration_server.app import App
from recordings import fleet, matching, picture, runner
from recordings.__main__ import DOCS, PAGES, PICTURES
from recordings.clone import Clone
from recordings.page import Page, Session
from recordings.terminal import COLUMNS, Terminal

pytestmark = pytest.mark.slow

URL = re.compile(r"""(?:https?:)?//[^\s"')]+""")


@pytest.fixture
def home() -> Iterator[Path]:
    """Make a home whose path is short, as the sockets of Postgres need."""
    with tempfile.TemporaryDirectory(prefix="home-") as found:
        yield Path(found)


# The tutorial waits for two leases to end, and each page starts a server with its own Postgres.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_a_reader_sees_what_a_page_shows(page: str, home: Path) -> None:
    runner.check(DOCS / page, home)


def test_the_pictures_show_what_the_commands_draw(start_app: Callable[..., App], home: Path) -> None:
    server = start_app(background=True)
    clone = Clone.make(home)
    own = {"ORCHESTRATION_ADDRESS": server.address}
    path = {"PATH": f"{clone.directory}/.venv/bin:{clone.variables()['PATH']}"}
    environment = clone.variables() | own | path
    with Terminal(home, environment) as first, Terminal(home, environment) as second:
        found = fleet.play(server.address, first, second)
    for name, lines in found._asdict().items():
        kept = picture.text((PICTURES / f"{name}.svg").read_text())
        assert matching.same(matching.plain("\n".join(lines))) == matching.same(kept), name
        assert max(map(len, kept.splitlines())) <= COLUMNS


def test_the_first_session_is_the_same_in_colour_and_without() -> None:
    page = Page.parse((DOCS / "first-session.md").read_text())
    own = [each for each in page.blocks if isinstance(each, Session) and not each.terminal]
    lines = [line for session in own for step in session.steps if not step.is_key for line in step.lines()]
    drawn = picture.text((PICTURES / "first-session.svg").read_text())
    assert [matching.same(line) for line in drawn.splitlines()] == [matching.same(line) for line in lines]


def test_the_first_session_fits_into_80_columns() -> None:
    text = (DOCS / "first-session.md").read_text()
    lines = [line for block in Page.parse(text).blocks for line in block.text().splitlines()]
    assert not [line for line in lines if len(line) > COLUMNS]


def test_pictures_load_nothing() -> None:
    """A picture names no host but that of the names of SVG itself."""
    found = sorted(PICTURES.glob("*.svg"))
    assert {"first-session.svg", "top.svg", "watch.svg"} <= {path.name for path in found}
    for path in found:
        assert set(URL.findall(path.read_text())) == {"http://www.w3.org/2000/svg"}


def test_the_agent_of_the_tutorial_has_30_lines() -> None:
    files = {
        each.name: each.content
        for each in Page.parse((DOCS / "tutorial.md").read_text()).blocks
        if not isinstance(each, Session)
    }
    assert len(files["agent.py"].splitlines()) == 30
