"""The checks of `orchestration doctor` for this machine, and the command itself."""

import json
import resource
import shutil
import socket
from collections.abc import Callable
from concurrent import futures
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from typer.testing import CliRunner

from orchestration_server.__main__ import cli
from orchestration_server.config.settings import FILE_VARIABLE, Settings, variable
from orchestration_server.doctor import address, cache, machine, upkeep
from orchestration_server.doctor.findings import Check, Installation, Level, format_duration, format_size
from orchestration_server.embedded.engines import Engines
from tests.conftest import Server

OK, WARNING, FAILED = Level


class Run(NamedTuple):
    code: int
    found: dict[str, list[dict[str, str]]]

    def levels(self, check: str) -> list[str]:
        return [one["level"] for one in self.found[check]]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that runs the command without a database and without settings in the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    monkeypatch.setenv("ORCHESTRATION_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments: str) -> Run:
        result = CliRunner().invoke(cli, ["doctor", "--json", "--address", "127.0.0.1:0", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        answer: dict[str, Any] = json.loads(result.stdout)
        assert answer["ok"] == (result.exit_code == 0)
        found: dict[str, list[dict[str, str]]] = {}
        for one in answer["checks"]:
            found.setdefault(one["check"], []).append(one)
        return Run(result.exit_code, found)

    return run


def look(check: Check, settings: Settings, **more: Any) -> list[tuple[Level, str, str]]:
    given = {"database_url": settings.database_url, "redis_url": settings.redis_url} | more
    return [(one.level, one.text, one.fix) for one in check(Installation(settings, **given))]


def level(check: Check, settings: Settings, **more: Any) -> list[Level]:
    return [one for one, _, _ in look(check, settings, **more)]


def test_a_first_look_finds_nothing_wrong(doctor: Callable[..., Run], tmp_path: Path) -> None:
    run = doctor()
    assert run.code == 0
    assert {one["level"] for all_ in run.found.values() for one in all_} == {"ok"}
    assert str(tmp_path / "data") in run.found["built-in engines"][0]["text"]
    assert not (tmp_path / "data").exists()


def test_for_people_each_finding_is_a_line_with_its_fix_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATION_THREDS", "5")
    result = CliRunner().invoke(cli, ["doctor", "--threads", "1"])
    assert result.exit_code == 1
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0].startswith("warning  configuration      ORCHESTRATION_THREDS is set, but no such setting")
    assert lines[1].strip() == "-> unset ORCHESTRATION_THREDS"
    assert lines[-1] == "1 failed, 1 warning, 0 ok"


def test_a_variable_that_is_misspelt_is_named_with_what_is_meant(
    doctor: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATION_WORKSPACES", "hunter2")
    monkeypatch.setenv("ORCHESTRATION_DATABASE_URLS", "hunter2")
    run = doctor()
    assert run.code == 0
    first, second, third = (one["text"] for one in run.found["configuration"])
    assert "ORCHESTRATION_DATABASE_URLS is set" in first
    assert first.endswith("did you mean DATABASE_URL?")
    assert second.endswith("did you mean ORCHESTRATION_WORKSPACE?")
    assert third == "valid"
    assert "hunter2" not in first + second


@pytest.mark.parametrize(
    ("text", "said"),
    [("threads = 1", "greater than or equal"), ("thread = 8", "is not a setting"), ("=", "cannot read")],
)
def test_a_file_that_is_not_valid_has_failed_and_nothing_else_is_looked_at(
    doctor: Callable[..., Run], tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "orchestration.toml"
    file.write_text(text)
    run = doctor("--config", str(file))
    assert run.code == 1
    (one,) = run.found["configuration"]
    assert one["level"] == "failed"
    assert said in one["text"]
    assert list(run.found) == ["configuration"]


def test_the_file_that_was_read_is_named(doctor: Callable[..., Run], tmp_path: Path) -> None:
    file = tmp_path / "orchestration.toml"
    file.write_text("threads = 4")
    assert doctor("--config", str(file)).found["configuration"][0]["text"] == f"valid, with the file {file}"


@pytest.mark.parametrize(
    ("check", "flag", "name", "text"),
    [
        ("rules", "--rules-file", "rules.yaml", "- nonsense"),
        ("emission", "--emission-file", "emission.yaml", "- nonsense"),
        ("alerts", "--alerts-file", "alerts.yaml", "- nonsense"),
        ("jwt", "--jwt-key-file", "jwt.pem", "nonsense"),
        ("tokenizer", "--tokenizer", "", "no_module:count"),
        ("templates", "--templates-dir", "", "none"),
    ],
)
def test_what_a_setting_names_is_valid(
    doctor: Callable[..., Run], tmp_path: Path, check: str, flag: str, name: str, text: str
) -> None:
    if name:
        (tmp_path / name).write_text(text)
    run = doctor(flag, str(tmp_path / name) if name else text)
    assert run.code == 1
    assert run.levels(check) == ["failed"]


@pytest.mark.parametrize("given", ["20051", "localhost", ":20051", "127.0.0.1:port", "::1:20051", "h:70000"])
def test_an_invalid_address_is_refused(given: str) -> None:
    assert level(address.listen_address, Settings(address=given)) == [FAILED]
    assert look(address.port, Settings(address=given)) == []


def test_an_address_that_is_free_is_fine() -> None:
    assert level(address.listen_address, Settings(address="127.0.0.1:0")) == [OK]
    assert level(address.listen_address, Settings(address="[::1]:0")) == [OK]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "ASK_SECONDS", 30.0)


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_an_address_that_a_server_has_is_fine(server: Server) -> None:
    ((found, text, _),) = look(address.listen_address, Settings(address=server.address))
    assert found == OK
    assert "a ledger of this release answers" in text
    assert text.endswith("this does not check that it uses this database")


def test_an_address_in_use_by_another_program_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "ASK_SECONDS", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        ((found, _, fix),) = look(address.listen_address, Settings(address=f"127.0.0.1:{port}"))
    assert found == FAILED
    assert fix == f"ss -ltnp 'sport = :{port}'"


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_a_server_of_another_release_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "__version__", "99.0")
    ((found, text, _),) = look(address.listen_address, Settings(address=server.address))
    assert found == WARNING
    assert "this is 99.0" in text


@pytest.mark.usefixtures("patient")
def test_a_server_that_needs_a_key_is_recognized() -> None:
    def refuse(request: object, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "a key is needed")

    with futures.ThreadPoolExecutor(1) as pool:
        other = grpc.server(pool)
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "GetServerInfo": grpc.unary_unary_rpc_method_handler(refuse)
        }
        other.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("orchestration.v1.AdminService", handlers),)
        )
        port = other.add_insecure_port("127.0.0.1:0")
        other.start()
        ((found, text, _),) = look(address.listen_address, Settings(address=f"127.0.0.1:{port}"))
        other.stop(0).wait()
    assert found == OK
    assert "needs a key" in text
    assert text.endswith("this does not check that it uses this database")


