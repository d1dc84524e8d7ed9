"""Two lengths of one race: a short one for `make test`, and the full one for `make test-race`."""

from __future__ import annotations

from typing import Any

import pytest


def lengths(name: str, *, short: Any, long: Any) -> pytest.MarkDecorator:
    """Parametrize a test with the size of each run; the long one has the marker `race`."""
    return pytest.mark.parametrize(
        name, [pytest.param(short, id="short"), pytest.param(long, id="long", marks=pytest.mark.race)]
    )
