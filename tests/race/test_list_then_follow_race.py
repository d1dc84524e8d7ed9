"""List, then follow: after any answer its cursor brings what it did not show, each event once.

The model knows ids alone: which the answer showed, which had been acknowledged before it was asked for, and
which were written only after it had come. The log, read whole at the end, says what stands before a cursor's
event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest

from orchestration.v1 import common_pb2, event_pb2
from orchestration_server import model
from tests.conftest import Server, open_channel
from tests.support import factories
from tests.support.late_writer import late_writer
from tests.support.ledger import Ledger
from tests.support.lengths import lengths

SECONDS = 120
BIG_WRITERS = 2
SMALL_WRITERS = 2
READERS = 3
SHORT, CONTROL, LONG = (3_000, 3), (3_000, 8), (12_000, 8)
"""Events, and listings of each reader, each of which is followed to the end."""
MOST_LISTINGS = 12
POSITION_LENGTH = 32
"""Characters of a cursor that names no open transaction."""
TASK = common_pb2.ENTITY_TYPE_TASK
END = "race.has.ended"


@dataclass
class Listing:
    """An answer with one of its cursors, and what its reader then followed."""

    kind: str
    event_id: str
    cursor: str
    before: frozenset[str]
    """Acknowledged before the answer was asked for."""
    written: frozenset[str]
    """Acknowledged, or perhaps written, when the answer had come."""
    shown: frozenset[str] | None = None
    """Of a whole list: what it showed."""
    followed: list[str] = field(default_factory=list)


class Written:
    """What the writers know: ids that are acknowledged, and writes that are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._acknowledged: set[str] = set()
        self._begun = count()
        self._open: set[int] = set()
        self.of_write: dict[str, int] = {}
        """The write of each id: all events of one commit together."""
        self.answered = threading.Event()
        """A reader had an answer."""

    def begin(self) -> int:
        with self._lock:
            number = next(self._begun)
            self._open.add(number)
            return number

    def end(self, number: int, ids: list[str]) -> None:
        with self._lock:
            self._open.discard(number)
            self._acknowledged.update(ids)
            self.of_write.update(dict.fromkeys(ids, number))

    def acknowledged(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._acknowledged)

    def begun(self) -> tuple[frozenset[str], frozenset[int]]:
        """What is acknowledged now, and the writes that may be in the log already."""
        with self._lock:
            return frozenset(self._acknowledged), frozenset(self._open)


class Writers:
    """Large and small transactions, and one that has its id long before it commits."""

    def __init__(self, address: str, url: str, written: Written, stop: threading.Event) -> None:
        self._address, self._url = address, url
        self._written, self._stop = written, stop

    def big(self, number: int) -> None:
        with open_channel(self._address) as channel:
            ledger = Ledger(channel)
            for turn in count():
                if self._stop.is_set():
                    return
                new = [factories.event("race.big") for _ in range(500)]
                message = event_pb2.EmitEventsRequest(request_id=f"{number}-{turn}", events=new)
                write = self._written.begin()
                (answer,) = ledger.events.EmitEvents(iter([message]), timeout=SECONDS)
                self._written.end(write, list(answer.event_ids))

    def small(self, number: int) -> None:
        with open_channel(self._address) as channel:
            ledger = Ledger(channel)
            while not self._stop.is_set():
                write = self._written.begin()
                ids = [ledger.emit(f"task-{number}", type_="race.small").id]
                self._written.end(write, ids)

    def late(self) -> None:
        with late_writer(self._url) as writer:
            while not self._stop.is_set():
                writer.begin()
                # So that it writes below a cursor that was given meanwhile.
                self._written.answered.clear()
                self._written.answered.wait(1)
                write = self._written.begin()
                ids = writer.insert(5, "race.late")
                writer.commit()
                self._written.end(write, ids)


