"""The documentation site: the API's pages are whole, links are rewritten, and a broken site is noticed."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FileDescriptor

from docs_site import markdown, navigation, protos, site_check
from docs_site.api_pages import ApiPages, anchor, names
from docs_site.example_requests import ExampleRequests
from docs_site.prose import Prose
from docs_site.staging import BrokenLinks, Staging, page_of, place

ROOT = Path(__file__).parents[2]
STUBS = sorted(path.stem for path in (ROOT / "clients/python/orchestration/v1").glob("*_pb2.py"))


def descriptors() -> list[FileDescriptor]:
    for stub in STUBS:
        import_module(f"orchestration.v1.{stub}")
    pool = descriptor_pool.Default()
    return [pool.FindFileByName(f"orchestration/v1/{stub.removesuffix('_pb2')}.proto") for stub in STUBS]


@pytest.fixture(scope="module")
def files() -> tuple[protos.ProtoFile, ...]:
    return protos.load(ROOT / "protos")


@pytest.fixture(scope="module")
def pages(files: tuple[protos.ProtoFile, ...]) -> dict[str, str]:
    return ApiPages(files, page_of).pages()


def row(page: str, name: str, prefix: str = "") -> bool:
    return (
        re.search(rf"^\|.*{re.escape(prefix)}[^|]*`{re.escape(name)}`[^|]*\| [^|]*\w", page, re.MULTILINE)
        is not None
    )


def test_every_rpc_message_and_enum_is_on_a_page(pages: dict[str, str]) -> None:
    """By the descriptors of the stubs, which know nothing of the generator."""
    found = 0
    for file in descriptors():
        page = pages[file.name.rpartition("/")[2].replace(".proto", ".md")]
        for service in file.services_by_name.values():
            for rpc in service.methods:
                assert f"## {rpc.name}\n" in page
                assert f"**Request**: {'a stream of ' * rpc.client_streaming}`{rpc.input_type.name}`" in page
                assert (
                    f"**Response**: {'a stream of ' * rpc.server_streaming}`{rpc.output_type.name}`" in page
                )
                found += 1
        for message in file.message_types_by_name.values():
            assert f"### {message.name}\n" in page or f'<a id="{anchor(message.name)}">' in page
            for field in message.fields:
                assert row(page, field.name, f'<a id="{anchor(message.name, field.name)}"></a>'), (
                    field.full_name
                )
                found += 1
        for enum in file.enum_types_by_name.values():
            assert f"### {enum.name}\n" in page
            prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
            for value in enum.values:
                assert row(page, value.name.removeprefix(prefix), prefix), value.name
                found += 1
    assert found > 700


def test_every_name_has_its_own_anchor(files: tuple[protos.ProtoFile, ...], pages: dict[str, str]) -> None:
    for name, (page, place_on_page) in names(files).items():
        heading = name.rpartition(".")[2]
        text = pages[f"{page}.md"]
        assert f'<a id="{place_on_page}"></a>' in text or re.search(rf"^#+ {heading}$", text, re.MULTILINE), (
            name
        )


def test_the_errors_of_an_rpc_are_listed_with_links(pages: dict[str, str]) -> None:
    claim = pages["coordination.md"].partition("\n## ClaimTask\n")[2].partition("\n## ")[0]
    assert (
        r"- **FAILED\_PRECONDITION**, [`TASK_HELD`](../errors.md): another holder has a valid lease." in claim
    )
    assert r"- **NOT\_FOUND**: the task does not exist or is deleted." in claim


def test_every_example_is_a_request_of_its_rpc(files: tuple[protos.ProtoFile, ...]) -> None:
    example = ExampleRequests(files)
    rpcs = {rpc.name: rpc for file in files for service in file.services for rpc in service.rpcs}
    for file in descriptors():
        for service in file.services_by_name.values():
            for rpc in service.methods:
                message = message_factory.GetMessageClass(rpc.input_type)()
                json_format.Parse(example(rpcs[rpc.name]), message)
    assert json.loads(example(rpcs["CreateTask"])) == {"task": {"code": "…", "title": "…"}}


def test_comments_become_markdown() -> None:
    prose = Prose({"TaskService.GetTask": "task.md#gettask"}.get, page_of, frozenset({"PENDING"}))
    assert prose.inline("Call TaskService.GetTask, or *fail*.") == (
        "Call [`TaskService.GetTask`](task.md#gettask), or &#42;fail&#42;."
    )
    assert prose.inline('The next_page_token is "a.b" if PENDING: [A-Z._] {field: {from, to}} | <x>') == (
        "The `next_page_token` is `a.b` if `PENDING`: `[A-Z._]` "
        "&#123;field: &#123;from, to&#125;&#125; &#124; &#60;x&#62;"
    )
    assert prose.inline("docs/emission.md has the rules") == "[emission.md](../emission.md) has the rules"
    assert prose.markdown("One\nline:\n- an item\n  of two lines\n- another\n\nThe end.") == (
        "One line:\n\n- an item of two lines\n- another\n\nThe end."
    )


def test_nested_types_are_refused(tmp_path: Path) -> None:
    """A page has no place for them, so they must not vanish."""
    (tmp_path / "a.proto").write_text(
        'syntax = "proto3";\npackage orchestration.v1;\nmessage A {\n  message B {}\n  B b = 1;\n}\n'
    )
    with pytest.raises(ValueError, match="nested"):
        protos.load(tmp_path)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A paragraph:\n- one\n- two\n", "A paragraph:\n\n- one\n- two\n"),
        ("- one\n  goes on\n\n  and on\n", "- one\n    goes on\n\n    and on\n"),
        (
            "1. one\n\n   ```\n   code\n     more\n   ```\n2. two\n",
            "1. one\n\n    ```\n    code\n      more\n    ```\n\n2. two\n",
        ),
        ("1. one\n\n   goes on\n2. two\n3. three\n", "1. one\n\n    goes on\n\n2. two\n3. three\n"),
        ("- one\n  - below\n- two\n", "- one\n    - below\n- two\n"),
        ("- one\n\nText\n\n    code\n", "- one\n\nText\n\n    code\n"),
        ("```\n- no list\n  - at all\n```\n", "```\n- no list\n  - at all\n```\n"),
    ],
)
def test_lists_are_written_for_the_builder(written: str, read: str) -> None:
    assert markdown.with_lists(written) == read


def test_code_in_tables_may_break_and_rows_of_prose_are_records() -> None:
    row = "| `a_name_of_more_than_16` | `x \\| y` | `short` |\n"
    table = f"| a | b | c |\n|---|---|---|\n{row}"
    broken = '<code class="long">a&#95;<wbr>name&#95;<wbr>of&#95;<wbr>more&#95;<wbr>than&#95;<wbr>16</code>'
    fitted = table.replace("`a_name_of_more_than_16`", broken).replace(
        "`x \\| y`", '<code class="long">x &#124; y</code>'
    )
    assert markdown.with_tables(f"Text\n\n{table}\nText\n") == f"Text\n\n{fitted}\nText\n"
    assert markdown.with_tables(f"```\n{table}```\n") == f"```\n{table}```\n"
    prose = f"| a | b | `c` |\n|---|---|---|\n| d \\| e | {'word ' * 60}| |\n| f | g | h |\n"
    labels = ['<span data-label="b"></span>', '<span data-label="c"></span>']
    labelled = prose.replace("| word", f"| {labels[0]}word").replace("word | |", "word |  |")
    labelled = labelled.replace("| g | h", f"| {labels[0]}g | {labels[1]}h")
    assert markdown.with_tables(prose) == f'<div class="records" markdown="1">\n\n{labelled}\n</div>\n'
    prose = f"| a | b |\n|---|---|\n| c | {'word ' * 30}|\n"
    assert markdown.with_tables(prose) == f'<div class="records" markdown="1">\n\n{prose}\n</div>\n'


def test_links_are_rewritten_outside_code_alone() -> None:
    text = "[a](x.md) `[b](x.md)` ``[c](`x.md)``\n\n```\n[d](x.md)\n```\n![e](x.svg)\n"
    assert markdown.relinked(text, lambda target: target.upper()) == text.replace(
        "[a](x.md)", "[a](X.MD)"
    ).replace("![e](x.svg)", "![e](X.SVG)")


def test_the_index_is_the_navigation() -> None:
    text = "# Title\n\n## One\n\n| A group | |\n|---|---|\n| [Page](page.md) | what |\n\n## None\n\nText\n"
    (section,) = navigation.sections(text)
    assert (section.title, section.groups[0].title, section.groups[0].links) == (
        "One",
        "A group",
        [("Page", "page.md")],
    )
    assert "\n".join(navigation.toml([("One", [("", "a.md"), ('"B"', "b.md")])])) == (
        '[\n  { "One" = [\n    "a.md",\n    { "\\"B\\"" = "b.md" },\n  ] },\n]'
    )


def tree(root: Path, pages: dict[str, str]) -> Path:
    (root / "docs/pictures").mkdir(parents=True)
    (root / "protos/orchestration/v1").mkdir(parents=True)
    for name, text in pages.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


INDEX = "# Index\n\n## Start\n\n| page | |\n|---|---|\n| [One](one.md) | first |\n"


def test_files_of_the_repository_are_pages_of_the_site(
    tmp_path: Path, files: tuple[protos.ProtoFile, ...]
) -> None:
    root = tree(
        tmp_path / "repository",
        {
            "docs/README.md": INDEX,
            "docs/one.md": "# One: it\n\n[code](../tool/run.py#main) [all](../tool) [api](../protos)\n"
            "[tasks](../protos/orchestration/v1/task.proto)\n",
            "protos/orchestration/v1/task.proto": "",
            "tool/run.py": '"""A tool with ``` in it."""\n',
        },
    )
    entries = Staging(root, tmp_path / "pages", ApiPages(files, page_of)).write()
    assert entries == [("Start", [("Overview", "index.md"), ("One", "one.md")])]
    assert (tmp_path / "pages/one.md").read_text() == (
        "# One: it\n\n[code](files/tool/run.py.md#main) [all](files/tool/overview.md) [api](api/index.md)\n"
        "[tasks](api/task.md)\n"
    )
    assert "\nGuides: [One](../one.md).\n" in (tmp_path / "pages/api/task.md").read_text()
    assert "````python\n" in (tmp_path / "pages/files/tool/run.py.md").read_text()
    assert "[`run.py`](run.py.md)" in (tmp_path / "pages/files/tool/overview.md").read_text()
    assert place(root, "docs/README.md") == "index.md"


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("# One\n\n[gone](gone.md)\n", "docs/one.md: gone.md leads to nothing"),
        ("# One\n\n[out](../../secret.md)\n", "docs/one.md: ../../secret.md leads to nothing"),
    ],
)
def test_a_link_that_leads_to_nothing_fails_the_build(
    tmp_path: Path, files: tuple[protos.ProtoFile, ...], page: str, fault: str
) -> None:
    root = tree(tmp_path / "repository", {"docs/README.md": INDEX, "docs/one.md": page})
    with pytest.raises(BrokenLinks, match=re.escape(fault)):
        Staging(root, tmp_path / "pages", ApiPages(files, page_of)).write()


def test_a_page_that_no_index_lists_fails_the_build(
    tmp_path: Path, files: tuple[protos.ProtoFile, ...]
) -> None:
    root = tree(
        tmp_path / "repository", {"docs/README.md": INDEX, "docs/one.md": "# One\n", "docs/two.md": "# Two\n"}
    )
    with pytest.raises(BrokenLinks, match=re.escape("docs/two.md is in no table of docs/README.md or")):
        Staging(root, tmp_path / "pages", ApiPages(files, page_of)).write()


GOOD = '<a href="b.html#there">b</a> <a href="#here">here</a> <p id="here"></p> <img src="a.png">'


@pytest.mark.parametrize(
    ("page", "faults"),
    [
        (GOOD, []),
        ('<a href="c.html">c</a>', ["a.html: c.html leads to nothing"]),
        ('<a href="b.html#gone">b</a>', ["a.html: b.html#gone names an anchor that b.html does not have"]),
        ('<a href="#gone">b</a>', ["a.html: #gone names an anchor that a.html does not have"]),
        ('<img src="gone.png">', ["a.html: loads gone.png, which is not there"]),
        (
            '<script src="https://cdn.example/x.js"></script>',
            ["a.html: loads https://cdn.example/x.js from another host"],
        ),
        (
            '<link rel="stylesheet" href="//fonts.example/x">',
            ["a.html: loads //fonts.example/x from another host"],
        ),
        ('<p id="x"></p><p id="x"></p>', ["a.html: the id x is there twice"]),
        ('<a href="https://other.example/">elsewhere</a>', []),
    ],
)
def test_the_check_finds_what_is_broken(tmp_path: Path, page: str, faults: list[str]) -> None:
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "b.html").write_text('<p id="there"></p>')
    (tmp_path / "a.png").write_bytes(b"")
    assert site_check.check(tmp_path).faults == faults


def test_the_check_reads_style_sheets(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@import 'https://fonts.example/a.css'; b { background: url(data:x) }")
    assert site_check.check(tmp_path).faults == ["a.css: loads https://fonts.example/a.css from another host"]
