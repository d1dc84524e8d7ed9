"""The pages that the site is built of: docs/, the API, and every file of the repository that a page links."""

from __future__ import annotations

import posixpath
import re
import shutil
from collections import defaultdict
from pathlib import Path

from docs_site import markdown, navigation
from docs_site.api_pages import ApiPages
from docs_site.navigation import Entry

INDEX = "docs/README.md"
PROTOS = "protos/orchestration/v1"
_LANGUAGES = {
    ".go": "go", ".java": "java", ".js": "js", ".json": "json", ".nft": "text", ".py": "python", ".sh": "sh",
    ".sql": "sql", ".toml": "toml", ".ts": "ts", ".yaml": "yaml", ".yml": "yaml", ".service": "ini",
    ".conf": "ini", ".mjs": "js",
}  # fmt: skip
_BINARY = frozenset({".gz", ".png", ".binpb", ".ico"})
_HIDDEN_FROM_SEARCH = "---\nsearch:\n  exclude: true\n---\n\n"


class BrokenLinks(Exception):
    """Links of pages of the repository that lead to nothing, or pages that no index lists."""


def place(root: Path, path: str) -> str:
    """Return the page of the site that shows a file or a directory of the repository."""
    if path in ("README.md", INDEX, "docs", "."):
        return "index.md"
    if path in ("protos", "protos/orchestration", PROTOS):
        return "api/index.md"
    if path.startswith(f"{PROTOS}/") and path.endswith(".proto"):
        return f"api/{posixpath.basename(path).removesuffix('.proto')}.md"
    shown = path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"
    shown = re.sub(r"(?<=/)\.", "dot-", shown)  # the builder passes over hidden files
    # In the navigation a page named index would become the heading of its group.
    name = "index.md" if path.startswith("docs/") else "overview.md"
    if (root / path).is_dir():
        return f"{shown}/{name}"
    if posixpath.basename(shown) == "README.md":
        return f"{posixpath.dirname(shown)}/{name}"
    if path.startswith("docs/") or path.endswith(".md"):
        return shown
    return f"{shown}.md"


