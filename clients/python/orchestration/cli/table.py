"""The commands by name, each with the place of its function, which is imported when the command runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """Commands that the help lists together, as ``module:name`` of a function or of a Typer app."""

    title: str
    commands: Mapping[str, str]


_HERE = "orchestration.cli."

SECTIONS = (
    Section(
        "Work",
        {
            "ready": f"{_HERE}readiness:ready",
            "why": f"{_HERE}readiness:why",
            "show": f"{_HERE}tasks:show",
            "start": f"{_HERE}task_status:start",
            "done": f"{_HERE}task_status:done",
            "block": f"{_HERE}task_status:block",
            "assign": f"{_HERE}tasks:assign",
            "edit": f"{_HERE}tasks:edit",
        },
    ),
    Section(
        "Plans",
        {
            "sprint": f"{_HERE}sprints:app",
            "task": f"{_HERE}tasks:app",
            "dep": f"{_HERE}links:app",
        },
    ),
    Section(
        "Agents",
        {
            "prime": f"{_HERE}agent_contexts:prime",
            "claim": f"{_HERE}leases:claim",
            "context": f"{_HERE}agent_contexts:context",
            "heartbeat": f"{_HERE}leases:heartbeat",
            "release": f"{_HERE}leases:release",
            "preempt": f"{_HERE}leases:preempt",
            "lease": f"{_HERE}leases:app",
            "session": f"{_HERE}agent_sessions:app",
        },
    ),
    Section(
        "What happens",
        {
            "watch": f"{_HERE}watching:watch",
            "report": f"{_HERE}reports:report",
            "top": f"{_HERE}top:top",
            "log": f"{_HERE}history:log",
            "blame": f"{_HERE}history:blame",
            "diff": f"{_HERE}history:diff",
            "stats": f"{_HERE}reports:stats",
            "alerts": f"{_HERE}reports:alerts",
        },
    ),
    Section(
        "This machine",
        {
            "use": f"{_HERE}setup:use",
            "version": f"{_HERE}setup:version",
            "completion": f"{_HERE}setup:completion",
            "call": f"{_HERE}call:call",
            "demo": f"{_HERE}demo:demo",
        },
    ),
)
"""The commands of this package. A test checks that each place is there."""

SERVER_COMMANDS: Mapping[str, str] = {
    "serve": "Run the server.",
    "worker": "Run the background services of DATABASE_URL beside its servers.",
    "migrate": "Bring the database of DATABASE_URL to the schema of this release.",
    "doctor": "Check the machine, database and cache of servers with these settings.",
    "keys": "Create, list and revoke API keys.",
    "archive": "Move old events of priority P2 and below to the archive of DATABASE_URL, while servers run.",
    "import": "Load tasks and events from JSONL files, or a tree of files.",
    "health": "Ask the server at ADDRESS for its health.",
    "prometheus-rules": "Print the alerts as rules for Prometheus, with the thresholds of --alerts-file.",
}
"""The commands that the server's package adds, with their help, so that the list loads none of them."""

ENTRY_POINTS = "orchestration.commands"
"""The group of entry points by which other packages add commands."""
