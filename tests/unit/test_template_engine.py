"""The engine of templates: its syntax, and the budget that ends every rendering."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from orchestration_server.config.yaml_reader import FileError
from orchestration_server.errors import FailedPrecondition, InvalidArgument
from orchestration_server.templates import Template
from orchestration_server.templates.budget import STEPS, TEXT_BYTES, Budget, LimitPassed
from orchestration_server.templates.filters import FILTERS, SLUG_SOURCE, TESTS
from orchestration_server.templates.sandbox import Program, Run, Syntax
from tests.support.template_documents import document, rendered

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
