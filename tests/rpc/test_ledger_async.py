"""The Python client that takes plain values, for asyncio. Its source is that of the client for threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestration import AsyncLedger, LeaseLost, NewEvent, NewTask, NotFound, TaskHeld
from orchestration._async import work as claims
from orchestration.v1.coordination_pb2 import PreemptTaskRequest
from tests.conftest import Server

pytestmark = pytest.mark.shared_server(by_address=True)


@asynccontextmanager
async def opened(server: Server, agent: str = "a1") -> AsyncIterator[AsyncLedger]:
    async with AsyncLedger(server.address, project=server.project, agent=agent) as ledger:
        yield ledger


def run(test: Callable[[], Awaitable[Any]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def test_a_sprint_is_planned_worked_off_and_reported(server: Server) -> None:
    async def test() -> None:
        async with opened(server) as ledger:
            sprint = await ledger.sprint("S1", title="First")
            await sprint.start()
            await ledger.create_task("A", "A", sprint="S1", config={"n": 40})
            await ledger.create_tasks([NewTask("B", "B", "S1", after="A"), NewTask("C", "C", "S1", "B")])
            taken = []
            async for work in ledger.claims(sprint="S1"):
                async with work:
                    taken.append(work.code)
                    assert f"# {work.code} " in await work.prompt(tokens=1_000)
                    await work.log("half done", files=3)
                    await work.done("tests pass")
            assert taken == ["A", "B", "C"]
            assert (await ledger.get_task("A")).config == {"n": 40}
            assert (await sprint.report()).counts["completed"] == 3
            assert [task.code async for task in ledger.tasks(sprint="S1", page_size=2)] == ["C", "B", "A"]
            assert [each.on async for each in ledger.dependencies("C")] == ["B"]
            with pytest.raises(NotFound):
                await ledger.get_task("none")

    run(test)


def test_a_loop_goes_past_what_it_gave_back_and_waits(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LOOK_AGAIN", 0.01)

    async def test() -> None:
        async with opened(server) as ledger, opened(server, "a2") as other:
            await ledger.create_tasks([NewTask("A", "A"), NewTask("B", "B")])
            loop = ledger.claims(wait=60)
            for code in "AB":
                async with await anext(loop) as work:
                    assert work.code == code
                    await work.hand_over("half")
            waiting = asyncio.create_task(loop.__anext__())
            async for event in other.follow(types="orchestration.task.released"):
                if event.entity == "B":
                    break
            await other.create_task("C", "C")
            assert (await waiting).code == "C"
            assert (await anext(other.claims())).code == "A"

    run(test)


def test_a_cancelled_block_gives_its_task_back(server: Server) -> None:
    async def test() -> None:
        async with opened(server) as ledger:
            await ledger.create_task("A", "A")
            began = asyncio.Event()

            async def work_on() -> None:
                async with await ledger.claim("A"):
                    began.set()
                    await asyncio.Event().wait()

            running = asyncio.create_task(work_on())
            await began.wait()
            with pytest.raises(TaskHeld):
                await ledger.claim("A")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert [each.outcome async for each in ledger.attempts("A")] == ["returned"]

    run(test)


def test_a_lost_lease_stops_every_write(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.leases.BEATS_PER_LEASE", 100.0)

    async def test() -> None:
        async with opened(server) as ledger:
            await ledger.create_task("A", "A")
            async with await ledger.claim("A", lease=10) as work:
                await ledger.raw.coordination.PreemptTask(PreemptTaskRequest(task_code="A", reason="urgent"))
                await asyncio.wait_for(work.raw.lost.wait(), 30)
                with pytest.raises(LeaseLost):
                    await work.done()

    run(test)


def test_sessions_and_events(server: Server) -> None:
    async def test() -> None:
        async with opened(server) as ledger:
            await ledger.create_task("A", "A")
            async with await ledger.session(task="A") as session:
                await session.note("the lexer is done")
                assert "the lexer is done" in await session.prompt()
            assert [each.outcome async for each in ledger.sessions()] == ["succeeded"]
            assert (await ledger.emit_all(NewEvent("a.b", {"n": n}) for n in range(3))).stored == 3
            async with ledger.follow(types="a.*", live=False) as feed:
                assert [event.payload["n"] async for event in feed] == [0, 1, 2]
            assert await ledger.why()

    run(test)
