"""Distributes a token budget over the sections of a context, in any format. Equal contexts are trimmed alike.

Sizes are in units of context/token_estimate.py, which add up over the parts of a context. Sections get room
in the order of SHARES: first a share of the budget each, then, in the same order, the rest of the budget.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from orchestration_server.context.budget_order import SHARES, SectionTrim
from orchestration_server.context.token_estimate import UNITS, tokens

FILLED = 0.9
"""The share of its budget that a context should fill, with texts that are cut if necessary."""
ROUNDS = 2
"""Times that room that was left over is distributed again."""
SHORTEST = 16 * UNITS
"""The least room for which a text is cut."""
TRIMS = 0.15
"""The share of a budget that may be used to name what is left out. One section is always named."""


class Allotment(ABC):
    """The distribution of ``cap`` units over the sections of one context. A subclass knows the format."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._used = 0
        """The units that are taken, without those that name what is left out."""
        self._trims: dict[int, SectionTrim] = {}

    @abstractmethod
    def _begin(self) -> None:
        """Start again with only what a context always has."""

    @abstractmethod
    def _count(self, section: int) -> int:
        """Return the number of items that can be left out of a section."""

    @abstractmethod
    def _size(self, section: int) -> int:
        """Return the size of a whole section."""

    @abstractmethod
    def _take_all(self, section: int) -> None:
        """Take a section as a whole."""

    @abstractmethod
    def _take_part(self, section: int, trim: SectionTrim, room: int) -> None:
        """Take as much of a section as fits into ``room``, and record in ``trim`` what is left out."""

    @abstractmethod
    def _cut_one(self, section: int, free: int) -> int:
        """Take one more item of a section in a shorter form. Return its count; 0 if that is not possible."""

    @abstractmethod
    def _size_of_trims(self, trims: Collection[SectionTrim]) -> int:
        """Return the size of the names of what is left out."""

    @property
    def estimate(self) -> int:
        """Return the estimate of the context in tokens."""
        return tokens(self._used + self._size_of_trims(self._trims.values()))

    def run(self) -> None:
        """Fill the budget."""
        self._restart()
        rooms = self._allot()
        for _ in range(ROUNDS):
            used = self._fill(rooms)
            short = [section for section in rooms if section in self._trims]
            left = self._cap - self._used - self._reserve(short)
            if not short or left < (1 - FILLED) * self._cap:
                break
            # Room that later sections could not use goes to the first one that was cut.
            rooms = used | {short[0]: used[short[0]] + left}
            self._restart()
        else:
            self._fill(rooms)
        # A small budget has no room to name all that is left out.
        for section in reversed(SHARES):
            if len(self._trims) > 1 and self._size_of_trims(self._trims.values()) > TRIMS * self._cap:
                self._trims.pop(section, None)
        self._top_up()
        while self._trims and self._free() < 0:
            del self._trims[next(section for section in reversed(SHARES) if section in self._trims)]

    def _restart(self) -> None:
        self._trims.clear()
        self._begin()

    def _free(self) -> int:
        return self._cap - self._used - self._size_of_trims(self._trims.values())

    def _fill(self, rooms: dict[int, int]) -> dict[int, int]:
        """Fill each section's room, and pass unused room on to the next. Return the size that each takes."""
        carried, used = 0, {}
        for section, room in rooms.items():
            before = self._used
            room += carried
            if self._size(section) <= room:
                self._take_all(section)
            else:
                trim = self._trims[section] = SectionTrim(section, 0)
                self._take_part(section, trim, room)
            used[section] = self._used - before
            carried = room - used[section]
        return used

    def _reserve(self, sections: Sequence[int]) -> int:
        """Return the room that is reserved to name what these sections lack."""
        worst = [SectionTrim(section, self._count(section), shortened=True) for section in sections]
        return min(self._size_of_trims(worst), int(TRIMS * self._cap))

    def _allot(self) -> dict[int, int]:
        """Return the room that each section gets.

        Room is reserved to name the sections that are trimmed. The fewer these are, the more room is left, so
        their number only falls from one round to the next.
        """
        wanted = {s: self._size(s) for s in SHARES if self._count(s)}
        short = list(wanted)
        while True:
            rooms = self._share(wanted, max(self._cap - self._used - self._reserve(short), 0))
            still = [s for s in short if rooms[s] < wanted[s]]
            if still == short:
                return rooms
            short = still

    def _share(self, wanted: dict[int, int], free: int) -> dict[int, int]:
        rooms = dict.fromkeys(wanted, 0)
        for most in (True, False):
            for section, size in wanted.items():
                limit = int(SHARES[section] * self._cap) if most else size
                more = max(min(size, limit) - rooms[section], 0)
                rooms[section] += min(more, free)
                free -= min(more, free)
        return rooms

    def _top_up(self) -> None:
        """Fill the rest of the budget with texts that are cut."""
        while self._cap - self._free() < self._cap * FILLED:
            if not any(self._cut_into(section) for section in SHARES if section in self._trims):
                return

    def _cut_into(self, section: int) -> bool:
        trim = self._trims[section]
        before = (trim.left_out, trim.shortened)
        trim.shortened = True
        done = self._cut_one(section, self._free())
        if done:
            trim.left_out -= done
        else:
            trim.left_out, trim.shortened = before
        return bool(done)
