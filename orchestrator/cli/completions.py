"""`orchestrator completions SHELL`: the script that makes a shell complete our commands, options and task names."""

from __future__ import annotations

import click

from orchestrator.cli import output

VARIABLE = "_ORCHESTRATOR_COMPLETE"
# What bash inserts it also reads: a task called `$(rm x)` must come as the word that it is. zsh and fish quote by themselves.
BARE, QUOTED = "COMPREPLY+=($value)", 'COMPREPLY+=("$(printf \'%%q\' "$value")")'
EPILOG = """\b
Examples, where each shell reads it:
  bash   orchestrator completions bash > ~/.local/share/bash-completion/completions/orchestrator
  zsh    orchestrator completions zsh > "${fpath[1]}/_orchestrator"
  fish   orchestrator completions fish > ~/.config/fish/completions/orchestrator.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completions(shell: str) -> int:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    from orchestrator.cli.commands import root

    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - the three above are part of click
        raise click.UsageError(f"No completion for {shell}.")
    kind_of_shell = kind(root, {}, "orchestrator", VARIABLE)
    output.out(kind_of_shell.source_template.replace(BARE, QUOTED) % kind_of_shell.source_vars())
    return 0
