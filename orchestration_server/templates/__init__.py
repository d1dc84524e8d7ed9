"""Templates of sprints, tasks, agents' settings and documents: their files, variables and rendering."""

from orchestration_server.templates.library import Templates
from orchestration_server.templates.template import Template, TemplateFileError, TemplateKind, Variable

__all__ = ["Template", "TemplateFileError", "TemplateKind", "Templates", "Variable"]
