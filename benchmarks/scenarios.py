"""The table of scenarios that ghz runs."""

from dataclasses import dataclass

from benchmarks import agent_requests, event_requests, requests
from benchmarks.requests import RequestMaker

CRUD_RPS = 300
EVENT_QUERY_RPS = 200
BATCH_RPS = 30  # of ten rows each: as many rows a second as the single calls
UNCACHED_RPS = 20
CONTEXT_RPS = 50
TEMPLATE_RPS = 20
REPORT_RPS = 20
CONNECTIONS = 50
SECONDS = 10
SHORT_SECONDS = 2


@dataclass(frozen=True)
class Scenario:
    """A load. `calls` and `short_calls` are the numbers of calls. An `rps` of 0 means a closed loop."""

    name: str
    group: str
    method: str
    make: RequestMaker
    rps: int
    calls: int
    short_calls: int
    concurrency: int = CONNECTIONS
    connections: int = CONNECTIONS


def _open(method: str, group: str, make: RequestMaker, rps: int, *, name: str = "") -> Scenario:
    return Scenario(
        name=name or method.partition("/")[2],
        group=group,
        method=method,
        make=make,
        rps=rps,
        calls=rps * SECONDS,
        short_calls=rps * SHORT_SECONDS,
    )


def _crud(method: str, make: RequestMaker, *, rps: int = CRUD_RPS, name: str = "") -> Scenario:
    return _open(method, "crud", make, rps, name=name)


def _query(method: str, make: RequestMaker, *, rps: int = EVENT_QUERY_RPS, name: str = "") -> Scenario:
    return _open(method, "event_query", make, rps, name=name)


# The three loads of S18. The minute of status updates is compressed to ten seconds (short: five): the same
# 100 calls at six times the rate, which is the harder load.
S18 = (
    Scenario(
        name="s18_create_sprint",
        group="s18",
        method="SprintService/CreateSprint",
        make=requests.create_sprint,
        rps=0,
        calls=100,
        short_calls=100,
        concurrency=10,
        connections=10,
    ),
    Scenario(
        name="s18_update_status",
        group="s18",
        method="TaskService/UpdateTaskStatus",
        make=requests.update_task_status,
        rps=10,
        calls=100,
        short_calls=50,
        concurrency=10,
        connections=10,
    ),
    Scenario(
        name="s18_timeline",
        group="s18",
        method="EventService/StreamTimeline",
        make=event_requests.timeline,
        rps=0,
        calls=500,
        short_calls=500,
        concurrency=50,
        connections=50,
    ),
)

RPCS = (
    _crud("SprintService/GetSprint", requests.get_sprint),
    _crud("SprintService/GetSprint", requests.get_sprint_full, name="GetSprint (full)"),
    _crud("SprintService/ListSprints", requests.list_sprints),
    _crud("SprintService/CreateSprint", requests.create_sprint),
    _crud("SprintService/UpdateSprint", requests.update_sprint),
    _crud("SprintService/DeleteSprint", requests.delete_sprint),
    _crud("TaskService/GetTask", requests.get_task),
    _crud("TaskService/ListTasks", requests.list_tasks),
    _crud("TaskService/CreateTask", requests.create_task),
    _crud("TaskService/UpdateTask", requests.update_task),
    _crud("TaskService/UpdateTaskStatus", requests.update_task_status),
    _crud("TaskService/DeleteTask", requests.delete_task),
    _crud("TaskService/BatchCreateTasks", requests.batch_create_tasks, rps=BATCH_RPS),
    _crud("TaskService/BatchUpdateTaskStatus", requests.batch_update_task_status, rps=BATCH_RPS),
    _crud("CoordinationService/AddDependency", requests.add_dependency),
    _crud("CoordinationService/RemoveDependency", requests.remove_dependency),
    _crud("CoordinationService/ListReadyTasks", requests.list_ready_tasks),
    _crud("EventService/EmitEvent", event_requests.emit_event),
    _crud("EventService/EmitEvents", event_requests.emit_events, rps=BATCH_RPS),
    _query("EventService/GetEvent", event_requests.get_event),
    _query("EventService/ListEvents", event_requests.list_events),
    _query("EventService/StreamTimeline", event_requests.timeline),
    _query("EventService/GetEventStats", event_requests.stats_dashboard),
    _query(
        "EventService/GetEventStats",
        event_requests.stats_distinct,
        rps=UNCACHED_RPS,
        name="GetEventStats (uncached)",
    ),
)

AGENTS = (
    _open(
        "ContextService/AssembleContext",
        "context_cold",
        agent_requests.assemble_context_cold,
        CONTEXT_RPS,
        name="AssembleContext (cold)",
    ),
    _open(
        "ContextService/AssembleContext",
        "context_cached",
        agent_requests.assemble_context_cached,
        CONTEXT_RPS,
        name="AssembleContext (cached)",
    ),
    _open("SessionService/InitAgent", "context_cold", agent_requests.init_agent, CONTEXT_RPS),
    _open(
        "SprintService/CreateSprintFromTemplate",
        "template",
        agent_requests.create_sprint_from_template,
        TEMPLATE_RPS,
    ),
    _open("ReportService/GetSprintStatusReport", "report", agent_requests.sprint_status_report, REPORT_RPS),
    _open("EventService/ReconstructState", "report", agent_requests.reconstruct_state, REPORT_RPS),
)

SCENARIOS = S18 + RPCS + AGENTS
