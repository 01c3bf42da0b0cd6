"""`dispatch completion`: the script that makes a shell complete commands, options and live values."""

from __future__ import annotations

from typing import Annotated

import typer

from dispatch_cli.choices import word_among
from dispatch_cli.complete import words_of
from dispatch_cli.completing import SCRIPTS
from dispatch_cli.session import session_of
from dispatch_cli.shell import single


@single(
    local="it prints a script for the shell here",
    storeless=True,
    examples=(
        "dispatch completion bash | head -n 3",
        "dispatch completion zsh | grep compadd",
        "dispatch completion fish | head -n 1",
    ),
)
def app(
    ctx: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", autocompletion=words_of(SCRIPTS))],
) -> None:
    """Print the script that lets a shell complete commands, options, queues, job names and ids.

    bash: eval "$(dispatch completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc, after compinit. fish: write it to
    ~/.config/fish/completions/dispatch.fish.
    """
    session = session_of(ctx)
    session.out.must_not_be_ids()
    chosen = word_among("shell", shell, list(SCRIPTS))
    if session.out.format == "table":
        session.out.write(SCRIPTS[chosen])
    else:
        session.out.record({"shell": chosen, "script": SCRIPTS[chosen]}, fields=())
