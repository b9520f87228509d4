"""The arguments and options that several commands have; importing them is quick."""

from typing import Annotated

import typer

RunId = Annotated[
    str,
    typer.Argument(metavar="ID", help="A run's or a team's; `agent-`, `team-` may be left out."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Step = Annotated[
    int | None, typer.Option("--step", min=0, metavar="N", help="As they were after step N.")
]

Workspace = Annotated[
    str | None, typer.Option(metavar="DIR", help="Every agent begins with a copy of its files.")
]
Sandbox = Annotated[
    str | None,
    typer.Option(
        metavar="KIND", help="Where commands run: auto, docker, bwrap, or none (not isolated)."
    ),
]
MaxSteps = Annotated[int | None, typer.Option(help="End after so many steps.")]
MaxTokens = Annotated[int | None, typer.Option(help="End after so many tokens.")]
MaxCost = Annotated[float | None, typer.Option(metavar="USD", help="End after spending so much.")]
MaxMinutes = Annotated[float | None, typer.Option(help="End after so long.")]
Detach = Annotated[bool, typer.Option("--detach", help="Print the run's id and leave it running.")]
NewId = Annotated[str | None, typer.Option(help="The id; a random one by default.")]
Head = Annotated[
    str | None, typer.Option(metavar="TURN", help="Continue from a turn of an earlier run.")
]
Label = Annotated[str | None, typer.Option(help="Label to find the run by.")]
