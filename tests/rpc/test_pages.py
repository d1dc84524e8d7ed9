"""Pages of whatever sizes of bodies lose nothing and double nothing.

The paged rpcs come from the descriptors, so a new one fails here until ``WALKS`` says how to walk it.
"""

from itertools import pairwise

import grpc
import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration_server.store import pages
from tests.support.paged_ledger import PAGE_BYTES, WALKS, Filled, fill
from tests.support.rpc_catalog import METHODS

pytestmark = pytest.mark.shared_server

SMALL = {
    "AdminService/ListAlerts": "what the server says itself",
    "CoordinationService/ListDependencies": "codes",
    "CoordinationService/ClaimTask": "contexts, whose further tasks AssembleContext pages",
    "CoordinationService/ListLeases": "open attempts, which have no reports yet",
    "CoordinationService/ListPauses": "at most 2,000 characters each",
    "CoordinationService/ListWorkLimits": "numbers",
    "TemplateService/ListTemplates": "files of the server",
}
"""Paged rpcs that read no bodies, and what they read in place of them."""


def has_token(message: Descriptor, within: tuple[Descriptor, ...] = ()) -> bool:
    return message not in within and any(
        field.name.endswith("page_token")
        or (field.message_type is not None and has_token(field.message_type, (*within, message)))
        for field in message.fields
    )


def test_every_paged_rpc_is_walked() -> None:
    assert {name for name, method in METHODS.items() if has_token(method.output_type)} == {*WALKS, *SMALL}


@settings(max_examples=12)
@given(
    sizes=st.lists(st.one_of(st.integers(0, 2_000), st.integers(0, 30_000)), min_size=1, max_size=7),
    size=st.integers(1, 9),
    data=st.data(),
)
def test_pages_lose_nothing_and_repeat_nothing(
    channel: grpc.Channel,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    size: int,
    data: st.DataObject,
) -> None:
    filled = fill(channel, database_url, sizes)
    for rpc, walk in WALKS.items():
        with monkeypatch.context() as patch:
            patch.setattr(pages, "PAGE_BYTES", 10 * PAGE_BYTES * len(sizes))
            whole = [name for page in filled.pages(rpc, 500) for name in page]
        assert len(whole) == len(set(whole)) == filled.counts[walk.lists], rpc
        assert set(whole) == filled.names.get(walk.lists, set(whole)), rpc
        with monkeypatch.context() as patch:
            patch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
            shown = list(filled.pages(rpc, size))
        assert [name for page in shown for name in page] == whole, rpc
        for page in shown:
            assert len(page) == 1 or 0 < _bytes(filled, page) <= PAGE_BYTES, rpc
        # No page ends before it has to.
        for page, following in pairwise(shown):
            assert len(page) == size or _bytes(filled, [*page, following[0]]) > PAGE_BYTES, rpc

    with monkeypatch.context() as patch:
        patch.setattr(pages, "PAGE_BYTES", PAGE_BYTES)
        notes = filled.notes()
        assert len(notes) == len(set(notes)) == len(sizes)
        last = data.draw(st.integers(1, len(sizes)))
        assert filled.notes(last=last) == notes[-last:]


def _bytes(filled: Filled, page: list[str]) -> int:
    return sum(filled.sizes[name] for name in page)