class Reader:
    """Lists, takes a cursor and follows, leaving and coming back at random places."""

    def __init__(self, number: int, addresses: list[str], written: Written) -> None:
        self._random = Random(number)
        self._addresses, self._written = addresses, written
        self.listed = threading.Event()
        """It has all its answers."""
        self._kinds: list[Callable[[Ledger], tuple[str, str, frozenset[str] | None]]] = [
            self._emitted, self._got, self._page, self._history, self._whole_list,
        ]  # fmt: skip

    def run(self, listings: int) -> list[Listing]:
        # A few listings may all come at a moment without an open transaction: then it takes more.
        most = max(listings, MOST_LISTINGS)
        with ThreadPoolExecutor(most) as pool:
            following, raced = [], False
            with open_channel(self._random.choice(self._addresses)) as channel:
                ledger = Ledger(channel)
                for number in range(most):
                    if number >= listings and raced:
                        break
                    kind = self._kinds[number % len(self._kinds)]
                    before = self._written.acknowledged()
                    event_id, cursor, shown = kind(ledger)
                    raced = raced or len(cursor) > POSITION_LENGTH
                    written, open_writes = self._written.begun()
                    self._written.answered.set()
                    listing = Listing(kind.__name__, event_id, cursor, before, written, shown)
                    following.append(pool.submit(self._follow, listing, open_writes, number))
            self.listed.set()
            return [one.result() for one in following]

    def _emitted(self, ledger: Ledger) -> tuple[str, str, None]:
        write = self._written.begin()
        event = ledger.emit("shown", type_="race.small")
        self._written.end(write, [event.id])
        return event.id, event.cursor, None

    def _got(self, ledger: Ledger) -> tuple[str, str, None]:
        known = sorted(self._written.acknowledged())[-1]
        event = ledger.events.GetEvent(event_pb2.GetEventRequest(event_id=known)).event
        return event.id, event.cursor, None

    def _page(self, ledger: Ledger) -> tuple[str, str, None]:
        page = ledger.events.ListEvents(event_pb2.ListEventsRequest(page_size=20))
        event = self._random.choice(page.events)
        return event.id, event.cursor, None

    def _history(self, ledger: Ledger) -> tuple[str, str, None]:
        ledger.retitle("task-0", f"Title {self._random.random()}")
        request = event_pb2.GetEntityHistoryRequest(entity_type=TASK, entity_code="task-0", page_size=1)
        change = ledger.events.GetEntityHistory(request).changes[0]
        return change.event_id, change.cursor, None

    def _whole_list(self, ledger: Ledger) -> tuple[str, str, frozenset[str]]:
        chosen: list[event_pb2.Event] = []
        request = event_pb2.ListEventsRequest(page_size=500, order=event_pb2.EVENT_ORDER_OLDEST_FIRST)
        while True:
            page = ledger.events.ListEvents(request, timeout=SECONDS)
            chosen += page.events
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        event = self._random.choice(chosen[-1000:])
        return event.id, event.cursor, frozenset(one.id for one in chosen)

    def _follow(self, listing: Listing, open_writes: frozenset[int], seed: int) -> Listing:
        random = Random(repr((seed, listing.event_id)))
        cursor = listing.cursor
        while True:
            with open_channel(random.choice(self._addresses)) as channel:
                request = event_pb2.StreamTimelineRequest(
                    after_cursor=cursor, follow=True, batch_size=random.choice((0, 1, 7, 100))
                )
                stream = Ledger(channel).events.StreamTimeline(request, timeout=SECONDS)
                stays = random.randrange(1, 40)
                for place, message in enumerate(stream):
                    for event in message.events.events:
                        cursor = event.cursor
                        if event.type == END:
                            stream.cancel()
                            # What was under way when the answer came may be in it or behind it.
                            maybe = {i for i, w in self._written.of_write.items() if w in open_writes}
                            listing.written |= maybe
                            return listing
                        listing.followed.append(event.id)
                    cursor = message.checkpoint.cursor or message.caught_up.cursor or cursor
                    if place >= stays:
                        break
                stream.cancel()


