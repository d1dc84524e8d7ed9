"""Files of the ledger's own come back as they were; those of people are read as far as they can be."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.v1 import sprint_pb2, task_pb2
from orchestration_server import convert
from orchestration_server.commands.delegation_format import (
    Parsed,
    parse_agent,
    parse_sprint,
    parse_task,
    read_yaml,
)
from orchestration_server.commands.fleet_format import BadRow
from orchestration_server.convert import to_struct
from orchestration_server.rendering import document

# All that a field may hold: no surrogates, no NUL.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
ODD = st.text(st.sampled_from("\n\r\t -#*\"'[]x:{}&!|>%@`\\~é\u2028\ufeff\x85"), max_size=12)
WORD = st.sampled_from(
    ["yes", "null", "1.0", "0x1", "1_0", "12:30", "2020-01-01", "---", "...", "<<", "=", "1e3", ".inf", "- a"]
)
ANY = TEXT | ODD | WORD
LINES = st.lists(ANY, max_size=4)
JSON = st.dictionaries(
    ANY,
    st.recursive(
        st.none() | st.booleans() | ANY | st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-(2**53) + 1, 2**53 - 1),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANY, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=4,
)  # fmt: skip


def task_of(fields: dict[str, Any]) -> task_pb2.Task:
    structs = {name: to_struct(fields.pop(name)) for name in convert.TASK_STRUCTS}
    everything: dict[str, Any] = {"code": "T-1", "uid": "u", "revision": 3, "hash": "h", **fields, **structs}
    return task_pb2.Task(**everything)


@given(
    st.fixed_dictionaries(
        {
            "title": ANY, "description": ANY, "phase": ANY, "assignee": ANY, "labels": LINES,
            "sprint_code": st.sampled_from(["", "S-1"]), "status": st.integers(1, 5),
            "priority": st.integers(1, 5), "objectives": LINES, "deliverables": LINES,
            "acceptance_criteria": LINES, "agent_config": JSON, "metadata": JSON,
        }
    )
)  # fmt: skip
def test_a_task_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    task = task_of(fields)
    files = document("task", task.SerializeToString()).files
    parsed = parse_task(files["TASK.md"])
    content = convert.task_content(task)
    agent_config = parse_agent(files["AGENT.yml"])
    assert convert.plain(to_struct(agent_config)) == content.pop("agent_config")
    assert convert.plain(to_struct(parsed.metadata)) == content.pop("metadata")
    for name in ("labels", *convert.TASK_LISTS[1:]):
        assert (parsed.fields.get(name) or []) == content.pop(name)
    assert {name: parsed.text(name) for name in content} == content
    assert parsed.warnings == []


@given(
    st.fixed_dictionaries(
        {
            "title": ANY,
            "goal": ANY,
            "owner": ANY,
            "start_date": st.sampled_from(["", "2026-01-02"]),
            "status": st.integers(1, 4),
        }
    ),
    JSON,
)
def test_a_sprint_comes_back_as_it_was(fields: dict[str, Any], metadata: dict[str, Any]) -> None:
    sprint = sprint_pb2.Sprint(code="S-1", metadata=to_struct(metadata), **fields)
    parsed = parse_sprint(document("sprint", sprint.SerializeToString()).files["SPRINT.md"])
    content = convert.sprint_content(sprint)
    assert convert.plain(to_struct(parsed.metadata)) == content.pop("metadata")
    assert {name: parsed.text(name) for name in content} == content


@given(JSON)
def test_equal_states_have_equal_bytes(metadata: dict[str, Any]) -> None:
    """Whatever the order in which a Struct was filled."""
    reversed_ = dict(reversed(metadata.items()))
    one, other = (task_pb2.Task(code="T", metadata=to_struct(m)) for m in (metadata, reversed_))
    assert document("task", one.SerializeToString()) == document("task", other.SerializeToString())


@given(st.binary(max_size=200) | ANY.map(str.encode))
@example(b"---\n---\n")
@example(b"---\n[]\n---\n")
@example(b"---\nformat: 1\n---\n")
@example(b'---\nformat: 1\n---\n\n# T\n\n## Objectives\n\n- "\\\n')
def test_whatever_is_in_a_file_it_is_read_or_refused(content: bytes) -> None:
    for parse in (parse_task, parse_sprint, parse_agent):
        with suppress(BadRow):
            parse(content)


def test_a_file_of_ours_that_was_edited_is_still_read() -> None:
    fields: dict[str, Any] = {"title": "Old", "status": 1, "priority": 3, "description": "Text."}
    task = task_pb2.Task(code="T-1", objectives=["one"], **fields)
    text = document("task", task.SerializeToString()).files["TASK.md"].decode()
    edited = text.replace("status: pending", "status: in_progress").replace(
        "- one\n", "- one\n- two\n\nA remark.\n\n## Notes\n\nMore.\n"
    )
    parsed = parse_task(edited.encode())
    assert parsed.text("status") == "in_progress"
    assert parsed.fields["objectives"] == ["one", "two", "A remark."]
    assert parsed.text("description") == "## Notes\n\nMore.\n\nText."
    assert parsed.metadata == {}


BY_HAND = """# Build the parser

