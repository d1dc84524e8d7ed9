"""The names that events, files and reports have for the numbers of enums.

Each table is indexed by the number; 0 is unspecified. The names of entity types are in ``model``, because
``store`` needs them too.
"""

from __future__ import annotations

SPRINT_STATUS_NAMES = ("", "planning", "active", "completed", "cancelled")
TASK_STATUS_NAMES = ("", "pending", "in_progress", "blocked", "completed", "cancelled")
SESSION_STATUS_NAMES = ("", "active", "paused", "completed")
SESSION_OUTCOME_NAMES = ("", "succeeded", "failed", "handed_over", "abandoned")
ADR_STATUS_NAMES = ("", "proposed", "accepted", "rejected", "deprecated", "superseded")
BUG_SEVERITY_NAMES = ("", "critical", "high", "medium", "low")
DEPENDENCY_KIND_NAMES = ("", "blocks", "parent_child", "discovered_from", "related")
ATTEMPT_OUTCOME_NAMES = (
    "", "completed", "failed", "returned", "blocked", "expired", "timed_out", "preempted", "session_closed",
    "cancelled",
)  # fmt: skip
CATCH_UP_NAMES = ("", "once", "skip")
OVERLAP_NAMES = ("", "skip", "allow")
PAUSE_MODE_NAMES = ("", "pause", "drain", "cancel")
PRIORITY_NAMES = ("", "P0", "P1", "P2", "P3", "P4")
