"""A dump restored into another cluster: the log is whole, in its order, and goes on after its end."""

import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from psycopg import sql
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from orchestration.v1 import event_pb2, sprint_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.sprint_pb2_grpc import SprintServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.__main__ import cli
from orchestration_server.app import App
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import EmbeddedEngines, Engines
from orchestration_server.embedded.files import find_postgres
from tests.conftest import open_channel
from tests.support import factories
from tests.support.rpc_errors import refused

SECONDS = 10
IDS = 20_000
"""More transaction ids than a new cluster gives out to restore the dumps of all tests."""
OPERATING = Path(__file__).parents[2] / "docs/operating.md"


class Ledger:
    def __init__(self, channel: grpc.Channel, database_url: str) -> None:
        self.database_url = database_url
        self.sprints = SprintServiceStub(channel)
        self.tasks = TaskServiceStub(channel)
        self.events = EventServiceStub(channel)

    def write(self, name: str) -> None:
        """A task that is made and changed, and events of a caller's own: ten events."""
        self.tasks.CreateTask(task_pb2.CreateTaskRequest(task=factories.task(name), request_id=name))
        for status in (2, 3, 2, 4):
            change = task_pb2.UpdateTaskStatusRequest(task_code=name, status=status)  # type: ignore[arg-type]  # any
            self.tasks.UpdateTaskStatus(change)
        for _ in range(5):
            self.events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()))

    def history(self, cursor: str = "") -> list[event_pb2.Event]:
        request = event_pb2.StreamTimelineRequest(batch_size=4)
        if cursor:
            request.after_cursor = cursor
        return [e for m in self.events.StreamTimeline(request, timeout=SECONDS) for e in m.events.events]

    def present(self) -> str:
        """The cursor of caught_up."""
        request = event_pb2.StreamTimelineRequest(follow=True)
        stream = self.events.StreamTimeline(request, timeout=SECONDS)
        cursors = (m.caught_up.cursor for m in stream if m.WhichOneof("message") == "caught_up")
        cursor = next(cursors)
        stream.cancel()
        return cursor


@contextmanager
def serving(url: str) -> Iterator[Ledger]:
    app = App(Settings(address="127.0.0.1:0", database_url=url, redis_url="", grace_seconds=1))
    with ExitStack() as stack:
        stack.callback(app.stop)
        yield Ledger(stack.enter_context(open_channel(app.start())), url)


@contextmanager
def embedded(data: Path | None) -> Iterator[str]:
    """The URL of a Postgres of its own, on these files where some are given."""
    with EmbeddedEngines(data, durable=False, valkey=False) as engines:
        yield engines.database_url


@pytest.fixture(scope="module")
def other_cluster() -> Iterator[str]:
    """Run a Postgres that has databases restored from dumps; return its URL."""
    with embedded(None) as url:
        yield url


@pytest.fixture
def original(database_url: str) -> Iterator[Ledger]:
    """A log in a cluster that has given out many transaction ids before."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        while conn.execute("select pg_current_xact_id() < %s::text::xid8", (IDS,)).fetchone() == (True,):
            pass
    with serving(database_url) as found:
        found.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint()))
        yield found


@pytest.fixture
def copied(original: Ledger, database_url: str, other_cluster: str, tmp_path: Path) -> "Copy":
    original.write("a")
    original.write("b")
    return Copy(database_url, tmp_path / "dump", other_cluster)


@contextmanager
def created(cluster: str) -> Iterator[str]:
    """Create an empty database for the block; return its URL."""
    name = sql.Identifier(f"test_{secrets.token_hex(6)}")
    with psycopg.connect(cluster, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(name))
        yield make_conninfo(cluster, dbname=name.as_string().strip('"'))
        conn.execute(sql.SQL("drop database {} with (force)").format(name))


class Copy:
    """Dumps the original, and serves what comes back from the dump in another cluster."""

    def __init__(self, url: str, dump: Path, cluster: str = "") -> None:
        self._url, self._dump, self._cluster = url, dump, cluster
        self._programs = Path(find_postgres()[0]).parent

    def dump(self) -> None:
        self._run("pg_dump", "--format=custom", "--file", str(self._dump), "--dbname", self._url)

    @contextmanager
    def restored(self, cluster: str = "") -> Iterator[Ledger]:
        """Serve the dump in a new database of the cluster, if not of the module's."""
        with created(cluster or self._cluster) as url:
            self.restore(url)
            with psycopg.connect(url) as conn:
                row = conn.execute(
                    "select pg_snapshot_xmax(pg_current_snapshot()) < min(xid) from events"
                ).fetchone()
                assert row == (True,), "the copy's cluster has to be behind for the test to say anything"
            with serving(url) as found:
                yield found

    def restore(self, url: str) -> None:
        self._run("pg_restore", "--exit-on-error", "--dbname", url, str(self._dump))

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "--no-password", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


