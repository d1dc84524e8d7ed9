"""Cursors and page tokens: what they carry, and whose they are."""

from collections.abc import Mapping

import pytest

from orchestration_server.errors import InvalidArgument
from orchestration_server.model import BEGINNING, Position
from orchestration_server.tokens import NO_EPOCH, Tokens

SECRET = b"s" * 32
SHARED, OURS, THEIRS = b"shared--", b"ours----", b"theirs--"


def tokens(second: bytes = OURS, secret: bytes = SECRET) -> Tokens:
    """Those of a copy of the log, whose second epoch is its own."""
    return Tokens(secret, lambda: {1: SHARED, 2: second})


@pytest.mark.parametrize(
    "place", [BEGINNING, Position(1, 1, 1), Position(2, 2**40, 7), Position(2, 2**64 - 1, 2**63 - 1)]
)
def test_a_cursor_is_its_place(place: Position) -> None:
    cursor = tokens().cursor(place)
    assert len(cursor) == 32
    assert tokens().place(cursor, "after_cursor") == place


def test_copies_share_the_cursors_of_their_common_epochs_alone() -> None:
    ours, theirs = tokens(OURS), tokens(THEIRS)
    for place in (BEGINNING, Position(1, 5, 5)):
        assert theirs.place(ours.cursor(place), "after_cursor") == place
    assert theirs.place(ours.cursor(Position(2, 5, 5)), "after_cursor") == (NO_EPOCH, 5, 5)


def test_the_nonce_of_an_epoch_that_opens_meanwhile_is_read_once() -> None:
    epochs: dict[int, bytes] = {1: SHARED}
    read = []

    def nonces() -> Mapping[int, bytes]:
        read.append(1)
        return dict(epochs)

    found = Tokens(SECRET, nonces)
    old = found.cursor(Position(1, 1, 1))
    epochs[2] = OURS
    new = tokens().cursor(Position(2, 1, 1))
    for _ in range(3):
        assert found.place(new, "after_cursor") == (2, 1, 1)
        assert found.place(old, "after_cursor") == (1, 1, 1)
        assert found.cursor(Position(2, 1, 1)) == new
    assert len(read) == 2


def test_a_cursor_that_was_changed_or_is_of_another_log_is_refused() -> None:
    cursor = tokens().cursor(Position(2, 5, 5))
    wrong = [cursor[:n] + ("A" if cursor[n] != "A" else "B") + cursor[n + 1 :] for n in range(len(cursor))]
    wrong += [cursor[:-1], cursor[:-4], cursor + "AAAA", "", "x", "ü", tokens().page_token([], [1])]
    wrong.append(tokens(secret=b"t" * 32).cursor(Position(2, 5, 5)))
    for one in wrong:
        with pytest.raises(InvalidArgument) as caught:
            tokens().place(one, "after_cursor")
        assert caught.value.reason == "CURSOR_INVALID"


def test_a_page_token_is_good_for_its_request_alone() -> None:
    token = tokens().page_token(["tasks", "p"], ["a", 1])
    assert tokens(THEIRS).page_place(token, ["tasks", "p"]) == ["a", 1]
    for scope, wrong, reason in (
        (["tasks", "q"], token, "PAGE_TOKEN_FOREIGN"),
        (["tasks", "p"], "B" + token[1:], "PAGE_TOKEN_INVALID"),
        (["tasks", "p"], tokens().cursor(BEGINNING), "PAGE_TOKEN_INVALID"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            tokens().page_place(wrong, scope)
        assert caught.value.reason == reason
