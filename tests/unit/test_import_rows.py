"""No optional field loses a row, and no value of a row is lost without a note."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings

from orchestration.v1 import common_pb2, task_pb2
from orchestration_server.cli.importing import task_fields, values
from orchestration_server.cli.importing.jsonl_format import ImportTaskRow, parse_task
from orchestration_server.cli.importing.row_notes import RowNotes
from orchestration_server.cli.importing.values import NumberText, number
from orchestration_server.validation import validate
from tests.support import import_rows
from tests.support.lengths import lengths

PENDING = common_pb2.TASK_STATUS_PENDING


def found_in(row: ImportTaskRow) -> str:
    """Return everything that the import stores of a row, as one text."""
    task = json_format.MessageToDict(row.new, preserving_proto_field_name=True)
    links = [link.code for link in row.links]
    said = [*row.warnings, *row.changes, *row.bad_links]
    return json.dumps([task, links, said], ensure_ascii=False) + json.dumps(said)


def missing(text: str, atom: str) -> bool:
    if atom in text:
        return False
    if atom[0] not in "-0123456789":
        return True
    # A number is found in the form that it has as a double.
    double = float(atom)
    whole = str(int(double)) if double.is_integer() else atom
    return repr(double) not in text and whole not in text


@lengths("examples", short=30, long=150)
def test_every_row_with_a_code_and_a_title_is_loaded_and_nothing_is_lost(examples: int) -> None:
    rows = given(import_rows.titles, import_rows.mutations)
    limits = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    limits(rows(loses_nothing))()


def loses_nothing(title: str | int, changed: dict[str, Any]) -> None:
    given_row = import_rows.row_of("t-1", title, changed)
    row = parse_task(import_rows.line_of(given_row))
    # The checks that the server makes.
    validate(task_pb2.BatchCreateTasksRequest(tasks=[row.new]))
    text = found_in(row)
    said_lost = any("is full" in note or "of them fit" in note for note in row.changes)
    lost = {atom for atom in import_rows.atoms(given_row) if missing(text, atom)}
    assert not lost or said_lost, lost
    if row.bad_links or any("status" in change and "not known" in change for change in row.changes):
        assert row.new.task.status != PENDING


def test_control_a_dropped_value_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: it detects a loss if the metadata does not keep originals."""
    row = import_rows.row_of("t-1", "A title", {"assignee": ["tok111111", "tok222222"]})
    taken = parse_task(import_rows.line_of(row))
    assert not [atom for atom in import_rows.atoms(row) if missing(found_in(taken), atom)]
    monkeypatch.setattr(RowNotes, "keep", lambda *_: None)
    taken = parse_task(import_rows.line_of(row))
    assert [atom for atom in import_rows.atoms(row) if missing(found_in(taken), atom)] == ["tok222222"]


def test_a_row_that_is_loaded_unchanged_has_no_notes() -> None:
    """A note on every row would be meaningless."""
    row = parse_task(import_rows.line_of(import_rows.row_of("t-1", "A title", {})))
    assert (row.warnings, row.changes, row.bad_links) == ((), (), ())


@pytest.mark.parametrize(
    "text", ["0", "-1", "9007199254740991", "0.1", "0.10", "1e22", "2.5E-3", "-0", "-0.0", "0e999", "5e-324"]
)
def test_a_number_that_a_double_holds_stays_a_number(text: str) -> None:
    value = number(text)
    assert not isinstance(value, str)
    assert value == float(text)
    assert str(value).startswith("-") == text.startswith("-")


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "1126128864018916581",
        "7" * 310,
        "7" * 5_000,
        "1e400",
        "-1e400",
        "1e-400",
        "0.1000000000000000055511151231257827",
        "9007199254740993.0",
        "NaN",
        "-Infinity",
        "1e99999999999999999999999",
    ],
)
def test_a_number_that_a_double_changes_is_kept_as_text(text: str) -> None:
    assert number(text) == NumberText(text)
    notes = RowNotes()
    value = values.parse_json(f'{{"a": [{text}], "b": 9007199254740991}}'.encode())
    assert values.storable(value, "", notes) == {"a": [text], "b": 2**53 - 1}
    assert notes.warnings == ["a[0]: kept as text: the ledger's numbers are doubles"]


def test_two_large_ids_stay_distinct() -> None:
    notes = RowNotes({"one": 2**53, "other": 2**53 + 1, "small": 2**53 - 1})
    assert json_format.MessageToDict(task_fields.metadata(notes)) == {
        "one": str(2**53),
        "other": str(2**53 + 1),
        "small": 2.0**53 - 1,
    }


def test_bytes_that_are_not_utf8_and_halves_of_characters_are_written_as_escapes() -> None:
    notes = RowNotes()
    value = values.parse_json(b'{"a": "caf\xe9", "b\\u0000": "x\\ud83d", "c": "\xf0\x9f\x98\x80"}')
    kept = values.storable(value, "", notes)
    assert kept == {"a": "caf\\xe9", "b\\u0000": "x\\ud83d", "c": "\U0001f600"}
    assert len(notes.warnings) == 1


def test_metadata_that_is_too_large_is_cut_where_it_is_largest() -> None:
    comments = [{"text": "word " * 50}] * 400
    notes = RowNotes({"small": 1, "comments": comments, "log": "é" * 100_000, "import_not_ready": "y"})
    kept = json_format.MessageToDict(task_fields.metadata(notes))
    assert kept["small"] == 1.0
    assert kept["import_not_ready"] == "y"
    assert kept["comments"] == comments[: len(kept["comments"])]
    assert kept["log"].removesuffix("…") == "é" * (len(kept["log"]) - 1)
    assert 60_000 < len(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()) <= 65_536
    assert [change.split(":")[0] for change in notes.changes] == ["comments", "log"]


def test_the_reasons_of_a_task_that_is_not_ready_do_not_fill_its_metadata() -> None:
    row = import_rows.row_of("t-1", "A title", {"depends_on": [f"no code {n}" for n in range(3_000)]})
    made = parse_task(import_rows.line_of(row)).new
    validate(task_pb2.BatchCreateTasksRequest(tasks=[made]))
    reason = json_format.MessageToDict(made.task.metadata)["import_not_ready"]
    assert len(reason) <= 1_000
    assert "3,000 reasons" in reason


def test_metadata_of_too_many_fields_says_how_many_it_has() -> None:
    notes = RowNotes({f"field-{n}": n for n in range(10_000)})
    kept = json_format.MessageToDict(task_fields.metadata(notes))
    assert notes.changes == [f"metadata has 10,000 fields: {len(kept):,} of them fit and are kept"]
    assert list(kept)
