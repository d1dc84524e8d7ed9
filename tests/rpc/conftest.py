"""A server in this process, and one that takes keys."""

from __future__ import annotations

import pytest

from orchestration_server.app import App
from tests.conftest import Server
from tests.support.credentials import make_key


@pytest.fixture
def app(server: Server) -> App:
    assert server.app is not None
    return server.app


@pytest.fixture
def closed(app: App, database_url: str) -> App:
    """A server that takes keys, as a first one was made."""
    make_key(database_url, project="another")
    app.credentials.refresh()
    return app
