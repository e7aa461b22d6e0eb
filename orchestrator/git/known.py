"""What git said once of a repository, for as long as nothing that decides it has changed: asking takes a process per task.

Only the plain case is remembered: a main checkout whose `.git` is a folder and whose configuration neither moves the
checkout nor reads other files. Everything else is asked each time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from orchestrator.git import refs

FILE = "orchestrator/discovered.json"
ELSEWHERE = ("include", "worktree", "bare")  # words of a configuration that say more than the folder shows


def recall(path: Path) -> list[str] | None:
    """The lines that git answered for `path`, None where it has to be asked."""
    key = _key(path)
    text = refs.content(path / ".git" / FILE) if key else None
    try:
        known = json.loads(text) if text else {}
        return list(known["lines"]) if known.get("key") == key else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def remember(path: Path, lines: list[str]) -> str | None:
    """What to keep in FILE of `path`'s git folder, None where this is no plain case."""
    key = _key(path)
    return json.dumps({"key": key, "lines": lines}) if key else None


def _key(path: Path) -> list[object] | None:
    """Changes when anything does that git's answer depends on."""
    git = path / ".git"
    try:
        config = os.stat(git / "config")  # noqa: PTH116
        words = (git / "config").read_text(errors="replace").lower()
        head = os.lstat(git)
    except OSError:
        return None
    if head.st_uid != os.geteuid() or any(word in words.replace("bare = false", "") for word in ELSEWHERE):
        return None
    odd = (git / "commondir", git / "config.worktree")
    if any(os.path.lexists(name) for name in odd) or not path.is_absolute():
        return None
    shallow = os.path.lexists(git / "shallow")
    return [str(path), head.st_ino, config.st_ino, config.st_size, config.st_mtime_ns, shallow, os.geteuid()]
