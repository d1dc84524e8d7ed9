"""Record the pages and pictures of docs/: `make recordings`.

What a page or a picture shows is replaced only if it is something else than times and ids.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recordings import fleet, picture, runner
from recordings.clone import ROOT, Clone
from recordings.terminal import Terminal

DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
PAGES = ("quickstart.md", "tutorial.md", "first-session.md")
"""The pages whose blocks are all run, in their order."""
_IN_COLOUR = "first-session.md"
_PACE = 1.0
_START_SECONDS = 60.0


def main() -> None:
    """Record what the arguments name, or all of it."""
    parser = argparse.ArgumentParser(prog="make recordings", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a page such as tutorial.md, or `pictures`")
    names = parser.parse_args().names or [*PAGES, "pictures"]
    for name in names:
        with _home() as home:
            if name == "pictures":
                _record_fleet(home)
            else:
                _record_page(name, home)


def _record_page(name: str, home: Path) -> None:
    path = DOCS / name
    before = path.read_text()
    steps = runner.record(path, home)
    _say(path, path.read_text() != before)
    if name == _IN_COLOUR:
        lines = list(_in_colour(steps))
        drawn = picture.svg(lines, "A first session", "session")
        target = PICTURES / "first-session.svg"
        _say(target, picture.write(target, drawn))


def _in_colour(steps: Sequence[runner.Shown]) -> Iterator[str]:
    """Yield the lines of the reader's own terminal, with the commands as they were typed."""
    for shown in steps:
        if shown.terminal or shown.step.is_key:
            continue
        yield f"\x1b[32m$\x1b[0m \x1b[1m{shown.step.text.removeprefix('.venv/bin/')}\x1b[0m"
        yield from shown.output.rstrip().splitlines()


def _record_fleet(home: Path) -> None:
    clone = Clone.make(home)
    environment = clone.variables() | {"PATH": f"{clone.directory}/.venv/bin:{clone.variables()['PATH']}"}
    with (
        Terminal(home, environment) as server,
        Terminal(home, environment) as first,
        Terminal(home, environment) as second,
    ):
        server.send("orchestration serve --ephemeral")
        server.wait(lambda text: "Ctrl-C" in text, _START_SECONDS)
        found = fleet.play(clone.address, first, second, pace=_PACE)
    for name, lines in found._asdict().items():
        target = PICTURES / f"{name}.svg"
        command = f"orchestration {name} {'-s ' if name == 'watch' else ''}{fleet.SPRINT}"
        _say(target, picture.write(target, picture.svg(lines, command, name)))


@contextmanager
def _home() -> Iterator[Path]:
    """Make a home whose path is short, as sockets below it need."""
    with tempfile.TemporaryDirectory(prefix="home-") as found:
        yield Path(found)


def _say(path: Path, changed: bool) -> None:
    print(f"{path.relative_to(ROOT)}: {'written' if changed else 'as it was'}")


if __name__ == "__main__":
    main()