def play(
    addresses: list[str], url: str, events: int, listings: int
) -> tuple[list[Listing], list[str], Written]:
    """Runs writers and readers; the listings, all events in the order of the log, and what was written."""
    written, stop = Written(), threading.Event()
    writers = [Writers(address, url, written, stop) for address in addresses]
    with (
        open_channel(addresses[0]) as channel,
        ThreadPoolExecutor(BIG_WRITERS + SMALL_WRITERS + 1 + READERS) as pool,
    ):
        ledger = Ledger(channel)
        for code in ("shown", *(f"task-{number}" for number in range(SMALL_WRITERS))):
            ledger.task(code)
        ledger.emit(type_="race.begins")
        running = [pool.submit(writers[n % len(writers)].big, n) for n in range(BIG_WRITERS)]
        running += [pool.submit(writers[n % len(writers)].small, n) for n in range(SMALL_WRITERS)]
        running.append(pool.submit(writers[0].late))
        readers = [Reader(number, addresses, written) for number in range(READERS)]
        reading = [pool.submit(reader.run, listings) for reader in readers]
        try:
            # Writers stop when every reader has its answers, and the log is long enough.
            for reader in readers:
                assert reader.listed.wait(SECONDS)
            while len(written.acknowledged()) < events and not any(one.done() for one in running):
                stop.wait(0.02)
        finally:
            stop.set()
            for one in running:
                one.result()
            ledger.emit(type_=END)
        found = [listing for one in reading for listing in one.result()]
        stream = ledger.events.StreamTimeline(event_pb2.StreamTimelineRequest(), timeout=SECONDS)
        log = [event.id for message in stream for event in message.events.events]
    return found, log[:-1], written


def wrong(listing: Listing, log: list[str], written: Written) -> str:
    """What of the promise an answer and its reader broke; empty if nothing."""
    at = {event_id: place for place, event_id in enumerate(log)}
    place = at[listing.event_id]
    followed = listing.followed
    if len(set(followed)) < len(followed):
        return "an event came twice"
    if [at[one] for one in followed] != sorted(at[one] for one in followed):
        return "events came out of order"
    came = set(followed)
    if missing := [one for one in log[place + 1 :] if one not in came]:
        return f"{len(missing)} events behind the cursor did not come"
    below = log[: place + 1]
    if again := [one for one in below if one in came and one in listing.before]:
        return f"{len(again)} events came that the answer's reader had seen"
    later = [one for one in below if one in written.of_write and one not in listing.written]
    if missing := [one for one in later if one not in came]:
        return f"{len(missing)} of {len(later)} events written after the answer did not come"
    if listing.shown is not None and (
        both := [one for one in below if (one in came) == (one in listing.shown)]
    ):
        return f"{len(both)} events below the cursor were on the list and came, or neither"
    parts: dict[int, set[bool]] = {}
    for one in below:
        if one in written.of_write:
            parts.setdefault(written.of_write[one], set()).add(one in came)
    if any(len(part) > 1 for part in parts.values()):
        return "a commit came in part"
    return ""


@pytest.mark.timeout(300)
@lengths("size", short=SHORT, long=LONG)
def test_each_event_that_an_answer_did_not_show_comes_once_after_it(
    database_url: str, start_process: Callable[[str], Server], size: tuple[int, int]
) -> None:
    addresses = [start_process(database_url).address for _ in range(2)]
    found, log, written = play(addresses, database_url, *size)
    assert [text for listing in found if (text := wrong(listing, log, written))] == []
    assert len(log) > size[0]
    # The race is there: cursors were given beside open transactions.
    assert any(len(listing.cursor) > POSITION_LENGTH for listing in found)


@pytest.mark.timeout(300)
@lengths("size", short=CONTROL, long=LONG)
def test_a_cursor_that_is_a_position_alone_breaks_the_promise(
    database_url: str,
    start_server: Callable[[str], Server],
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    """The control: the same race, with the ids of open transactions left out of cursors."""
    for module in ("model.log", "store.history", "services.replay"):
        monkeypatch.setattr(
            f"orchestration_server.{module}.cursor_of", lambda position, _: model.Cursor(position)
        )
    addresses = [start_server(database_url).address]
    found, log, written = play(addresses, database_url, *size)
    assert any("did not come" in wrong(listing, log, written) for listing in found)
