"""Arguments and options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.cli import completion_codes as codes

TaskCode = Annotated[
    str, typer.Argument(metavar="TASK", help="The code of a task.", autocompletion=codes.tasks)
]
SprintCode = Annotated[
    str, typer.Argument(metavar="SPRINT", help="The code of a sprint.", autocompletion=codes.sprints)
]
InSprint = Annotated[
    str,
    typer.Option(
        "-s",
        "--sprint",
        metavar="SPRINT",
        help="The sprint.",
        autocompletion=codes.sprints,
        show_default=False,
    ),
]
Reason = Annotated[
    str, typer.Option("-m", "--message", metavar="TEXT", help="The reason, which the history keeps.")
]
Fence = Annotated[
    int, typer.Option(min=0, help="The fence of your claim, if you hold the task.", show_default=False)
]
Revision = Annotated[
    int,
    typer.Option(
        "--revision", min=0, help="Change only this revision; fail if another is there.", show_default=False
    ),
]
RequestId = Annotated[
    str,
    typer.Option(metavar="ID", help="An id: the same command with it again acts once.", show_default=False),
]
Limit = Annotated[int, typer.Option("-n", "--limit", min=1, max=100_000, help="The most to list.")]