def content(events: list[event_pb2.Event]) -> list[str]:
    return [event.id for event in events]


def test_the_copy_has_the_whole_log_in_its_order_and_goes_on_after_it(original: Ledger, copied: Copy) -> None:
    before = original.history()
    copied.dump()
    with copied.restored() as copy:
        assert copy.history() == before
        copy.write("c")
        # A change of what was restored takes its next revision, after all that was there.
        copy.tasks.UpdateTask(
            task_pb2.UpdateTaskRequest(
                task=task_pb2.Task(code="a", title="again"), update_mask=FieldMask(paths=["title"])
            )
        )
        after = copy.history()
        assert after[: len(before)] == before
        assert len(after) == len(before) + 11
        assert after[-1].entity_code == "a"


def test_cursors_from_before_the_dump_resume_in_the_copy(original: Ledger, copied: Copy) -> None:
    before = original.history()
    present = original.present()
    copied.dump()
    with copied.restored() as copy:
        for place, event in enumerate(before):
            assert content(copy.history(event.cursor)) == content(before[place + 1 :])
        assert copy.history(present) == []
        copy.write("c")
        later = content(copy.history())[len(before) :]
        assert content(copy.history(before[-1].cursor)) == later
        assert content(copy.history(present)) == later


def test_cursors_from_before_the_dump_resume_though_ids_were_used_elsewhere(
    original: Ledger, copied: Copy, engines: Engines
) -> None:
    """Other databases of the original's cluster, and writes that came to nothing, take ids too."""
    before = original.history()
    with psycopg.connect(engines.database_url, autocommit=True) as conn:
        for _ in range(20):
            conn.execute("select pg_current_xact_id()")
    present = original.present()
    copied.dump()
    with copied.restored() as copy:
        copy.write("c")
        assert content(copy.history(present)) == content(copy.history())[len(before) :]


def test_cursors_from_after_the_dump_are_refused_by_the_copy(original: Ledger, copied: Copy) -> None:
    before = original.history()
    copied.dump()
    original.write("later")
    later = original.history()[len(before) :]
    ahead = [event.cursor for event in later] + [original.present()]
    with copied.restored() as copy:
        copy.write("c")
        for cursor in ahead:
            with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_FOREIGN", "beginning"):
                copy.history(cursor)


def test_a_cursor_of_one_copy_is_refused_by_the_other_though_it_has_an_event_there(
    original: Ledger, copied: Copy
) -> None:
    """Both count the same next epoch under the same secret, and their ids may meet by chance."""
    before = original.history()
    copied.dump()
    with copied.restored() as one:
        one.write("c")
        written = one.history()[-1]
        with psycopg.connect(one.database_url) as conn:
            place = conn.execute(
                "select epoch, xid, seq from events where event_id = %s", (written.id,)
            ).fetchone()
        assert place is not None
        assert one.history(written.cursor) == []
    with embedded(None) as cluster, copied.restored(cluster) as two:
        two.write("c")
        last = two.history()[-1]
        with psycopg.connect(two.database_url) as conn:
            conn.execute(
                "update events set epoch = %s, xid = %s::text::xid8, seq = %s where event_id = %s",
                (*place, last.id),
            )
        assert content(two.history(before[-1].cursor))
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_FOREIGN", "beginning"):
            two.history(written.cursor)


def test_cursors_of_every_epoch_resume_and_a_server_learns_of_a_new_one(database_url: str) -> None:
    with serving(database_url) as first:
        first.write("a")
        with psycopg.connect(database_url) as conn:
            # As a restored dump stands: transaction ids go on from where they were, in this cluster's own.
            conn.execute("update log_state set cluster = 'elsewhere'")
        with serving(database_url) as second:
            second.write("b")
            history = second.history()
            assert first.history() == history
            for place, event in enumerate(history):
                for ledger in (first, second):
                    assert content(ledger.history(event.cursor)) == content(history[place + 1 :])
    with serving(database_url) as third:
        assert third.history() == history
    with psycopg.connect(database_url) as conn:
        conn.execute("update log_state set cluster = 'elsewhere'")
    with serving(database_url) as later:
        later.write("c")
        assert later.history()[: len(history)] == history
        assert len(later.history(history[0].cursor)) == len(history) + 9
        assert len(later.history(history[-1].cursor)) == 10