def test_a_port_that_outgoing_connections_get_is_a_warning() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert level(address.port, Settings(address=f"127.0.0.1:{first}")) == [WARNING]
    assert level(address.port, Settings(address=f"127.0.0.1:{first - 1}")) == [OK]


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("127.0.0.1", OK),
        ("localhost", OK),
        ("[::1]", OK),
        ("0.0.0.0", FAILED),
        ("[::]", FAILED),
        ("a.b", FAILED),
    ],
)
def test_in_the_clear_only_loopback_is_safe(host: str, wanted: Level) -> None:
    assert level(address.security, Settings(address=f"{host}:20051")) == [wanted]


def test_few_open_files_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    ((found, text, fix),) = look(machine.open_files, Settings())
    assert found == WARNING
    assert "1,024" in text
    assert fix.startswith("ulimit -n 4096")


def test_a_workspace_must_exist_and_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert level(machine.workspace, Settings()) == [OK]
    assert level(machine.workspace, Settings(workspace=tmp_path)) == [OK]
    assert list(tmp_path.iterdir()) == []
    gone = look(machine.workspace, Settings(workspace=tmp_path / "gone"))
    assert [(found, fix) for found, _, fix in gone] == [(FAILED, f"mkdir -p {tmp_path / 'gone'}")]
    # Not even root can write to the directory /proc.
    assert level(machine.workspace, Settings(workspace=Path("/proc/self"))) == [FAILED]


