"""The pages of the API: one for each proto, with its rpcs, their errors, the messages and the enums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

from docs_site.example_requests import ExampleRequests
from docs_site.prose import Block, Prose, blocks, first_sentence
from docs_site.protos import PACKAGE, Enum, Field, Message, ProtoFile, Rpc, Service

_INTRODUCTION = f"""# The API

The package is `{PACKAGE}`. Each page has one service, with its rpcs, their errors, and the fields of each
request and response. Every rpc can also be called from a shell, as `orchestration call Service/Method JSON`
([the command](../command.md#scripts)); the [clients](../clients.md) have a method for most of them.
"""
_READING = """## How to read these pages

- A field that is not marked *Required* may be left out: a text is then empty, a number 0, a message unset.
- `Timestamp`, `Duration`, `Struct` and `FieldMask` are types of `google.protobuf`. In JSON they are a time as
  in RFC 3339, seconds with an `s`, an object, and names with commas between them.
- In JSON a field may have the name on these pages or its form in `lowerCamelCase`. An enum value has its full
  name.
- The lists of errors name what is special to an rpc. Any call can also end with the errors of its
  [fields](../errors.md), [credentials](../security.md) and [limits](../limits.md).
"""


def anchor(*names: str) -> str:
    """Return the anchor of an element on its page."""
    return ".".join(names).lower()


class ApiPages:
    """The pages by their names, such as `task.md`; `index.md` leads to the others."""

    def __init__(self, files: Sequence[ProtoFile], page: Callable[[str], str]) -> None:
        self._files = files
        self._places = dict(_places(files))
        self._messages = {message.name: message for file in files for message in file.messages}
        self._example = ExampleRequests(files)
        self._page_of_docs = page

    def titles(self) -> dict[str, str]:
        """Return the title of each page but the index, services first."""
        titles = {f"{file.stem}.md": _title(file) for file in self._files}
        with_service = {f"{file.stem}.md" for file in self._files if file.services}
        return dict(sorted(titles.items(), key=lambda item: (item[0] not in with_service, item[1])))

    def pages(self, guides: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType({})) -> dict[str, str]:
        """Return the text of each page, which lists the titles and targets of its `guides`, by its stem."""
        pages = {f"{file.stem}.md": self._page(file, guides.get(file.stem, ())) for file in self._files}
        return {"index.md": self._index()} | pages

    def _index(self) -> str:
        lines = [_INTRODUCTION, "| page | what it has |", "|---|---|"]
        by_name = {f"{file.stem}.md": file for file in self._files}
        prose = self._prose("index")
        for name, title in self.titles().items():
            told = first_sentence(by_name[name].comment)
            lines.append(f"| [{title}]({name}) | {prose.inline(told)} |")
        (common,) = (file for file in self._files if file.stem == "common")
        lines += ["", "## Every call", "", prose.markdown(common.comment.partition("\n\n")[2]), "", _READING]
        return "\n".join(lines)

    def _page(self, file: ProtoFile, guides: Sequence[tuple[str, str]]) -> str:
        prose = self._prose(file.stem)
        lines = [f"# {_title(file)}", "", prose.markdown(file.comment), ""]
        if guides:
            lines += [f"Guides: {', '.join(f'[{title}]({target})' for title, target in guides)}.", ""]
        for service in file.services:
            lines += [prose.markdown(service.comment), "", *_list_of_rpcs(service, prose)]
            for rpc in service.rpcs:
                lines += self._rpc(service, rpc, prose)
        shared = [one for one in file.messages if one.name not in self._inline_messages()]
        for title, elements in (("Messages", shared), ("Enums", file.enums)):
            if elements:
                lines += [f"## {title}", ""]
            for one in elements:
                lines += [f"### {one.name}", "", prose.markdown(one.comment), ""]
                lines += _values(one, prose) if isinstance(one, Enum) else self._fields(one, prose)
        return "\n".join(lines).rstrip() + "\n"

    def _inline_messages(self) -> set[str]:
        return {
            name
            for file in self._files
            for service in file.services
            for rpc in service.rpcs
            for name in (rpc.request, rpc.response)
        }

    def _rpc(self, service: Service, rpc: Rpc, prose: Prose) -> Iterator[str]:
        yield from (f"## {rpc.name}", "")
        yield from _described(rpc.comment, prose)
        if not rpc.streams_requests:
            yield from (
                "```sh",
                f"orchestration call {service.name}/{rpc.name} '{self._example(rpc)}'",
                "```",
                "",
            )
        for what, name, streams in (
            ("Request", rpc.request, rpc.streams_requests),
            ("Response", rpc.response, rpc.streams_responses),
        ):
            stream = "a stream of " if streams else ""
            yield from (f'<a id="{anchor(name)}"></a>**{what}**: {stream}`{name}`', "")
            message = self._messages[name]
            if not _is_boilerplate(message, service, rpc):
                yield from (prose.markdown(message.comment), "")
            yield from self._fields(message, prose)

    def _fields(self, message: Message, prose: Prose) -> Iterator[str]:
        if not message.fields:
            yield from ("It has no fields.", "")
            return
        yield from ("| field | meaning |", "|---|---|")
        for oneof, fields in groupby(message.fields, key=lambda field: field.oneof):
            if oneof:
                yield f"| *one of these* | {prose.cell(message.oneofs[oneof])} |"
            for field in fields:
                place = f'<a id="{anchor(message.name, field.name)}"></a>'
                name = f"{'○ ' if oneof else ''}`{field.name}`"
                yield f"| {place}{name}<br>{self._type(field, prose)} | {prose.cell(field.comment)} |"
        yield ""

    def _type(self, field: Field, prose: Prose) -> str:
        short = field.type.removeprefix("google.protobuf.")
        target = prose.target(field.type)
        name = f"[{short}]({target})" if target else short
        kinds = {
            "list": f"list of {name}",
            "map": f"map of strings to {name}",
            "optional": f"{name}, optional",
        }
        return f'<span class="type">{kinds.get(field.kind, name)}</span>'

    def _prose(self, stem: str) -> Prose:
        def link(name: str) -> str | None:
            place = self._places.get(name)
            if place is None:
                return None
            page, anchor_of_name = place
            return f"#{anchor_of_name}" if page == stem else f"{page}.md#{anchor_of_name}"

        return Prose(link, self._page_of_docs, frozenset(_short_values(self._files)))


def _title(file: ProtoFile) -> str:
    return " and ".join(service.name for service in file.services) or {
        "common": "Shared enums and messages",
        "lease": "Leases and attempts",
    }.get(file.stem, file.stem.capitalize())


def _places(files: Iterable[ProtoFile]) -> Iterator[tuple[str, tuple[str, str]]]:
    for file in files:
        for service in file.services:
            yield service.name, (file.stem, anchor(service.name))
            for rpc in service.rpcs:
                yield rpc.name, (file.stem, anchor(rpc.name))
                yield f"{service.name}.{rpc.name}", (file.stem, anchor(rpc.name))
        for message in file.messages:
            yield message.name, (file.stem, anchor(message.name))
            for field in message.fields:
                yield f"{message.name}.{field.name}", (file.stem, anchor(message.name, field.name))
        for enum in file.enums:
            yield enum.name, (file.stem, anchor(enum.name))


def _short_values(files: Iterable[ProtoFile]) -> Iterator[str]:
    for file in files:
        for enum in file.enums:
            prefix = _prefix(enum)
            yield from (value.name.removeprefix(prefix) for value in enum.values)


def _prefix(enum: Enum) -> str:
    return enum.values[0].name.removesuffix("UNSPECIFIED")


def _list_of_rpcs(service: Service, prose: Prose) -> Iterator[str]:
    yield from ("| rpc | what it does |", "|---|---|")
    for rpc in service.rpcs:
        yield f"| [`{rpc.name}`](#{anchor(rpc.name)}) | {prose.inline(first_sentence(rpc.comment))} |"
    yield ""


def _described(comment: str, prose: Prose) -> Iterator[str]:
    """Yield the comment of an rpc, whose last paragraph may be a list of errors."""
    listed = False
    for block in blocks(comment):
        if block == Block(("Errors:",)):
            listed = True
            yield from ("**Errors**", "")
        elif block.is_list:
            yield from (f"- {prose.error(item) if listed else prose.inline(item)}" for item in block.lines)
            yield ""
        else:
            yield from (prose.inline(*block.lines), "")


def _is_boilerplate(message: Message, service: Service, rpc: Rpc) -> bool:
    """Return True if the comment says no more than that the message belongs to the rpc."""
    return message.comment.rstrip(".").endswith(f"message for {service.name}.{rpc.name}")


def _values(enum: Enum, prose: Prose) -> Iterator[str]:
    yield from ("| value | meaning |", "|---|---|")
    prefix = _prefix(enum)
    for value in enum.values:
        short = value.name.removeprefix(prefix)
        yield f'| <span class="type">{prefix}</span><wbr>`{short}` | {prose.cell(value.comment)} |'
    yield ""


def names(files: Iterable[ProtoFile]) -> Mapping[str, tuple[str, str]]:
    """Return the page and the anchor of each service, rpc, message, field and enum."""
    return dict(_places(files))
