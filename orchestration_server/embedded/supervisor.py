"""A supervisor that runs one database engine for a parent process, and never lets it outlive the parent.

It runs as a plain script that uses only the standard library, because it forks, and a process that has
imported grpc must not. Parent and supervisor communicate by:

* argv[1]: an `EngineSpec` as JSON.
* stdin: each line names a signal to send to the engine. The end of the stream means that the parent has
  stopped or died in any way, and shuts the engine down.
* stdout: one JSON line, `{"event": "ready", "pid": …}` or `{"event": "failed", "reason": …}`.
* stderr: the log, to which the engine writes as well.

The lock on the data directory is an open file that the engine and its children inherit. So it is released
only after the last of them has ended, even if this process is killed.
"""

import contextlib
import ctypes
import functools
import json
import os
import pwd
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NoReturn, Required, TypedDict

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PROBE_INTERVAL = 0.01
STALE_ENGINE_TIMEOUT = 10.0  # seconds; an engine whose supervisor was killed needs a moment to stop
ORPHAN_TIMEOUT = 2.0  # seconds; a Postgres backend in a long query does not notice that its postmaster died
LOG_LIMIT = 32 * 1024 * 1024  # bytes


class PrepareStep(TypedDict):
    """A command that prepares the data, with its standard input."""

    command: list[str]
    stdin: str


class EngineSpec(TypedDict):
    """The specification of an engine. Paths are absolute."""

    name: str
    command: list[str]
    # The data directory of Postgres. If it does not exist, the steps create it as `<data_dir>.new`.
    # None for an engine that stores no data and may run as root.
    data_dir: str | None
    prepare: list[PrepareStep]
    socket: str
    # Signals to stop the engine, the gentlest first, each with the seconds to wait before the next one.
    stop_signals: list[tuple[str, float]]
    start_timeout: float
    # A temporary directory to delete after the parent and the engine have ended.
    remove: str | None


class SupervisorReport(TypedDict, total=False):
    """The supervisor's report on stdout, with `pid` if the engine is ready and `reason` if it failed."""

    event: Required[Literal["ready", "failed"]]
    pid: int
    reason: str


class EngineFailure(Exception):
    """Raised if the engine cannot run. The message tells the operator why."""


