"""`orchestrator completions SHELL`: the script that makes a shell complete our commands, options and task names."""

from __future__ import annotations

import click

from orchestrator.cli import output

VARIABLE = "_ORCHESTRATOR_COMPLETE"
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
    from orchestrator.cli.commands import root
    from orchestrator.cli.shells import KINDS

    script = KINDS[shell](root, {}, "orchestrator", VARIABLE)
    output.out(script.source_template % script.source_vars())
    return 0
