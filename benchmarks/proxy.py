"""Attacks through the Envoy of deploy/envoy on a real server, and streams that stay open through it.

python -m benchmarks.proxy ENVOY exits with 1 if a threshold is missed, and with 2 if Envoy refuses the
configuration.
"""

from __future__ import annotations  # grpc's classes take type arguments in its stubs alone

import argparse
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from benchmarks import gate, tools
from benchmarks.gate import Measurement
from benchmarks.hostile_clients import SILENT_PAUSE, AttackTarget, HostileClients, make_task, measure_beside
from benchmarks.processes import ServerProcess
from benchmarks.provisioning import make_key, temporary_database
from benchmarks.report import BenchmarkReport
from benchmarks.target import BenchmarkServer, peak_mb, reset_peak
from orchestration.v1 import event_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration_server.rpc.tls import make

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "envoy" / "envoy.yaml"
CASES = (
    HostileClients("resets", 1, "required"),
    HostileClients("whole", 1, "required"),
    HostileClients("silent", 6, "required", pause=SILENT_PAUSE),
)
LISTENS, SERVES = "port_value: 20443", "port_value: 20051"
TLS = "/etc/envoy/tls/"
START_SECONDS = 20.0
IDLE_SECONDS = 75
"""The silence on the streams. It is longer than other calls may be silent."""
DELIVERY_SECONDS = 10.0
MISSED, REFUSED = 1, 2


def main() -> int:
    """Run everything, and return 0 if all thresholds are reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy", description=__doc__)
    parser.add_argument("envoy", help="the Envoy program")
    parser.add_argument("--idle", type=int, default=IDLE_SECONDS, help="the seconds without an event")
    parser.add_argument("--check", action="store_true", help="only have Envoy validate the configuration")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="envoy-") as name:
        directory = Path(name)
        made = make(directory, "localhost")
        if not _valid(options.envoy, _written(directory, made.cert, made.key, 20443, 20051)):
            return REFUSED
        if options.check:
            return 0
        began = time.monotonic()
        measurements = _measure(options.envoy, directory, options.idle)
    report = BenchmarkReport(
        gate="proxy",
        when=datetime.now(UTC),
        seconds=time.monotonic() - began,
        setting={"idle seconds": options.idle},
        measurements=measurements,
        misses=gate.misses(measurements, gate.load("proxy"), required=[]),
    )
    report.save()
    print(report.markdown())
    return MISSED if report.misses else 0


def _written(directory: Path, cert: Path, key: Path, listens: int, serves: int) -> Path:
    """Write the shipped configuration with other ports and another certificate, and return its path."""
    text = CONFIGURATION.read_text()
    for old, new in (
        (LISTENS, f"port_value: {listens}"),
        (SERVES, f"port_value: {serves}"),
        (f"{TLS}server.pem", str(cert)),
        (f"{TLS}server.key", str(key)),
    ):
        if text.count(old) != 1:
            raise ValueError(f"{CONFIGURATION.name} has {old} {text.count(old)} times")
        text = text.replace(old, new)
    written = directory / CONFIGURATION.name
    written.write_text(text)
    return written


def _valid(envoy: str, configuration: Path) -> bool:
    ended = subprocess.run(
        [envoy, "--mode", "validate", "-c", configuration], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        print(ended.stderr, file=sys.stderr)
    return ended.returncode == 0


@contextmanager
def _running(envoy: str, configuration: Path, port: int) -> Iterator[int]:
    """Start Envoy, and yield its process id after it listens."""
    log = configuration.with_suffix(".log")
    command = [envoy, "-c", str(configuration), "--concurrency", "2", "--use-dynamic-base-id"]
    command += ["--log-level", "warning"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"Envoy did not start:\n{log.read_text()[-3000:]}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _measure(envoy: str, directory: Path, idle: int) -> list[Measurement]:
    program, port = tools.ghz(), _free_port()
    made = make(directory, "localhost")
    with BenchmarkServer() as started, temporary_database(started, "proxy") as url:
        key = make_key(url, "good")
        with ServerProcess(url, "--auth", "required") as server:
            make_task(server.address, key)
            serves = int(server.address.rpartition(":")[2])
            configuration = _written(directory, made.cert, made.key, port, serves)
            with _running(envoy, configuration, port) as pid:
                target = AttackTarget(f"localhost:{port}", server.pid, key, made.cert)
                found = []
                for case in CASES:
                    reset_peak(pid)
                    before = peak_mb(pid)
                    measured = measure_beside(program, target, case)
                    figures = {**measured.figures, "envoy_growth_mb": peak_mb(pid) - before}
                    name = measured.name.replace("strangers", "proxy", 1)
                    found.append(Measurement(name, "attacks", figures, measured.reasons))
                return [*found, _idle(target, idle)]


def _idle(target: AttackTarget, seconds: int) -> Measurement:
    """Keep streams through the proxy silent, and check that they still deliver events afterwards."""
    assert target.ca is not None
    credentials = grpc.ssl_channel_credentials(target.ca.read_bytes())
    metadata = (("authorization", f"Bearer {target.key}"),)
    problems: Counter[str] = Counter()
    with grpc.secure_channel(target.address, credentials) as channel:
        stub = EventServiceStub(channel)
        arrived: queue.SimpleQueue[str] = queue.SimpleQueue()
        wanted = event_pb2.StreamTimelineRequest(last=1, follow=True)
        timeline = stub.StreamTimeline(wanted, metadata=metadata)
        threading.Thread(target=_read, args=(timeline, arrived), daemon=True).start()
        sent: queue.SimpleQueue[event_pb2.EmitEventsRequest | None] = queue.SimpleQueue()
        emits = stub.EmitEvents(iter(sent.get, None), metadata=metadata)
        for number in range(2):
            if number:
                time.sleep(seconds)
            event = event_pb2.NewEvent(type="bench.idle", actor=f"idle-{number}")
            sent.put(event_pb2.EmitEventsRequest(events=[event], request_id=f"idle-{number}"))
            try:
                next(emits)
                while arrived.get(timeout=DELIVERY_SECONDS) != event.actor:
                    pass
            except (grpc.RpcError, queue.Empty, StopIteration) as error:
                problems[f"after {number * seconds} s: {error!r}"[:300]] += 1
        sent.put(None)
        timeline.cancel()
    return Measurement("proxy_idle", "idle", {"idle_s": float(seconds)}, dict(problems))


def _read(timeline: Any, arrived: queue.SimpleQueue[str]) -> None:
    try:
        for message in timeline:
            for event in message.events.events:
                arrived.put(event.actor)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.CANCELLED:
            arrived.put(error.code().name)


if __name__ == "__main__":
    sys.exit(main())
