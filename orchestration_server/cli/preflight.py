"""Checks of the files that settings name, made before a command begins. Errors name file and line."""

from __future__ import annotations

from collections.abc import Callable

from orchestration_server.cli.options import err, refuse
from orchestration_server.config.settings import Settings


def check_rules(settings: Settings) -> None:
    """End the command if a rule of automation or alerts is not valid."""
    from orchestration_server.config.yaml_reader import FileError
    from orchestration_server.rules import alerts, automation

    _check(lambda: automation.load(settings.rules_file), FileError)
    _check(lambda: alerts.load(settings.alerts_file), FileError)


def check_policies(settings: Settings) -> None:
    """End the command if an emission policy is not valid."""
    from orchestration_server.config.yaml_reader import FileError
    from orchestration_server.rules import emission

    _check(lambda: emission.load(settings.emission_file), FileError)


def check_templates(settings: Settings) -> None:
    """End the command if a template is not valid."""
    from orchestration_server.templates import TemplateFileError, Templates

    _check(lambda: Templates(settings.templates_dir), TemplateFileError)


def check_tokenizer(settings: Settings) -> None:
    """End the command if the tokenizer does not exist."""
    from orchestration_server.context.tokenizer import load_tokenizer

    _check(lambda: load_tokenizer(settings.tokenizer), ValueError)


def check_traces(settings: Settings) -> None:
    """End the command if traces are on and their packages are not installed or the URL is not valid."""
    if not settings.traces:
        return
    from orchestration_server.doctor.configuration import INSTALL_TRACES, can_trace, is_collector

    if not can_trace():
        refuse(f"traces need packages that are not installed: {INSTALL_TRACES}")
    if not is_collector(settings.traces):
        refuse(f"traces: {settings.traces} is not the URL of a collector, such as http://127.0.0.1:4317")


def warn_of_workspace(settings: Settings) -> None:
    """Warn if the workspace does not exist. It may be a disk that is mounted later."""
    if settings.workspace is not None and not settings.workspace.is_dir():
        err.print(
            f"workspace {settings.workspace} is not a directory; no files are written until it is one",
            style="yellow",
        )


def _check(use: Callable[[], object], fault: type[Exception]) -> None:
    try:
        use()
    except fault as error:
        refuse(str(error))
