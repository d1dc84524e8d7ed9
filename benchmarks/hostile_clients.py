"""Hostile clients, and the latency of a good client beside them."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import ghz
from benchmarks.gate import Measurement
from benchmarks.processes import ServerProcess
from benchmarks.provisioning import channel, make_key, temporary_database
from benchmarks.target import LedgerStubs, RunningServer, peak_mb, reset_peak
from orchestration.v1 import task_pb2

ROUNDS = 5
SECONDS = 3
PAUSE = 0.1
"""The pause of a hostile client before its next call."""
SILENT_PAUSE = 1.0
"""The pause of a hostile client before it replaces silent calls that were refused."""
RPS = 100
CODE = "good"
TIMEOUT = 30.0


@dataclass(frozen=True)
class HostileClients:
    """An attack. `auth` is `required` if callers need a key; the good client has one."""

    kind: str
    clients: int
    auth: str
    pause: float = PAUSE

    @property
    def group(self) -> str:
        """The section of the thresholds."""
        return f"strangers_{self.kind}" + ("" if self.pause else "_unpaced")

    @property
    def name(self) -> str:
        """The name of the measurement."""
        return f"{self.group}_{self.clients}_{self.auth}"


CASES = (
    *(HostileClients("bombs", clients, auth) for auth in ("required", "open") for clients in (1, 4, 40)),
    HostileClients("resets", 1, "open"),
    HostileClients("silent", 6, "open", pause=SILENT_PAUSE),
    *(HostileClients("bombs", 40, auth, pause=0) for auth in ("required", "open")),
)


@dataclass(frozen=True)
class AttackTarget:
    """The server that is attacked, and the good client's key."""

    address: str
    pid: int
    key: str
    ca: Path | None = None
    """The file of the authority that signed its certificate; None without TLS."""


def measure(started: RunningServer, program: Path) -> list[Measurement]:
    """Measure the effect of each attack on the latency of a good client and on the server's memory."""
    with temporary_database(started, "strangers") as url:
        key = make_key(url, "good")
        found = []
        for auth in dict.fromkeys(case.auth for case in CASES):
            with ServerProcess(url, "--auth", auth) as server:
                make_task(server.address, key)
                target = AttackTarget(server.address, server.pid, key)
                found += [measure_beside(program, target, case) for case in CASES if case.auth == auth]
        return found


def make_task(address: str, key: str) -> None:
    """Create the task that the good client reads."""
    request = task_pb2.CreateTaskRequest(task=task_pb2.Task(code=CODE, title=CODE), request_id=CODE)
    with channel(address, key) as opened:
        LedgerStubs(address, opened).tasks.CreateTask(request, timeout=TIMEOUT)


def measure_beside(program: Path, target: AttackTarget, case: HostileClients) -> Measurement:
    """Measure the good client's calls in turn alone and beside hostile clients."""
    load = ghz.GhzLoad(
        method="TaskService/GetTask",
        requests=[task_pb2.GetTaskRequest(task_code=CODE)] * 50,
        calls=RPS * SECONDS,
        rps=RPS,
        concurrency=50,
        connections=5,
        metadata={"authorization": f"Bearer {target.key}"},
        ca=target.ca,
    )
    command = [sys.executable, "-m", "benchmarks.attacks", case.kind, target.address, str(case.clients)]
    command += [str(SECONDS), str(case.pause), *([] if target.ca is None else [str(target.ca)])]
    # The first run warms the server.
    alone, together = [ghz.run(program, target.address, load)], []
    reset_peak(target.pid)
    before = peak_mb(target.pid)
    attacked: Counter[str] = Counter()
    for _ in range(ROUNDS):
        alone.append(ghz.run(program, target.address, load))
        attack = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        together.append(ghz.run(program, target.address, load))
        attacked.update(json.loads(attack.communicate()[0]))
    grown = peak_mb(target.pid) - before
    failures: Counter[str] = Counter()
    for outcome in (*alone, *together):
        failures.update(outcome.failures)
    figures = {"memory_growth_mb": grown}
    # The median of the rounds, because other work on the machine varies.
    for name, share in (("p50", 0.5), ("p95", 0.95), ("longest", 1.0)):
        without, with_them = ([run.percentile(share) for run in runs] for runs in (alone[1:], together))
        figures |= {f"{name}_alone_ms": median(without), f"{name}_ms": median(with_them)}
        figures[f"{name}_ratio"] = median(with_them) / median(without)
    figures |= {f"attack_{name}": float(number) for name, number in attacked.items()}
    return Measurement(case.name, case.group, figures, dict(failures))
