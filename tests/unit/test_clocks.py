"""No module judges by the clock of its machine but those that have a reason to."""

import ast
from pathlib import Path

import pytest

import orchestration_server

PACKAGE = Path(orchestration_server.__file__).parent
REASONS = {
    "cli/importing/task_fields.py": "an import has no database; the server judges what it sends",
    "doctor/database.py": "compares the two clocks",
    "auth/rate_limits.py": "waits for a window that Redis keeps",
    "rpc/tls.py": "certificates are for the clocks of callers",
    "telemetry/tracing.py": "spans are for collectors",
}
READS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
}


def reads_the_clock(source: str) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in READS
        for node in ast.walk(ast.parse(source))
    )


@pytest.mark.slow
def test_the_clock_of_the_machine_decides_nothing_that_is_stored() -> None:
    found = {
        str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py") if reads_the_clock(file.read_text())
    }
    assert found == REASONS.keys()
