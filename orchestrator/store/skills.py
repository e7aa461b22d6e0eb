"""Where skills lie: ours ship with the product, a repository has its own."""

from __future__ import annotations

from pathlib import Path

from orchestrator.store import templates

FILE = "SKILL.md"
OWN = (".agents/skills", ".claude/skills")  # where a repository keeps its own, whoever the agent is


def ours() -> dict[str, Path]:
    """The folder of each of ours by its name."""
    return below(templates.path("skills"))


def below(top: Path) -> dict[str, Path]:
    """The skills in the folder `top`."""
    return {path.parent.name: path.parent for path in sorted(top.glob(f"*/{FILE}"))}
