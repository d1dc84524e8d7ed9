"""Files of templates are checked when a server reads them, and the built-in ones are valid."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from orchestration_server.__main__ import cli
from orchestration_server.errors import InvalidArgument, NotFound
from orchestration_server.templates import TemplateFileError, TemplateKind, Templates
from orchestration_server.templates.filters import FILTERS, TESTS
from orchestration_server.templates.template import parse


def problem(folder: Path, text: str | bytes, name: str = "mine.yaml") -> str:
    """Return the error of a file, without the folder."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TemplateFileError) as caught:
        Templates(folder)
    (folder / name).unlink()
    return str(caught.value).replace(f"{folder}/", "")


SPRINT = "---\nkind: sprint\ntitle: T\n---\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: sprint\n", "mine.yaml:1: must begin with front matter"),
        ("---\nkind: sprint\n", "mine.yaml:3: the front matter has no end"),
        ("---\nkind: epic\ntitle: T\n---\n", "mine.yaml:2: kind must be one of sprint, task"),
        ("---\nkind: adr\n---\n", "mine.yaml:2: the document must have title"),
        (
            "---\nkind: adr\ntitle: T\nauthor: me\n---\n",
            "mine.yaml:4: author is not known",
        ),
        ("---\nkind: adr\ntitle: [\n---\n", "mine.yaml:4: "),
        ("---\nkind: adr\ntitle: T\nvariables:\n  - name: 1x\n---\n", "mine.yaml:5: "),
        (
            "---\nkind: adr\ntitle: T\nvariables:\n  - name: title\n---\n",
            "mine.yaml:5: variables[0].name is title, which is given already",
        ),
        (
            "---\nkind: adr\ntitle: T\nvariables:\n  - name: loop\n---\n",
            "mine.yaml:5: variables[0].name must",
        ),
        (
            "---\nkind: adr\ntitle: T\nvariables:\n  - name: x\n    type: int\n---\n",
            "mine.yaml:6: variables[0].type must be one of any, string",
        ),
        (
            "---\nkind: adr\ntitle: T\nvariables:\n  - {name: x, required: true, default: 1}\n---\n",
            "mine.yaml:5: variables[0] must have a default or required: true",
        ),
        (
            "---\nkind: adr\ntitle: T\nvariables:\n  - {name: x, type: list, default: a}\n---\n",
            "mine.yaml:5: variables[0].default must be of type list",
        ),
        ("---\nkind: adr\ntitle: T\n---\n\n\n{{ unknown }}\n", "mine.yaml:7: unknown is not a variable"),
        (SPRINT, "mine.yaml:5: the document is empty"),
        (SPRINT + "tasks: []\n", "mine.yaml:5: the document must have sprint"),
        (SPRINT + "sprint:\n  title: T\n  colour: red\n", "mine.yaml:7: sprint.colour is not known"),
        (SPRINT + "sprint: {title: T}\ntasks:\n  - title: T\n", "mine.yaml:7: tasks[0] must have code"),
        (
            SPRINT + "sprint:\n  title: T\n  goal: |\n    one\n    {{ two }}\n",
            "mine.yaml:9: two is not a variable",
        ),
        (SPRINT + "sprint:\n  title: T\n  goal: '{{ item }}'\n", "mine.yaml:7: item is not a variable"),
        (SPRINT + "sprint:\n  title: &a T\n  goal: *a\n", "mine.yaml:7: aliases are not allowed"),
        (
            SPRINT + "sprint:\n  title: !!python/name:os.system x\n",
            "mine.yaml:6: sprint.title must not have",
        ),
        (SPRINT + "sprint:\n  title: T\n  title: T\n", "mine.yaml:7: sprint.title is there twice"),
        (SPRINT + "sprint:\n  title: {{ x }}\n", "mine.yaml:6: "),
        (SPRINT + "sprint: {title: T}\ntasks:\n  - {code: c, title: T, when: 'a }}{{ b'}\n", "mine.yaml:7: "),
        (SPRINT + "sprint: " + "[" * 250_000, "mine.yaml:5: is nested too deeply: more than 24 levels"),
        (SPRINT.encode() + b"sprint:\n  title: \xff\n", "mine.yaml:6: is not UTF-8"),
        (SPRINT + "sprint:\n  title: \0\n", "mine.yaml:6: contains NUL"),
        (SPRINT + "sprint: {title: " + "T" * 262_144 + "}\n", "mine.yaml:5: the body exceeds 256 KiB"),
    ],
)
def test_an_invalid_template_file_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    assert problem(tmp_path, text).startswith(expected)


