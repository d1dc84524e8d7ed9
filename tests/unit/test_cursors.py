"""Cursors and page tokens: what they carry, and whose they are."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from orchestration_server.codec.cursors import NO_EPOCH, CursorSigner
from orchestration_server.errors import InvalidArgument
from orchestration_server.model import BEGINNING, Cursor, Position

SECRET = b"s" * 32
SHARED, OURS, THEIRS = b"shared--", b"ours----", b"theirs--"


def signer(second: bytes = OURS, secret: bytes = SECRET) -> CursorSigner:
    """Those of a copy of the log, whose second epoch is its own."""
    return CursorSigner(secret, lambda: {1: SHARED, 2: second})


@pytest.mark.parametrize(
    "place", [BEGINNING, Position(1, 1, 1), Position(2, 2**40, 7), Position(2, 2**64 - 1, 2**63 - 1)]
)
def test_a_cursor_is_its_place(place: Position) -> None:
    cursor = signer().cursor(place)
    assert len(cursor) == 32
    assert signer().read_cursor(cursor, "after_cursor") == Cursor(place)


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
def test_a_cursor_keeps_what_its_reader_has_not_seen(cursor: Cursor) -> None:
    text = signer().cursor(cursor)
    assert signer().read_cursor(text, "after_cursor") == cursor
    assert signer().context_digests(text) == b""
    marks = bytes(range(44))
    of_context = signer().context_cursor(cursor, marks)
    assert signer().read_cursor(of_context, "after_cursor") == cursor
    assert signer().context_digests(of_context) == marks


def test_a_thousand_open_transactions_fit_into_a_cursor() -> None:
    cursor = Cursor(Position(1, 10**9, 7), tuple(range(10**9 - 200_000, 10**9, 200)), 1)
    assert len(cursor.open) == 1000
    assert len(signer().cursor(cursor)) < 4096


@pytest.mark.parametrize("cursor", CURSORS)
def test_a_cursor_that_was_read_on_from_takes_what_is_left(cursor: Cursor) -> None:
    """Whatever a reader has read, its next cursor takes what the first one took and it has not read."""
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


def test_copies_share_the_cursors_of_their_common_epochs_alone() -> None:
    ours, theirs = signer(OURS), signer(THEIRS)
    for place in (BEGINNING, Position(1, 5, 5)):
        assert theirs.read_cursor(ours.cursor(place), "after_cursor") == Cursor(place)
    foreign = theirs.read_cursor(ours.cursor(Position(2, 5, 5)), "after_cursor")
    assert foreign.position == (NO_EPOCH, 5, 5)


def test_the_nonce_of_an_epoch_that_opens_meanwhile_is_read_once() -> None:
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


def test_a_cursor_that_was_changed_or_is_of_another_log_is_refused() -> None:
    cursor = signer().cursor(Position(2, 5, 5))
    wrong = [cursor[:n] + ("A" if cursor[n] != "A" else "B") + cursor[n + 1 :] for n in range(len(cursor))]
    wrong += [cursor[:-1], cursor[:-4], cursor + "AAAA", "", "x", "ü", signer().page_token([], [1])]
    wrong.append(signer(secret=b"t" * 32).cursor(Position(2, 5, 5)))
    for one in wrong:
        with pytest.raises(InvalidArgument) as caught:
            signer().read_cursor(one, "after_cursor")
        assert caught.value.reason == "CURSOR_INVALID"


def test_a_page_token_is_good_for_its_request_alone() -> None:
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
