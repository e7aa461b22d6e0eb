"""The texts that ship with the product: inside the package when it is installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import OrchestratorError

PACKAGE = Path(__file__).resolve().parent.parent


def read(name: str) -> str:
    """The template called `name`. Raises OrchestratorError where the installation has lost it."""
    return path(name).read_text(encoding="utf-8")


def path(name: str) -> Path:
    """Where the file or folder called `name` lies. Raises OrchestratorError where the installation has lost it."""
    for folder in (PACKAGE / "templates", PACKAGE.parent / "templates"):
        if (folder / name).exists():
            return folder / name
    raise OrchestratorError(f"The template {name} is missing from this installation.", hint="Install the orchestrator again.")
