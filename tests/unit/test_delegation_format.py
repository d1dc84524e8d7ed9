"""Files that the ledger wrote are read back unchanged; those of people are read as far as possible."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.v1 import common_pb2, sprint_pb2, task_pb2
from orchestration_server.cli.importing.delegation_format import (
    ParsedFile,
    agent_task,
    parse_agent,
    parse_sprint,
    parse_task,
)
from orchestration_server.cli.importing.delegation_rows import task_row, wanted_links
from orchestration_server.cli.importing.jsonl_format import BadRow
from orchestration_server.cli.importing.words import DEFAULT
from orchestration_server.cli.importing.yaml_text import read_yaml
from orchestration_server.codec.content import (
    TASK_LISTS,
    TASK_STRUCTS,
    plain,
    sprint_content,
    task_content,
    to_struct,
)
from orchestration_server.workspace.rendering import LINK_KINDS, document

# All characters that a field may have: no surrogates, no NUL.
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
    structs = {name: to_struct(fields.pop(name)) for name in TASK_STRUCTS}
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
    ),
    st.sets(st.tuples(st.sampled_from(["T-2", "007", "1.10", "null", "none", "tbd"]), st.integers(1, 4))),
)  # fmt: skip
def test_a_task_comes_back_as_it_was(fields: dict[str, Any], links: set[tuple[str, int]]) -> None:
    task = task_of(fields)
    files = document("task", task.SerializeToString(), links).files
    parsed = parse_task(files["TASK.md"])
    wants = [(want.task, want.kind) for want in wanted_links(parsed)]
    assert sorted(wants) == sorted((code, LINK_KINDS[kind]) for code, kind in links)
    content = task_content(task)
    agent_config = parse_agent(files["AGENT.yml"])
    assert plain(to_struct(agent_config)) == content.pop("agent_config")
    assert plain(to_struct(parsed.notes.metadata)) == content.pop("metadata")
    for name in ("labels", *TASK_LISTS[1:]):
        assert (parsed.fields.get(name) or []) == content.pop(name)
    assert {name: parsed.text(name) for name in content} == content
    assert parsed.notes.warnings == []


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
    content = sprint_content(sprint)
    assert plain(to_struct(parsed.notes.metadata)) == content.pop("metadata")
    assert {name: parsed.text(name) for name in content} == content


@given(JSON)
def test_equal_states_have_equal_bytes(metadata: dict[str, Any]) -> None:
    """The order in which a Struct was filled does not matter."""
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
    assert parsed.notes.metadata == {}


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


def test_front_matter_by_hand() -> None:
    text = (
        b"---\nTask: 7\nTags: [a, 1]\nowner: yes\nestimate: 12:30\ndue: 2026-01-02\n"
        b"metadata: {k: v}\n---\nWords\n"
    )
    parsed = parse_task(text)
    assert parsed.text("code") == "7"
    assert parsed.fields["labels"] == ["a", "1"]
    assert parsed.text("assignee") == "yes"
    assert parsed.text("description") == "Words"
    assert parsed.notes.metadata == {"estimate": "12:30", "due": "2026-01-02", "k": "v"}


STATUSES = [
    "---\nstatus: {}\n---\n# T\n",
    "\n\n---\nState: '{}'\n---\n",
    "---\nid: T-1\nstatus: {}\n\nNo fence.\n",
    "---\nid: T-1\nstatus: {}\nNo fence and no line between.\n\n---\n\nA rule.\n",
    "---\ntitle: Auth: part 2\nstatus: {}\n---\n",
    "---\ntitle: [WIP] half\nassignee: @me\nstatus: {}\n---\n",
    "---\nkey: *alias\nstatus: {}\n---\n",
    "---\na: \x01\nstatus: {}\n---\n",
    "---\ntitle: one\ntitle: two\nstatus: {}\n---\n",
    '+++\nid = "T-1"\nstatus = "{}"\n+++\n',
    '+++\nid = T-1\nstatus = "{}"\n+++\n',
    "# T\n\n**Status**: {}\n",
    "# T\n\n**Status:** `{}`\n",
    "# T\n**Owner**: ann | **Status**: {} | **Priority**: P1\n",
    "# T\n\n- **Status**: **{}**\n",
    "# T\n> Status: {}\n",
    "Status: {}\nPriority: P1\n",
    "# T\n\n## Status: {}\n\n## Problem\n",
    "# T\n\n### Status\n\n{}\n\n## Problem\n",
    "T\n=\n\nStatus\n------\n{}\n",
    "# T\n\n## Status\n- [ ] Pending\n- [x] {}\n- [ ] Cancelled\n",
    "# T\n\n| Field | Value |\n|---|---|\n| **Status** | {} |\n",
    "# T\n\n| Status | Owner |\n|---|---|\n| {} | ann |\n",
    "# T\n\nWords come first.\n\nStatus: {}\n",
    "# T\n\n## Notes\n\nCurrent status: *{}*\n",
]


@pytest.mark.parametrize("status", ["Done", "✅ Completed"])
@pytest.mark.parametrize("text", STATUSES)
def test_a_status_is_found_wherever_it_stands(text: str, status: str) -> None:
    assert parse_task(text.replace("{}", status).encode()).fields["status"] == status


@pytest.mark.parametrize("status", ["Pending | Done", "[Pending/In Progress/Done]", "Planning | Active"])
@pytest.mark.parametrize("text", STATUSES)
def test_a_placeholder_is_no_status(text: str, status: str) -> None:
    written = parse_task(text.replace("{}", status).encode()).fields["status"]
    row = task_row(0, "T-1", "T-1", "", ParsedFile({"status": written}), (), DEFAULT)
    assert row.new.task.status == common_pb2.TASK_STATUS_BLOCKED
    assert row.changes


@pytest.mark.parametrize("name", ["done: true", "completed: 2026-01-02", "closed_at: '2026-01-02'"])
def test_a_flag_is_a_status_if_there_is_no_other(name: str) -> None:
    assert parse_task(f"---\n{name}\n---\n".encode()).text("status") == "done"
    assert parse_task(f"---\n{name}\nstatus: blocked\n---\n".encode()).text("status") == "blocked"
    assert "status" not in parse_task(b"---\ndone: false\n---\n").fields


def test_two_different_statuses_in_the_front_matter_are_not_used() -> None:
    assert parse_task(b"---\nstatus: pending\nstatus: done\n---\n").fields["status"] == ["pending", "done"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("# T\n```\nStatus: done\n# no title\n## Objectives\n- no\n```\n", "code"),
        ("# T\n<!--\nStatus: done\n## Objectives\n- no\n-->\n", "a comment"),
    ],
)
def test_what_is_quoted_is_no_field(text: str, where: str) -> None:
    parsed = parse_task(text.encode())
    assert set(parsed.fields) == {"title", "description"}, where


LISTED = """# T

