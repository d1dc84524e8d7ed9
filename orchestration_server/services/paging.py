"""Pages of tasks, as the lists of several services have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.codec.wire import embed, embed_all
from orchestration_server.store.pages import Page
from orchestration_server.store.tasks import ListedTask


def task_list_scope(project: str, filters: Mapping[str, Any], *, by_priority: bool) -> list[Any]:
    """Return the request that a page token of a list of tasks is valid for."""
    return ["tasks", project, by_priority, sorted(filters.items())]


def listed_after(position: list[Any] | None) -> ListedTask | None:
    """Return the task that a page comes after; None for the first page."""
    if position is None:
        return None
    return ListedTask(datetime.fromisoformat(position[0]), position[1], position[2], b"")


def next_page_token(cursors: CursorSigner, page: Page[ListedTask], scope: list[Any]) -> str:
    """Return the token of the page that follows; empty for the last page."""
    if not page.more:
        return ""
    last = page.rows[-1]
    return cursors.page_token(scope, [last.create_time.isoformat(), last.priority, last.code])


def task_page(
    cursors: CursorSigner, page: Page[ListedTask], scope: list[Any], *, tasks: int, token: int
) -> bytes:
    """Return a serialized page. ``tasks`` and ``token`` are the field numbers in the response."""
    body = embed_all(tasks, [row.body for row in page.rows])
    if following := next_page_token(cursors, page, scope):
        body += embed(token, following.encode())
    return body
