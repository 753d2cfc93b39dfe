"""`cutover completion`: the lines that teach a shell to complete this command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cli.errors import UserError

_PROGRAM, _VARIABLE = "cutover", "_CUTOVER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash   eval "$(cutover completion bash)"            in ~/.bashrc
    zsh    eval "$(cutover completion zsh)"             in ~/.zshrc
    fish   cutover completion fish > ~/.config/fish/completions/cutover.fish
    """
    kind = get_completion_class(shell)
    if kind is None:  # a shell that click has unlearned
        raise UserError(f"completion: click knows no shell {shell!r}")
    click.echo(kind(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())
