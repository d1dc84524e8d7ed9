"""Every rpc with every kind of credential: the bad are refused and leave nothing, the good are let in.

The rpcs come from the descriptors, so a new one fails here until someone says who may call it, in
``auth.permissions.POLICIES``, and with what request, in ``tests/support/rpc_catalog.py``.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import grpc
import psycopg
import pytest
from psycopg import sql

from orchestration_server.app import App
from orchestration_server.auth.api_keys import new_key
from orchestration_server.auth.permissions import POLICIES
from orchestration_server.config.settings import Settings
from orchestration_server.embedded.engines import Engines
from orchestration_server.model import AuthMode, Role
from tests.conftest import new_database, open_channel
from tests.support.credentials import AUDIENCE, ISSUER, Issuer, bearer, make_key, revoke
from tests.support.ledger import Ledger
from tests.support.rpc_catalog import METHODS, REFLECTION, RPCS, Outcome, Place, call, requests
from tests.support.rpc_errors import Metadata

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
INSIDE = Place("s", "t", "u", "k", "in")
OUTSIDE = Place("s2", "t2", "u2", "k2", "out")
FREE = {
    "TemplateService/ListTemplates",
    "TemplateService/GetTemplate",
    "TemplateService/RenderTemplate",
    "AdminService/GetServerInfo",
    REFLECTION,
}
"""The rpcs that show nothing of a project."""
CANNOT_BE_SCOPED = {
    "SprintService/ListSprints",
    "EventService/GetEvent",
    "EventService/ReplayEvents",
    "CoordinationService/ListLeases",
    "CoordinationService/ListPauses",
    "CoordinationService/SetWorkLimit",
    "CoordinationService/ListWorkLimits",
    # A schedule acts later, when its maker's key may be gone.
    "ScheduleService/CreateSchedule",
    "ScheduleService/GetSchedule",
    "ScheduleService/ListSchedules",
    "ScheduleService/UpdateSchedule",
    "ScheduleService/DeleteSchedule",
    "ScheduleService/TriggerSchedule",
}


class Guarded(NamedTuple):
    """A server that accepts keys and JWTs, with two sprints: one inside the scopes, one outside."""

    app: App
    database_url: str
    channel: grpc.Channel
    issuer: Issuer


@pytest.fixture(scope="module")
def guarded(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    issuer = Issuer()
    with new_database(engines) as url:
        settings = Settings(
            address="127.0.0.1:0",
            database_url=url,
            redis_url=engines.redis_url or "",
            grace_seconds=1,
            auth=AuthMode.REQUIRED,
            jwt_key_file=issuer.publish(tmp_path_factory.mktemp("jwt")),
            jwt_algorithm="RS256",
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
        )
        app = App(settings)
        address = app.start()
        admin = make_key(url, role=Role.ADMIN)
        try:
            with open_channel(address) as channel:
                _plan(grpc.intercept_channel(channel, _Bearing(bearer(admin))))
                yield Guarded(app, url, channel, issuer)
        finally:
            app.stop()


class _Bearing(grpc.UnaryUnaryClientInterceptor):
    """An interceptor that adds a credential to each call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def intercept_unary_unary(self, continuation, client_call_details, request):  # type: ignore[no-untyped-def]
        return continuation(client_call_details._replace(metadata=self._metadata), request)


def _plan(channel: grpc.Channel) -> None:
    ledger = Ledger(channel)
    for place in (INSIDE, OUTSIDE):
        ledger.sprint(place.sprint, status=2)
        ledger.task(place.task, sprint_code=place.sprint)
        ledger.task(place.second, sprint_code=place.sprint)
        ledger.session(place.session, sprint_code=place.sprint)


