"""A template of an ADR made from its body, and the text that it renders."""

from typing import Any

from orchestration_server.templates import Template
from orchestration_server.templates.template import parse


def document(body: str, variables: str = "") -> Template:
    head = f"---\nkind: adr\ntitle: T\n{variables}---\n"
    return parse("mine", (head + body).encode(), source="mine.yaml", built_in=False)


def rendered(template: Template, **variables: Any) -> str:
    return template.render({"title": "T", "decision": "D", **variables})
