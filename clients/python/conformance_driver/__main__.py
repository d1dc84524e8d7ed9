"""Read commands from standard input, a line each, and write their answers to standard output."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from conformance_driver import faults
from conformance_driver.commands import Commands, error_of


def main() -> None:
    """Carry out each command on a thread of its own, until standard input ends."""
    faults.apply(os.environ.get("CONFORMANCE_FAULT", ""))
    commands, lock = Commands(), threading.Lock()

    def carry_out(command: dict[str, Any]) -> None:
        number = command.pop("id")
        try:
            answer = {"ok": commands.run(command)}
        except Exception as error:
            answer = {"error": _shown(error)}
        with lock:
            print(json.dumps({"id": number, **answer}), flush=True)

    for line in sys.stdin:
        threading.Thread(target=carry_out, args=(json.loads(line),), daemon=True).start()


def _shown(error: Exception) -> dict[str, Any]:
    try:
        return error_of(error)
    except Exception as fault:
        return {"code": "LOCAL", "reason": "INTERNAL", "message": f"{error!r} cannot be shown: {fault!r}"}


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # A thread that still waits for the ledger must not keep the process.
    os._exit(0)
