"""The files of a repository that hold settings of the queue, and what of them is ours.

Settings decide on work as a spec does: which gates it passes, how often its number is measured, what runs before an agent. A task
that could land other ones would decide on the tasks after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.store.layers import DOTENV, PROJECT_FILE, PYPROJECT, upward

OURS = re.compile(r"\s*(export\s+)?ORCH_")


def looked_at(top: Path, root: Path) -> Iterator[str]:
    """Where settings are looked for in the repository `top`, by a loop started beside the queue `root` or at the top."""
    folders = upward(root.parent) if root.is_relative_to(top) else ()
    for folder in dict.fromkeys((*folders, top)):
        if folder.is_relative_to(top):
            yield from (str((folder / name).relative_to(top)) for name in (PROJECT_FILE, DOTENV, PYPROJECT))


def said(path: str, text: str) -> object:
    """What the file says to us: the same before and after a change that is none of ours."""
    name = Path(path).name
    if name == DOTENV:
        return [line.strip() for line in text.splitlines() if OURS.match(line)]
    return _table(text) if name == PYPROJECT else text


def _table(text: str) -> object:
    if "orchestrator" not in text:
        return None
    import tomllib

    try:
        tool = tomllib.loads(text).get("tool", {})
    except (ValueError, RecursionError):
        return text
    return tool.get("orchestrator") if isinstance(tool, dict) else text
