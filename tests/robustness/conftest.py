"""Servers that random work is tried on."""

from __future__ import annotations

import pytest


@pytest.fixture
def pool_size() -> int | None:
    """The server's own default: random work needs a connection for all that happens at once."""
    return None
