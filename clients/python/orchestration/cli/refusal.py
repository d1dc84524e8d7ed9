"""An error that a verb reports to its user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestration.cli import exit_codes


@dataclass
class Refusal(Exception):
    """What is wrong, what to do about it, and the exit code.

    ``reason`` and ``metadata`` are those of the ledger's error, if it is one; ``violations`` maps fields to
    what is wrong with them.
    """

    message: str
    fix: str = ""
    code: int = exit_codes.NO
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Mapping[str, str] = field(default_factory=dict)
