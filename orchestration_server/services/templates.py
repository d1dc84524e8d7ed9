"""TemplateService: templates and their rendering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestration.v1 import template_pb2
from orchestration_server.codec.content import plain, to_struct
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.model import Call
from orchestration_server.templates import Template, TemplateKind, Templates
from orchestration_server.templates.library import as_text


class TemplateService:
    """The rpcs of TemplateService."""

    def __init__(self, cursors: CursorSigner, templates: Templates) -> None:
        self._templates = templates
        self._cursors = cursors

    def ListTemplates(
        self, request: template_pb2.ListTemplatesRequest, call: Call
    ) -> template_pb2.ListTemplatesResponse:
        scope: Sequence[Any] = ["templates", call.project, request.kind]
        position = self._cursors.page_position(request.page_token, scope)
        size = page_size(request.page_size)
        rest = [
            template
            for template in self._templates.list(TemplateKind(request.kind) if request.kind else None)
            if position is None or template.name > position[0]
        ]
        token = self._cursors.page_token(scope, [rest[size - 1].name]) if len(rest) > size else ""
        return template_pb2.ListTemplatesResponse(
            templates=[_message(template) for template in rest[:size]], next_page_token=token
        )

    def GetTemplate(
        self, request: template_pb2.GetTemplateRequest, call: Call
    ) -> template_pb2.GetTemplateResponse:
        template = self._templates.get(request.name)
        found = _message(template)
        found.body = template.body
        return template_pb2.GetTemplateResponse(template=found)

    def RenderTemplate(
        self, request: template_pb2.RenderTemplateRequest, call: Call
    ) -> template_pb2.RenderTemplateResponse:
        template = self._templates.get(request.name)
        variables = plain(request.variables)
        if not template.kind.structured:
            return template_pb2.RenderTemplateResponse(text=template.render(variables))
        fields = template.fields(variables)
        return template_pb2.RenderTemplateResponse(text=as_text(fields), preview=to_struct(fields))


def _message(template: Template) -> template_pb2.Template:
    """Return a template as a message, without its body."""
    found = template_pb2.Template(
        name=template.name,
        kind=template.kind.value,  # type: ignore[arg-type]  # the numbers are the same
        title=template.title,
        description=template.description,
        source=template_pb2.TEMPLATE_SOURCE_BUILT_IN
        if template.built_in
        else template_pb2.TEMPLATE_SOURCE_DIRECTORY,
        sha256=template.sha256,
    )
    for variable in template.variables:
        listed = found.variables.add(
            name=variable.name,
            description=variable.description,
            type=variable.type.value,
            required=variable.required,
        )
        if not variable.required:
            listed.default_value.CopyFrom(to_struct({"": variable.default}).fields[""])
    return found
