"""A wrapper that runs ghz and reads its report."""

import json
import math
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.proto import serialize_length_prefixed

from orchestration.v1 import (
    context_pb2,
    coordination_pb2,
    event_pb2,
    report_pb2,
    session_pb2,
    sprint_pb2,
    task_pb2,
    template_pb2,
)

PACKAGE = "orchestration.v1"
TIMEOUT_SECONDS = 300.0  # seconds; more than any scenario takes


@dataclass(frozen=True)
class GhzLoad:
    """A load of calls of one method.

    With `rps`, calls are offered at that rate, independent of the answers (an open loop). Without it, each of
    `concurrency` callers sends the next call when the last one is answered. `requests` are sent in turn; a
    text is a ghz template, for methods that take a stream.
    """

    method: str
    requests: Sequence[Message] | str
    calls: int
    rps: int
    concurrency: int
    connections: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None
    """The file of the authority that signed the server's certificate; None without TLS."""


@dataclass(frozen=True)
class GhzResult:
    """The result of a run: the sorted latencies of all calls in milliseconds, and failures by reason."""

    latencies: Sequence[float]
    failures: Mapping[str, int]
    calls_per_s: float

    def percentile(self, share: float) -> float:
        return percentile(self.latencies, share)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return a percentile of sorted values by the nearest rank; NaN if there are none."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def merged_latencies(results: Sequence[GhzResult]) -> list[float]:
    """Return the latencies of several runs, sorted."""
    return sorted(latency for result in results for latency in result.latencies)


def run(program: Path, address: str, load: GhzLoad) -> GhzResult:
    """Run a load to its end. Raises RuntimeError if ghz itself fails."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        directory = Path(name)
        command = _command(program, address, load, directory)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        report = directory / "report.json"
        if ended.returncode != 0 or not report.exists():
            raise RuntimeError(f"ghz {load.method}: {(ended.stderr or ended.stdout)[-2000:]}")
        return _read(json.loads(report.read_text()))


def _command(program: Path, address: str, load: GhzLoad, directory: Path) -> list[str]:
    protoset = directory / "ledger.protoset"
    protoset.write_bytes(_protoset())
    command = [str(program), *(["--insecure"] if load.ca is None else ["--cacert", str(load.ca)])]
    command += ["--protoset", str(protoset)]
    command += ["--call", f"{PACKAGE}.{load.method}", "--total", str(load.calls)]
    command += ["--concurrency", str(load.concurrency), "--connections", str(load.connections)]
    command += ["--timeout", "20s", "--format", "json", "--output", str(directory / "report.json")]
    if load.metadata:
        command += ["--metadata", json.dumps(dict(load.metadata))]
    if load.rps:
        command += ["--rps", str(load.rps), "--async"]
    data = directory / "data"
    if isinstance(load.requests, str):
        data.write_text(load.requests)
        command += ["--data-file", str(data)]
    else:
        output = BytesIO()
        for request in load.requests:
            serialize_length_prefixed(request, output)
        data.write_bytes(output.getvalue())
        command += ["--binary", "--binary-file", str(data), "--disable-template-data"]
    return [*command, address]


def _protoset() -> bytes:
    """Return the descriptors of all services, so that ghz needs no proto compiler."""
    result = FileDescriptorSet()
    done: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name not in done:
            done.add(file.name)
            for needed in file.dependencies:
                add(needed)
            file.CopyToProto(result.file.add())

    for module in (
        sprint_pb2,
        task_pb2,
        event_pb2,
        session_pb2,
        context_pb2,
        coordination_pb2,
        template_pb2,
        report_pb2,
    ):
        add(module.DESCRIPTOR)
    return result.SerializeToString()


def _read(report: Mapping[str, object]) -> GhzResult:
    details = report.get("details")
    total = report.get("total")
    assert isinstance(details, list)
    assert isinstance(total, int)
    failures = Counter(
        f"{call['status']} {call['error']}"[:200] for call in details if call["status"] != "OK"
    )
    latencies = sorted(call["latency"] / 1e6 for call in details)
    answered = len(details) - failures.total()
    return GhzResult(latencies, dict(failures), answered / (total / 1e9) if total else 0.0)
