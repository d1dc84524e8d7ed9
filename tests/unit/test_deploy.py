"""What lies in deploy/ is whole: it parses, names settings and commands that there are, and fits together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from orchestration_server.__main__ import cli
from orchestration_server.app import BACKGROUND_CONNECTIONS, WORKER_CONNECTIONS
from orchestration_server.cli import docs_page
from orchestration_server.config.docs_page import page
from orchestration_server.config.settings import FILE_VARIABLE, Settings, load, variable

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TEXTS = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
TOMLS = [path for path in TEXTS if path.suffix == ".toml"]
YAMLS = [path for path in TEXTS if path.suffix == ".yaml"]
SIZES = sorted(path.name for path in (DEPLOY / "sizes").iterdir())
KUBERNETES = DEPLOY / "kubernetes"
STOP_SECONDS = 10.0
"""For what a server ends after its calls."""


def documents(path: Path) -> list[Any]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def one_of(path: Path, kind: str) -> dict[str, Any]:
    (found,) = (one for one in documents(path) if one["kind"] == kind)
    assert isinstance(found, dict)
    return found


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(cli)
    return {name: group.get_command(None, name) for name in group.list_commands(None)}


def must_run(arguments: list[str]) -> None:
    """What follows `orchestration` names a command, with options that it takes."""
    name, *options = arguments
    taken = {flag for one in commands()[name].params for flag in (*one.opts, *one.secondary_opts)}
    assert {option for option in options if option.startswith("--")} <= taken


def test_the_table_of_settings_is_that_of_the_settings() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert page(text) == text, "run `make docs`"


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    assert docs_page.page() == text, "run `make docs`"
    for name in commands():
        assert re.search(rf"^### {name}\b", text, re.MULTILINE), name


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no marks"):
        page("# Configuration\n")


@pytest.fixture(autouse=True)
def _silent_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*map(variable, Settings.model_fields), FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("path", TOMLS, ids=str)
def test_files_of_settings_are_taken(path: Path) -> None:
    load(path)


@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_variables_are_those_of_settings(path: Path) -> None:
    named = set(re.findall(r"\bORCHESTRATION_[A-Z_]+\b", path.read_text()))
    named -= {"ORCHESTRATION_PORT"}  # what is kept away
    assert named <= {FILE_VARIABLE, *map(variable, Settings.model_fields)}


@pytest.mark.parametrize("path", YAMLS, ids=str)
def test_yaml_is_read(path: Path) -> None:
    assert all(isinstance(one, dict) for one in documents(path))


@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_commands_that_are_named_are_there(path: Path) -> None:
    for line in path.read_text().splitlines():
        match = re.search(r"bin/orchestration (.+)", line)
        if match:
            must_run(match[1].split())


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    (compose,) = documents(DEPLOY / "compose.yaml")
    found = compose["services"]
    assert isinstance(found, dict)
    return found


def test_images_are_of_one_version_and_one_content(services: dict[str, Any]) -> None:
    """A tag may be moved to something else; a digest is one content for ever."""
    others = [one["image"] for one in services.values() if "build" not in one]
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert len(others) == len(bases) == 2
    for image in (*others, *bases):
        assert re.fullmatch(r"[a-z/]+:\d+[\w.-]*@sha256:[0-9a-f]{64}", image), image


def test_actions_are_named_by_their_commit() -> None:
    used = [
        line.split("uses:", 1)[1].strip()
        for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[0-9.]+", action), action


def test_the_containers_run_commands_that_there_are(services: dict[str, Any]) -> None:
    for name in ("server", "worker"):
        must_run(services[name]["command"])
    shell, program, *arguments = services["server"]["healthcheck"]["test"]
    assert (shell, program) == ("CMD", "orchestration")
    must_run(arguments)


def test_the_containers_write_where_the_image_has_a_directory(services: dict[str, Any]) -> None:
    """A workspace is not made where it is not there."""
    made = re.findall(
        r"install -d -o orchestration -g orchestration (\S+)", (DEPLOY / "Containerfile").read_text()
    )
    workspaces = {services[name]["environment"]["ORCHESTRATION_WORKSPACE"] for name in ("server", "worker")}
    assert list(workspaces) == made


def test_containers_are_given_the_time_that_a_stop_takes(services: dict[str, Any]) -> None:
    seconds = float(services["server"]["stop_grace_period"].removesuffix("s"))
    assert seconds >= Settings().grace_seconds + STOP_SECONDS


def test_only_this_machine_reaches_the_containers(services: dict[str, Any]) -> None:
    ports = [port for one in services.values() for port in one.get("ports", ())]
    assert ports == ["127.0.0.1:20051:20051"]


def test_an_image_is_built_of_the_lock_alone() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    installs = re.findall(r"pip install (.+)", text)
    assert len(installs) == 2
    assert "--require-hashes --no-deps" in installs[0]
    assert "--no-index" in installs[1]
    for line in re.findall(r"^COPY (?!--from)(.+)", text, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources)
    let_in = (ROOT / ".dockerignore").read_text()
    for source in ("requirements/runtime.txt", "orchestration_server", "clients/python", "pyproject.toml"):
        assert f"!{source}\n" in let_in


@pytest.mark.parametrize("name", ["orchestration", "orchestration-worker"])
def test_units_stop_in_time_and_may_write_to_their_own_place_alone(name: str) -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd have capitals
    unit.read(DEPLOY / "systemd" / f"{name}.service")
    service = unit["Service"]
    assert service["ExecStart"].split()[0] == "/opt/orchestration/bin/orchestration"
    assert float(service["TimeoutStopSec"]) >= Settings().grace_seconds + STOP_SECONDS
    # The first process has to be the only one that is told to stop: it ends the others.
    assert service["KillMode"] == "mixed"
    assert (service["ProtectSystem"], service["DynamicUser"]) == ("strict", "yes")


def test_a_server_is_replaced_before_it_ends() -> None:
    spec = one_of(KUBERNETES / "server.yaml", "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    before = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= before + Settings().grace_seconds + STOP_SECONDS
    must_run(container["args"])


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_for_health(probe: str) -> None:
    spec = one_of(KUBERNETES / "server.yaml", "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (port,) = container["ports"]
    assert container[probe]["grpc"] == {"port": port["containerPort"]}
    (encrypted,) = documents(KUBERNETES / "tls" / "server.yaml")
    (container,) = encrypted["spec"]["template"]["spec"]["containers"]
    assert container[probe]["grpc"] is None
    program, *arguments = container[probe]["exec"]["command"]
    assert program == "orchestration"
    must_run(arguments)


def test_what_selects_pods_finds_them() -> None:
    server = KUBERNETES / "server.yaml"
    labels = one_of(server, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert one_of(server, "Service")["spec"]["selector"] == labels
    assert one_of(server, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    policy = one_of(KUBERNETES / "network.yaml", "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"] == labels


def test_the_worker_has_what_the_server_has() -> None:
    (server,), (worker,) = (
        one_of(KUBERNETES / f"{name}.yaml", "Deployment")["spec"]["template"]["spec"]["containers"]
        for name in ("server", "worker")
    )
    must_run(worker["args"])
    for part in ("envFrom", "securityContext", "volumeMounts", "image"):
        assert worker[part] == server[part]


def customizations() -> Iterator[Path]:
    return DEPLOY.rglob("kustomization.yaml")


@pytest.mark.parametrize("path", sorted(customizations()), ids=str)
def test_what_a_customization_names_is_there(path: Path) -> None:
    (found,) = documents(path)
    named = [*found.get("resources", ()), *(one["path"] for one in found.get("patches", ()) if "path" in one)]
    named += [file for one in found.get("configMapGenerator", ()) for file in one["files"]]
    assert named
    assert all((path.parent / one).exists() for one in named)


@pytest.mark.parametrize("size", SIZES)
def test_the_pools_of_a_size_fit_while_a_server_is_replaced(size: str) -> None:
    directory = DEPLOY / "sizes" / size
    settings = load(directory / "orchestration.toml")
    (custom,) = documents(directory / "kustomization.yaml")
    count = {one["name"]: one["count"] for one in custom["replicas"]}
    servers, workers = count["orchestration-server"], count["orchestration-worker"]
    each = settings.workers * (settings.threads + BACKGROUND_CONNECTIONS)
    conf = dict(re.findall(r"^(\w+) = (.+)$", (directory / "postgresql.conf").read_text(), re.MULTILINE))
    reserved = 3
    assert (servers + 1) * each + workers * WORKER_CONNECTIONS <= int(conf["max_connections"]) - reserved
    assert bool(workers) != settings.background


@pytest.mark.parametrize(
    "path", ["README.md", "docs/quickstart.md", "docs/operating.md", "docs/configuration.md"]
)
def test_commands_of_the_pages_are_there(path: str) -> None:
    text = (ROOT / path).read_text().replace("\\|", "|")
    found = re.findall(r"(?:^|[`\n /])orchestration ([a-z]+)((?: --?[\w.-]+(?: [^\s`-][^\s`|]*)?)*)", text)
    assert found
    for name, options in found:
        if name in commands() and name not in ("import",):
            must_run([name, *options.split()])
        else:
            assert name in ("archive", "import", "orchestration"), name


@pytest.mark.parametrize(
    ("section", "start"),
    [
        ("## The first day", "The server and a worker"),
        ("### systemd", "systemctl enable --now"),
        ("### Containers", "up --detach"),
        ("### Kubernetes", "rollout restart"),
    ],
)
def test_the_first_key_comes_before_the_server_that_needs_one(section: str, start: str) -> None:
    text = (ROOT / "docs/operating.md").read_text().partition(section)[2]
    before, found, _ = text.partition(start)
    assert found
    assert "\n#" not in before
    assert "orchestration keys create first --role admin" in before.replace(
        "run --rm server", "orchestration"
    )
