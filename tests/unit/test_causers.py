"""The scopes recorded with an event limit what a rule may do because of it."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from uuid_utils import uuid7

from orchestration_server.codec import causers
from orchestration_server.model import Call, EntityType, EventRow, Principal, Role, Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)

scopes = st.builds(
    Scope, session_key=st.sampled_from(["", "k"]), sprint_code=st.sampled_from(["", "s1", "s2"]),
    task_code=st.sampled_from(["", "t1"]),
)  # fmt: skip


@given(st.lists(st.tuples(st.none() | scopes, st.sampled_from(list(Role))), max_size=4), scopes)
def test_an_event_of_several_callers_allows_only_what_each_of_them_may_do(
    callers: list[tuple[Scope | None, Role]], about: Scope
) -> None:
    def caller(scope: Scope | None, role: Role) -> Call:
        return Call("", principal=Principal("x", "p", role), scope=scope)

    def may(scope: Scope | None, role: Role) -> bool:
        return role >= Role.AGENT and (scope is None or scope.covers(row))

    kind, code = (
        (EntityType.TASK, about.task_code) if about.task_code else (EntityType.SPRINT, about.sprint_code)
    )
    row = EventRow(False, "p", uuid7(), "a.b", kind, code, about.sprint_code, 3, "", "", "", NOW, NOW, b"")
    recorded = causers.merged(causers.recorded(caller(*one)) for one in callers)
    assert causers.allow(recorded, [row]) == all(may(*one) for one in callers)
    # An event that a rule caused is recorded with the scopes of the callers that caused it first.
    assert causers.recorded(Call("", causer_scopes=recorded)) == recorded
