"""Contexts of a fleet's tasks from a server: by no real tokenizer do they exceed their budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import grpc
from google.protobuf import json_format

from orchestration.v1 import context_pb2, event_pb2, session_pb2, task_pb2
from orchestration_server.cli.importing.jsonl_format import EventReader, parse_task, read_lines
from orchestration_server.context import compact_json
from orchestration_server.context.token_estimate import estimate_markdown, tokens
from tests.support.ledger import Ledger
from tests.support.lengths import lengths
from tests.support.markdown_reader import missing
from tests.support.tokenizer import real_tokenizer, tokens_of

DATA = Path(__file__).parents[1] / "data" / "fleet"
BUDGETS = (500, 1_000, 2_000, 4_000, 8_000)
TOKENIZERS = ("o200k_base", "cl100k_base")
SHORT, LONG = (150, 8), (25, 25)
"""One task in each 150 or 25, and the 8 or 25 tasks with the most events."""
BATCH = 500
NOTE = 300
LEAST_USE = 0.7
"""The least share of a budget, in real tokens, that the median of the trimmed contexts fills."""

MOST_OF_JSON = 0.65
"""The most that the median of the texts without a cut takes of the tokens of JSON."""


class Fleet:
    """A server with a sample of the fleet's tasks and all their events, notes and outcomes."""

    def __init__(self, channel: grpc.Channel, every: int, most: int) -> None:
        self.ledger = Ledger(channel)
        reader = EventReader()
        events: dict[str, list[event_pb2.NewEvent]] = {}
        for line in read_lines(DATA / "events.jsonl.gz"):
            new = reader.parse(line).event
            events.setdefault(new.entity_code, []).append(
                event_pb2.NewEvent.FromString(new.SerializeToString())
            )
        rows = {row.code: row for row in map(parse_task, read_lines(DATA / "tasks.jsonl.gz"))}
        busy = sorted(rows, key=lambda code: (-len(events.get(code, ())), code))[:most]
        described = sorted(rows, key=lambda code: (-len(rows[code].new.task.description), code))[:most]
        self.codes = sorted({*busy, *described, *islice(rows, 0, None, every)})
        linked = {link.code for code in self.codes for link in rows[code].links if link.code in rows}
        wanted = [rows[code] for code in sorted({*self.codes, *linked})]
        for first in range(0, len(wanted), BATCH):
            tasks = [
                task_pb2.NewTask.FromString(row.new.SerializeToString()) for row in wanted[first:][:BATCH]
            ]
            self.ledger.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=tasks))
        for code in self.codes:
            for link in rows[code].links:
                if link.code in linked and link.kind in ("blocks", "parent-child"):
                    self.ledger.link(code, link.code, 1 if link.kind == "blocks" else 2)
        self._emit(event for code in self.codes for event in events.get(code, ()))
        texts = [rows[code].new.task.description for code in described]
        for code, text in zip(busy, texts, strict=True):
            self.ledger.session(f"of-{code}", task_code=code)
            self._log(f"of-{code}", text[:NOTE])
        self.noted = set(busy)

    def _log(self, key: str, message: str) -> None:
        request = session_pb2.LogActivityRequest(session_key=key, kind="handover", message=message)
        self.ledger.sessions.LogActivity(request)

    def _emit(self, events: Iterator[event_pb2.NewEvent]) -> None:
        def messages() -> Iterator[event_pb2.EmitEventsRequest]:
            while batch := list(islice(events, BATCH)):
                yield event_pb2.EmitEventsRequest(request_id=batch[0].dedup_key[:100], events=batch)

        for answer in self.ledger.events.EmitEvents(messages()):
            assert not answer.HasField("error"), answer.error


@lengths("size", short=SHORT, long=LONG)
def test_no_real_tokenizer_takes_more_than_the_budget(channel: grpc.Channel, size: tuple[int, int]) -> None:
    fleet = Fleet(channel, *size)
    encodings = {name: real_tokenizer(name) for name in TOKENIZERS}
    _check_markdown(fleet, encodings)
    used: dict[int, list[float]] = {budget: [] for budget in BUDGETS}
    over = []
    for code in fleet.codes:
        for budget in BUDGETS:
            context = fleet.ledger.context({"task_code": code}, token_budget=budget)
            assert context.token_estimate == tokens_of(context) <= budget
            told = json_format.MessageToDict(context, preserving_proto_field_name=True)
            del told["token_estimate"]
            text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
            real = {name: count(text) for name, count in encodings.items()}
            over += [(code, budget, name, n) for name, n in real.items() if n > context.token_estimate]
            if context.trimmed:
                used[budget].append(real["o200k_base"] / budget)
            assert (code in fleet.noted) == bool(context.notes)
            assert all(len(note.text) > NOTE / 2 for note in context.notes if len(note.text) < NOTE)
    assert not over
    cut = [share for shares in used.values() for share in shares]
    assert len(cut) > len(fleet.codes)
    assert median(cut) >= LEAST_USE


def _check_markdown(fleet: Fleet, encodings: dict[str, Callable[[str], int]]) -> None:
    """Check that no text exceeds its budget, and that whole texts lose nothing that JSON has."""
    used, shares = [], []
    for code in fleet.codes:
        json = fleet.ledger.context({"task_code": code})
        tokens_of_json = encodings["o200k_base"](compact_json.text(json))
        logged = list(json.events)
        json.ClearField("events")
        for budget in (0, *BUDGETS):
            found = fleet.ledger.context(
                {"task_code": code}, token_budget=budget, format=context_pb2.CONTEXT_FORMAT_MARKDOWN
            )
            text = found.markdown
            assert found.token_estimate == tokens(estimate_markdown(text))
            assert not budget or found.token_estimate <= budget
            real = {name: count(text) for name, count in encodings.items()}
            assert max(real.values()) <= found.token_estimate, (code, budget, real)
            if found.trimmed:
                assert found.token_estimate >= 0.9 * budget, (code, budget, text)
                used.append(real["o200k_base"] / budget)
            else:
                assert not missing(json, logged, text), (code, text)
                shares.append(real["o200k_base"] / tokens_of_json)
            assert (code in fleet.noted) == ("## Notes for you" in text)
    assert median(used) >= LEAST_USE
    assert max(shares) < 1
    assert median(shares) < MOST_OF_JSON