class Supervisor:
    """The process that starts, watches and stops one engine."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._pid = 0
        self._status: int | None = None
        self._childless = True
        self._parent_gone = False
        self._commands = b""
        self._take_identity: Callable[[], None] = lambda: None  # called in each child before its program
        self._owner: tuple[int, int] | None = None  # of the data, if that is another user
        self._wakeup, wakeup_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # A parent may have blocked the signals that this process needs: SIGCHLD and those that stop it.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A service manager signals all processes of a service. This one stops only when its parent ends.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        # Backends whose postmaster was killed become children of this process, which can wait for them.
        self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(self) -> int:
        """Run the engine until it or the parent ends. Return the exit code."""
        try:
            if self._spec["data_dir"] is not None:
                self._choose_identity(Path(self._spec["data_dir"]))
                self._prepare(Path(self._spec["data_dir"]))
                self._await_stale_engine(Path(self._spec["data_dir"]))
            self._start()
        except (EngineFailure, OSError) as error:
            self._shut_down()
            self._report({"event": "failed", "reason": str(error)})
            return 1
        self._report({"event": "ready", "pid": self._pid})
        while self._status is None and not self._parent_gone:
            self._wait(60)
            if os.fstat(2).st_size > LOG_LIMIT:
                os.ftruncate(2, 0)  # the log is open for appending
        self._shut_down()
        if self._parent_gone and self._spec["remove"] is not None:
            shutil.rmtree(self._spec["remove"], ignore_errors=True)
        return 0

    # Identity, because Postgres refuses to run as root.

    def _choose_identity(self, data_dir: Path) -> None:
        uid = os.geteuid()
        if uid != 0 and _has_name(uid):
            return
        self._take_identity = self._enter_namespace
        if self._succeeds(lambda: True):
            if uid == 0:  # an earlier start may have given the directories to another user
                _own([data_dir, Path(self._spec["socket"]).parent], uid, os.getegid())
            return
        if uid != 0:
            raise EngineFailure(
                f"Postgres needs a user with a name, but user id {uid} has none, and this system does "
                "not allow user namespaces: add the user to /etc/passwd"
            )
        self._use_other_user(data_dir)

    def _enter_namespace(self) -> None:
        """Appear as another user, one with a name, inside a namespace. Outside, the user stays the same."""
        uid, gid = os.geteuid(), os.getegid()
        named = sorted(pwd.getpwall(), key=lambda entry: entry.pw_uid == 65534)
        inner = next((entry for entry in named if entry.pw_uid != 0), None)
        if inner is None:
            raise OSError("there is no user but root")
        if self._libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        with contextlib.suppress(FileNotFoundError):
            Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{inner.pw_uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{inner.pw_gid or inner.pw_uid} {gid} 1")

    def _use_other_user(self, data_dir: Path) -> None:
        try:
            user = pwd.getpwnam("nobody")
        except KeyError:
            raise EngineFailure(
                "Postgres refuses to run as root, this system does not allow user namespaces, and "
                "it has no user 'nobody': start the server as another user"
            ) from None

        def become() -> None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

        self._take_identity = become
        self._owner = user.pw_uid, user.pw_gid
        sockets = Path(self._spec["socket"]).parent
        # The data directory itself is closed to others, but its parent must be open.
        data_dir.parent.chmod(data_dir.parent.stat().st_mode | 0o011)
        _own([data_dir, sockets], *self._owner)
        for path in (Path(self._spec["command"][0]), sockets, data_dir.parent):
            if not self._succeeds(functools.partial(os.access, path, os.X_OK)):
                raise EngineFailure(
                    "Postgres refuses to run as root, this system does not allow user namespaces, "
                    f"and the user 'nobody' cannot reach {path}: start the server as another user, "
                    "or keep the program and --data-dir where every user may enter"
                )

    def _succeeds(self, check: Callable[[], bool]) -> bool:
        """Return True if a child can take on the chosen identity and then pass the check."""
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                self._take_identity()
                os._exit(0 if check() else 1)
            os._exit(1)
        return os.waitpid(pid, 0)[1] == 0

    def _prepare(self, data_dir: Path) -> None:
        if data_dir.exists():
            return
        # Created under another name, so that a process killed halfway leaves no incomplete cluster.
        unfinished = data_dir.with_name(data_dir.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._owner is not None:
            _own([unfinished], *self._owner)
        for step in self._spec["prepare"]:
            self._spawn(step["command"], step["stdin"])
            while self._status is None:
                self._wait_with_parent(60)
            if self._status != 0:
                raise EngineFailure(f"{Path(step['command'][0]).name} failed with status {self._status}")
        unfinished.rename(data_dir)

    def _await_stale_engine(self, data_dir: Path) -> None:
        """Wait for a postmaster that is still stopping, or delete the pid file of one that has ended."""
        pid_file = data_dir / "postmaster.pid"
        deadline = time.monotonic() + STALE_ENGINE_TIMEOUT
        while (pid := first_number(pid_file)) is not None:
            if not runs_in(pid, data_dir):
                # The pid may belong to another process by now, and Postgres would refuse to start.
                pid_file.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise EngineFailure(f"another Postgres, process {pid}, runs on {data_dir}: stop it first")
            self._wait_with_parent(PROBE_INTERVAL)

    def _start(self) -> None:
        deadline = time.monotonic() + self._spec["start_timeout"]
        retry_until = time.monotonic() + STALE_ENGINE_TIMEOUT
        log_start = os.fstat(2).st_size
        self._spawn(self._spec["command"])
        while not self._ready():
            self._wait_with_parent(PROBE_INTERVAL)
            if self._status is not None:
                if time.monotonic() > retry_until or not self._met_leftovers(log_start):
                    raise EngineFailure(f"it ended at once with status {self._status}")
                self._wait(0.1)
                log_start = os.fstat(2).st_size
                self._spawn(self._spec["command"])
            if time.monotonic() > deadline:
                raise EngineFailure(f"it was not ready after {self._spec['start_timeout']:.0f} s")

    def _ready(self) -> bool:
        if self._spec["data_dir"] is not None:
            # Line 1 of the file has the postmaster's pid, and line 8 its state.
            try:
                lines = Path(self._spec["data_dir"], "postmaster.pid").read_text().splitlines()
            except FileNotFoundError:
                return False
            return len(lines) >= 8 and lines[0] == str(self._pid) and lines[7].strip() == "ready"
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.settimeout(0.5)
            connection.connect(self._spec["socket"])
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False

    def _met_leftovers(self, log_start: int) -> bool:
        """Return True if the engine failed on resources that a killed one has not released yet."""
        with Path("/proc/self/fd/2").open("rb") as log:
            log.seek(log_start)
            text = log.read(LOG_LIMIT)
        return b"still in use" in text or b"already exists" in text

    def _spawn(self, command: list[str], stdin: str = "") -> None:
        reader, writer = os.pipe()
        os.write(writer, stdin.encode())  # it is much smaller than the buffer of a pipe
        os.close(writer)
        supervisor = os.getpid()
        self._status, self._childless = None, False
        self._pid = os.fork()
        if self._pid == 0:
            self._exec(command, reader, supervisor)
        os.close(reader)

    def _exec(self, command: list[str], stdin: int, supervisor: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                if signal.getsignal(number) not in (None, signal.SIG_DFL):
                    signal.signal(number, signal.SIG_DFL)
            self._take_identity()
            # Stop the engine if the supervisor is killed. The change of identity would clear this.
            gentle = signal.Signals[self._spec["stop_signals"][0][0]]
            self._libc.prctl(PR_SET_PDEATHSIG, int(gentle), 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(1)
            os.dup2(stdin, 0)
            os.dup2(2, 1)
            os.execve(command[0], command, _engine_environment())
        except BaseException as error:
            os.write(2, f"cannot run {command[0]}: {error}\n".encode())
        os._exit(127)

    def _wait(self, timeout: float) -> None:
        """Wait until a child ends, the parent sends a command or ends, or the timeout passes."""
        sources = [self._wakeup] if self._parent_gone else [self._wakeup, 0]
        readable, _, _ = select.select(sources, [], [], timeout)
        if self._wakeup in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup, 4096)
        if 0 in readable:
            self._listen()
        self._reap()

    def _listen(self) -> None:
        received = os.read(0, 4096)
        self._parent_gone = not received
        *lines, self._commands = (self._commands + received).split(b"\n")
        for line in lines:
            self._signal(line.decode())

    def _reap(self) -> None:
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if ended[0] == self._pid:
                    self._status = os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            self._childless = True

    def _signal(self, name: str) -> None:
        if self._status is None and self._pid != 0:  # not reaped yet, so no other process has its pid
            os.kill(self._pid, signal.Signals[name])

    def _wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and (left := deadline - time.monotonic()) > 0:
            self._wait(left)
        return condition()

    def _shut_down(self) -> None:
        """Stop the engine and all of its processes, with the gentlest signal first."""
        if self._pid != 0 and self._status is None:
            for name, seconds in [*self._spec["stop_signals"], ("SIGKILL", 10.0)]:
                self._signal(name)
                if self._wait_for(lambda: self._status is not None, seconds):
                    break
        if not self._wait_for(lambda: self._childless, ORPHAN_TIMEOUT):
            for pid in _children_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._wait_for(lambda: self._childless, 10.0)

    def _wait_with_parent(self, timeout: float) -> None:
        self._wait(timeout)
        if self._parent_gone:
            raise EngineFailure("the parent process has ended")

    def _report(self, message: SupervisorReport) -> None:
        with contextlib.suppress(OSError):  # the parent has ended
            os.write(1, json.dumps(message).encode() + b"\n")


def _engine_environment() -> dict[str, str]:
    """Return the environment without variables that change the engine's behaviour."""
    unwanted = ("PG", "LC_", "LANG", "TZ")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _own(roots: list[Path], uid: int, gid: int) -> None:
    for root in roots:
        if root.exists() and root.stat().st_uid != uid:
            for path in [root, *root.rglob("*")]:
                os.chown(path, uid, gid, follow_symlinks=False)


def first_number(path: Path) -> int | None:
    """Return the number on the first line of a file, if there is one."""
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def runs_in(pid: int, directory: Path) -> bool:
    """Return True if a process lives and has the directory as its working directory, as a postmaster does."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == directory.resolve()
    except OSError:
        return False


def _children_of(parent: int) -> list[int]:
    children = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            # The name may contain any character, but it ends at the last bracket. State and parent follow.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                children.append(int(entry.name))
    return children


if __name__ == "__main__":
    sys.exit(Supervisor(json.loads(sys.argv[1])).run())
