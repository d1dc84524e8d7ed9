"""Parsing of JSONL lines to tasks, links and events of the ledger."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from orchestration.v1 import common_pb2
from orchestration_server.cli.importing import jsonl_format
from orchestration_server.cli.importing.jsonl_format import BadRow, EventReader, Line, TaskLink

DATA = Path(__file__).parents[1] / "data" / "fleet"


def line(value: object, number: int = 1) -> Line:
    return Line(number, json.dumps(value).encode(), 0)


def task(**fields: Any) -> jsonl_format.ImportTaskRow:
    return jsonl_format.parse_task(line({"code": "t-1", "title": "A task", **fields}))


def event(**fields: Any) -> dict[str, Any]:
    return {
        "at": "2025-10-12T02:23:10Z",
        "type": "task.created",
        "code": "t-1",
        "data": {},
    } | fields


@pytest.mark.parametrize(
    ("given_status", "expected"),
    [
        ("open", "TASK_STATUS_PENDING"),
        ("pending", "TASK_STATUS_PENDING"),
        ("in_progress", "TASK_STATUS_IN_PROGRESS"),
        ("blocked", "TASK_STATUS_BLOCKED"),
        ("closed", "TASK_STATUS_COMPLETED"),
        ("completed", "TASK_STATUS_COMPLETED"),
        ("cancelled", "TASK_STATUS_CANCELLED"),
        (None, "TASK_STATUS_PENDING"),
    ],
)
def test_a_known_status_is_taken_directly(given_status: str | None, expected: str) -> None:
    row = task(status=given_status)
    assert common_pb2.TaskStatus.Name(row.new.task.status) == expected
    assert not row.warnings
    assert not row.new.task.metadata.fields


def test_an_unknown_status_is_blocked_with_the_original_kept() -> None:
    row = task(status="mysterious")
    assert row.new.task.status == common_pb2.TASK_STATUS_BLOCKED
    assert row.new.task.metadata["original_status"] == "mysterious"
    assert row.new.task.metadata["import_not_ready"] == 'status "mysterious" is not known'
    assert row.changes == ('status "mysterious" is not known: not ready',)


def test_a_tombstone_is_created_cancelled_and_marked() -> None:
    row = task(status="tombstone")
    assert row.tombstone
    assert row.new.task.status == common_pb2.TASK_STATUS_CANCELLED
    assert row.new.task.metadata["original_status"] == "tombstone"
    assert not row.warnings


def test_priorities() -> None:
    assert task(priority="P0").new.task.priority == common_pb2.PRIORITY_P0
    assert task().new.task.priority == common_pb2.PRIORITY_P2
    assert task(priority=None).new.task.priority == common_pb2.PRIORITY_P2
    odd = task(priority=7)
    assert odd.new.task.priority == common_pb2.PRIORITY_P2
    assert odd.new.task.metadata["original_priority"] == 7
    assert odd.changes


def test_unknown_fields_are_kept_as_metadata() -> None:
    row = task(kind="bug", closed_at="2025-10-14T06:16:45Z", links={"pr": [1, None, True]})
    assert json_format.MessageToDict(row.new.task.metadata) == {
        "kind": "bug",
        "closed_at": "2025-10-14T06:16:45Z",
        "links": {"pr": [1.0, None, True]},
    }


def test_text_labels_and_time() -> None:
    row = task(
        description="Ünï\ncode",
        assignee="alice",
        labels=["a", "b", "a"],
        created_at="2025-10-14T08:16:20.601292+02:00",
    )
    assert row.new.task.description == "Ünï\ncode"
    assert row.new.task.assignee == "alice"
    assert list(row.new.task.labels) == ["a", "b"]
    assert row.warnings == ("a label is repeated: used once",)
    assert row.new.occur_time.ToJsonString() == "2025-10-14T06:16:20.601292Z"
    assert not task().new.HasField("occur_time")


def test_links() -> None:
    row = task(
        depends_on=[
            {"code": "t-2", "kind": "blocks"},
            {"code": "t-2", "kind": "blocked-by"},
            {"code": "t-3", "kind": "relates-to"},
            {"code": "t-4"},
            "t-6",
            7,
            {"code": "t-8", "kind": "required_by"},
        ]
    )
    assert row.links == (
        TaskLink("t-2", "blocks"),
        TaskLink("t-3", "related"),
        TaskLink("t-4", "blocks"),
        TaskLink("t-6", "blocks"),
        TaskLink("7", "blocks"),
        TaskLink("t-8", "blocks", reverse=True),
    )
    assert not row.bad_links
    assert row.new.task.status == common_pb2.TASK_STATUS_PENDING
    for text in ("t-2, t-3", "t-2,t-3,none"):
        assert task(depends_on=text).links == (TaskLink("t-2", "blocks"), TaskLink("t-3", "blocks"))
    nothings: list[Any] = [None, [], "", "none", {}]
    for nothing in nothings:
        assert task(depends_on=nothing).links == ()
        assert task(depends_on=nothing).new.task.status == common_pb2.TASK_STATUS_PENDING
    assert task(dependencies=[3], blocked_by="t-2").links == (
        TaskLink("3", "blocks"),
        TaskLink("t-2", "blocks"),
    )


@pytest.mark.parametrize(
    "entry",
    [{"code": "t-5", "kind": "likes"}, {"code": "t-5", "kind": {}}, {"kind": "blocks"}, "a b", True, [1]],
)
def test_a_link_that_cannot_be_read_is_listed_and_the_task_is_not_ready(entry: object) -> None:
    row = task(depends_on=["t-2", entry])
    assert row.links == (TaskLink("t-2", "blocks"),)
    assert len(row.bad_links) == 1
    assert row.new.task.status == common_pb2.TASK_STATUS_BLOCKED
    assert row.new.task.metadata["import_not_ready"] == row.bad_links[0]
    kept = json_format.MessageToDict(row.new.task.metadata)["original_depends_on"]
    assert kept == ["t-2", entry]


def test_a_row_of_beads() -> None:
    row = jsonl_format.parse_task(
        line(
            {
                "id": "bd-a3f8.1",
                "title": "Dig",
                "description": "Deep",
                "acceptance_criteria": "- [ ] a hole\n\n- [ ] no roots",
                "status": "closed",
                "priority": 1,
                "issue_type": "task",
                "assignee": "ann",
                "created_at": "2026-01-02T03:04:05.123456789-07:00",
                "closed_at": "2026-01-03T00:00:00Z",
                "labels": ["garden"],
                "dependencies": [
                    {"issue_id": "bd-a3f8.1", "depends_on_id": "bd-a3f8", "type": "parent-child"},
                    {"issue_id": "bd-a3f8.1", "depends_on_id": "bd-7", "type": "blocks"},
                    {"issue_id": "bd-a3f8.1", "depends_on_id": "bd-8", "type": "replies-to"},
                ],
                "comments": [{"id": 1, "issue_id": "bd-a3f8.1", "author": "bob", "text": "Mind the pipe"}],
            }
        )
    )
    made = row.new.task
    assert (made.code, made.status, made.priority) == ("bd-a3f8.1", 4, 2)
    assert list(made.acceptance_criteria) == ["- [ ] a hole", "- [ ] no roots"]
    assert row.links == (
        TaskLink("bd-a3f8", "parent-child"), TaskLink("bd-7", "blocks"), TaskLink("bd-8", "related"),
    )  # fmt: skip
    kept = json_format.MessageToDict(made.metadata)
    assert kept["issue_type"] == "task"
    assert kept["comments"][0]["text"] == "Mind the pipe"
    assert kept["original_dependencies"][2]["type"] == "replies-to"
    assert row.new.occur_time.ToJsonString() == "2026-01-02T10:04:05.123456Z"
    assert (row.warnings, row.changes, row.bad_links) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"title": "t"}', "code is missing"),
        ('{"code": "a", "title": ""}', "title is missing"),
        ('{"code": "a", "title": " "}', "title is missing"),
        ('{"code": "a", "title": ["t"]}', "title is no text"),
        ('{"code": "a b", "title": "t"}', '"a b" is no code'),
        ('{"code": ["a"], "title": "t"}', "is no code"),
    ],
)
def test_a_task_without_a_code_or_a_title_says_why(text: str, reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        jsonl_format.parse_task(Line(1, text.encode(), 0))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (event(at=None), "at is missing"),
        (event(at="2025"), 'at "2025" is no ISO 8601 time'),
        (event(at="2025-10-12T02:23:10"), "has no time zone"),
        (event(type=""), "type is missing"),
        (event(type="…"), "has no letter"),
        (event(code=None), "code is missing"),
        (7, "not a JSON object"),
    ],
)
def test_a_bad_event_says_why(value: object, reason: str) -> None:
    with pytest.raises(BadRow, match=reason):
        EventReader().parse(line(value))


@pytest.mark.parametrize(
    ("fields", "kind", "payload"),
    [
        ({"type": "PushEvent"}, "import.pushevent", {"original_type": "PushEvent"}),
        (
            {"type": "task.comment added"},
            "import.task.comment_added",
            {"original_type": "task.comment added"},
        ),
        ({"data": [1]}, "import.task.created", {"data": [1.0]}),
        ({"who": "x", "data": {"who": "y"}}, "import.task.created", {"who": "y", "original_who": "x"}),
        ({"data": {"id": 9007199254740993}}, "import.task.created", {"id": "9007199254740993"}),
    ],
)
def test_an_event_is_fitted_into_the_ledger(
    fields: dict[str, Any], kind: str, payload: dict[str, Any]
) -> None:
    row = EventReader().parse(line(event(**fields)))
    assert row.event.type == kind
    assert json_format.MessageToDict(row.event.payload) == payload
    assert row.warnings


def test_an_event_is_stored_under_the_import_prefix() -> None:
    row = EventReader().parse(line(event(data={"from": None, "to": "P1"})))
    assert row.event.type == "import.task.created"
    assert row.event.entity_type == common_pb2.ENTITY_TYPE_TASK
    assert row.event.entity_code == "t-1"
    assert row.event.occur_time.ToJsonString() == "2025-10-12T02:23:10Z"
    assert json_format.MessageToDict(row.event.payload) == {"from": None, "to": "P1"}


def test_fields_beside_the_data_of_an_event_are_kept_with_it() -> None:
    row = EventReader().parse(line(event(who="x", data={"to": "P1"})))
    assert json_format.MessageToDict(row.event.payload) == {"to": "P1", "who": "x"}


def test_the_dedup_key_of_a_large_number_is_that_of_earlier_releases() -> None:
    """They read a number exactly if it has 64 bits, and else as a double."""
    for number, read in (("9007199254740993", 9007199254740993), ("1" + "0" * 30, 1e30)):
        text = json.dumps(event(data={"n": "N"})).replace('"N"', number).encode()
        key = EventReader().parse(Line(1, text, 0)).event.dedup_key
        assert key == f"import:{jsonl_format.content_digest(event(data={'n': read})).hex()}:0"


def test_the_dedup_key_is_fixed_for_ever() -> None:
    key = EventReader().parse(line(event(data={"to": "é"}))).event.dedup_key
    assert key == "import:74cfe961fe2f41059a9952c6e44b2b6f241801ed2c1113a54a9a4726ae6155a4:0"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4), st.randoms())
def test_the_digest_ignores_the_order_of_fields(row: dict[str, Any], random: Any) -> None:
    names = list(row)
    random.shuffle(names)
    assert jsonl_format.content_digest({n: row[n] for n in names}) == jsonl_format.content_digest(row)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=20), st.randoms())
def test_equal_lines_get_keys_of_their_own_and_the_same_ones_again(codes: list[str], random: Any) -> None:
    def keys(of: list[str]) -> list[str]:
        reader = EventReader()
        return [reader.parse(line(event(code=code))).event.dedup_key for code in of]

    first = keys(codes)
    assert len(set(first)) == len(codes)
    assert keys(codes) == first
    shuffled = list(codes)
    random.shuffle(shuffled)
    assert set(keys(shuffled)) == set(first)
    assert set(keys([*codes, "a"])) > set(first)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_row_or_a_bad_row(data: bytes) -> None:
    for parse in (jsonl_format.parse_task, EventReader().parse):
        try:
            parse(Line(1, data, 0))
        except BadRow:
            continue


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: json_values | st.text(max_size=5)
            for name in (
                "code", "title", "description", "status", "priority", "assignee", "labels",
                "created_at", "depends_on", "kind", "at", "type", "data",
            )
        },
    )
)  # fmt: skip
def test_any_object_is_a_row_or_a_bad_row(value: dict[str, Any]) -> None:
    for parse in (jsonl_format.parse_task, EventReader().parse):
        try:
            parse(line(value)).message.SerializeToString()
        except BadRow:
            continue


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_read_plain_and_packed(tmp_path: Path, packed: bool) -> None:
    text = b'\xef\xbb\xbf{"a": 1}\n\n  \n{"b": 2}'
    path = tmp_path / "rows.jsonl"
    path.write_bytes(gzip.compress(text) if packed else text)
    lines = list(jsonl_format.read_lines(path))
    assert [(each.number, each.data) for each in lines] == [(1, b'{"a": 1}'), (4, b'{"b": 2}')]
    assert lines[-1].position == path.stat().st_size


def test_a_line_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl_format, "MAX_LINE_BYTES", 10)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"x" * 35 + b"\n{}\n" + b"x" * 11)
    lines = list(jsonl_format.read_lines(path))
    assert [(each.number, each.data) for each in lines] == [(1, None), (2, b"{}"), (3, None)]
    with pytest.raises(BadRow, match="longer than 10 bytes"):
        jsonl_format.parse_object(lines[0])


def test_a_damaged_archive_gives_what_it_can(tmp_path: Path) -> None:
    text = b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(50_000))
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(text)[:-20_000])
    read: list[Line] = []
    with pytest.raises(BadRow, match="damaged after line"):
        read.extend(jsonl_format.read_lines(path))
    assert read


@pytest.mark.slow
def test_the_fleet() -> None:
    rows = [jsonl_format.parse_task(each) for each in jsonl_format.read_lines(DATA / "tasks.jsonl.gz")]
    assert len(rows) == 3237
    assert sum(row.tombstone for row in rows) == 20
    assert sum(len(row.links) for row in rows) == 445
    assert not any(row.warnings or row.bad_links for row in rows)
    reader = EventReader()
    events = [reader.parse(each) for each in jsonl_format.read_lines(DATA / "events.jsonl.gz")]
    assert len(events) == len({row.event.dedup_key for row in events}) == 18567
    assert sum(not row.event.dedup_key.endswith(":0") for row in events) == 6107


def test_reading_a_line_without_an_end_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file may be a single line of terabytes."""
    monkeypatch.setattr(jsonl_format, "MAX_LINE_BYTES", 1_000)
    monkeypatch.setattr(jsonl_format, "MOST_SKIPPED_BYTES", 5_000)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    os.truncate(path, 8 * 2**40)
    lines = jsonl_format.read_lines(path)
    assert next(lines).number == 1
    with pytest.raises(BadRow, match="line 2 does not end"):
        next(lines)
