"""Cursors and page tokens: their content, and the log that they belong to."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from orchestration_server.codec.cursors import NO_EPOCH, CursorSigner
from orchestration_server.errors import InvalidArgument
from orchestration_server.model import BEGINNING, Cursor, Position

SECRET = b"s" * 32
SHARED, OURS, THEIRS = b"shared--", b"ours----", b"theirs--"


def signer(second: bytes = OURS, secret: bytes = SECRET) -> CursorSigner:
    """Return the signer of a copy of the log that has the given second epoch."""
    return CursorSigner(secret, lambda: {1: SHARED, 2: second})


@pytest.mark.parametrize(
    "position", [BEGINNING, Position(1, 1, 1), Position(2, 2**40, 7), Position(2, 2**64 - 1, 2**63 - 1)]
)
def test_a_cursor_round_trips_its_position(position: Position) -> None:
    cursor = signer().cursor(position)
    assert len(cursor) == 32
    assert signer().read_cursor(cursor, "after_cursor") == Cursor(position)


TIME = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
CURSORS = [
    Cursor(Position(1, 900, 7), (3,), 0),
    Cursor(Position(1, 2**60, 7), (5, 2**40, 2**60 - 1), 0),
    Cursor(Position(1, 900, 7), (600, 899), 2**50),
    Cursor(Position(1, 900, 7), tuple(range(1, 900)), 1),
    Cursor(Position(1, 900, 7), (), 0, TIME),
    Cursor(Position(1, 900, 7), (5, 6), 9, TIME),
]


@pytest.mark.parametrize("cursor", CURSORS)
def test_a_cursor_keeps_its_open_transactions(cursor: Cursor) -> None:
    text = signer().cursor(cursor)
    assert signer().read_cursor(text, "after_cursor") == cursor
    assert signer().context_digests(text) == b""
    digests = bytes(range(44))
    of_context = signer().context_cursor(cursor, digests)
    assert signer().read_cursor(of_context, "after_cursor") == cursor
    assert signer().context_digests(of_context) == digests


def test_a_thousand_open_transactions_fit_into_a_cursor() -> None:
    cursor = Cursor(Position(1, 10**9, 7), tuple(range(10**9 - 200_000, 10**9, 200)), 1)
    assert len(cursor.open) == 1000
    assert len(signer().cursor(cursor)) < 4096


@pytest.mark.parametrize("cursor", CURSORS)
def test_the_next_cursor_takes_what_was_not_read(cursor: Cursor) -> None:
    """A cursor after some reading takes the events that the first one takes and the reader has not read."""
    epoch = cursor.position.epoch
    ids = [*cursor.open[:3], *cursor.open[-3:], cursor.position.xid, cursor.position.xid + 1]
    places = sorted(
        {Position(epoch, xid, seq) for one in ids for xid in (one, one + 1) for seq in (1, 8, 2**51)}
    )
    taken = [place for place in places if cursor.takes(place, TIME)]
    for read in [*places, Position(epoch + 1, 1, 1)]:
        after = cursor.at(read)
        assert [place for place in places if after.takes(place, TIME)] == [p for p in taken if p > read]
        assert after == signer().read_cursor(signer().cursor(after), "after_cursor")


def test_copies_of_a_log_share_only_the_cursors_of_common_epochs() -> None:
    ours, theirs = signer(OURS), signer(THEIRS)
    for place in (BEGINNING, Position(1, 5, 5)):
        assert theirs.read_cursor(ours.cursor(place), "after_cursor") == Cursor(place)
    foreign = theirs.read_cursor(ours.cursor(Position(2, 5, 5)), "after_cursor")
    assert foreign.position == (NO_EPOCH, 5, 5)


def test_the_nonce_of_a_new_epoch_is_read_once() -> None:
    epochs: dict[int, bytes] = {1: SHARED}
    read = []

    def nonces() -> Mapping[int, bytes]:
        read.append(1)
        return dict(epochs)

    found = CursorSigner(SECRET, nonces)
    old = found.cursor(Position(1, 1, 1))
    epochs[2] = OURS
    new = signer().cursor(Position(2, 1, 1))
    for _ in range(3):
        assert found.read_cursor(new, "after_cursor").position == (2, 1, 1)
        assert found.read_cursor(old, "after_cursor").position == (1, 1, 1)
        assert found.cursor(Position(2, 1, 1)) == new
    assert len(read) == 2


def test_a_changed_or_foreign_cursor_is_refused() -> None:
    cursor = signer().cursor(Position(2, 5, 5))
    wrong = [cursor[:n] + ("A" if cursor[n] != "A" else "B") + cursor[n + 1 :] for n in range(len(cursor))]
    wrong += [cursor[:-1], cursor[:-4], cursor + "AAAA", "", "x", "ü", signer().page_token([], [1])]
    wrong.append(signer(secret=b"t" * 32).cursor(Position(2, 5, 5)))
    for one in wrong:
        with pytest.raises(InvalidArgument) as caught:
            signer().read_cursor(one, "after_cursor")
        assert caught.value.reason == "CURSOR_INVALID"


def test_a_page_token_is_valid_for_its_request_alone() -> None:
    token = signer().page_token(["tasks", "p"], ["a", 1])
    assert signer(THEIRS).page_position(token, ["tasks", "p"]) == ["a", 1]
    for scope, wrong, reason in (
        (["tasks", "q"], token, "PAGE_TOKEN_FOREIGN"),
        (["tasks", "p"], "B" + token[1:], "PAGE_TOKEN_INVALID"),
        (["tasks", "p"], signer().cursor(BEGINNING), "PAGE_TOKEN_INVALID"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            signer().page_position(wrong, scope)
        assert caught.value.reason == reason
