"""Claims of one process that look for the next task at once get different ones."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from orchestration.v1 import task_pb2
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.model import Call
from orchestration_server.store.claims import Claimer, TaskFilter
from orchestration_server.work.ready_windows import ReadyWindows
from tests.conftest import Server
from tests.support import factories

THREADS = 8
CALL = Call("CoordinationService/ClaimTask")


def take_at_once(windows: ReadyWindows) -> list[list[str]]:
    barrier = Barrier(THREADS)

    def one(number: int) -> list[str]:
        barrier.wait(timeout=10)
        return windows.take(CALL, TaskFilter(), Claimer(f"a{number}"), 1)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def test_one_read_serves_the_claims_that_come_at_once(server: Server, tasks: TaskServiceStub) -> None:
    assert server.app is not None
    windows = ReadyWindows(server.app.db, clock=lambda: 0.0)
    assert take_at_once(windows) == [[]] * THREADS
    new = [task_pb2.NewTask(task=factories.task(f"t{number}")) for number in range(2 * THREADS)]
    tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new))
    taken = [code for codes in take_at_once(windows) for code in codes]
    assert len(set(taken)) == THREADS
