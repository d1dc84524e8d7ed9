"""A check of the built site: links lead to pages and anchors, and nothing is loaded from other hosts."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = frozenset(
    {"script", "img", "iframe", "source", "video", "audio", "object", "embed", "track", "use"}
)
_OF_CSS = re.compile(r"""(?:url\(\s*|@import\s+)["']?(?P<url>[^"')\s;]+)""")


@dataclass(slots=True)
class Page:
    """The anchors and the links of one page of HTML."""

    ids: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    """Addresses that a browser fetches with the page."""


@dataclass(slots=True)
class Report:
    """The number of checks, and the faults that they found."""

    pages: int = 0
    links: int = 0
    anchors: int = 0
    faults: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    """A reader of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the ids and addresses of an element."""
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.page.ids[values["id"]] += 1
        if tag == "a" and "href" in values:
            self.page.links.append(values["href"])
        elif tag == "link" and values.get("rel") != "canonical":
            self.page.loads.append(values.get("href", ""))
        elif tag in _LOADED:
            for name in ("src", "data", "href", "xlink:href", "poster"):
                if values.get(name):
                    self.page.loads.append(values[name])


def read(text: str) -> Page:
    """Return what a page of HTML defines and names."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.page


def check(site: Path) -> Report:
    """Check the site below a directory."""
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    pages = {name: read((site / name).read_text()) for name in names if name.endswith(".html")}
    report = Report(pages=len(pages))
    for name, page in sorted(pages.items()):
        report.faults += [f"{name}: the id {one} is there twice" for one, n in page.ids.items() if n > 1]
        for link in page.links:
            report.faults += _of_link(name, link, pages, names, report)
        for url in page.loads:
            report.faults += _of_load(name, url, names)
    for name in sorted(name for name in names if name.endswith((".css", ".svg"))):
        for found in _OF_CSS.finditer((site / name).read_text()):
            if _is_foreign(found["url"]):
                report.faults.append(f"{name}: loads {found['url']} from another host")
    return report


def _of_link(name: str, link: str, pages: dict[str, Page], names: set[str], report: Report) -> Iterator[str]:
    if urlsplit(link).scheme or link.startswith("//"):
        return
    report.links += 1
    path, fragment = _resolved(name, link)
    if path not in names:
        yield f"{name}: {link} leads to nothing"
    elif fragment and path in pages:
        report.anchors += 1
        if fragment not in pages[path].ids:
            yield f"{name}: {link} names an anchor that {path} does not have"


def _of_load(name: str, url: str, names: set[str]) -> Iterator[str]:
    if _is_foreign(url):
        yield f"{name}: loads {url} from another host"
    elif not url.startswith(("data:", "#")) and _resolved(name, url)[0] not in names:
        yield f"{name}: loads {url}, which is not there"


def _is_foreign(url: str) -> bool:
    return bool(re.match(r"(?:https?:)?//", url))


def _resolved(name: str, link: str) -> tuple[str, str]:
    """Return the file and the anchor that a link of a page leads to."""
    split = urlsplit(link)
    path = unquote(split.path)
    if not path:
        return name, unquote(split.fragment)
    base = "" if path.startswith("/") else posixpath.dirname(name)
    target = posixpath.normpath(posixpath.join(base, path.lstrip("/") if not base else path))
    if path.endswith("/") or target == ".":
        target = posixpath.normpath(posixpath.join(target, "index.html"))
    return target, unquote(split.fragment)
