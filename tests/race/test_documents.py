"""Documents created concurrently: numbers without gaps or duplicates, and one row a bug."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from typing import Any

import grpc
import psycopg

from orchestration.v1 import report_pb2
from orchestration.v1.report_pb2_grpc import ReportServiceStub
from tests.race.conftest import CALLS, at_once
from tests.support.rpc_errors import must_be

ADRS = 100
CALLERS = 100


def in_turn(channels: list[grpc.Channel]) -> list[ReportServiceStub]:
    """Return channels to two servers, enough for all calls."""
    stubs = [ReportServiceStub(channel) for channel in channels]
    return [stub for stub, _ in zip(cycle(stubs), range(2 * ADRS), strict=False)]


def all_of(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda call: call(), calls))


def test_numbers_have_no_gaps_and_no_duplicates(channels: list[grpc.Channel]) -> None:
    """Every second call fails, half of these after the number was taken."""

    def decide(stub: ReportServiceStub, number: int) -> report_pb2.Adr | None:
        request = report_pb2.CreateAdrRequest(title=f"Decision {number}", decision="We do.")
        request.request_id = f"decision-{number}"
        if number % 4 == 1:
            request.task_code = "none"
        if number % 4 == 3:
            request.template = "none"
        try:
            made = stub.CreateAdr(request, timeout=30)
        except grpc.RpcError as error:
            must_be(error, grpc.StatusCode.NOT_FOUND)
            assert number % 2
            return None
        assert stub.CreateAdr(request, timeout=30) == made
        return made.adr

    stubs = in_turn(channels)
    found = all_of([partial(decide, stub, number) for number, stub in enumerate(stubs)])

    made = [adr for adr in found if adr is not None]
    assert sorted(adr.number for adr in made) == list(range(1, ADRS + 1))
    assert len({adr.uid for adr in made}) == ADRS


def test_a_bug_reported_concurrently_is_one_row(channels: list[grpc.Channel], database_url: str) -> None:
    stubs = iter(in_turn(channels))

    def tell() -> report_pb2.CreateBugReportResponse:
        request = report_pb2.CreateBugReportRequest(title="It fails", error_text="no row 17")
        return next(stubs).CreateBugReport(request, timeout=30)

    answers = at_once(tell)

    assert sorted(answer.bug_report.count for answer in answers) == list(range(1, CALLS + 1))
    assert [answer.bug_report.count for answer in answers if not answer.duplicate] == [1]
    assert len({answer.bug_report.uid for answer in answers}) == 1
    with psycopg.connect(database_url) as conn:
        (body,) = [row[0] for row in conn.execute("select body from bug_reports", binary=True)]
        logged = conn.execute(
            "select count(*) filter (where type = 'orchestration.bug_report.created'),"
            " count(*) filter (where type = 'orchestration.bug_report.seen_again') from events"
        ).fetchone()
    assert report_pb2.BugReport.FromString(body).count == CALLS
    assert logged == (1, CALLS - 1)


def test_concurrent_reports_of_different_bugs_have_different_codes(channels: list[grpc.Channel]) -> None:
    names = ["socket", "queue", "row", "table", "lease", "cursor", "page", "file", "link", "token"]

    def tell(stub: ReportServiceStub, name: str) -> str:
        request = report_pb2.CreateBugReportRequest(title="It fails", error_text=f"no {name}")
        return str(stub.CreateBugReport(request, timeout=30).bug_report.code)

    pairs = zip(in_turn(channels), names, strict=False)
    codes = all_of([partial(tell, stub, name) for stub, name in pairs])

    assert sorted(codes) == [f"BUG-{number:04}" for number in range(1, len(names) + 1)]
