"""The graph of dependencies: its links, its lists, and cycles that are refused."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import common_pb2, coordination_pb2, task_pb2
from orchestration.v1.coordination_pb2_grpc import CoordinationServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.errors import PATH_LENGTH
from tests.support.dependencies import add, create, link, remove
from tests.support.rpc_errors import details, must_be, refused

pytestmark = pytest.mark.shared_server

RELATED = common_pb2.DEPENDENCY_KIND_RELATED
_projects = count(1)


def cycle_path(error: grpc.RpcError) -> str:
    return str(details(error)["ErrorInfo"].metadata["path"])


def test_a_cycle_is_refused_and_named(tasks: TaskServiceStub, coordination: CoordinationServiceStub) -> None:
    create(tasks, "a", "b", "c")
    add(coordination, link("a", "b"))
    add(coordination, link("b", "c"))

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "DEPENDENCY_CYCLE", "c -> a -> b -> c") as caught:
        add(coordination, link("c", "a"))
    assert cycle_path(caught.value) == "c -> a -> b -> c"
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        add(coordination, link("a", "a"))

    add(coordination, link("c", "a", RELATED))
    remove(coordination, link("b", "c"))
    add(coordination, link("c", "a"))


def test_a_long_cycle_is_named_by_both_ends(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    codes = [f"t{number:0127}" for number in range(12)]
    create(tasks, *codes)
    for task, on in pairwise(codes):
        add(coordination, link(task, on))

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "DEPENDENCY_CYCLE", r"\(3 more\)") as caught:
        add(coordination, link(codes[-1], codes[0]))
    path = cycle_path(caught.value)
    assert len(path) <= PATH_LENGTH
    assert path.split(" -> ") == [codes[-1], *codes[:2], "...", *codes[-3:]]


def test_links_join_existing_tasks(tasks: TaskServiceStub, coordination: CoordinationServiceStub) -> None:
    create(tasks, "a", "b")
    for task, on in (("a", "none"), ("none", "a")):
        with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND") as caught:
            add(coordination, link(task, on))
        assert details(caught.value)["ResourceInfo"].resource_name == "none"
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        remove(coordination, link("a", "b"))
    first = add(coordination, link("a", "b"))
    assert add(coordination, link("a", "b")) == first
    remove(coordination, link("a", "b"))
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        remove(coordination, link("a", "b"))


def test_concurrent_calls_never_close_a_cycle(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    codes = [f"t{number}" for number in range(6)]
    create(tasks, *codes)

    def attempt(task: str, on: str) -> tuple[str, str] | None:
        try:
            add(coordination, link(task, on))
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.FAILED_PRECONDITION)
            return None
        return task, on

    wanted = [(a, b) for a in codes for b in codes if a != b]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda pair: attempt(*pair), wanted + wanted[::-1])
        added = {pair for pair in found if pair}

    # An acyclic graph with as many links as it can have is a total order of its tasks.
    assert len(added) == len(codes) * (len(codes) - 1) // 2
    while added:
        free = set(codes) & {a for a, _ in added} - {b for _, b in added}
        assert free, "a cycle"
        added = {(a, b) for a, b in added if a not in free}


DEPENDENTS = coordination_pb2.DEPENDENCY_DIRECTION_DEPENDENTS


def listed(
    coordination: CoordinationServiceStub, task: str, size: int = 0, **fields: Any
) -> list[coordination_pb2.Dependency]:
    """Return the links on all pages."""
    found: list[coordination_pb2.Dependency] = []
    token = ""
    while True:
        page = coordination.ListDependencies(
            coordination_pb2.ListDependenciesRequest(
                task_code=task, page_size=size, page_token=token, **fields
            )
        )
        assert not size or len(page.dependencies) <= size
        found += page.dependencies
        token = page.next_page_token
        if not token:
            return found


@settings(max_examples=10)
@given(
    links=st.sets(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.integers(1, 4)).filter(
            lambda one: one[0] < one[1]
        )
    ),
    kinds=st.lists(st.integers(1, 4), unique=True),
    size=st.integers(1, 4),
)
def test_links_are_listed_both_ways_as_a_plain_model_has_them(
    tasks: TaskServiceStub,
    coordination: CoordinationServiceStub,
    links: set[tuple[str, str, int]],
    kinds: list[Any],
    size: int,
) -> None:
    prefix = f"{next(_projects)}-"
    create(tasks, *(prefix + code for code in "abcd"))
    for task, on, kind in links:
        add(coordination, link(prefix + task, prefix + on, common_pb2.DependencyKind.ValueType(kind)))
    known = [one for one in links if not kinds or one[2] in kinds]
    for code in "abcd":
        there = listed(coordination, prefix + code, size, kinds=kinds)
        assert [(one.depends_on_code, one.kind) for one in there] == sorted(
            (prefix + on, kind) for task, on, kind in known if task == code
        )
        back = listed(coordination, prefix + code, size, kinds=kinds, direction=DEPENDENTS)
        assert [(one.task_code, one.kind) for one in back] == sorted(
            (prefix + task, kind) for task, on, kind in known if on == code
        )


def test_links_of_a_deleted_task_are_listed_and_of_an_unknown_one_not_found(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "a", "b")
    add(coordination, link("a", "b"))
    tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="a"))
    assert listed(coordination, "a") == listed(coordination, "b", direction=DEPENDENTS) == [link("a", "b")]
    assert listed(coordination, "b") == []
    with refused(grpc.StatusCode.NOT_FOUND):
        listed(coordination, "c")


def test_a_page_token_is_bound_to_one_list_of_links(
    tasks: TaskServiceStub, coordination: CoordinationServiceStub
) -> None:
    create(tasks, "a", "b", "c")
    add(coordination, link("a", "b"))
    add(coordination, link("a", "c"))
    request = coordination_pb2.ListDependenciesRequest(task_code="a", page_size=1)
    request.page_token = coordination.ListDependencies(request).next_page_token
    request.direction = DEPENDENTS
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        coordination.ListDependencies(request)
