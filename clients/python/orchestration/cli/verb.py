"""A verb: a function that asks the ledger and returns an answer, made a command."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, get_type_hints

import typer
from typer.core import TyperCommand

from orchestration.cli import exit_codes, options
from orchestration.cli.output import Answer, Output
from orchestration.cli.refusal import Refusal

if TYPE_CHECKING:
    from orchestration import Client

P = ParamSpec("P")
AGENT_VARIABLE = "ORCHESTRATION_AGENT"


@dataclass
class Session:
    """One run of a verb: its options, its output and its connection, which opens at the first use."""

    common: options.Common
    out: Output
    subject: str = ""
    """The task or sprint that the verb is about, for the fixes of errors."""
    opened: list[Client] = field(default_factory=list)

    @property
    def agent(self) -> str:
        """The name of the caller; empty if it has none."""
        return self.common.agent or os.environ.get(AGENT_VARIABLE, "").strip() or self.stored.agent

    @cached_property
    def stored(self) -> Any:
        """The server that `use` or --server has chosen, or one without settings."""
        from orchestration.cli import servers

        return servers.chosen(self.common.server)

    @cached_property
    def client(self) -> Client:
        """The connection, which names the caller."""
        return self.connect(self.agent)

    def connect(self, agent: str = "", timeout: float = 10.0) -> Client:
        """Open a connection for a caller. The verb's end closes it."""
        from orchestration.cli import servers

        opened = servers.connect(self.common, self.stored, agent=agent, timeout=timeout)
        self.opened.append(opened)
        return opened

    def command(self, *words: str, tail: Sequence[str] = ()) -> str:
        """Return a command line with the server, project and agent of this one, and further options."""
        return shlex.join(["orchestration", *words, *self.common.words(), *tail])

    def close(self) -> None:
        """Close the connections."""
        for one in self.opened:
            one.close()


class VerbCommand(TyperCommand):
    """A command whose help lists the common options apart."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, and after them the common ones."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Common options": []}
        for one in self.get_params(ctx):
            if record := one.get_help_record(ctx):
                common = one.name in (*options.NAMES, "help")
                argument = one.param_type_name == "argument"
                title = "Arguments" if argument else "Common options" if common else "Options"
                sections[title].append(record)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def verb(function: Callable[Concatenate[Session, P], Answer | None]) -> Callable[..., None]:
    """Make a function a command: add the common options, print its answer, and explain its errors."""
    _, *rest = inspect.signature(function).parameters.values()
    hints = get_type_hints(function, include_extras=True)
    own = [one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in rest]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    added = options.parameters(frozenset(one.name for one in own))

    @wraps(function)
    def run(**arguments: Any) -> None:
        ctx = arguments.pop("ctx")
        before = ctx.find_root().obj or options.Common()
        here = options.Common(**{one.name: arguments.pop(one.name) for one in added})
        here.check()
        common = here.or_else(before)
        session = Session(common, Output(common))
        try:
            _answer(session, partial(function, session, **arguments))
        finally:
            session.close()

    whole = [context, *own, *added]
    run.__signature__ = inspect.Signature(whole)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {one.name: one.annotation for one in whole}
    run.command_class = VerbCommand  # type: ignore[attr-defined]  # `group.load` and `add` read it
    del run.__wrapped__  # typer would read its annotations instead
    return run


def add(app: typer.Typer, name: str, function: Callable[..., None]) -> None:
    """Add a verb to a group."""
    app.command(name, cls=VerbCommand, context_settings={"help_option_names": ["-h", "--help"]})(function)


def _answer(session: Session, ask: Callable[[], Answer | None]) -> None:
    """Print the answer, or the error with its fix, and end with its exit code."""
    try:
        answer = ask()
        if answer is not None:
            session.out.print(answer)
    except Refusal as refusal:
        session.out.refuse(refusal)
        raise typer.Exit(refusal.code) from None
    except ValueError as error:
        session.out.refuse(Refusal(str(error), code=exit_codes.USAGE))
        raise typer.Exit(exit_codes.USAGE) from None
    except Exception as error:
        with suppress(ImportError):
            import grpc

            from orchestration.cli import call_errors

            if isinstance(error, grpc.RpcError):
                found = call_errors.explain(error, session)
                session.out.refuse(found)
                raise typer.Exit(found.code) from None
        raise
    if answer is not None and answer.code:
        raise typer.Exit(answer.code)
