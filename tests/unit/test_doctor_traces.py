"""The findings of the doctor about traces."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration_server.config.settings import FILE_VARIABLE, Settings, variable
from orchestration_server.doctor import configuration
from orchestration_server.doctor.findings import Finding, Installation


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (FILE_VARIABLE, *map(variable, Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


def finding(**settings: Any) -> Finding:
    (found,) = configuration.traces(Installation(Settings(**settings), "", ""))
    return found


def test_traces_that_are_off_are_fine() -> None:
    assert (finding().level.name, finding().text) == ("OK", "off")


@pytest.mark.parametrize("url", ["collector:4317", "ftp://collector", "http://"])
def test_what_is_no_url_of_a_collector_is_said(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(configuration, "find_spec", lambda name: name)
    found = finding(traces=url)
    assert (found.level.name, found.text) == ("FAILED", f"{url} is not a URL")


def test_packages_that_are_missing_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "find_spec", lambda name: None)
    found = finding(traces="http://127.0.0.1:4317")
    assert found.level.name == "FAILED"
    assert "pip install" in found.fix


def test_a_collector_and_the_packages_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "find_spec", lambda name: name)
    assert finding(traces="http://127.0.0.1:4317").level.name == "OK"