def _bad(guarded: Guarded) -> dict[str, tuple[Metadata, grpc.StatusCode, str]]:
    """Return credentials that every rpc refuses."""
    url, issuer = guarded.database_url, guarded.issuer
    good = make_key(url, role=Role.ADMIN)
    revoked = make_key(url, role=Role.ADMIN)
    revoke(url, revoked)
    past = datetime.now(UTC) - timedelta(seconds=60)
    expired = make_key(url, role=Role.ADMIN, expire_time=past)
    here = (("orchestration-project", "default"),)
    invalid = "CREDENTIALS_INVALID"
    keys: dict[str, tuple[Metadata, str]] = {
        "none": ((), "CREDENTIALS_MISSING"),
        "empty": ((("authorization", ""),), "CREDENTIALS_MISSING"),
        "garbage": (bearer("x"), invalid),
        "no token": ((("authorization", "Bearer "),), invalid),
        "another scheme": ((("authorization", f"Basic {good}"),), invalid),
        "no scheme": ((("authorization", good),), invalid),
        "unknown key": (bearer(new_key()[1]), invalid),
        "a known id with another secret": (bearer(good[:-1] + ("0" if good[-1] != "0" else "1")), invalid),
        "cut short": (bearer(good[:-1]), invalid),
        "too long": (bearer(good + "0"), invalid),
        "in capitals": (bearer(good.upper()), invalid),
        "with a space": (bearer(good + " "), invalid),
        "revoked": (bearer(revoked), "KEY_REVOKED"),
        "expired": (bearer(expired), "KEY_EXPIRED"),
        "token without a signature": (bearer(issuer.unsigned()), invalid),
        "token of a public key as secret": (bearer(issuer.confused()), invalid),
        "token of another issuer's key": (bearer(Issuer().token()), invalid),
        "token with other claims": (bearer(issuer.altered()), invalid),
        "token expired": (bearer(issuer.token(exp=past)), "TOKEN_EXPIRED"),
        "token not yet good": (bearer(issuer.token(nbf=datetime.now(UTC) + timedelta(hours=1))), invalid),
        "token of another issuer": (bearer(issuer.token(iss="https://else.example")), invalid),
        "token for another audience": (bearer(issuer.token(aud="else")), invalid),
        "token of an end beyond all numbers": (bearer(issuer.token(exp=10**400)), invalid),
        "token without an end": (bearer(issuer.token(exp=None)), invalid),
        "token without an issuer": (bearer(issuer.token(iss=None)), invalid),
        "token without an audience": (bearer(issuer.token(aud=None)), invalid),
        "token of nobody": (bearer(issuer.token(sub=None)), invalid),
        "token without a project": (bearer(issuer.token(project=None)), "CLAIMS_INVALID"),
        "token without a role": (bearer(issuer.token(role=None)), "CLAIMS_INVALID"),
        "token of an unknown role": (bearer(issuer.token(role="root")), "CLAIMS_INVALID"),
        "token with a project that is none": (bearer(issuer.token(project=["default"])), "CLAIMS_INVALID"),
        "token of two bounds": (bearer(issuer.token(session="k", sprint="s")), "CLAIMS_INVALID"),
        "token of too much": (bearer(issuer.token(pad="x" * 5_000)), invalid),
    }
    found = {name: (metadata, UNAUTHENTICATED, why) for name, (metadata, why) in keys.items()}
    elsewhere = make_key(url, role=Role.ADMIN, project="p2")
    found["another project's"] = (bearer(elsewhere, *here), DENIED, "PROJECT_CLOSED")
    token = issuer.token(role="admin", project="p2")
    found["token of another project"] = (bearer(token, *here), DENIED, "PROJECT_CLOSED")
    by_session = make_key(url, role=Role.ADMIN, session_key="k")
    in_another = bearer(by_session, ("orchestration-session", "k2"))
    found["in another session"] = (in_another, DENIED, "OUT_OF_BOUNDS")
    return found


def _scoped(guarded: Guarded, role: Role = Role.ADMIN) -> dict[str, Metadata]:
    """Return credentials that are scoped to what is inside."""
    url, name = guarded.database_url, role.name.lower()
    return {
        "scoped to a sprint": bearer(make_key(url, role=role, sprint_code="s")),
        "scoped to a session": bearer(make_key(url, role=role, session_key="k")),
        "token scoped to a sprint": bearer(guarded.issuer.token(role=name, sprint="s")),
        "token scoped to a session": bearer(guarded.issuer.token(role=name, session="k")),
    }


