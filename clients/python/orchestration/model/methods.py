"""Types of the stubs' methods, sync and async."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

Method = Callable[[RequestT], ResponseT]
AsyncMethod = Callable[[RequestT], Awaitable[ResponseT]]
