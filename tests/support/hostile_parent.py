"""A parent with unusual settings for its children: `python -m tests.support.hostile_parent COMMAND`."""

from __future__ import annotations

import os
import signal
import sys

IGNORED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD,
    signal.SIGUSR1,
)  # fmt: skip
BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
NOWHERE = "203.0.113.1"
ENVIRONMENT = {
    "DATABASE_URL": f"postgresql://{NOWHERE}/none",
    "REDIS_URL": f"redis://{NOWHERE}:1",
    "ORCHESTRATION_ADDRESS": f"{NOWHERE}:1",
    "ORCHESTRATION_PROJECT": "elsewhere",
    "ORCHESTRATION_TOKEN": "of another server",
    "ORCHESTRATION_TOKENIZER": "no.such:module",
    "ORCHESTRATION_WORKSPACE": "/nonexistent",
    "ORCHESTRATION_CA_FILE": "/nonexistent",
    "ORCHESTRATION_CONFIG": "/nonexistent",
    "ORCHESTRATION_THREADS": "none",
    # This directory exists, and not even root can write to it.
    "HOME": "/proc",
    "PGHOST": NOWHERE,
    "PGUSER": "nobody",
    "PGDATABASE": "none",
    "PGSERVICE": "none",
    "PGOPTIONS": "-c DateStyle=German -c default_transaction_isolation=serializable",
    "PGCLIENTENCODING": "LATIN1",
    "PGTZ": "Asia/Kathmandu",
    "PGSSLMODE": "require",
    "PGPASSFILE": "/nonexistent",
    "REDIS_HOST": NOWHERE,
    "REDISCLI_AUTH": "of another server",
    "TZ": "Pacific/Chatham",
    "LANG": "C",
    "LC_ALL": "C",
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
    "https_proxy": f"http://{NOWHERE}:1",
    "http_proxy": f"http://{NOWHERE}:1",
    "all_proxy": f"http://{NOWHERE}:1",
}
UMASK = 0o077


def main() -> None:
    """Become the command, with signals ignored and blocked, a strict umask and a misleading environment."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    os.umask(UMASK)
    os.execve(sys.argv[1], sys.argv[1:], os.environ | ENVIRONMENT)


if __name__ == "__main__":
    main()
