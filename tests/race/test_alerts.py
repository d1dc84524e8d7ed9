"""Alerts with several evaluators, some of which are killed: each firing is logged once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import grpc
import pytest

from orchestration_server.db.database import Connection
from orchestration_server.errors import Unavailable
from orchestration_server.jobs.alerts import Alerts
from orchestration_server.rules import alerts
from orchestration_server.store.alerts import Figures
from tests.conftest import Server
from tests.support.alerts import CLEARED, FIRING, PENDING, RESOLVED, Alerting

ROUNDS = 20
EVALUATORS = 4
DEEP, EMPTY = Figures(queue_events=2_000), Figures()
AT_ONCE = [replace(rule, hold=timedelta()) for rule in alerts.BUILT_IN]


@pytest.fixture
def alerting(server: Server, channel: grpc.Channel) -> Alerting:
    return Alerting(server, channel)


class Killed(Alerts):
    """The connection is lost before the commit, as if the process had been killed."""

    def _evaluate(self, conn: Connection) -> int:
        super()._evaluate(conn)
        conn.execute("select pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("it was not killed")


def test_concurrent_evaluators_log_each_firing_once(alerting: Alerting) -> None:
    evaluators = [alerting.evaluator(AT_ONCE) for _ in range(EVALUATORS)]
    barrier = threading.Barrier(EVALUATORS)

    def evaluate(one: Alerts) -> None:
        barrier.wait()
        one.run_once()

    def all_at_once(pool: ThreadPoolExecutor, figures: Figures) -> tuple[int, int]:
        alerting.ahead += timedelta(seconds=15)
        alerting.publish(figures)
        list(pool.map(evaluate, evaluators))
        return len(alerting.told()), len(alerting.told(CLEARED))

    with ThreadPoolExecutor(EVALUATORS) as pool:
        for round_ in range(ROUNDS):
            assert all_at_once(pool, DEEP) == (round_ + 1, round_)
            assert all_at_once(pool, EMPTY) == (round_ + 1, round_ + 1)
    assert alerting.woken == 2 * ROUNDS


def test_an_evaluator_does_nothing_while_another_evaluates(alerting: Alerting) -> None:
    inside, leave = threading.Event(), threading.Event()

    class Slow(Alerts):
        def _evaluate(self, conn: Connection) -> int:
            told = super()._evaluate(conn)
            inside.set()
            assert leave.wait(20)
            return told

    alerting.publish(DEEP)
    slow = threading.Thread(target=alerting.evaluator(AT_ONCE, Slow).run_once)
    slow.start()
    assert inside.wait(20)
    # Its writes are not visible yet, and it alone may write.
    alerting.evaluator(AT_ONCE).run_once()
    assert alerting.states() == {}
    leave.set()
    slow.join()
    assert alerting.states() == {"event_queue_depth": FIRING}
    assert len(alerting.told()) == 1
    # A second evaluator finds that the evaluation has just been done.
    alerting.publish(EMPTY)
    alerting.evaluator(AT_ONCE).run_once()
    assert alerting.states() == {"event_queue_depth": FIRING}


def test_a_killed_evaluator_leaves_all_of_its_writes_or_none(alerting: Alerting) -> None:
    alerting.alerts = alerting.evaluator(alerts.BUILT_IN)
    killed = alerting.evaluator(alerts.BUILT_IN, Killed)

    def kill() -> None:
        """Run an evaluator that is killed between its writes and its commit."""
        alerting.ahead += timedelta(seconds=20)
        alerting.publish(figures)
        killed.run_once()

    figures = DEEP
    kill()
    assert alerting.states() == {}
    alerting.publish(figures)
    alerting.evaluate()
    assert alerting.states() == {"event_queue_depth": PENDING}
    for _ in range(3):
        kill()
        assert alerting.states() == {"event_queue_depth": PENDING}
        assert alerting.told() == []
    alerting.publish(figures)
    alerting.evaluate()
    assert alerting.states() == {"event_queue_depth": FIRING}
    assert len(alerting.told()) == 1
    figures = EMPTY
    kill()
    assert alerting.states() == {"event_queue_depth": FIRING}
    assert alerting.told(CLEARED) == []
    alerting.publish(figures)
    alerting.evaluate()
    assert alerting.states() == {"event_queue_depth": RESOLVED}
    assert len(alerting.told()) == len(alerting.told(CLEARED)) == 1


def test_an_evaluator_that_is_killed_after_its_commit_has_logged_the_event(alerting: Alerting) -> None:
    def die() -> None:
        raise MemoryError("killed")

    dying = Alerts(alerting.db, AT_ONCE, die, alerting.clock)
    alerting.publish(DEEP)
    with pytest.raises(MemoryError):
        dying.run_once()
    alerting.alerts = alerting.evaluator(AT_ONCE)
    alerting.publish(DEEP)
    alerting.evaluate()
    assert alerting.states() == {"event_queue_depth": FIRING}
    assert len(alerting.told()) == 1


def test_a_database_that_is_away_does_not_count_as_a_failure(
    alerting: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_patience: float) -> None:
        raise Unavailable

    monkeypatch.setattr(alerting.db, "take", away)
    assert alerting.alerts.run_once() == 0