def _written(database_url: str) -> dict[str, str]:
    """Return a digest of each table, without keys and events of refusals."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        tables = [name for (name,) in conn.execute(
            "select tablename from pg_tables where schemaname = 'public' and tablename not in"
            # Servers write these tables by themselves.
            " ('api_keys', 'server_figures')"
            " and tablename not like 'events%'"
        )]  # fmt: skip
        found = {}
        for table in tables:
            query = sql.SQL("select md5(coalesce(string_agg(x::text, ',' order by x::text), '')) from {} x")
            row = conn.execute(query.format(sql.Identifier(table))).fetchone()
            assert row is not None
            found[table] = row[0]
        row = conn.execute(
            "select count(*) from events where type <> 'orchestration.access.refused'"
        ).fetchone()
        assert row is not None
        return found | {"events": str(row[0])}


def test_every_rpc_has_a_policy_and_a_request() -> None:
    assert set(POLICIES) == set(RPCS)
    assert set(requests(INSIDE)) == set(RPCS)


def test_rpcs_that_change_something_require_more_than_a_reader() -> None:
    """An rpc with a request_id changes something, so its row may not allow readers."""
    for rpc, method in METHODS.items():
        if "request_id" in method.input_type.fields_by_name:
            assert POLICIES[rpc].role >= Role.AGENT, rpc


def test_ledger_wide_rpcs_require_an_admin_of_all_projects() -> None:
    for rpc in METHODS:
        if rpc.startswith("AdminService/") and rpc != "AdminService/GetServerInfo":
            assert POLICIES[rpc].all_projects, rpc
            assert POLICIES[rpc].role is Role.ADMIN, rpc


def test_every_rpc_refuses_an_invalid_credential(guarded: Guarded, capfd: pytest.CaptureFixture[str]) -> None:
    channel, url = guarded.channel, guarded.database_url
    about_inside, about_outside = requests(INSIDE), requests(OUTSIDE)
    before = _written(url)
    pairs, wrong = 0, []
    secrets: list[str] = []

    def out_of_bounds(rpc: str) -> Outcome:
        """A scoped key opens one project, so rpcs about all projects refuse it for that reason."""
        return Outcome(DENIED, "PROJECT_CLOSED" if POLICIES[rpc].all_projects else "OUT_OF_BOUNDS")

    def refuse(name: str, rpc: str, metadata: Metadata, expected: Outcome, asked: Place = INSIDE) -> None:
        nonlocal pairs
        pairs += 1
        request = (about_inside if asked is INSIDE else about_outside)[rpc]
        outcome = call(channel, rpc, request, metadata)
        if outcome != expected:
            wrong.append((name, rpc, outcome))
        secrets.extend(str(value)[7:] for key, value in metadata if key == "authorization")

    for name, (metadata, code, why) in _bad(guarded).items():
        for rpc in RPCS:
            outcome = out_of_bounds(rpc) if why == "OUT_OF_BOUNDS" else Outcome(code, why)
            refuse(name, rpc, metadata, outcome)
    for role in (Role.READER, Role.AGENT):
        for kind, metadata in (
            ("key", bearer(make_key(url, role=role))),
            ("token", bearer(guarded.issuer.token(role=role.name.lower()))),
        ):
            for rpc in RPCS:
                if POLICIES[rpc].role > role:
                    refuse(f"{role.name} {kind}", rpc, metadata, Outcome(DENIED, "ROLE_TOO_LOW"))
    for rpc in RPCS:
        if POLICIES[rpc].all_projects:
            metadata = bearer(make_key(url, role=Role.ADMIN))
            refuse("one project's admin", rpc, metadata, Outcome(DENIED, "PROJECT_CLOSED"))
    scoped = _scoped(guarded)
    scoped["scoped to a sprint that does not exist"] = bearer(
        make_key(url, role=Role.ADMIN, sprint_code="none")
    )
    scoped["scoped to a session that does not exist"] = bearer(
        make_key(url, role=Role.ADMIN, session_key="none")
    )
    for name, metadata in scoped.items():
        for rpc in RPCS:
            if rpc not in FREE:
                refuse(name, rpc, metadata, out_of_bounds(rpc), OUTSIDE)
            if rpc in CANNOT_BE_SCOPED or (rpc == "SessionService/ListSessions" and "session" in name):
                refuse(name, rpc, metadata, out_of_bounds(rpc), INSIDE)

    assert wrong == []
    assert _written(url) == before
    assert pairs > 1_500
    _audited(guarded, secrets)
    said = "".join(capfd.readouterr())
    assert not [secret for secret in secrets if len(secret) > 20 and secret in said]
    print(f"{pairs} rpc × credential pairs, all refused ({len(RPCS)} rpcs)")


def _audited(guarded: Guarded, secrets: list[str]) -> None:
    """The log has some refusals, at most a minute's limit, and no secret."""
    guarded.app.refusal_audit.flush()
    with psycopg.connect(guarded.database_url, autocommit=True) as conn:
        bodies = [body for (body,) in conn.execute(
            "select body from events where type = 'orchestration.access.refused'"
        )]  # fmt: skip
    assert 1 <= len(bodies) <= 120
    for secret in secrets:
        assert not secret or len(secret) < 20 or not any(secret.encode() in body for body in bodies)


def test_every_rpc_accepts_a_valid_credential(guarded: Guarded) -> None:
    url, issuer = guarded.database_url, guarded.issuer
    about = requests(INSIDE)
    # Rpcs that delete the entities come last.
    rpcs = sorted(RPCS, key=lambda rpc: ("Delete" in rpc, "CloseSession" in rpc))
    wrong, let_in = [], 0
    good: dict[str, tuple[Metadata, Role]] = {}
    for role in Role:
        name = role.name.lower()
        good[f"{name}'s key"] = (bearer(make_key(url, role=role)), role)
        good[f"{name}'s token"] = (bearer(issuer.token(role=name)), role)
        good[f"{name}'s key of all projects"] = (bearer(make_key(url, role=role, project="*")), role)
        good |= {f"{name} {kind}": (metadata, role) for kind, metadata in _scoped(guarded, role).items()}
    for name, (metadata, role) in good.items():
        for rpc in rpcs:
            rule = POLICIES[rpc]
            if role < rule.role or (rule.all_projects and "all projects" not in name):
                continue
            if "scoped" in name and (
                rpc in CANNOT_BE_SCOPED or (rpc == "SessionService/ListSessions" and "session" in name)
            ):
                continue
            let_in += 1
            outcome = call(guarded.channel, rpc, about[rpc], metadata)
            # The fence of its request is that of no attempt, which only a call that is let in learns.
            fence_refused = rpc == "CoordinationService/ReleaseTask" and outcome.reason == "INVALID_ARGUMENT"
            if outcome.code not in LET_IN and not fence_refused:
                wrong.append((name, rpc, outcome))
    assert wrong == []
    assert let_in > 400


LET_IN = (
    grpc.StatusCode.OK,
    # Creating, closing or deleting the same entity again, and entities that do not exist.
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
)
