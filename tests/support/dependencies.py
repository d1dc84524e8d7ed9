"""Tasks, and calls that add and remove dependencies between them."""

from orchestration.v1 import common_pb2, coordination_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from tests.support import factories
from tests.support.rpc_errors import Metadata

BLOCKS = common_pb2.DEPENDENCY_KIND_BLOCKS


def create(tasks: TaskServiceStub, *codes: str, metadata: Metadata | None = None) -> None:
    new = [task_pb2.NewTask(task=factories.task(code)) for code in codes]
    tasks.BatchCreateTasks(task_pb2.BatchCreateTasksRequest(tasks=new), metadata=metadata)


def link(
    task: str, on: str, kind: common_pb2.DependencyKind.ValueType = BLOCKS
) -> coordination_pb2.Dependency:
    return coordination_pb2.Dependency(task_code=task, depends_on_code=on, kind=kind)


def add(
    coordination: CoordinationServiceStub,
    dependency: coordination_pb2.Dependency,
    metadata: Metadata | None = None,
) -> coordination_pb2.Dependency:
    request = coordination_pb2.AddDependencyRequest(dependency=dependency)
    return coordination.AddDependency(request, metadata=metadata).dependency


def remove(
    coordination: CoordinationServiceStub,
    dependency: coordination_pb2.Dependency,
    metadata: Metadata | None = None,
) -> None:
    request = coordination_pb2.RemoveDependencyRequest(dependency=dependency)
    coordination.RemoveDependency(request, metadata=metadata)
