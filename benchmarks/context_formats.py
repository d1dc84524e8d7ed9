"""Tokens of contexts as JSON and as Markdown: python -m benchmarks.context_formats [--tasks N] [--texts DIR].

The program starts a server, loads a fleet's tasks with their links and events, and assembles the contexts of
tasks with a description of more than 200 bytes, at several budgets and in both formats. bpe-openai of the
development packages has the tokenizers o200k and cl100k; --counter adds another one, as for token_weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.target import BenchmarkServer, LedgerStubs
from benchmarks.token_weights import DATA, DESCRIBED, counters
from orchestration.v1 import context_pb2, coordination_pb2, event_pb2, task_pb2
from orchestration_server.cli.importing.jsonl_format import EventReader, ImportTaskRow, parse_task, read_lines
from orchestration_server.context import compact_json

BUDGETS = (500, 2_000, 8_000, 0)
TASKS = 20
BATCH = 500
LINK_KINDS = ("blocks", "parent-child", "discovered-from", "related")
JSON, MARKDOWN = context_pb2.CONTEXT_FORMAT_UNSPECIFIED, context_pb2.CONTEXT_FORMAT_MARKDOWN
LONG = 80
"""A text of more characters is content in any format."""

Counters = dict[str, Callable[[str], int]]


class Sample(NamedTuple):
    """One context: its task, its text, and the context itself."""

    code: str
    text: str
    context: context_pb2.Context


def load(stubs: LedgerStubs, tasks: int) -> list[str]:
    """Load some of the fleet's tasks that have a description, and return their codes, evenly spread."""
    rows = {row.code: row for row in map(parse_task, read_lines(DATA / "tasks.jsonl.gz"))}
    described = [c for c, row in rows.items() if len(row.new.task.description.encode()) > DESCRIBED]
    chosen = described[:: max(1, len(described) // tasks)][:tasks]
    linked = {link.code for code in chosen for link in rows[code].links if link.code in rows}
    wanted = sorted({*chosen, *linked})
    for first in range(0, len(wanted), BATCH):
        new = [
            task_pb2.NewTask.FromString(rows[code].new.SerializeToString()) for code in wanted[first:][:BATCH]
        ]
        stubs.tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    for code in chosen:
        _link(stubs, rows[code], linked)
    _emit(stubs, set(chosen))
    return chosen


def _link(stubs: LedgerStubs, row: ImportTaskRow, known: set[str]) -> None:
    for link in row.links:
        if link.code in known and link.kind in LINK_KINDS:
            dependency = coordination_pb2.Dependency(task_code=row.code, depends_on_code=link.code)
            dependency.kind = LINK_KINDS.index(link.kind) + 1  # type: ignore[assignment]  # in their order
            stubs.coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=dependency))


def _emit(stubs: LedgerStubs, codes: set[str]) -> None:
    reader = EventReader()
    parsed = (reader.parse(line).event for line in read_lines(DATA / "events.jsonl.gz"))
    events = (
        event_pb2.NewEvent.FromString(event.SerializeToString())
        for event in parsed
        if event.entity_code in codes
    )

    def messages() -> Iterator[event_pb2.EmitEventsRequest]:
        while batch := list(islice(events, BATCH)):
            yield event_pb2.EmitEventsRequest(request_id=batch[0].dedup_key[:100], events=batch)

    for answer in stubs.events.EmitEvents(messages()):
        if answer.HasField("error"):
            raise SystemExit(f"the server refused events: {answer.error}")


def assemble(
    stubs: LedgerStubs,
    code: str,
    budget: int,
    form: context_pb2.ContextFormat.ValueType,
    *,
    ids: bool = False,
) -> Sample:
    """Return the context of a task in one format."""
    options = context_pb2.ContextOptions(token_budget=budget, format=form, include_ids=ids)
    request = context_pb2.AssembleContextRequest(task_code=code, options=options)
    context = stubs.contexts.AssembleContext(request).context
    counted = context_pb2.Context()
    counted.CopyFrom(context)
    counted.ClearField("token_estimate")
    return Sample(code, context.markdown or compact_json.text(counted), context)


