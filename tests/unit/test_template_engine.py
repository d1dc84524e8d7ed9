"""The engine of templates: its syntax, and the budget that ends every rendering."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from typer.testing import CliRunner

from orchestration_server.__main__ import cli
from orchestration_server.config.yaml_reader import FileError
from orchestration_server.errors import FailedPrecondition, InvalidArgument, NotFound
from orchestration_server.templates import Template, TemplateFileError, TemplateKind, Templates
from orchestration_server.templates.budget import STEPS, TEXT_BYTES, Budget, LimitPassed
from orchestration_server.templates.filters import FILTERS, SLUG_SOURCE, TESTS
from orchestration_server.templates.sandbox import Program, Run, Syntax
from orchestration_server.templates.template import parse

VALUES: dict[str, Any] = {
    "text": "one two\nthree",
    "long": "x" * 20_000,
    "number": 7,
    "flag": True,
    "items": ["a", "b", "c"],
    "many": list(range(2_000)),
    "thing": {"name": "n", "deep": {"list": [1, [2]]}},
    "nothing": None,
}
KNOWN = frozenset(VALUES)


def run(source: str, **values: Any) -> Any:
    known = VALUES | values
    return Program(source, frozenset(known)).run(Run(Budget(), dict(known)))


def document(body: str, variables: str = "") -> Template:
    head = f"---\nkind: adr\ntitle: T\n{variables}---\n"
    return parse("mine", (head + body).encode(), source="mine.yaml", built_in=False)


def rendered(template: Template, **variables: Any) -> str:
    return template.render({"title": "T", "decision": "D", **variables})


# Rendering


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ text | upper }}!", "ONE TWO\nTHREE!"),
        ("a{{ nothing }}b{{ flag }}{{ number }}", "abtrue7"),
        (
            "{% for i in items %}{{ loop.index }}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1a,2b,3c",
        ),
        ("{% for k, v in thing | items %}{{ k }} {% endfor %}", "name deep "),
        ("{% for i in items if i != 'b' %}{{ i }}{% else %}none{% endfor %}", "ac"),
        (
            "{% for i in items %}{% for j in items %}{{ i ~ j }}{% endfor %} {% endfor %}",
            "aaabac babbbc cacbcc ",
        ),
        ("{% set x = number * 2 + 1 - 3 %}{{ x }}", "12"),
        ("{{ 'yes' if 'b' in items and 'two' in text else 'no' }}.", "yes."),
        ("{{ thing.deep.list[0] }}{{ thing['name'] }}.", "1n."),
        ("{{ thing.absent | default('none') }}.", "none."),
        ("{{ text | indent(2) }}.", "one two\n  three."),
        ("{{ items | join(', ') }}.", "a, b, c."),
        ("{{ 'Größe & Maß!' | slug }}.", "groe-ma."),
        ("{{ long | truncate(5) }}.", "xxxx…."),
        ("{{ text | replace('o', '0') | capitalize }}.", "0ne tw0\nthree."),
        ("{{ number * 0.5 * 4 }} {{ [number * 0.5 * 4] | tojson }}", "14 [14]"),
        ("{{ thing | tojson }}.", '{"name":"n","deep":{"list":[1,[2]]}}.'),
        ("{{ text is string }} {{ thing is object }} {{ thing.x is undefined }}", "true true true"),
        ("{# a comment #}{% raw %}{{ raw }}{% endraw %}", "{{ raw }}"),
    ],
)
def test_a_template_renders(source: str, expected: str) -> None:
    assert run(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ many }}", VALUES["many"]),
        ("{{ number + 1 }}", 8),
        ("{{ flag }}", True),
        ("{{ items | wrap('<', '>') }}", ["<a>", "<b>", "<c>"]),
        ("{{ ['A b', 'C'] | slug }}", ["a-b", "c"]),
        ("{{ items | numbers }}", ["1", "2", "3"]),
        ("{{ items | length }}", 3),
    ],
)
def test_an_expression_alone_keeps_its_type_in_a_field(source: str, expected: Any) -> None:
    assert Program(source, KNOWN, typed=True).run(Run(Budget(), dict(VALUES))) == expected


@given(st.text(max_size=200), st.lists(st.text(max_size=20), max_size=5))
def test_the_value_of_a_variable_is_never_a_template(text: str, texts: list[str]) -> None:
    assert run("{{ mine }}", mine=text) == text
    assert run("<{{ mine }}>", mine=text) == f"<{text}>"
    assert run("{% for t in mine %}{{ t }}{% endfor %}.", mine=texts) == "".join(texts) + "."


# Errors when a template is read


@pytest.mark.parametrize(
    "source",
    [
        "{{ 10 ** 10 ** 10 }}",
        "{{ 1e999 }}",
        "{{ [-1e999] | tojson }}",
        "{{ 'a' % 1 }}",
        "{{ '%999999999d' % number }}",
        "{{ 7 / 2 }}{{ 7 // 2 }}",
        "{{ range(10 ** 9) }}",
        "{% for i in range(999999999) %}{% endfor %}",
        "{{ text.upper() }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ text | center(10 ** 9) }}",
        "{{ text | format(1) }}",
        "{{ text | attr('__class__') }}",
        "{{ items | map('upper') }}",
        "{{ items | sum }}",
        "{{ text | regex_replace('(a+)+', '') }}",
        "{{ number is even }}",
        "{{ number is divisibleby(2) }}",
        "{{ text is sameas(text) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% call m() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{% set x %}x{% endset %}",
        "{% set a, b = items %}",
        "{% set ns.x = 1 %}",
        "{% include 'other' %}",
        "{% import 'other' as o %}",
        "{% extends 'other' %}",
        "{% block b %}{% endblock %}",
        "{% autoescape true %}{% endautoescape %}",
        "{% for i in items recursive %}{{ loop(i) }}{% endfor %}",
        "{% with x = 1 %}{% endwith %}",
        "{{ items[0:1] }}",
        "{{ (1, 2) }}",
        "{{ 1 < number < 3 }}",
        "{{ self }}",
        "{{ loop }}",
        "{{ _private }}",
        "{{ lipsum }}",
        "{{ cycler }}",
        "{{ unknown }}",
        "{% set loop = 1 %}",
        "{{ text | upper(1) }}",
        "{{ text | replace('a') }}",
        "{{ text | default(*items) }}",
        "{{ '\\0' }}",
        "{{ '\\ud800' }}",
        "{{ " + "9" * 5_000 + " }}",
        "{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}",
        "{% for i in items %}" * 60 + "{% endfor %}" * 60,
        "{{ text",
        "{% if %}",
    ],
)
def test_forbidden_syntax_is_refused(source: str) -> None:
    with pytest.raises(Syntax):
        Program(source, KNOWN)


def test_a_syntax_error_names_the_line() -> None:
    with pytest.raises(Syntax, match="unknown is not a variable") as caught:
        Program("one\ntwo\n{{ unknown }}\n", KNOWN)
    assert caught.value.line == 3


def test_a_slug_is_made_from_the_beginning_of_a_text() -> None:
    # Sorting 20,000 combining marks took a second and a half.
    assert run("{{ marks | slug }}", marks="a" + "\u0301\u0316" * 10_000) == "a"
    assert run("{{ marks | slug }}", marks="-" * SLUG_SOURCE + "a") == ""


def test_an_undefined_variable_in_a_list_is_named() -> None:
    with pytest.raises(UndefinedError, match="nokey"):
        run("{{ [thing.nokey] | tojson }}")


# Limits


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
        "{% for a in many if a in many %}{% endfor %}",
        "{% for a in many %}{{ long }}{% endfor %}",
        "{% for a in many %}{% set x = long | upper %}{% endfor %}",
        "{% for a in many %}{% set x = long | slug %}{% endfor %}",
        "{% for a in many %}{% set x = long | indent(16, true) %}{% endfor %}",
        "{% for a in many %}{% set x = long | replace('x', long) %}{% endfor %}",
        "{% for a in many %}{% set x = many | join(long) %}{% endfor %}",
        "{% for a in many %}{% set x = many | tojson %}{% endfor %}",
        "{% for a in many %}{% if long in long %}{% endif %}{% if 'y' in long %}{% endif %}{% endfor %}",
        "{% set x = long ~ long %}" + "{% set x = x ~ x %}" * 30,
        "{% set x = [long] %}" + "{% set x = [x, x] %}" * 25 + "{{ x | tojson }}",
        "{{ many | join(long) }}",
        "{{ long | replace('x', long) }}",
        "{{ many | wrap(long) | join | upper }}",
        "{{ long }}" * 60,
        "{% for a in many %}{{ loop.length }}{% for b in many %}{{ loop.last }}{% endfor %}{% endfor %}",
    ],
)
def test_a_bomb_ends_by_its_budget(source: str) -> None:
    program = Program(source, KNOWN)
    budget = Budget()

    with pytest.raises(LimitPassed):
        program.run(Run(budget, dict(VALUES)))
    # One operation may exceed what is left of the budget. None begins after that.
    assert budget.steps > -STEPS


@pytest.mark.parametrize(
    "source",
    [
        "{{ text * 1000 }}",
        "{{ items + items }}",
        "{{ text + 'x' }}",
        "{{ flag + 1 }}",
        "{{ number * 9007199254740991 * 9007199254740991 }}",
        "{{ -text }}",
        "{{ text < number }}",
        "{{ items == items }}",
        "a{{ items }}",
        "a{{ thing }}",
        "{% for c in text %}{% endfor %}",
        "{% for c in thing.absent %}{% endfor %}",
        "a{{ thing.absent }}",
        "a{{ text.__class__ }}",
        "a{{ items[99] }}",
        "a{{ items.append }}",
        "{% for i in items %}{{ loop.cycle }}{% endfor %}",
        "{{ text | indent(999999999) }}",
        "{{ text | truncate(-999999999) }}",
        "{{ text | truncate('a') }}",
        "{{ text | replace('', long) }}",
        "{{ text | items }}",
        "{{ text | join }}",
        "a{{ [] | first }}",
        "{% set x = [] %}" + "{% set x = [x] %}" * 40 + "{{ x | tojson }}",
    ],
)
def test_an_operation_on_the_wrong_type_is_an_error(source: str) -> None:
    program = Program(source, KNOWN)
    with pytest.raises(Exception) as caught:  # of whatever kind
        program.run(Run(Budget(), dict(VALUES)))
    assert not isinstance(caught.value, LimitPassed)


_names = st.sampled_from([*sorted(KNOWN), "x"])
_constants = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.sampled_from(["'a'", "'%999999999d'", "''", "true", "none", "[]", "{}", "1.5", "'{0:>9999999}'"]),
)


def _nest(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["+", "-", "*", "~", "==", "<", "in", "and", "or", "**", "%", "//"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("{} | {}".format, inner, st.sampled_from(sorted(FILTERS))),
        st.builds("{} | {}({})".format, inner, st.sampled_from(sorted(FILTERS)), inner),
        st.builds("({} is {})".format, inner, st.sampled_from(sorted(TESTS))),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from(["name", "deep", "__class__", "format"])),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
    )


_expressions = st.recursive(st.one_of(_names, _constants), _nest, max_leaves=8)
_statements = st.recursive(
    st.one_of(
        st.builds("{{{{ {} }}}}".format, _expressions),
        st.builds("{{% set x = {} %}}".format, _expressions),
        st.sampled_from(["text ", "\n"]),
    ),
    lambda inner: st.one_of(
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, _expressions, inner),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, _expressions, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=6,
)


@given(_statements)
def test_any_template_is_refused_or_renders_a_bounded_text_or_fails_with_its_reason(source: str) -> None:
    try:
        template = document(
            source, "variables:\n" + "".join(f"  - {{name: {n}, default: 0}}\n" for n in KNOWN)
        )
    except FileError:
        return
    first = _outcome(template)
    assert isinstance(first, str)
    assert len(first.encode()) <= TEXT_BYTES
    assert _outcome(template) == first


def _outcome(template: Template) -> str:
    """Return the text, or the error's message if the template is broken or exceeds its limits."""
    names = {variable.name for variable in template.variables}
    try:
        return rendered(template, **{name: value for name, value in VALUES.items() if name in names})
    except (FailedPrecondition, InvalidArgument) as error:
        if error.reason in ("TEMPLATE_BROKEN", "TEMPLATE_LIMIT") or "no text of its own" in error.message:
            return error.message
        raise


