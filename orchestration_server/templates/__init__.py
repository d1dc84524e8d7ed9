"""Templates of sprints, tasks, agents' settings and documents: their files, variables and rendering."""

from orchestration_server.templates.definition import Template, TemplateFileError, TemplateKind, Variable
from orchestration_server.templates.library import Templates

__all__ = ["Template", "TemplateFileError", "TemplateKind", "Templates", "Variable"]