def test_a_cluster_restored_to_an_earlier_point_goes_on_in_an_epoch_that_its_operator_opens(
    tmp_path: Path,
) -> None:
    """A copy of the files is the same cluster to Postgres, and gives out again the ids that were lost."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    with embedded(data) as url, serving(url) as found:
        found.write("a")
        kept = found.history()
    # The owner of the files need not be who runs the test.
    subprocess.run(["cp", "-a", data, copy], check=True)
    with embedded(data) as url, serving(url) as found:
        found.write("lost")
        lost = found.history(kept[-1].cursor)
    with embedded(copy) as url:
        told = CliRunner(env={"DATABASE_URL": url}).invoke(cli, ("migrate", "--new-epoch"))
        assert told.output == "the log goes on in a new epoch\n", told.output
        with serving(url) as found:
            found.write("b")
            after = found.history(kept[-1].cursor)
            assert content(found.history()) == content(kept + after)
            assert [e.entity_code for e in after[:5]] == ["b"] * 5
            assert not set(content(lost)) & set(content(after))
            for event in lost:
                with refused(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_FOREIGN", "beginning"):
                    found.history(event.cursor)


def test_no_new_epoch_is_opened_beside_servers(database_url: str) -> None:
    def asked() -> tuple[int, str]:
        result = CliRunner(env={"DATABASE_URL": database_url}).invoke(cli, ("migrate", "--new-epoch"))
        return result.exit_code, result.output

    with psycopg.connect(database_url, autocommit=True) as conn:
        with serving(database_url):
            code, text = asked()
            assert code == 2
            assert "stop all of them" in text
            assert conn.execute("select epoch from log_state").fetchone() == (1,)
        # Those of the server have ended for it, and maybe not yet for Postgres.
        conn.execute(
            "select pg_terminate_backend(pid, 30000) from pg_stat_activity"
            " where application_name = 'orchestration' and datname = current_database()"
        )
        assert asked() == (0, "the log goes on in a new epoch\n")
        assert conn.execute("select epoch from log_state").fetchone() == (2,)


def test_a_request_answered_before_the_dump_is_answered_the_same_by_the_copy(
    original: Ledger, copied: Copy
) -> None:
    request = task_pb2.CreateTaskRequest(task=factories.task("a"), request_id="a")
    first = original.tasks.CreateTask(request)
    copied.dump()
    with copied.restored() as copy:
        assert copy.tasks.CreateTask(request) == first
        assert len(copy.history()) == len(original.history())


def test_the_commands_of_the_docs_restore_a_dump_for_the_role_of_the_servers(tmp_path: Path) -> None:
    text = OPERATING.read_text().partition("## Backup and restore")[2].partition("\n## ")[0]
    commands = re.findall(r"^(?:pg_dump|createdb|psql|pg_restore) .*$", text, re.MULTILINE)
    preload = {"shared_preload_libraries": "pg_stat_statements"}
    with EmbeddedEngines(None, durable=False, valkey=False, settings=preload) as engines:
        # The superuser here has the name that the role of the servers has in the docs.
        with psycopg.connect(engines.database_url, autocommit=True) as conn:
            conn.execute("create role ledger login")
            conn.execute("grant pg_monitor to ledger")
            conn.execute("create database first owner ledger")
        first, restored = (
            make_conninfo(engines.database_url, user="ledger", dbname=name) for name in ("first", "restored")
        )
        with psycopg.connect(make_conninfo(first, user="orchestration"), autocommit=True) as conn:
            conn.execute("create extension pg_stat_statements")
        with serving(first) as found:
            found.sprints.CreateSprint(sprint_pb2.CreateSprintRequest(sprint=factories.sprint()))
            found.write("a")
            before = found.history()
        given = psycopg.conninfo.conninfo_to_dict(engines.database_url)
        env = {
            "PATH": f"{Path(find_postgres()[0]).parent}:{os.environ['PATH']}",
            "PGHOST": str(given["host"]),
            "PGUSER": str(given["user"]),
            "DATABASE_URL": first,
        }
        for command in commands:
            run = subprocess.run(
                ["bash", "-c", command.replace("=orchestration", "=ledger")],
                env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert run.returncode == 0, (command, run.stderr)
        told = CliRunner(env={"DATABASE_URL": restored}).invoke(cli, ("migrate",))
        assert told.output == "nothing to do\n", told.output
        arguments = ("doctor", "--address", "127.0.0.1:0", "--database-url", restored)
        assert "ledger has the rights that servers need" in CliRunner().invoke(cli, arguments).output
        with serving(restored) as copy:
            assert copy.history() == before
            copy.write("b")
