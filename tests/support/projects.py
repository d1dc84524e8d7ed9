"""A channel whose calls go to a project of one test, on a server that many tests share."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import grpc

KEY = "orchestration-project"
_numbers = count(1)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


def new_project() -> str:
    """Return the name of a project that no other test of this worker has."""
    return f"test-{next(_numbers)}"


class _InProject(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the project to each call that names none, and to the name of each other project of the test."""

    def __init__(self, project: str) -> None:
        self._project = project

    def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        metadata = [(key, self._renamed(key, value)) for key, value in details.metadata or ()]
        if KEY not in dict(metadata):
            metadata.append((KEY, self._project))
        return continuation(details._replace(metadata=metadata), request)

    def _renamed(self, key: str, value: str | bytes) -> str | bytes:
        if key != KEY or not isinstance(value, str):
            return value
        if value == "default":
            return self._project
        # A name that the server must refuse stays as it is.
        return f"{value}-{self._project}" if _NAME.fullmatch(value) else value

    # Each is typed for its own kind of call.
    intercept_unary_unary = _intercept  # type: ignore[assignment]
    intercept_unary_stream = _intercept  # type: ignore[assignment]
    intercept_stream_unary = _intercept  # type: ignore[assignment]
    intercept_stream_stream = _intercept  # type: ignore[assignment]


def in_project(channel: grpc.Channel, project: str) -> grpc.Channel:
    """Return a channel that makes its calls in the project."""
    return grpc.intercept_channel(channel, _InProject(project))