def content(context: context_pb2.Context) -> str:
    """Return the long texts of a context, which take their tokens in any format."""
    links = [*context.blockers, *context.dependencies]
    texts = [context.task.description, *context.acceptance_criteria, *(note.text for note in context.notes)]
    texts += [text for link in links for text in (link.description, link.outcome)]
    return "\n".join(text for text in texts if len(text) > LONG)


def report_budgets(stubs: LedgerStubs, codes: Sequence[str], by: Counters) -> None:
    """Print how many tokens the contexts take at each budget, and how many are over it."""
    print("| budget | format | " + " | ".join(f"{name}: median, max" for name in by) + " | cut | over |")
    print("|---|---|" + "---|" * len(by) + "---|---|")
    for budget in BUDGETS:
        for form in (JSON, MARKDOWN):
            samples = [assemble(stubs, code, budget, form) for code in codes]
            found = {name: [count(each.text) for each in samples] for name, count in by.items()}
            over = sum(
                number > (budget or each.context.token_estimate)
                for numbers in found.values()
                for number, each in zip(numbers, samples, strict=True)
            )
            cells = " | ".join(f"{median(numbers):,.0f}, {max(numbers):,}" for numbers in found.values())
            cut = sum(bool(each.context.trimmed) for each in samples)
            name = "Markdown" if form == MARKDOWN else "JSON"
            print(f"| {budget or 'none'} | {name} | {cells} | {cut} | {over} |")


def report_tasks(stubs: LedgerStubs, codes: Sequence[str], by: Counters, texts: Path | None) -> None:
    """Print the tokens of each whole context, and of its long texts alone."""
    names = list(by)
    titles = ["task", "events", "long texts", *(f"JSON, Markdown by {name}" for name in names)]
    titles += ["of JSON", "besides texts", "JSON with ids", "of it"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    sums = [0, 0, 0, 0]
    for code in codes:
        json, text = assemble(stubs, code, 0, JSON), assemble(stubs, code, 0, MARKDOWN)
        count = by[names[0]]
        long = count(content(json.context))
        ids = count(assemble(stubs, code, 0, JSON, ids=True).text)
        pairs = [(by[name](json.text), by[name](text.text)) for name in names]
        cells = " | ".join(f"{one:,}, {other:,}" for one, other in pairs)
        before, after = pairs[0]
        print(
            f"| {code} | {len(json.context.events)} | {long:,} | {cells} | "
            + _shares(before, after, long, ids)
        )
        sums = [total + more for total, more in zip(sums, (before, after, long, ids), strict=True)]
        if texts:
            texts.mkdir(parents=True, exist_ok=True)
            (texts / f"{code}.md").write_text(text.text + "\n")
    before, after, long, ids = sums
    blank = " | ".join([f"{before:,}, {after:,}", *[""] * (len(names) - 1)])
    print(f"| all | | {long:,} | {blank} | " + _shares(before, after, long, ids))


def _shares(json: int, text: int, long: int, ids: int) -> str:
    """Return how much of JSON a text takes: as a whole, besides the long texts, and of JSON with ids."""
    besides = max(0, text - long) / max(1, json - long)
    return f"{text / json:.0%} | {besides:.0%} | {ids:,} | {text / ids:.0%} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=TASKS, help="the number of tasks")
    parser.add_argument("--texts", type=Path, help="a directory for the texts without a budget")
    parser.add_argument("--counter", action="append", default=[], metavar="NAME=MODULE:FUNCTION")
    arguments = parser.parse_args()
    by = counters(arguments.counter)
    with BenchmarkServer() as server:
        stubs = LedgerStubs(server.address)
        codes = load(stubs, arguments.tasks)
        report_budgets(stubs, codes, by)
        print()
        report_tasks(stubs, codes, by, arguments.texts)
        stubs.close()


if __name__ == "__main__":
    main()