@given(st.text(alphabet="{}%#-+|()[]'\" \nabcfor in if set=1.*~_", max_size=60))
def test_any_text_is_a_valid_document_or_is_refused_with_its_line(source: str) -> None:
    try:
        template = document(source)
    except FileError as error:
        line = error.line or 0
    else:
        _outcome(template)
        line = 1
    assert 1 <= line <= source.count("\n") + 6


# Variables


TYPED = """variables:
  - {name: a, type: string, required: true}
  - {name: b, type: number, default: 1}
  - {name: c, type: list, default: [x]}
  - {name: d, type: object, default: {}}
  - {name: e, type: bool, default: false}
  - {name: f, default: null}
"""


def test_defaults_stand_for_variables_that_are_not_given() -> None:
    template = document("{{ a }}{{ b }}{{ c | join }}{{ d | tojson }}{{ e }}{{ f }}", TYPED)

    assert rendered(template, a="A") == "A1x{}false"
    assert rendered(template, a="A", b=2.5, c=[], d={"k": None}, e=True, f="F") == 'A2.5{"k":null}trueF'


@pytest.mark.parametrize(
    ("given_", "wrong"),
    [
        ({}, {"variables.a"}),
        ({"a": 1}, {"variables.a"}),
        ({"a": "A", "b": True, "c": "x", "d": [], "e": 1}, {f"variables.{n}" for n in "bcde"}),
        ({"a": "A", "b": None}, {"variables.b"}),
        ({"a": "A", "z": 1, "é" * 90: 1}, {"variables.z", "variables." + "\\xe9" * 16}),
    ],
)
def test_missing_unknown_and_mistyped_variables_are_named(given_: Mapping[str, Any], wrong: set[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        rendered(document("{{ a }}", TYPED), **given_)
    assert set(caught.value.violations) == wrong
    assert caught.value.reason == "INVALID_ARGUMENT"


# Structured templates


def fields(body: str, **values: Any) -> dict[str, Any]:
    names = "".join(f"  - {{name: {name}}}\n" for name in values)
    head = f"---\nkind: sprint\ntitle: T\n{'variables:' if names else ''}\n{names}---\n"
    template = parse("mine", (head + body).encode(), source="mine.yaml", built_in=False)
    return template.fields({"sprint_code": "s", **values})


def test_a_list_flattens_lists_and_drops_empty_values() -> None:
    found = fields(
        """
sprint:
  title: T
  metadata:
    list: ["{{ more }}", b, "{{ '' }}", "{{ none }}", ["{{ more }}"], 1, null]
""",
        more=["a", "c"],
    )
    assert found["sprint"]["metadata"] == {"list": ["a", "c", "b", ["a", "c"], 1, None]}


def test_a_task_is_repeated_for_each_item_if_its_condition_holds() -> None:
    found = fields(
        """
sprint: {title: T}
tasks:
  - loop: "{{ parts }}"
    when: item != 'skip'
    code: "{{ index }}-{{ item }}"
    title: Part
  - when: not parts
    code: none
    title: None
""",
        parts=["a", "skip", "b"],
    )
    assert [task["code"] for task in found["tasks"]] == ["1-a", "3-b"]
    assert all(task["sprint_code"] == "s" for task in found["tasks"])


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(_json, st.text(max_size=100))
def test_any_value_stays_in_its_field(value: Any, text: str) -> None:
    found = fields(
        'sprint:\n  title: "{{ text }}"\n  metadata: {value: "{{ value }}", within: "<{{ text }}>"}\n',
        value=value,
        text=text,
    )
    assert found["sprint"] == {
        "code": "s",
        "title": text,
        "metadata": {"value": value, "within": f"<{text}>"},
    }
    assert found["tasks"] == []


# Files


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


# The library


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


def test_a_rendered_text_over_1_mib_is_refused() -> None:
    template = document("{{ title }}")
    assert len(rendered(template, title="x" * TEXT_BYTES)) == TEXT_BYTES
    with pytest.raises(InvalidArgument) as caught:
        rendered(template, title="é" * (TEXT_BYTES // 2 + 1))
    assert caught.value.reason == "TEMPLATE_LIMIT"


def test_a_broken_template_is_named_with_its_line() -> None:
    with pytest.raises(FailedPrecondition, match="template mine is broken in line 7") as caught:
        rendered(document("one\n\n{{ title * 2 }}\n"))
    assert caught.value.reason == "TEMPLATE_BROKEN"


@pytest.mark.parametrize("value", [[{}], [[]]])
def test_printing_a_list_or_object_is_an_error_of_the_variables(value: list[Any]) -> None:
    adr = Templates().get("adr")
    with pytest.raises(InvalidArgument, match="template adr in line 38: a list or an object") as caught:
        rendered(adr, title="t", decision="d", alternatives=value)
    assert caught.value.reason == "INVALID_ARGUMENT"
    assert list(caught.value.violations) == ["variables"]


def test_printing_a_list_in_a_field_is_an_error_of_the_variables() -> None:
    task = (
        'kind: task\ntitle: T\nvariables: [{name: x}]\n---\ntask:\n  title: t\n  description: "a {{ x }}"\n'
    )
    template = parse("mine", f"---\n{task}".encode(), source="mine.yaml", built_in=False)
    assert template.fields({"task_code": "A", "x": 1})["task"]["description"] == "a 1"
    with pytest.raises(InvalidArgument, match="template mine in line 8: a list or an object"):
        template.fields({"task_code": "A", "x": {}})
