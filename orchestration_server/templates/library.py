"""The templates of a server: the built-in ones, and those of its directory, which take precedence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from orchestration_server import names
from orchestration_server.config.yaml_reader import FileError
from orchestration_server.errors import InvalidArgument, NotFound
from orchestration_server.templates.budget import TEXT_BYTES, TOO_LARGE
from orchestration_server.templates.template import (
    BODY_BYTES,
    Template,
    TemplateFileError,
    TemplateKind,
    parse,
)

SUFFIXES = (".md", ".yaml")
FILE_BYTES = BODY_BYTES + 64 * 1024
MAX_FILES = 1_000


class Templates:
    """All templates, read and compiled once. A changed file takes effect at the next start."""

    def __init__(self, directory: Path | None = None) -> None:
        """Read the directory. Raises TemplateFileError if one of its files is not a template."""
        own = {} if directory is None else _of_directory(directory)
        self._all = dict(sorted({**_built_in(), **own}.items()))

    def list(self, kind: TemplateKind | None = None) -> Sequence[Template]:
        """Return the templates by name, or those of one kind."""
        return [found for found in self._all.values() if kind is None or found.kind is kind]

    def get(self, name: str, kind: TemplateKind | None = None) -> Template:
        """Return a template. Raises NotFound, or InvalidArgument if it is of another kind."""
        found = self._all.get(name)
        if found is None:
            raise NotFound("template", name)
        if kind is not None and found.kind is not kind:
            raise InvalidArgument(
                {"template": f"{name} is a template of kind {found.kind.name}, not {kind.name}"}
            )
        return found

    def render(self, name: str, variables: Mapping[str, Any], kind: TemplateKind | None = None) -> str:
        """Return the text of a document, or the fields of another template as JSON, up to 1 MiB.

        Raises the errors of ``get`` and of ``Template``.
        """
        template = self.get(name, kind)
        if template.kind.structured:
            return as_text(template.fields(variables))
        return template.render(variables)


def as_text(fields: dict[str, Any]) -> str:
    """Return fields as indented JSON, which is valid YAML and takes a hundredth of the time to write."""
    text = orjson.dumps(fields, option=orjson.OPT_INDENT_2)
    if len(text) > TEXT_BYTES:
        raise InvalidArgument({"variables": TOO_LARGE}, reason="TEMPLATE_LIMIT")
    return text.decode()


@cache
def _built_in() -> Mapping[str, Template]:
    """Return the built-in templates. They are part of the package and do not change at run time."""
    folder = resources.files(__package__).joinpath("built_in")
    files = [file for file in folder.iterdir() if file.name.endswith(SUFFIXES)]
    parsed = [parse(_name(file.name), file.read_bytes(), source=file.name, built_in=True) for file in files]
    return {template.name: template for template in parsed}


def _of_directory(directory: Path) -> dict[str, Template]:
    """Return the templates of a directory. Ignores files with other suffixes or a leading dot."""
    found: dict[str, Template] = {}
    wrong: list[str] = []
    try:
        root = directory.resolve(strict=True)
        files = sorted(file for file in root.iterdir() if file.suffix in SUFFIXES and file.name[0] != ".")
    except OSError as error:
        raise TemplateFileError(f"{directory}: the templates cannot be read: {error.strerror}") from None
    if len(files) > MAX_FILES:
        raise TemplateFileError(f"{directory}: has more than {MAX_FILES} templates")
    for file in files:
        try:
            source = str(directory / file.name)
            template = _of_file(root, file, source)
            if template.name in found:
                raise FileError(source, 1, f"there is another template {template.name} with another suffix")
            built_in = _built_in().get(template.name, template)
            if built_in.kind is not template.kind:
                kind = built_in.kind.label
                raise FileError(source, 1, f"the built-in template {template.name} is of kind {kind}")
            found[template.name] = template
        except FileError as error:
            wrong.append(str(error))
    if wrong:
        raise TemplateFileError("\n".join(wrong))
    return found


def _of_file(root: Path, file: Path, source: str) -> Template:
    name = _name(file.name)
    if not names.CODE.fullmatch(name):
        text = "the file's name must have 1 to 128 characters of [A-Za-z0-9._-] before its suffix"
        raise FileError(source, 1, text)
    try:
        if not file.resolve(strict=True).is_relative_to(root):
            raise FileError(source, 1, "the link points out of the templates directory")
        if not file.is_file() or file.stat().st_size > FILE_BYTES:
            raise FileError(source, 1, f"must be a file of at most {FILE_BYTES // 1024} KiB")
        return parse(name, file.read_bytes(), source=source, built_in=False)
    except OSError as error:
        raise FileError(source, 1, f"cannot be read: {error.strerror}") from None


def _name(file: str) -> str:
    return file.rpartition(".")[0]
