"""TemplateService."""

from __future__ import annotations

from orchestration.v1 import template_pb2
from orchestration_server.convert import Tokens
from orchestration_server.errors import Unimplemented
from orchestration_server.model import Call


class TemplateService:
    """Reads and renders templates."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def ListTemplates(
        self, request: template_pb2.ListTemplatesRequest, call: Call
    ) -> template_pb2.ListTemplatesResponse:
        raise Unimplemented("ListTemplates is not built yet")

    def GetTemplate(
        self, request: template_pb2.GetTemplateRequest, call: Call
    ) -> template_pb2.GetTemplateResponse:
        raise Unimplemented("GetTemplate is not built yet")

    def RenderTemplate(
        self, request: template_pb2.RenderTemplateRequest, call: Call
    ) -> template_pb2.RenderTemplateResponse:
        raise Unimplemented("RenderTemplate is not built yet")
