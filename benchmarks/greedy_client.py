"""A client that keeps making the most expensive calls with one key, in a separate process.

python -m benchmarks.greedy_client HOST:PORT KEY SECONDS SPRINT… prints the number of calls by status code.
"""

import itertools
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import grpc

from benchmarks.provisioning import channel
from orchestration.v1 import context_pb2, event_pb2
from orchestration.v1.context_pb2_grpc import ContextServiceStub
from orchestration.v1.event_pb2_grpc import EventServiceStub

CALLERS = 40
TIMEOUT = 30.0
DAYS_BACK = 60 * 86_400


def run(address: str, key: str, seconds: float, sprints: Sequence[str]) -> Counter[str]:
    """Make calls for `seconds`. Return the number of calls by status code."""
    end = time.monotonic() + seconds
    ended: Counter[str] = Counter()
    budgets = itertools.count(20_000)
    with channel(address, key) as opened:
        contexts, events = ContextServiceStub(opened), EventServiceStub(opened)

        def context(sprint: str) -> object:
            # The budget differs each time, so that no answer is cached.
            options = context_pb2.ContextOptions(max_events=500, token_budget=next(budgets))
            return contexts.AssembleContext.future(
                context_pb2.AssembleContextRequest(sprint_code=sprint, options=options), timeout=TIMEOUT
            )

        def wildcard(_: str) -> object:
            chosen = event_pb2.EventFilter(types=["deploy.*", "agent.*"])
            request = event_pb2.ListEventsRequest(filter=chosen, page_size=500)
            return events.ListEvents.future(request, timeout=TIMEOUT)

        def statistics(sprint: str) -> object:
            request = event_pb2.GetEventStatsRequest(
                group_by=event_pb2.EVENT_GROUPING_ACTOR, sprint_code=sprint
            )
            request.start_time.seconds = int(time.time()) - DAYS_BACK + next(budgets)
            return events.GetEventStats.future(request, timeout=TIMEOUT)

        def call(number: int) -> None:
            chance = random.Random(number)
            asked: list[Callable[[str], object]] = [context, wildcard, statistics]
            while time.monotonic() < end:
                future = chance.choice(asked)(chance.choice(sprints))
                error = future.exception()  # type: ignore[attr-defined]
                ended["OK" if error is None else error.code().name] += 1

        threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return ended


if __name__ == "__main__":
    address, key, seconds, *sprints = sys.argv[1:]
    try:
        print(json.dumps(run(address, key, float(seconds), sprints)))
    except grpc.RpcError as error:
        sys.exit(str(error))