class Staging:
    """A directory of pages in the making, and the links that were found broken."""

    def __init__(self, root: Path, out: Path, api: ApiPages) -> None:
        self._root = root
        self._out = out
        self._api = api
        self._waiting = list[str]()
        self._done = set[str]()
        self._broken = list[str]()
        self._guides = defaultdict[str, set[tuple[str, str]]](set)
        """The titles and targets of the pages of docs/ that link a proto, by the proto's stem."""

    def write(self) -> list[Entry]:
        """Write all pages, and return the navigation. Raises BrokenLinks."""
        shutil.rmtree(self._out, ignore_errors=True)
        self._done |= {"protos", PROTOS, *(path.as_posix() for path in self._files(PROTOS))}
        shutil.copytree(self._root / "docs" / "pictures", self._out / "pictures")
        for path in self._files("docs"):
            if path.suffix == ".md":
                self._want(path.as_posix())
        while self._waiting:
            self._stage(self._waiting.pop())
        guides = {stem: sorted(linked) for stem, linked in self._guides.items()}
        for name, text in self._api.pages(guides).items():
            self._write(f"api/{name}", markdown.with_tables(text))
        entries = self._navigation()
        if self._broken:
            raise BrokenLinks("\n".join(sorted(self._broken)))
        return entries

    def _files(self, directory: str) -> list[Path]:
        found = (path for path in (self._root / directory).rglob("*") if path.is_file())
        return sorted(path.relative_to(self._root) for path in found if _is_shown(path))

    def _want(self, path: str) -> None:
        if path not in self._done:
            self._done.add(path)
            self._waiting.append(path)

    def _write(self, page: str, text: str) -> None:
        path = self._out / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _stage(self, path: str) -> None:
        source = self._root / path
        if path == "README.md":
            return
        page = place(self._root, path)
        if source.is_dir():
            readme = f"{path}/README.md"
            if (self._root / readme).is_file():
                self._want(readme)
            else:
                self._write(page, self._listing(path))
        elif source.suffix == ".md":
            self._write(page, self._page(path, source.read_text()))
        elif source.suffix not in _BINARY:
            self._write(page, _listed(path, source.read_text()))

    def _page(self, path: str, text: str) -> str:
        page = place(self._root, path)

        def target(link: str) -> str:
            return self._target(path, page, link)

        return markdown.with_tables(markdown.with_lists(markdown.relinked(text, target)))

    def _target(self, path: str, page: str, link: str) -> str:
        if re.match(r"[a-z]+:", link) or link.startswith("#"):
            return link
        name, mark, fragment = link.partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        if wanted.startswith("..") or not (self._root / wanted).exists():
            self._broken.append(f"{path}: {link} leads to nothing")
            return link
        if re.fullmatch(r"docs/[^/]+\.md", path) and wanted.endswith(".proto"):
            name = markdown.title((self._root / path).read_text()).partition(":")[0]
            self._guides[posixpath.basename(wanted).removesuffix(".proto")].add((name, f"../{page}"))
        if not wanted.startswith("docs/pictures/"):
            self._want(wanted)
        return _relative(page, place(self._root, wanted)) + mark + fragment

    def _listing(self, directory: str) -> str:
        page = place(self._root, directory)
        lines = [_HIDDEN_FROM_SEARCH + f"# {directory}/", ""]
        for child in sorted((self._root / directory).iterdir(), key=lambda one: (one.is_file(), one.name)):
            if not _is_shown(child):
                continue
            name = child.relative_to(self._root).as_posix()
            label = f"`{child.name}{'/' if child.is_dir() else ''}`"
            if child.suffix in _BINARY:
                lines.append(f"- {label}")
                continue
            self._want(name)
            lines.append(f"- [{label}]({_relative(page, place(self._root, name))})")
        return "\n".join(lines) + "\n"

    def _navigation(self) -> list[Entry]:
        entries = list[Entry]()
        listed = {INDEX}
        for section in navigation.sections((self._root / INDEX).read_text()):
            content = list[Entry]()
            for group in section.groups:
                links = [self._entry(INDEX, title, target, listed) for title, target in group.links]
                content += [(group.title, links)] if len(section.groups) > 1 else links
            entries.append((section.title, content))
        entries[0] = (entries[0][0], [("Overview", "index.md"), *_content(entries[0])])
        pages = {path.as_posix() for path in self._files("docs") if path.suffix == ".md"}
        missing = "is in no table of docs/README.md or of the README.md beside it"
        self._broken += [f"{path} {missing}" for path in pages - listed]
        return entries

    def _entry(self, index: str, title: str, target: str, listed: set[str]) -> Entry:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(index), target.partition("#")[0]))
        page = place(self._root, path)
        listed.add(path)
        if page == "api/index.md":
            pages = [(name, f"api/{page}") for page, name in self._api.titles().items()]
            return title, [("", page), *pages]
        readme = f"{path}/README.md"
        if path.startswith("docs/") and (self._root / readme).is_file():
            listed.add(readme)
            below = navigation.sections("## \n" + (self._root / readme).read_text())
            links = [link for section in below for group in section.groups for link in group.links]
            return title, [("", page), *(self._entry(readme, *link, listed) for link in links)]
        return title, page


def _content(entry: Entry) -> list[Entry]:
    content = entry[1]
    assert not isinstance(content, str)
    return content


def _is_shown(path: Path) -> bool:
    return path.name[0] not in "._" or path.name in ("__init__.py", "__main__.py")


def _relative(page: str, target: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def _listed(path: str, text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = _LANGUAGES.get(posixpath.splitext(path)[1], "text")
    body = text if text.endswith("\n") else text + "\n"
    return (
        f"{_HIDDEN_FROM_SEARCH}# {posixpath.basename(path)}\n\n`{path}`\n\n{fence}{language}\n{body}{fence}\n"
    )


def page_of(path: str) -> str:
    """Return the target of a page of docs/ from a page of the API."""
    return f"../{path.removeprefix('docs/')}"