**Status**: In Progress 🚧
- **Priority:** P1 (high)
**Assigned To**: ada
**Labels**: parser, core
**Depends on**: T-1, T-2
**Reviewer**: bob

Some words first.

## Objectives
- [ ] read it
- [x] "write it"
1. check it
   twice

## Acceptance Criteria:
It works

## Notes
**Status**: not a field here

- kept
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_by_hand(newline: str) -> None:
    parsed = parse_task(("\ufeff" + BY_HAND.replace("\n", newline)).encode())
    assert parsed.fields == {
        "title": "Build the parser",
        "status": "In Progress 🚧",
        "priority": "P1 (high)",
        "assignee": "ada",
        "labels": "parser, core",
        "depends_on": "T-1, T-2",
        "objectives": ["read it", "write it", "check it\ntwice"],
        "acceptance_criteria": ["It works"],
        "description": "**Reviewer**: bob\n\nSome words first.\n\n## Notes\n"
        "**Status**: not a field here\n\n- kept",
    }
    assert parsed.texts("labels") == ["parser", "core"]


def test_front_matter_by_hand() -> None:
    text = (
        b"---\nTask: 7\nTags: [a, 1]\nowner: yes\nestimate: 12:30\ndue: 2026-01-02\n"
        b"metadata: {k: v}\n---\nWords\n"
    )
    parsed = parse_task(text)
    assert parsed.text("code") == "7"
    assert parsed.texts("labels") == ["a", "1"]
    assert parsed.text("assignee") == "yes"
    assert parsed.text("description") == "Words"
    assert parsed.metadata == {"estimate": "12:30", "due": "2026-01-02", "k": "v"}


def test_words_that_are_not_known_are_kept() -> None:
    assert Parsed({"create_time": "2026-01-02"}).time("create_time") is not None
    for written in ("soon", "0001-01-01T00:00:00+14:00"):
        assert Parsed({"create_time": written}).time("create_time") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"a\0b", "contains NUL"),
        (b"---\na: [\n---\n", "front matter: line 2"),
        (b"---\n- a\n---\n", "front matter: is not a mapping"),
        (b"---\na: 1\na: 2\n---\n", "'a' is there twice"),
        (b"---\n? [a]\n: b\n---\n", "a key is no text"),
        (b"---\na: \x01\n---\n", "not YAML: unacceptable character"),
        (b"---\na: &x [1]\nb: *x\n---\n", "aliases are not taken"),
        (b"---\nmetadata: 7\n---\n", "metadata is not a mapping"),
        (b"---\na: " + b"[" * 40 + b"]" * 40 + b"\n---\n", "nested too deeply"),
        (b"---\na: !!python/object:os.system x\n---\n", "os.system is nothing that the ledger can keep"),
        (b"---\na: !!set {x}\n---\n", ":set is nothing that the ledger can keep"),
        (b"---\na: " + b"x" * 1_048_576 + b"\n---\n", "more than 1 MiB"),
    ],
)
def test_what_cannot_be_read_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(BadRow, match=reason.replace(".", r"\.")):
        parse_task(content)


def test_yaml_as_json_would_have_it() -> None:
    assert read_yaml("{1: a, true: b, null: c, x: 010, y: 1_0, z: -2.5e+3}") == {
        "1": "a", "true": "b", "null": "c", "x": "010", "y": "1_0", "z": -2500.0,
    }  # fmt: skip
    with pytest.raises(BadRow, match="is not a mapping"):
        parse_agent(b"- a")
    assert parse_agent(b"# nothing\n") == {}
