"""`orchestration migrate`: the database's schema, brought to this release's."""

from __future__ import annotations

from rich.console import Console

from orchestration_server.commands.options import refuse, with_settings
from orchestration_server.config import Settings


@with_settings("database_url")
def migrate(settings: Settings) -> None:
    """Bring the database of DATABASE_URL to this release's schema."""
    from orchestration_server.app import migrate as run

    if not settings.database_url:
        refuse("DATABASE_URL is not set; `serve` migrates the built-in database itself")
    Console().print("\n".join(run(settings.database_url)) or "nothing to do")
