"""`orchestrator --config`: what is in force, and who said so."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from orchestrator.cli import output
from orchestrator.cli.app import App
from orchestrator.store import config as configuration
from orchestrator.store import layers

NUMBERS = ("alpha", "min_effect", "budget_usd_day")  # fractions that are no seconds


def config(app: App) -> int:
    """Show every setting with its value and its source."""
    found = configuration.rows(app.config)
    if app.json:
        settings = {row.name: {"value": row.value, "source": row.source, "env": row.env, "help": row.help} for row in found}
        output.document(
            {"schema": 1, "settings": settings, "files": list(app.config.files), "warnings": list(app.config.warnings)}
        )
        return 0
    rows = [
        (row.name, output.clean(shown(row.name, row.value)), output.clean(_source(row.source)), row.env or "", row.help)
        for row in found
    ]
    head = ("SETTING", "VALUE", "FROM", "ENVIRONMENT", "WHAT IT IS")
    cells = rows if app.verbose else [row[:4] for row in rows]
    for line in output.table(head if app.verbose else head[:4], cells, most=(None, 60, 60)):
        output.out(line)
    app.say(
        f"\nRead: {', '.join(app.config.files) or 'no file'}. A flag wins over the environment, then .env, "
        f"orchestrator.toml or pyproject.toml, your own {layers.user_file(os.environ)}, the default."
    )
    return 0


def shown(name: str, value: object) -> str:
    """A value as a person would write it."""
    if value is None:
        return "infinite" if name == "max_failures" else "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if name in NUMBERS else f"{value:g}s"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, Mapping):  # of a gate, whose name is the row's
        return f"{{{', '.join(f'{key} = {json.dumps(said)}' for key, said in value.items() if key != 'name')}}}"
    return str(value)


def _source(source: str) -> str:
    """A file below the current folder is shown as such."""
    here = f"{os.getcwd()}/"  # noqa: PTH109 - a text prefix
    return source.removeprefix(here)
