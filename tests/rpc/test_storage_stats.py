"""GetStorageStats: known rows, known files, and one measurement for all callers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from orchestration.v1 import admin_pb2, event_pb2, task_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server.db.database import Database
from orchestration_server.jobs.measure import ExportGauges, MeasureWorkspace
from orchestration_server.jobs.rollups import Rollups
from orchestration_server.store import monitoring as monitoring_store
from orchestration_server.telemetry import metrics
from orchestration_server.workspace.usage import usage
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.ledger import Ledger

KEPT, TASKS = 3, 5


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, size=2).start()
    yield opened
    opened.close()


@pytest.fixture
def ledger(server: Server) -> Iterator[Ledger]:
    with open_channel(server.address) as channel:
        yield Ledger(channel)


def stats(admin: AdminServiceStub) -> admin_pb2.StorageStats:
    return admin.GetStorageStats(admin_pb2.GetStorageStatsRequest()).stats


def forget(database_url: str) -> None:
    """Make the last measurement a minute old."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("update measurements set measure_time = measure_time - interval '61 seconds'")


def test_rows_and_bytes_are_counted(ledger: Ledger, admin: AdminServiceStub, db: Database) -> None:
    for number in range(TASKS):
        ledger.task(f"t{number}")
    for _ in range(KEPT):
        ledger.emit(type_="acme.kept", priority=1)
    ledger.emit(type_="acme.old", occur_time=datetime.now(UTC) - timedelta(days=9))
    Rollups(db).run_once()
    found = stats(admin)
    assert (found.live_events.name, found.live_events.rows, found.live_events.exact) == ("events", 9, True)
    parts = {part.name: part.rows for part in found.live_partitions}
    assert parts["events_kept"] == KEPT
    assert sum(parts.values()) == 9
    assert found.live_events.bytes == sum(part.bytes for part in found.live_partitions) > 0
    assert (found.archived_events.rows, found.archived_events.bytes) == (0, 0)
    tables = {table.name: table for table in found.tables}
    assert (tables["tasks"].rows, tables["tasks"].exact) == (TASKS, True)
    assert tables["tasks"].bytes > 0
    assert not tables.keys() & parts.keys()
    counts = {one.type: one.count for one in found.week_types}
    assert counts == {"orchestration.task.created": TASKS, "acme.kept": KEPT}
    assert found.week_events == TASKS + KEPT
    assert found.busiest_agent_events == 0
    assert not found.HasField("workspace")


def test_the_busiest_agent_is_the_one_that_calls(ledger: Ledger, admin: AdminServiceStub) -> None:
    """The calling agent counts, not the actor that the events name."""
    for agent, count in (("loops", 5), ("calm", 3)):
        for number in range(count):
            event = factories.event("acme.thing", actor=f"{agent}'s tool {number}")
            ledger.events.EmitEvent(
                event_pb2.EmitEventRequest(event=event), metadata=(("orchestration-agent", agent),)
            )
    assert stats(admin).busiest_agent_events == 5


def test_the_archive_is_counted_separately(
    ledger: Ledger, admin: AdminServiceStub, database_url: str
) -> None:
    ledger.task("t")
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("drop table if exists archived_events")
        conn.execute("create table archived_events (like events) partition by range (emit_time)")
        conn.execute(
            "create table archived_events_1 partition of archived_events"
            " for values from (minvalue) to (maxvalue)"
        )
        conn.execute("insert into archived_events select * from events")
    found = stats(admin)
    assert (found.live_events.rows, found.archived_events.rows) == (1, 1)
    assert [part.name for part in found.archived_partitions] == ["archived_events_1"]
    assert not {"archived_events", "archived_events_1"} & {table.name for table in found.tables}


@pytest.mark.connections(12)
def test_one_process_measures_for_all_callers_once_a_minute(
    ledger: Ledger, admin: AdminServiceStub, database_url: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: stats(admin), range(16)))
    assert len({one.measure_time.ToNanoseconds() for one in asked}) == 1
    ledger.task("t")
    assert stats(admin).live_events.rows == 0
    forget(database_url)
    assert stats(admin).live_events.rows == 1