def test_every_invalid_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("---\nkind: adr\ntitle: T\n---\n{{ title }}\n")
    (tmp_path / "bad.md").write_text("x")
    (tmp_path / ".hidden.md").write_text("x")
    (tmp_path / "notes.txt").write_text("x")

    told = problem(tmp_path, "y", "worse.yaml")

    assert [line.split(":")[0] for line in told.splitlines()] == ["bad.md", "worse.yaml"]


def test_names_kinds_and_links_of_files_are_checked(tmp_path: Path) -> None:
    good = "---\nkind: adr\ntitle: T\n---\n{{ title }}\n"
    assert "the file's name must" in problem(tmp_path, good, "has space.md")
    assert "is of kind task" in problem(tmp_path, good, "task.md")

    folder = tmp_path / "templates"
    folder.mkdir()
    (tmp_path / "outside.md").write_text(good)
    (folder / "mine.md").symlink_to(tmp_path / "outside.md")
    with pytest.raises(TemplateFileError, match="points out of the templates directory"):
        Templates(folder)

    (folder / "mine.md").unlink()
    (folder / "mine.md").write_text(good)
    (folder / "mine.yaml").write_text(good)
    with pytest.raises(TemplateFileError, match="another template mine"):
        Templates(folder)

    with pytest.raises(TemplateFileError, match="cannot be read"):
        Templates(tmp_path / "none")


def test_a_server_with_an_invalid_template_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_text("---\nkind: adr\ntitle: T\n---\n{{ colour }}\n")

    result = CliRunner().invoke(cli, ["serve", "--templates-dir", str(tmp_path)])

    assert result.exit_code == 2
    assert f"{tmp_path}/bad.md:5: colour is not a variable" in result.stderr


def test_a_template_is_found_by_name_and_kind() -> None:
    templates = Templates()

    assert templates.get("adr", TemplateKind.ADR).built_in
    with pytest.raises(NotFound):
        templates.get("none")
    with pytest.raises(InvalidArgument, match="of kind ADR, not TASK"):
        templates.render("adr", {}, TemplateKind.TASK)


def test_every_built_in_template_declares_its_variables() -> None:
    for template in Templates().list():
        needed = {v.name: "x" if v.type.name != "LIST" else ["x"] for v in template.variables if v.required}
        assert template.description
        assert all(variable.description for variable in template.variables)
        text = Templates().render(template.name, needed)
        assert text
        if template.kind.structured:
            assert orjson.loads(text) == template.fields(needed)


def test_the_example_in_the_docs_is_a_valid_template() -> None:
    page = (Path(__file__).parents[2] / "docs" / "templates.md").read_text()
    example = parse(
        "example", page.split("```yaml\n")[1].split("```")[0].encode(), source="mine.yaml", built_in=False
    )

    found = example.fields({"sprint_code": "s", "goal": "g", "services": ["Log in", "Pay"]})

    assert [task["code"] for task in found["tasks"]] == ["s-log-in", "s-pay", "s-connect"]
    assert found["tasks"][2]["depends_on"] == ["s-log-in", "s-pay"]
    assert all(f"`{name}" in page for name in (*FILTERS, *TESTS))


def test_a_document_omits_its_empty_parts() -> None:
    templates = Templates()
    least = templates.render("bug-report", {"title": "It fails"}, TemplateKind.BUG_REPORT)
    most = templates.render(
        "bug-report",
        {
            "title": "It fails",
            "steps_to_reproduce": ["a\nb", "c"],
            "error_text": "E\n\nF",
            "stack_trace": "S",
        },
    )

    assert least == "# It fails\n\n- Severity: medium\n"
    assert "1. a\n   b\n2. c\n" in most
    assert "    E\n\n    F\n" in most
    assert "## Stack trace\n\n    S\n" in most
