"""The content of the log, and the data that it leaves out."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from typing import Any

import grpc
import psycopg
import pytest
from structlog.testing import capture_logs

from orchestration_server.errors import NotFound, StaleRevision
from orchestration_server.model import Call
from orchestration_server.telemetry import access_log, logs, metrics
from orchestration_server.telemetry.access_log import AccessLog

SECRET = "canary-7f3a"
Code = grpc.StatusCode


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as found:
        return found


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (psycopg.errors.UniqueViolation(SECRET), "UniqueViolation 23505"),
        (FileNotFoundError(2, "none", SECRET), "FileNotFoundError ENOENT"),
        (NotFound("task", SECRET), "NotFound NOT_FOUND"),
        (StaleRevision(SECRET, expected=1, current=2), "StaleRevision STALE_REVISION"),
        (KeyError(SECRET), "KeyError"),
        (UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET), "UnicodeEncodeError"),
    ],
)
def test_an_error_is_logged_without_its_text(error: Exception, told: str) -> None:
    event: dict[str, Any] = {"event": "it failed", "error": error}
    assert logs.redact(None, "warning", event) == {"event": "it failed", "error": told}


def test_a_traceback_shows_the_types_and_places_of_all_causes() -> None:
    error = raised(RuntimeError(SECRET), raised(ValueError(SECRET)))
    event = logs.redact(None, "error", {"event": "it failed", "exc_info": error})
    assert "in raised" in event["exception"]
    assert event["exception"].index("ValueError") < event["exception"].index("RuntimeError")
    assert SECRET not in event["exception"]


def test_lines_that_are_not_read_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LINES", 10)
    read, write = os.pipe()
    writer = logs.Writer(write)
    writer.start()
    before = metrics.REGISTRY.get_sample_value("orchestration_log_lines_dropped_total") or 0.0
    # The pipe holds 64 KiB, and the thread holds one more line.
    for _ in range(100):
        writer.put("x" * 4_095)
    dropped = (metrics.REGISTRY.get_sample_value("orchestration_log_lines_dropped_total") or 0.0) - before
    assert 100 - 16 - 10 - 2 <= dropped < 100
    with os.fdopen(read, "rb") as reader:
        lines = [reader.readline() for _ in range(100 - int(dropped))]
        assert {len(line) for line in lines} == {4_096}
        writer.close()
    os.close(write)


PROGRAM = """
import logging, threading
from orchestration_server.telemetry import logs
logs.configure("info")
import structlog
log = structlog.get_logger()
log.debug("not this")
log.info("this", project="p")
logging.getLogger("grpc._server").warning("a warning of %s", "grpc")
logging.getLogger("grpc._server").info("not this")
try:
    raise ValueError("canary-7f3a")
except ValueError:
    logging.getLogger("grpc._server").exception("Exception calling application: canary-7f3a")
    logging.getLogger("psycopg").warning("ignored: %s", KeyError("canary-7f3a"))
def fail():
    raise RuntimeError("canary-7f3a")
thread = threading.Thread(target=fail, name="failing")
thread.start(); thread.join()
"""


def test_the_log_is_json_off_a_terminal_and_contains_the_logs_of_libraries() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "this", "a warning of grpc", "Exception calling application", "ignored: KeyError", "thread failed",
    ]  # fmt: skip
    assert lines[0]["level"] == "info"
    assert lines[0]["project"] == "p"
    assert lines[0]["timestamp"].endswith("Z")
    assert lines[1]["logger"] == "grpc._server"
    assert lines[2]["exception"].endswith("ValueError")
    assert lines[4]["thread"] == "failing"
    assert SECRET not in ended.stderr


def test_the_log_is_readable_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    ended = subprocess.run([sys.executable, "-c", PROGRAM], stderr=theirs, check=False)
    os.close(theirs)
    text = b""
    # A terminal whose other end is closed raises an error.
    with os.fdopen(ours, "rb", buffering=0) as terminal, suppress(OSError):
        while part := terminal.read(65_536):
            text += part
    assert ended.returncode == 0
    assert b"a warning of grpc" in text
    assert not text.lstrip().startswith(b"{")
    assert SECRET.encode() not in text


# Which calls are logged

CALL = Call("TaskService/GetTask", "p", correlation_id="c", session_key="s", agent="a")
SLOW = access_log.SLOW_SECONDS + 0.5
ENDED: list[tuple[Code, float]] = [
    (Code.OK, 0.1),
    (Code.OK, SLOW),
    (Code.NOT_FOUND, 0.1),
    (Code.INTERNAL, SLOW),
]


@pytest.mark.parametrize(
    ("policy", "logged"),
    [
        ("none", []),
        ("failed", ["call failed", "call failed"]),
        ("slow", ["slow call", "call failed", "call failed"]),
        ("all", ["call", "slow call", "call failed", "call failed"]),
    ],
)
def test_the_policy_selects_the_calls_that_are_logged(policy: str, logged: list[str]) -> None:
    found = AccessLog(policy)
    with capture_logs() as lines:
        for code, seconds in ENDED:
            found.ended(CALL.rpc, CALL, code, seconds, endless=False)
    assert [line["event"] for line in lines] == logged


def test_a_call_is_logged_with_its_caller_and_its_result() -> None:
    with capture_logs() as lines:
        AccessLog("failed").ended(CALL.rpc, CALL, Code.NOT_FOUND, 0.25, endless=False, reason="NOT_FOUND")
    assert lines == [
        {"event": "call failed", "log_level": "info", "rpc": "TaskService/GetTask", "code": "NOT_FOUND",
         "reason": "NOT_FOUND", "seconds": 0.25, "project": "p", "session": "s", "agent": "a",
         "correlation_id": "c"}
    ]  # fmt: skip


def test_a_timeline_that_its_reader_leaves_is_not_logged_as_failed() -> None:
    with capture_logs() as lines:
        AccessLog("slow").ended("EventService/StreamTimeline", CALL, Code.CANCELLED, 900.0, endless=True)
        AccessLog("slow").ended("EventService/StreamTimeline", CALL, Code.OK, 900.0, endless=True)
    assert lines == []


def test_a_flood_of_failures_is_counted() -> None:
    now = 10.5
    found = AccessLog("failed", clock=lambda: now)

    def fail(times: int) -> None:
        for _ in range(times):
            found.ended(CALL.rpc, CALL, Code.NOT_FOUND, 0.1, endless=False)

    with capture_logs() as lines:
        fail(access_log.LINES_PER_SECOND + 7)
        assert len(lines) == access_log.LINES_PER_SECOND
        now = 11.0
        fail(1)
    assert lines[-2:][0] == {"event": "calls not logged", "log_level": "warning", "calls": 7}