@pytest.mark.parametrize(
    ("free", "total", "wanted"), [(2**29, 2**40, FAILED), (2**35, 2**40, WARNING), (2**39, 2**40, OK)]
)
def test_a_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, wanted: Level
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free, total=total)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert level(machine.disk, Settings(data_dir=tmp_path / "not" / "yet")) == [wanted]
    assert look(machine.disk, Settings(database_url="postgresql:///x")) == []


def test_without_a_cache_all_works() -> None:
    assert level(cache.cache, Settings()) == [OK]


@pytest.mark.slow
def test_a_cache_that_answers_tells_what_it_is(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SLOW_SECONDS", 10.0)
    monkeypatch.setattr(cache, "WAIT_SECONDS", 30.0)
    found = look(cache.cache, Settings(redis_url=engines.redis_url or ""))
    (used, use, _), (first, text, _), (second, memory, _) = found
    assert (used, first, second) == (OK, OK, OK)
    assert "publish and subscribe work" in use
    assert "Valkey" in text
    assert "allkeys-lru" in memory


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:1/0", "nonsense"])
def test_a_cache_that_is_away_is_a_warning_without_its_password(url: str) -> None:
    ((found, text, _),) = look(cache.cache, Settings(redis_url=url))
    assert found == WARNING
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("memory", "wanted"),
    [
        ({"maxmemory": 0, "maxmemory_policy": "noeviction"}, WARNING),
        ({"maxmemory": 10, "maxmemory_policy": "noeviction"}, WARNING),
        ({"maxmemory": 10, "maxmemory_policy": "allkeys-lfu"}, OK),
    ],
)
def test_a_cache_has_to_make_room(memory: dict[str, Any], wanted: Level) -> None:
    assert cache._memory(memory).level == wanted


def test_a_slow_cache_is_a_warning() -> None:
    assert cache._speed({"redis_version": "7.2"}, 0.02).level == WARNING


def test_partitions_count_as_far_as_there_is_one_for_every_moment() -> None:
    days = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4, 5)]
    now = datetime(2026, 1, 15, tzinfo=UTC)
    months = list(pairwise(days))
    assert upkeep.covered_until(now, months) == days[4]
    assert upkeep.covered_until(now, [months[0], months[2]]) == days[1]
    assert upkeep.covered_until(now, months[1:]) == now


@pytest.mark.parametrize(
    ("ahead", "wanted"), [(0, (2026, 11)), (1, (2026, 12)), (2, (2027, 1)), (14, (2028, 1))]
)
def test_months_ahead_go_over_the_end_of_a_year(ahead: int, wanted: tuple[int, int]) -> None:
    found = upkeep._first_of_month(datetime(2026, 11, 25, tzinfo=UTC), ahead)
    assert (found.year, found.month) == wanted


def test_times_and_bytes_are_for_people() -> None:
    assert [format_duration(n) for n in (0.04, 12, 90, 7_200, 86_400 * 3)] == [
        "0.0 s",
        "12 s",
        "90 s",
        "2 h",
        "3 d",
    ]
    assert [format_size(n) for n in (10, 2_048, 3 * 2**20, 2**30)] == [
        "10 bytes",
        "2.0 KiB",
        "3.0 MiB",
        "1.0 GiB",
    ]
