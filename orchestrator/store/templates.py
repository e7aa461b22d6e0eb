"""The texts that ship with the product: inside the package when it is installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import OrchestratorError

PACKAGE = Path(__file__).resolve().parent.parent


def read(name: str) -> str:
    """The template called `name`. Raises OrchestratorError where the installation has lost it."""
    for folder in (PACKAGE / "templates", PACKAGE.parent / "templates"):
        try:
            return (folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
    raise OrchestratorError(f"The template {name} is missing from this installation.", hint="Install the orchestrator again.")
