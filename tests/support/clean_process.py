"""What a test run inherits from the process that starts it, replaced before any test can see it.

A background job of a shell ignores SIGINT, a container has another umask, and a developer's shell names a
database. Each of these made tests fail that say nothing about it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import time

_NAMES = frozenset(
    (
        "DATABASE_URL", "REDIS_URL", "HOME", "TZ", "LANG", "LANGUAGE", "COLUMNS", "LINES", "NO_COLOR",
        "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NO_GRPC_PROXY", "GRPC_PROXY", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "NETRC",
    )
)  # fmt: skip
_PREFIXES = ("PG", "ORCHESTRATION_", "LC_", "OTEL_", "GRPC_", "XDG_", "JINJA_")
_SIGNALS = (signal.SIGTERM, signal.SIGCHLD, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
UMASK = 0o022


def replace() -> None:
    """Set the environment, the umask and the signals to what tests expect. SIGHUP stays: `nohup` needs it."""
    for name in [name for name in os.environ if _changes_behaviour(name)]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {"HOME": home, "TZ": "UTC", "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    time.tzset()
    os.umask(UMASK)
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _changes_behaviour(name: str) -> bool:
    upper = name.upper()
    return upper in _NAMES or upper.startswith(_PREFIXES)
