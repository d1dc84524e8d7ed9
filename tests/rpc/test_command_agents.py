"""The verbs of agents and of those who watch: claims, history, timeline, reports, servers, completion."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestration.v1 import event_pb2
from orchestration_server.app import App
from orchestration_server.model import Role
from tests.conftest import Server
from tests.support.commands import LedgerCommand
from tests.support.credentials import make_key

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "python"
pytestmark = pytest.mark.shared_server(by_address=True)


@pytest.fixture
def run(server: Server) -> LedgerCommand:
    return LedgerCommand(server.address, server.project)


@pytest.fixture(autouse=True)
def plan(run: LedgerCommand) -> None:
    """An active sprint in which w2 waits for w1."""
    run("sprint", "create", "s1", "First", "--start", "--agent", "ann")
    run("task", "add", "w1", "Parser", "-s", "s1", "-p", "P1", "--agent", "ann", "--accept", "tests pass")
    run("task", "add", "w2", "Pages", "-s", "s1", "--after", "w1", "--agent", "ann")


def claimed(run: LedgerCommand, *words: str) -> int:
    """Claim a task and return its fence."""
    claim = run.json("claim", *words, "--agent", "bob")["claim"]
    fence: int = claim["lease"]["fence"]
    return fence


def test_a_claim_is_held_extended_and_finished(run: LedgerCommand) -> None:
    output = run("claim", "-s", "s1", "--agent", "bob", "--lease", "1h")
    assert output.startswith("bob holds w1 until ")
    fence = re.findall(r"fence (\d+)", output)[0]
    assert f"when finished: orchestration done w1 {run.words} --agent bob --fence {fence}\n" in output
    assert "tests pass" in output
    assert run("lease", "list").splitlines()[1].split()[:4] == ["w1", "bob", "1", fence]
    assert run("lease", "list", "--of", "ann") == "nobody holds a task\n"
    assert run("heartbeat", "w1", "--fence", fence, "--agent", "bob").startswith("w1 is yours until ")
    # Another may not change what the holder owns, and a fence of no claim is told to stop.
    assert "give its --fence" in run("done", "w1", code=1)
    assert "is lost" in run("heartbeat", "w1", "--fence", "7000000", "--agent", "bob", code=1)
    assert run("done", "w1", "--fence", fence, "--agent", "bob") == "w1 is completed\nw2 is ready now\n"
    assert "nobody holds a task" in run("lease", "list")


def test_a_claim_of_nothing_says_what_to_ask(run: LedgerCommand) -> None:
    claimed(run)
    output = run("claim", "-s", "s1", "--agent", "bob", code=1)
    assert f"fix: ask why: orchestration why {run.words} --agent bob -s s1\n" in output
    assert "fix: ask why: orchestration why w2" in run("claim", "w2", "--agent", "bob", code=1)
    assert "fix: give --agent NAME" in run("claim", code=2)
    assert run("claim", ORCHESTRATION_AGENT="eve", code=1)


def test_a_claim_ends_in_each_way(run: LedgerCommand) -> None:
    fence = claimed(run, "w1")
    output = run("release", "w1", "--fence", str(fence), "-m", "not mine", "--agent", "bob")
    assert output == "attempt 1 at w1 is returned; the task is pending\nw1 is ready now\n"
    fence = claimed(run, "w1")
    assert "is lost" not in run("why", "w1", code=1)
    assert "preempt w1" in run("why", "w1", code=1)
    assert run("preempt", "w1", "-m", "stuck") == (
        "attempt 2 at w1 is preempted; the task is pending\nw1 is ready now\n"
    )
    assert "claim it again" in run("done", "w1", "--fence", str(fence), "--agent", "bob", code=1)
    fence = claimed(run, "w1")
    output = run("release", "w1", "--fence", str(fence), "--outcome", "completed", "--agent", "bob")
    assert output == "attempt 3 at w1 is completed; the task is completed\nw2 is ready now\n"


def test_history_has_values_before_and_after(run: LedgerCommand) -> None:
    run("done", "w1", "-m", "merged", "--agent", "bob")
    newest, change, reason, *_ = run("log", "w1").splitlines()
    assert newest.startswith("#2 ")
    assert newest.endswith("bob  status_updated")
    assert (change, reason) == ("     status: pending -> completed", "     because: merged")
    changes = run.json("log", "w1", "--oldest-first")["changes"]
    assert [one["revision"] for one in changes] == [1, 2]
    assert changes[1]["changes"] == {"status": {"from": "pending", "to": "completed"}}
    assert run.json("log", "w1", "-n", "1")["more"] is True
    assert run("log", "s1", "--type", "sprint").splitlines()[0].endswith("ann  created")
    run("log", "ghost", code=3)


def test_blame_names_the_change_that_set_a_field(run: LedgerCommand) -> None:
    run("start", "w1", "--agent", "bob")
    run("edit", "w1", "--title", "A parser", "--agent", "eve")
    assert run("blame", "w1", "status").startswith("status of w1 was set by bob at ")
    assert run("blame", "w1", "title").startswith("title of w1 was set by eve at ")
    assert run("blame", "w1", "sprint").startswith("sprint_code of w1 was set by ann at ")
    assert run.json("blame", "w1", "title")["change"]["revision"] == 3
    assert "there is no such field" in run("blame", "w1", "colour", code=3)


def test_diff_compares_two_revisions(run: LedgerCommand) -> None:
    run("start", "w1", "--agent", "bob")
    run("edit", "w1", "-l", "a", "--agent", "bob")
    found = run.json("diff", "w1", "--from", "1", "--to", "2")
    assert (found["from_revision"], found["to_revision"]) == (1, 2)
    assert found["changes"] == {"status": {"from": "pending", "to": "in_progress"}}
    assert run("diff", "w1", "--from", "2") == 'w1, revision 2 to 3:\n  labels\n    - []\n    + ["a"]\n'
    assert run("diff", "w1", "--from", "3") == "w1 is the same in the revisions 3 and 3\n"
    run("diff", "w1", "--from", "9", code=3)


def test_watch_tells_what_happened_in_sentences(run: LedgerCommand) -> None:
    fence = claimed(run, "w1")
    run("block", "w1", "-m", "no access", "--fence", str(fence), "--agent", "bob")
    run("task", "reopen", "w1", "--agent", "ann")
    run("edit", "w1", "-p", "P0", "--title", "The parser", "--agent", "ann")
    run("assign", "w1", "eve", "--agent", "ann")
    run("dep", "rm", "w2", "w1", "--agent", "ann")
    told = [line.split("  ", 1)[1] for line in run("watch", "--once", "-n", "100").splitlines()]
    assert told[:4] == [
        "ann created s1 “First”",
        "ann created w1 “Parser” (P1, s1)",
        "ann created w2 “Pages” (P2, s1)",
        "w2 waits for w1 (ann)",
    ]
    assert "ann unblocked w2: its dependencies are stored" in told
    assert "bob claimed w1" in told
    assert "bob blocked w1: no access" in told
    assert "ann changed the priority of w1 from P1 to P0" in told
    assert "ann changed title of w1" in told
    assert "ann assigned w1 to eve" in told
    assert told[-1] == "w2 waits for w1 no more (ann)"
    only = run("watch", "--once", "-t", "w2", "--type", "orchestration.task.created")
    assert only.endswith("ann created w2 “Pages” (P2, s1)\n")
    assert only.count("\n") == 1


def test_watch_as_json_has_an_event_a_line(run: LedgerCommand) -> None:
    events = [json.loads(line) for line in run("watch", "--once", "-n", "2", "--json").splitlines()]
    assert len(events) == 2
    assert list(events[0]) == [field.name for field in event_pb2.Event.DESCRIPTOR.fields]
    assert run("watch", "--once", "-n", "1", "-o", "name").strip() == events[1]["id"]
    assert run("watch", "--once", "--since", "1h", "-s", "ghost") == ""


def test_reports_say_where_a_sprint_stands(run: LedgerCommand) -> None:
    run("start", "w1", "--agent", "bob")
    run("task", "add", "w3", "Done", "-s", "s1")
    run("done", "w3")
    output = run("report", "s1")
    assert "33% of 3 tasks" in output
    assert "1 pending, 1 in_progress, 1 completed" in output
    assert "Blocked (1):\n  w2 by w1" in output
    assert "Longest in progress: w1" in output
    assert run("report", "s1", "--markdown").startswith("#")
    assert run.json("report", "s1")["task_counts"]["total"] == 3
    assert "orchestration.task.created" in run("stats")
    assert run.json("stats", "--by", "day")["total"] >= 6
    assert "fix: use one of hour" in run("stats", "--by", "moon", code=2)
    assert run("alerts", "--check") == "no alerts\n"
    run("report", "ghost", code=3)


def test_an_agent_reads_all_on_one_screen(run: LedgerCommand) -> None:
    claimed(run, "w1")
    output = run("prime", "--agent", "bob")
    assert "You are bob" in output
    assert "w1 until" in output
    assert "Sprint s1: First" in output
    assert len(output.splitlines()) < 40
    assert run.json("prime", "-s", "s1", "--agent", "bob")["leases"][0]["task_code"] == "w1"
    assert "You are nobody yet" in run("prime")


def test_a_context_has_what_an_agent_needs(run: LedgerCommand) -> None:
    run("done", "w1", "-m", "merged", "--agent", "bob")
    output = run("context", "w2")
    assert output.startswith("# ")
    assert "Pages" in output
    assert "Parser" in output
    run("edit", "w2", "-d", "words " * 500)
    assert len(run("context", "w2", "--tokens", "200")) < 2_000 < len(run("context", "w2"))
    assert run.json("context", "w1")["context"]["acceptance_criteria"] == ["tests pass"]
    run("context", "s1", "--type", "sprint")
    assert "is none of task" in run("context", "s1", "--type", "moon", code=2)


def test_sessions_are_listed(run: LedgerCommand) -> None:
    assert run("session", "list") == "no sessions\n"
    key = run.json("call", "SessionService/InitAgent", '{"task_code": "w1"}', "--agent", "bob")["session"][
        "key"
    ]
    assert run("session", "list", "-o", "name").strip() == key
    assert run("session", "list", "--task", "w2") == "no sessions\n"
    assert "about   w1" in run("session", "show", key)
    assert "not both" in run("session", "list", "--task", "w1", "-s", "s1", code=2)


def test_an_event_of_a_callers_type_is_told_as_it_is(run: LedgerCommand) -> None:
    event = {"type": "ci.build", "entity_type": "task", "entity_code": "w1", "payload": {"message": "green"}}
    run("call", "EventService/EmitEvent", json.dumps({"event": event}), "--agent", "ci")
    assert run("watch", "--once", "-n", "1").endswith("ci: ci.build about w1: green\n")


def test_an_event_without_a_payload_has_a_sentence() -> None:
    from orchestration.cli.sentences import _BY_TYPE, sentence

    for type_ in _BY_TYPE:
        told = sentence(event_pb2.Event(type=f"orchestration.{type_}", entity_code="w1"))
        assert "None" not in told
        assert "{" not in told


def test_servers_are_stored_by_name(run: LedgerCommand, tmp_path: Path) -> None:
    def use(*words: str, code: int = 0, **env: str) -> str:
        result = run.bare(*words, XDG_CONFIG_HOME=str(tmp_path), **env)
        assert result.exit_code == code, result.output
        return result.output

    assert "no servers yet" in use("use")
    assert "fix: orchestration use team --address HOST:PORT" in use("use", "team", code=3)
    assert "is no port" in use("use", "team", "--address", "a:b", code=2)
    use("use", "team", *run.words.split(), "--agent", "bob")
    assert use("ready", "-o", "name") == "w1\n"
    assert "bob holds w1" in use("claim")
    use("use", "away", "--address", "127.0.0.1:1")
    assert "no server answers at 127.0.0.1:1" in use("ready", code=5)
    # A flag and a variable come before the chosen server; what is stored of it does not go with them.
    assert use("task", "list", "--server", "team") == use("task", "list", ORCHESTRATION_SERVER="team")
    assert (
        use("ready", "-o", "name", ORCHESTRATION_ADDRESS=run.address, ORCHESTRATION_PROJECT=run.project) == ""
    )
    listed = use("use")
    assert listed.splitlines()[0].split() == ["NAME", "ADDRESS", "PROJECT", "AGENT"]
    assert "*  away" in listed
    use("use", "away", "--remove")
    assert "no server" not in use("use", "team")
    assert "fix: known: team" in use("ready", "--server", "gone", code=2)
    (tmp_path / "orchestration" / "servers.toml").write_text("current = [")
    assert "mend or remove the file" in use("ready", code=2)


def test_keys_are_named_and_not_stored(run: LedgerCommand, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("not-a-key\n")
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert run.bare("use", "team", *run.words.split(), "--token-file", str(key), **env).exit_code == 0
    assert "not-a-key" not in (tmp_path / "orchestration" / "servers.toml").read_text()
    assert "set EMPTY" in run("ready", "--token-env", "EMPTY", EMPTY="", code=2)
    key.unlink()
    assert "the file of the key" in run.bare("ready", **env).output


def test_versions(run: LedgerCommand) -> None:
    assert run("version").startswith("client  ")
    assert "server  " in run("version")
    assert run("version", "--client").count("\n") == 1
    assert run.json("version")["server"]["schema"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_the_command(run: LedgerCommand, shell: str) -> None:
    script = run("completion", shell)
    assert "_ORCHESTRATION_COMPLETE=complete_" + shell in script
    assert "is none of bash" in run("completion", "tcsh", code=2)


def test_codes_are_completed_by_the_live_server(run: LedgerCommand) -> None:
    def complete(line: str, **env: str) -> list[str]:
        words = f"orchestration {line}"
        asked = {
            "_ORCHESTRATION_COMPLETE": "complete_bash", "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1), "ORCHESTRATION_ADDRESS": run.address,
            "ORCHESTRATION_PROJECT": run.project,
        }  # fmt: skip
        return run.bare(**asked | env).output.split()

    assert sorted(complete("show ")) == ["w1", "w2"]
    assert complete("task show w2") == ["w2"]
    assert complete("ready -s ") == ["s1"]
    assert complete("rea") == ["ready"]
    assert complete("ser") == ["serve"]
    assert complete("ready -o ") == ["table", "json", "yaml", "name"]
    assert complete("call TaskService/GetT") == ["TaskService/GetTask"]
    # A server that is away completes nothing, and says nothing into the line.
    assert complete("show ", ORCHESTRATION_ADDRESS="127.0.0.1:1") == []


def test_a_ledger_that_takes_keys_says_which_variable_to_set(closed: App, database_url: str) -> None:
    run = LedgerCommand(closed.address, "default")
    output = run("ready", code=2)
    assert "fix: set ORCHESTRATION_TOKEN to a key" in output
    assert "fix: set ORCHESTRATION_TOKEN" in run("ready", code=2, ORCHESTRATION_TOKEN="wrong")
    key = make_key(database_url, project="default", role=Role.READER)
    assert "w1" in run("ready", ORCHESTRATION_TOKEN=key)
    assert "w1" in run("ready", "--token-env", "MINE", MINE=key)
    assert "fix: use a key with the role" in run("task", "add", "w1", "T", code=2, ORCHESTRATION_TOKEN=key)
    other = LedgerCommand(closed.address, "other")
    assert "fix: name the key's own project" in other("ready", code=2, ORCHESTRATION_TOKEN=key)


def test_two_servers_stored_at_once_are_both_there(run: LedgerCommand, tmp_path: Path) -> None:
    def store(name: str) -> int:
        words = [sys.executable, "-m", "orchestration.cli", "use", name, "--address", "127.0.0.1:1"]
        env = {"PYTHONPATH": str(CLIENT), "XDG_CONFIG_HOME": str(tmp_path)}
        return subprocess.run(words, env=env, check=False, timeout=60, stdout=subprocess.DEVNULL).returncode

    names = [f"s{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(store, names)) == {0}
    assert sorted(run.bare("use", "-o", "name", XDG_CONFIG_HOME=str(tmp_path)).output.split()) == names


def test_a_second_use_waits_for_the_first(run: LedgerCommand, tmp_path: Path) -> None:
    """The lock is held while the file is read and written; the control is that it is free afterwards."""
    from orchestration.cli import servers

    held = []

    def edit(stored: servers.Servers) -> servers.Servers:
        lock = tmp_path / "orchestration" / "servers.toml.lock"
        with lock.open() as mine:
            try:
                fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(False)
            except BlockingIOError:
                held.append(True)
        return stored

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(tmp_path))
        servers.change(edit)
        edit(servers.read())
    assert held == [True, False]


@pytest.mark.slow
def test_bash_completes_codes(run: LedgerCommand, tmp_path: Path) -> None:
    command = tmp_path / "orchestration"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m orchestration.cli "$@"\n')
    command.chmod(0o755)
    script = """
    source <(orchestration completion bash)
    COMP_WORDS=(orchestration show ""); COMP_CWORD=2; _orchestration_completion orchestration
    echo "${COMPREPLY[@]}"
    """
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(CLIENT),
        "ORCHESTRATION_ADDRESS": run.address, "ORCHESTRATION_PROJECT": run.project,
    }  # fmt: skip
    ended = subprocess.run(
        ["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (sorted(ended.stdout.split()), ended.stderr) == (["w1", "w2"], "")


def test_each_type_that_the_pages_name_has_a_sentence() -> None:
    """Those of rules and of refused calls are for operators, and are told as they are."""
    from orchestration.cli.sentences import _BY_TYPE

    named: set[str] = set()
    for path in (*(ROOT / "docs").glob("*.md"), *(ROOT / "protos/orchestration/v1").glob("*.proto")):
        named |= set(re.findall(r"\borchestration\.([a-z]+_?[a-z]*\.[a-z]+(?:_[a-z]+)*)\b", path.read_text()))
    kinds = {kind.partition(".")[0] for kind in _BY_TYPE}
    events = {one for one in named if one.partition(".")[0] in kinds and not one.endswith("_pb2")}
    assert len(events) > 30
    assert events <= set(_BY_TYPE)