def test_rows_of_large_tables_are_estimated(ledger: Ledger, db: Database, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        # Rows of 1 kB that do not compress make the table larger than the limit for counting.
        conn.execute(
            "insert into requests (project, rpc, request_id, fingerprint, response)"
            " select 'p', 'r', n::text, '', decode(string_agg(md5(n || '/' || m), ''), 'hex')"
            " from generate_series(1, 9000) n, generate_series(1, 64) m group by n"
        )
        conn.execute("analyze requests")
    with db.connection() as opened:
        found = {table.name: table for table in monitoring_store.tables(opened)}["requests"]
    assert not found.exact
    assert found.bytes > monitoring_store.COUNTED_BYTES
    assert 8_500 < found.rows < 9_500


def test_a_cancelled_call_stops_measuring(admin: AdminServiceStub, server: Server, database_url: str) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table tasks in access exclusive mode")
        call = admin.GetStorageStats.future(admin_pb2.GetStorageStatsRequest())
        waiting = (
            "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'relation'"
        )
        with psycopg.connect(database_url, autocommit=True) as watch:
            while watch.execute(waiting.encode()).fetchone() is None:
                assert not call.done()
            call.cancel()
            while watch.execute(waiting.encode()).fetchone() is not None:
                pass
    assert stats(admin).live_events.exact


# Files


def write(root: Path, path: str, size: int) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "delegation/sprints/s/SPRINT.md", 10)
    write(tmp_path, "delegation/sprints/s/t/TASK.md", 20)
    write(tmp_path, "delegation/sprints/s/t/AGENT.yml", 30)
    write(tmp_path, "projects/p/delegation/sprints/s/large.md", 100 * 1024 + 1)
    write(tmp_path, "projects/p/delegation/sprints/s/not-large.bin", 100 * 1024)
    write(tmp_path, "delegation/tasks/t/TASK.md", 1_000)
    write(tmp_path, "elsewhere/f.md", 5_000)
    (tmp_path / "delegation/sprints/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "delegation/sprints/f.md").symlink_to(tmp_path / "elsewhere/f.md")
    (tmp_path / "projects/again").symlink_to(tmp_path)
    return tmp_path


def test_files_of_sprints_are_counted_and_links_are_not(root: Path) -> None:
    found = usage(root)
    assert found.files == 5
    assert found.markdown_files == 3
    assert found.bytes == 60 + 2 * 100 * 1024 + 1
    assert found.large_files == 1
    assert usage(root / "none").files == 0


def test_a_worker_counts_the_files_for_servers_that_have_no_workspace(
    admin: AdminServiceStub, db: Database, root: Path
) -> None:
    MeasureWorkspace(db, root).run_once()
    write(root, "delegation/sprints/s/more.md", 1)
    MeasureWorkspace(db, root).run_once()
    assert stats(admin).workspace.files == 5


# Metrics of every process


def value(metric: str, /, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"orchestration_{metric}", labels)


def test_a_process_that_did_not_measure_exports_the_measurement(
    ledger: Ledger, admin: AdminServiceStub, db: Database, root: Path
) -> None:
    for agent in ("busy", "busy", "busy", "other"):
        request = event_pb2.EmitEventRequest(event=factories.event("acme.thing"))
        ledger.events.EmitEvent(request, metadata=(("orchestration-agent", agent),))
    Rollups(db).run_once()
    MeasureWorkspace(db, root).run_once()
    stats(admin)
    ExportGauges(db).run_once()
    assert value("event_rows", state="live") == 4
    assert value("event_rows", state="archived") == 0
    assert (value("event_bytes", state="live") or 0) > 0
    assert value("events_week", type="acme.thing") == 4
    assert value("events_week", type="other") == 0
    assert value("agent_events_minute_max") == 3
    assert value("workspace_files") == 5
    assert value("workspace_markdown_files") == 3
    assert value("workspace_bytes") == 60 + 2 * 100 * 1024 + 1
    assert value("workspace_large_files") == 1


def test_the_age_of_the_horizon_is_exported_without_readers(ledger: Ledger, database_url: str) -> None:
    # Each look waits for a connection, so the transaction is older at the second.
    db = Database(database_url, size=1).start()
    observe = ExportGauges(db)
    with psycopg.connect(database_url) as holder:
        observe.run_once()
        assert value("horizon_age_seconds") == 0
        holder.execute("select pg_current_xact_id()")
        ledger.task("t")
        observe.run_once()
        first = value("horizon_age_seconds") or 0.0
        assert first > 0
        observe.run_once()
        assert (value("horizon_age_seconds") or 0.0) > first
    observe.run_once()
    assert value("horizon_age_seconds") == 0
    db.close()


def test_the_backlog_of_services_is_exported(ledger: Ledger, db: Database) -> None:
    request = task_pb2.CreateTaskRequest(task=factories.task("t"), sync_to_file=True)
    ledger.tasks.CreateTask(request)
    ledger.task("u")
    observe = ExportGauges(db)
    observe.run_once()
    assert value("job_queue_rows", name="file-sync") == 1
    assert (value("job_oldest_seconds", name="file-sync") or 0.0) > 0
    assert value("job_queue_rows", name="rollups") == 2
    assert (value("job_oldest_seconds", name="rollups") or 0.0) > 0
    Rollups(db).run_once()
    observe.run_once()
    assert value("job_queue_rows", name="rollups") == 0
    assert value("job_oldest_seconds", name="rollups") == 0
