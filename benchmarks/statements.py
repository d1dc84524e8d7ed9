"""Recording of an rpc's statements from the log of the database, and their execution by pgbench.

So the statements are exactly those of the server, and pgbench shows the rate of Postgres alone.
"""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.target import RunningServer
from orchestration_server.store.writes import lock_key

ENTRY = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] (LOG|DETAIL):  (.*?)(?=^\S+ \S+ \S+ \[\d+\] |\Z)", re.M | re.S)
STATEMENT = re.compile(r"(?:execute [^:]*|statement): (.*)", re.S)
PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
PLACE = re.compile(r"\$(\d+)\b")
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UUIDS = re.compile(rf"'\{{{UUID}(?:,{UUID})*\}}'")
DIGITS = 6
LOG_TIMEOUT = 5.0
TPS = re.compile(r"^tps = ([0-9.]+)", re.M)


@dataclass(frozen=True)
class NumberedCodes:
    """Codes made of `prefix` and six digits."""

    prefix: str

    def code(self, number: int) -> str:
        return f"{self.prefix}{number:0{DIGITS}}"

    def fences(self) -> str:
        """Return an expression of the fence of row `:n`, above the fences that the server gives."""
        digits = "".join(filter(str.isdecimal, self.prefix))
        return f"(9{digits}{0:0{DIGITS}} + :n)"


@dataclass(frozen=True)
class Recorded:
    """The statements of a call about the row `code`, each with its parameters as literals."""

    code: str
    statements: tuple[tuple[str, dict[int, str]], ...]
    fence: int = 0
    """The fence of the call's lease. It must not be equal to another number of the statements."""

    def script(self, rows: NumberedCodes, pick: str) -> str:
        """Return a pgbench script that runs the statements on the row whose number `pick` sets.

        Values that follow from the code differ between runs: the code itself, ids made of it, its lock and
        its fence, which is the same in each script of the row.
        All other values are those recorded.
        """
        number = f"'{rows.prefix}' || lpad(:n::text, {DIGITS}, '0')"
        lines = [pick]
        for text, values in self.statements:
            literals = {place: self._vary(value, number, rows.fences()) for place, value in values.items()}
            body = PLACE.sub(lambda found, known=literals: known[int(found[1])], text)  # type: ignore[misc]  # bound now
            lines.append(" ".join(body.split()) + ";")
        return "\n".join(lines) + "\n"

    def _vary(self, literal: str, number: str, fence: str) -> str:
        if self.code in literal:
            return "(" + literal.replace(self.code, f"' || {number} || '") + ")"
        if str(lock_key("default", "task", self.code)) in literal:
            return "('{' || :n::text || '}')"
        if self.fence and literal == f"'{{{self.fence}}}'":
            return f"('{{' || {fence}::text || '}}')"
        if UUIDS.fullmatch(literal):
            fresh = " || ',' || ".join(["gen_random_uuid()::text"] * (literal.count(",") + 1))
            return f"('{{' || {fresh} || '}}')"
        return literal


@contextmanager
def _logging(conn: psycopg.Connection) -> Iterator[None]:
    conn.execute("alter system set log_statement = 'all'")
    conn.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        conn.execute("alter system reset log_statement")
        conn.execute("select pg_reload_conf()")


def record(started: RunningServer, code: str, call: Callable[[], object]) -> Recorded:
    """Record the statements of a call about `code`. Raises RuntimeError if the log shows none."""
    with psycopg.connect(started.database_url, autocommit=True) as conn, _logging(conn):
        time.sleep(0.3)  # each backend reads its settings between two statements
        start = started.database_log.stat().st_size
        call()
        deadline = time.monotonic() + LOG_TIMEOUT
        while time.monotonic() < deadline:
            with started.database_log.open("rb") as log:
                log.seek(start)
                found = _read(log.read().decode(errors="replace"), code)
            if found:
                return Recorded(code, tuple(found))
            time.sleep(0.1)
    raise RuntimeError(f"the database's log shows no statement about {code}")


def _read(log: str, code: str) -> list[tuple[str, dict[int, str]]]:
    """Return all statements of the connections whose statements have the code."""
    entries = [(found[1], found[2], found[3].strip()) for found in ENTRY.finditer(log)]
    concerned = {pid for pid, _, text in entries if code in text}
    statements: list[tuple[str, dict[int, str]]] = []
    for pid, kind, text in entries:
        if pid not in concerned:
            continue
        statement = STATEMENT.match(text)
        if kind == "LOG" and statement is not None:
            statements.append((statement[1], {}))
        elif kind == "DETAIL" and statements:
            statements[-1][1].update({int(found[1]): found[2] for found in PARAMETER.finditer(text)})
    return statements


PICK_EACH_ONCE = "\\set i :i + 1\n\\set n :client_id * :each + :i"


def pick_any(count: int) -> str:
    """Return the line of a script that picks a row at random."""
    return f"\\set n random(0, {count - 1})"


def run(program: Path, started: RunningServer, script: str, *, clients: int, transactions: int) -> float:
    """Run a script `transactions` times, and return the rate a second. Raises RuntimeError on any failure."""
    command = [str(program), "--no-vacuum", "--protocol=prepared", "--file=/dev/stdin"]
    command += [f"--client={clients}", "--jobs=1", f"--transactions={transactions // clients}"]
    command += ["--define=i=-1", f"--define=each={transactions // clients}"]
    ended = subprocess.run(
        [*command, started.database_url],
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    rate = TPS.search(ended.stdout)
    if ended.returncode != 0 or rate is None:
        raise RuntimeError(f"pgbench failed:\n{ended.stderr[-2000:]}\n{script[:2000]}")
    return float(rate[1])
