"""Checks of the settings and of the files that they name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from orchestration_server.app import jwt_source
from orchestration_server.config.settings import (
    PREFIX,
    ConfigurationError,
    Settings,
    named_file,
    unknown_variables,
    variable,
)
from orchestration_server.config.yaml_reader import FileError
from orchestration_server.context.tokenizer import load_tokenizer
from orchestration_server.doctor.findings import Finding, Installation, failed, ok, warning
from orchestration_server.rules import alerts as alert_rules
from orchestration_server.rules import automation
from orchestration_server.rules import emission as policies
from orchestration_server.templates import TemplateFileError, Templates

INSTALL_TRACES = "pip install --require-hashes --no-deps --requirement requirements/traces.txt"


def unknown_names() -> Iterator[Finding]:
    """Check for variables with the prefix that name no setting. A typo has no effect and is easily missed."""
    known = {PREFIX + name.upper(): variable(name) for name in Settings.model_fields}
    for name in unknown_variables():
        near = difflib.get_close_matches(name, known, n=1)
        suggestion = f"; did you mean {known[near[0]]}?" if near else ""
        yield warning(f"{name} is set, but no such setting exists{suggestion}", f"unset {name}")


def invalid(error: ConfigurationError) -> Finding:
    """Return the finding about settings that are not valid."""
    return failed("; ".join(str(error).splitlines()), "docs/configuration.md lists every setting")


def valid(given: Path | None) -> Finding:
    """Return the finding about valid settings."""
    file = named_file(given)
    return ok("valid" if file is None else f"valid, with the file {file}")


def rules(installation: Installation) -> Iterable[Finding]:
    """Check that the rules of automation are valid."""
    file = installation.settings.rules_file
    return _valid(lambda: automation.load(file), FileError, str(file) if file else "the built-in ones")


def emission(installation: Installation) -> Iterable[Finding]:
    """Check that the emission policies are valid."""
    file = installation.settings.emission_file
    return _valid(lambda: policies.load(file), FileError, str(file) if file else "every event is recorded")


def alerts(installation: Installation) -> Iterable[Finding]:
    """Check that the thresholds of alerts are valid."""
    file = installation.settings.alerts_file
    return _valid(lambda: alert_rules.load(file), FileError, str(file) if file else "the built-in ones")


def jwt(installation: Installation) -> Iterable[Finding]:
    """Check that the file of JWT keys can be read and has keys of the configured algorithm."""
    file = installation.settings.jwt_key_file
    named = f"accepted if signed with a key of {file}" if file else "none are accepted"
    return _valid(lambda: jwt_source(installation.settings), ConfigurationError, named)


def traces(installation: Installation) -> Iterator[Finding]:
    """Check that the packages of traces are installed if traces are on."""
    if not installation.settings.traces:
        yield ok("off")
    elif not can_trace():
        yield failed("traces need packages that are not installed", INSTALL_TRACES)
    elif not is_collector(installation.settings.traces):
        yield failed(
            f"{installation.settings.traces} is not a URL",
            "--traces http://127.0.0.1:4317    # the URL of a collector",
        )
    else:
        yield ok("their packages are installed")


def can_trace() -> bool:
    """Return True if the packages of traces are installed."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def is_collector(url: str) -> bool:
    """Return True if the text is a URL to which traces can be sent."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def templates(installation: Installation) -> Iterable[Finding]:
    """Check that the templates are valid."""
    directory = installation.settings.templates_dir
    named = str(directory) if directory else "the built-in ones"
    return _valid(lambda: Templates(directory), TemplateFileError, named)


def tokenizer(installation: Installation) -> Iterable[Finding]:
    """Check that the tokenizer exists."""
    name = installation.settings.tokenizer
    return _valid(lambda: load_tokenizer(name), ValueError, name or "the built-in estimate")


def _valid(use: Callable[[], object], fault: type[Exception], named: str) -> Iterator[Finding]:
    try:
        use()
    except fault as error:
        yield failed(" ".join(str(error).split()))
    else:
        yield ok(named)
