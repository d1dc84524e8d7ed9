"""Import of a whole fleet's history: the ledger then agrees with the files."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
import typer
from google.protobuf import json_format
from typer.testing import CliRunner

from orchestration import Client
from orchestration.v1 import context_pb2, coordination_pb2, event_pb2
from orchestration_server.cli.importing.jsonl import import_files
from tests.support.lengths import lengths
from tests.support.tokenizer import tokens_of

DATA = Path(__file__).parents[1] / "data" / "fleet"
BUDGETS = (500, 2_000)
BUSIEST = 20
TASKS, EVENTS = DATA / "tasks.jsonl.gz", DATA / "events.jsonl.gz"

app = typer.Typer()
app.command()(import_files)


class Server(Protocol):
    """The part of the fixture that this test needs."""

    @property
    def address(self) -> str: ...


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ready_by_hand(tasks: list[dict[str, Any]]) -> set[str]:
    status = {task["code"]: task["status"] for task in tasks}
    return {
        task["code"]
        for task in tasks
        if task["status"] == "open"
        and all(
            # A task that waits for a task missing in the file is not ready.
            status.get(link["code"]) in {"closed", "tombstone"}
            for link in task.get("depends_on", [])
            if link["kind"] == "blocks"
        )
    }


class Part(NamedTuple):
    """Some of the fleet's tasks, and all events about them, in files of their own."""

    tasks: list[dict[str, Any]]
    events: list[dict[str, Any]]

    @property
    def deleted(self) -> int:
        return sum(task["status"] == "tombstone" for task in self.tasks)

    @property
    def links(self) -> tuple[int, int]:
        """The links to tasks of the part, and the links that lead out of it."""
        codes = {task["code"] for task in self.tasks}
        to = [link["code"] in codes for task in self.tasks for link in task.get("depends_on", [])]
        return sum(to), len(to) - sum(to)


def part(every: int) -> Part:
    """Return each ``every``-th task of the fleet and the busiest, and their events."""
    tasks, events = lines(TASKS), lines(EVENTS)
    busiest = Counter(event["code"] for event in events).most_common(BUSIEST)
    codes = {task["code"] for task in tasks[::every]} | {code for code, _ in busiest}
    return Part(
        [task for task in tasks if task["code"] in codes],
        [event for event in events if event["code"] in codes],
    )


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    return path


def test_the_whole_fleet_is_what_was_counted_once() -> None:
    fleet = part(1)
    assert (len(fleet.tasks), len(fleet.events), fleet.deleted, fleet.links) == (3_237, 18_567, 20, (438, 7))


@pytest.mark.timeout(300)
@lengths("every", short=8, long=1)
def test_the_fleet_is_imported_once(server: Server, tmp_path: Path, every: int) -> None:
    fleet = part(every)
    tasks, (linked, unresolved) = fleet.tasks, fleet.links
    files = (
        ("--tasks", write(tmp_path / "tasks.jsonl.gz", tasks)),
        (
            "--events",
            write(tmp_path / "events.jsonl.gz", fleet.events),
        ),
    )
    arguments = ["--address", server.address, *(str(one) for flag in files for one in flag)]
    count, events = f"{len(tasks):,}", f"{len(fleet.events):,}"
    first = CliRunner().invoke(app, arguments)
    # Some links point at codes that are not in the file.
    assert first.exit_code == 3, first.output
    assert f"{count} read, {count} created, 0 already there, {fleet.deleted} deleted" in first.output
    assert f"{linked + unresolved} read, {linked} in place" in first.output
    assert f"{events} read, {events} stored, 0 already there" in first.output
    assert f"0 refused, {unresolved} unresolved, 0 changed, 0 warnings" in first.output
    assert "tasks.jsonl.gz:" in first.output

    with Client(server.address) as client:
        log = list(client.follow(follow=False))
        request = coordination_pb2.ListReadyTasksRequest(page_size=500, include_not_due=True)
        ready = [t.code for t in client.pages(client.coordination.ListReadyTasks, request)]

    assert len({event.id for event in log}) == len(log)
    imported = Counter(
        (
            event.type.removeprefix("import."),
            event.entity_code,
            event.occur_time.ToMicroseconds(),
            json.dumps(json_format.MessageToDict(event.payload), sort_keys=True),
        )
        for event in log
        if event.type.startswith("import.")
    )
    assert imported == Counter(expected_event(row) for row in fleet.events)

    own = Counter(
        (event.type.removeprefix("orchestration.task."), event.entity_code)
        for event in log
        if not event.type.startswith("import.")
    )
    codes = {task["code"] for task in tasks}
    expected = Counter({("created", code): 1 for code in codes})
    for task in tasks:
        expected["deleted", task["code"]] += task["status"] == "tombstone"
        for link in task.get("depends_on", []):
            expected["dependency_added", task["code"]] += link["code"] in codes
    assert own == +expected

    assert len(ready) == len(set(ready))
    assert set(ready) == ready_by_hand(tasks)

    second = CliRunner().invoke(app, arguments)
    assert second.exit_code == 3, second.output
    assert f"{count} read, 0 created, {count} already there, 0 deleted" in second.output
    assert f"{events} read, 0 stored, {events} already there" in second.output
    assert f"0 refused, {unresolved} unresolved, 0 changed, 0 warnings" in second.output
    with Client(server.address) as client:
        assert list(client.follow(follow=False)) == log

        told = Counter(event.entity_code for event in log)
        living = [task["code"] for task in tasks if task["status"] != "tombstone"]
        busiest = sorted(living, key=lambda code: (-told[code], code))[:BUSIEST]
        for budget in BUDGETS:
            assert_budgets_hold(client, busiest + living[::50], budget)


def assert_budgets_hold(client: Client, codes: list[str], budget: int) -> None:
    """Check that contexts are within the budget, and that those that were trimmed are close to it."""
    trimmed = 0
    for code in codes:
        options = context_pb2.ContextOptions(token_budget=budget)
        request = context_pb2.AssembleContextRequest(task_code=code, options=options)
        context = client.contexts.AssembleContext(request).context
        assert context.token_estimate == tokens_of(context) <= budget, code
        if context.trimmed:
            trimmed += 1
            assert context.token_estimate >= 0.9 * budget, code
        else:
            request.options.token_budget = 0
            whole = client.contexts.AssembleContext(request).context
            assert whole.token_estimate == context.token_estimate, code
    assert trimmed >= BUSIEST, "too few are larger than the budget to tell"


def expected_event(row: dict[str, Any]) -> tuple[str, str, int, str]:
    stamp = json_format.ParseDict({"occurTime": row["at"]}, event_pb2.NewEvent())
    data = json.dumps(row["data"], sort_keys=True)
    return row["type"], row["code"], stamp.occur_time.ToMicroseconds(), data