## Acceptance Criteria

<!-- AC:BEGIN -->
- [x] #1 one
---
### Before lunch
- [ ] #2 two
<!-- and nothing else -->
***
#### Later
three
<!-- AC:END -->

---

## Deliverables
- a file

---

## Notes
---
kept
"""


def test_rules_and_headings_inside_a_list() -> None:
    parsed = parse_task(LISTED.encode())
    assert parsed.fields["acceptance_criteria"] == ["one", "two", "three"]
    assert parsed.fields["deliverables"] == ["a file"]
    assert parsed.fields["description"] == "## Notes\n---\nkept"
    assert "### Before lunch" in parsed.notes.metadata["original_acceptance_criteria"]


def test_the_ticks_of_a_list_are_kept_in_the_metadata() -> None:
    written = "- [x] #1 one\n- [ ] #2 two"
    more = "## Deliverables\n- [ ] three\n\n## Definition of Done\n- [X] four\n"
    parsed = parse_task(f"# T\n\n## Acceptance Criteria\n{written}\n\n{more}".encode())
    assert parsed.fields["acceptance_criteria"] == ["one", "two", "four"]
    kept = {"original_acceptance_criteria": f"{written}\n- [X] four"}
    assert parsed.notes.metadata == kept
    assert [note for note in parsed.notes.warnings if "ticks" in note] == parsed.notes.warnings
    assert len(parsed.notes.warnings) == 1


def test_sections_that_wait() -> None:
    parsed = parse_task(b"# T\n\n## Dependencies\n- `T-1`: the parser\n- None\n\n## Notes\n- T-9\n")
    assert parsed.fields["waits"] == ["`T-1`: the parser", "None"]
    assert "## Dependencies" in parsed.text("description")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe" + b"\0\0" * 40, "is not text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)) * 4, "is not text"),
    ],
)
def test_content_that_is_no_text_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        parse_task(content)


def test_bytes_that_are_not_utf_8_are_kept() -> None:
    assert parse_task(b"# caf\xe9 au lait\n").text("title") == "caf\udce9 au lait"
    assert parse_task("# Über\n".encode("utf-16")).text("title") == "Über"


def test_yaml_as_json_would_have_it() -> None:
    assert read_yaml("{1: a, true: b, null: c, x: 010, y: 1_0, z: -2.5e+3}") == {
        "1": "a", "true": "b", "null": "c", "x": "010", "y": "1_0", "z": -2500.0,
    }  # fmt: skip
    with pytest.raises(BadRow, match="is not a mapping"):
        parse_agent(b"- a")
    assert parse_agent(b"# nothing\n") == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: [\n", "line 2"),
        ("a: 1\na: 2\n", "'a' is a duplicate"),
        ("? [a]\n: b\n", "a key is no text"),
        ("a: \x01\n", "not YAML: unacceptable character"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", "nested too deeply"),
        ("a: !!python/object:os.system x\n", "cannot store tag:yaml.org,2002:python/object:os.system"),
        ("a: !!set {x}\n", "cannot store tag:yaml.org,2002:set"),
        ("a: " + "x" * 1_048_576 + "\n", "more than 1 MiB"),
    ],
)
def test_yaml_that_cannot_be_read_says_why(content: str, reason: str) -> None:
    with pytest.raises(BadRow, match=reason.replace(".", r"\.")):
        read_yaml(content)
    # In front matter no other field is lost.
    parsed = parse_task(f"---\nstatus: done\n{content}---\n".encode())
    assert parsed.text("status") == "done"
    assert "read field by field" in parsed.notes.warnings[0]


def test_numbers_stay_as_they_are_written() -> None:
    digits = "7" * 310
    parsed = parse_task(f"---\nid: 2.10\nn: 9007199254740993\nbuild: {digits}\nx: 1e999\n---\n".encode())
    assert parsed.text("code") == "2.10"
    assert parsed.notes.metadata == {"n": "9007199254740993", "build": digits, "x": "1e999"}
    toml = parse_task(b"+++\nid = 2.10\nn = 9007199254740993\nday = 2026-01-02\n+++\n")
    assert toml.text("code") == "2.10"
    assert toml.notes.metadata == {"n": "9007199254740993", "day": "2026-01-02"}
    assert parse_agent(b"id: 9007199254740993\nless: 9007199254740991") == {
        "id": "9007199254740993", "less": 9007199254740991,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "# a{}b\n", "status{}x\n", "**Status**: {}x\n", "- {}x\n", "|{}x|\n|{}x|\n", "-{}x\n", "Key{}: x\n",
        "<!--{}x\n", "---\nkey: [\n{}\n x\n---\n", "+++\nkey{}= x\n+++\n", "## Dependencies\n- a{}x\n",
    ],
)  # fmt: skip
def test_a_long_line_is_read_in_one_pass(text: str) -> None:
    """A pattern with quadratic time would exceed the test's timeout."""
    for filler in (" ", "*", "`", "- ", "#", "|", "a ", "_", "**a:** ", "\n", "n: 1\nn: 2\n"):
        parse_task(text.replace("{}", filler * 20_000).encode())


def test_an_agent_file_that_holds_the_task() -> None:
    parsed = agent_task(parse_agent(b"task_id: h\ntask:\n  title: Paint\n  status: done\n  labels: [a]\n"))
    assert parsed is not None
    assert parsed.fields == {"title": "Paint", "status": "done", "labels": ["a"], "code": "h"}
    assert agent_task({"model": "large"}) is None
    assert agent_task({"task": {"model": "large"}}) is None
