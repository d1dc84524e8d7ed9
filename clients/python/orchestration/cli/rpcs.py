"""The rpcs of the API, by the names that `call` takes."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import message_factory

from orchestration.cli.exit_codes import USAGE
from orchestration.cli.refusal import Refusal

if TYPE_CHECKING:
    from orchestration import Client

# Each service with the attribute of the client that has its stub.
_SERVICES = {
    "SprintService": ("sprint", "sprints"),
    "TaskService": ("task", "tasks"),
    "EventService": ("event", "events"),
    "SessionService": ("session", "sessions"),
    "ContextService": ("context", "contexts"),
    "CoordinationService": ("coordination", "coordination"),
    "TemplateService": ("template", "templates"),
    "ScheduleService": ("schedule", "schedules"),
    "ReportService": ("report", "reports"),
    "AdminService": ("admin", "admin"),
}


@dataclass(frozen=True)
class Rpc:
    """One rpc: its names, the class of its request, and whether either side streams."""

    service: str
    method: str
    request: Any
    client_streams: bool
    server_streams: bool

    def bound(self, client: Client) -> Any:
        """Return the function of the client's stub that calls it."""
        return getattr(getattr(client, _SERVICES[self.service][1]), self.method)


def methods() -> list[str]:
    """Return the names of all rpcs, as Service/Method."""
    return [f"{service}/{method.name}" for service in _SERVICES for method in _descriptor(service).methods]


def find(name: str) -> Rpc:
    """Return an rpc by Service/Method, in which the package and the word "Service" may be left out.

    Raises Refusal for an unknown name.
    """
    import difflib

    wanted = name.removeprefix("/").removeprefix("orchestration.v1.").replace(".", "/").lower()
    known = {one.lower(): one for one in methods()}
    known |= {key.replace("service/", "/"): one for key, one in known.items()}
    if wanted not in known:
        like = difflib.get_close_matches(wanted, known, n=2, cutoff=0.5)
        hint = " or ".join(dict.fromkeys(known[one] for one in like)) or "TaskService/GetTask"
        raise Refusal(
            f"there is no rpc {name!r}",
            fix=f"name it as Service/Method, such as {hint}; `orchestration call` lists all",
            code=USAGE,
        )
    service, _, method = known[wanted].partition("/")
    found = _descriptor(service).methods_by_name[method]
    request = message_factory.GetMessageClass(found.input_type)
    return Rpc(service, method, request, found.client_streaming, found.server_streaming)


def _descriptor(service: str) -> Any:
    module = importlib.import_module(f"orchestration.v1.{_SERVICES[service][0]}_pb2")
    return module.DESCRIPTOR.services_by_name[service]
