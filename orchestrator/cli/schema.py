"""`orchestrator schema`: what the front matter of a spec may say, for editors."""

from __future__ import annotations

import json

import click

from orchestrator.cli import output


@click.command(epilog="\b\nExample, for the YAML language server:\n  orchestrator schema > .vscode/autoresearch.schema.json")
def schema() -> int:
    """Print the JSON schema of the front matter of autoresearch.md, so that an editor completes and checks it."""
    from orchestrator.store.schema import json_schema

    output.out(json.dumps(json_schema(), indent=2))
    return 0
