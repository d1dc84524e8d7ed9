"""A client for asyncio as a client for threads, so that the tests of one are tests of the other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any, cast

from orchestration import AsyncLedger, Ledger


class Blocking:
    """An object of the client whose coroutines, lists and blocks are run until they end."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner, self._runner = inner, runner

    def __getattr__(self, name: str) -> Any:
        return self._plain(getattr(self._inner, name))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        given = [one._inner if isinstance(one, Blocking) else one for one in arguments]

        async def call() -> Any:
            # The client makes tasks of the loop, also in what is no coroutine.
            made = self._inner(*given, **named)
            return await made if inspect.isawaitable(made) else made

        return self._plain(self._runner.run(call()))

    def __iter__(self) -> Iterator[Any]:
        items = aiter(self._inner)
        end = object()
        while (item := self._runner.run(_next(items, end))) is not end:
            yield self._plain(item)

    def __next__(self) -> Any:
        end = object()
        if (item := self._runner.run(_next(self._inner, end))) is end:
            raise StopIteration
        return self._plain(item)

    def __enter__(self) -> Any:
        return self._plain(self._runner.run(self._inner.__aenter__()))

    def __exit__(self, *raised: Any) -> Any:
        return self._runner.run(self._inner.__aexit__(*raised))

    def _plain(self, found: Any) -> Any:
        own = type(found).__module__.startswith("orchestration._async")
        if own or inspect.ismethod(found) or hasattr(found, "__aiter__"):
            return self if found is self._inner else Blocking(found, self._runner)
        return found


async def _next(items: Any, end: object) -> Any:
    return await anext(items, end)


def blocking_ledger(runner: asyncio.Runner, *arguments: Any, **named: Any) -> Ledger:
    """Return an AsyncLedger that tests use like a Ledger."""

    async def make() -> AsyncLedger:
        return AsyncLedger(*arguments, **named)

    return cast(Ledger, Blocking(runner.run(make()), runner))
