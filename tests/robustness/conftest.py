"""Fixtures of the runs of random work."""

from __future__ import annotations

import pytest


@pytest.fixture
def pool_size() -> int | None:
    """Return the server's default: a run needs a connection for everything that happens at once."""
    return None
