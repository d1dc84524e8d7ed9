"""Variables of templates are checked, and their values stay in the fields that name them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration_server.errors import InvalidArgument
from orchestration_server.templates import Templates
from orchestration_server.templates.template import parse
from tests.support.template_documents import document, rendered

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
