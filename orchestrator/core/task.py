"""What a task is called, where it may be, and how a claim's token is written into its folder's name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import Misuse

NAME_BYTES = 200
SLUG_LENGTH = 80
TOKEN = re.compile(r"\.([0-9a-f]{6})$")
ODD = re.compile(r"[^A-Za-z0-9._-]")
DOTS = re.compile(r"\.{2,}")
# What the names of our worktrees beside the agent's end with: what a commit is measured in, what it is compared with where both
# are measured in turns, and what takes a landing back.
VERIFY, RIVAL, UNDO = ".verify", ".rival", ".undo"
WORKTREES = ".worktrees"  # their folder in the repository, where the settings name no other


class State(StrEnum):
    """The four folders under tasks/. There is no fifth."""

    PENDING = "pending"
    RUNNING = "running"
    CONVERGED = "converged"
    BLOCKED = "blocked"


class Stage(StrEnum):
    """What the worker of a running task is doing."""

    SETUP = "setup"
    MEASURE = "measure"
    AGENT = "agent"
    VERIFY = "verify"
    LAND = "land"


@dataclass(frozen=True, slots=True)
class Place:
    """A task folder as seen in one scan: its name without the token, and the token of a running one."""

    name: str
    state: State
    folder: str
    token: str | None
    inode: int


def name_problem(name: str) -> str | None:
    """Why `name` can't be a task's name, or None: 1-200 bytes of UTF-8, no control character, no slash, dash or dot first."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if not 1 <= size <= NAME_BYTES:
        return f"it is {size} bytes long; 1 to {NAME_BYTES} are allowed"
    if name in {".", ".."} or "/" in name:
        return "it must be a plain folder name"
    if name.startswith((".", "-")):
        return "it must not begin with a dot or a dash"
    if not name.isprintable() and any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "it contains a control character"
    return None


def check_name(name: str) -> str:
    """`name` itself where it can be a task's name. Raises Misuse with the reason otherwise."""
    if problem := name_problem(name):
        raise Misuse(f"{name!r} can't be a task's name: {problem}.", hint="Choose another name.")
    return name


def split_token(folder: str) -> tuple[str, str | None]:
    """The task's name and the token of a folder below running/: `fix.c7f3a1` -> (`fix`, `c7f3a1`)."""
    match = TOKEN.search(folder)
    return (folder[: match.start()], match.group(1)) if match and match.start() else (folder, None)


def slug(name: str, task_id: str) -> str:
    """A name that git refs, branches and folders accept: `[A-Za-z0-9._-]`, at most 80 characters.

    A name that had to be changed gets six hex digits of the task's id, so that two of them never meet.
    """
    plain = ODD.sub("-", name).strip(".")
    plain = DOTS.sub(".", plain)[:SLUG_LENGTH].rstrip(".") or "task"
    for taken in (".lock", VERIFY, RIVAL, UNDO):  # git's, and our other worktrees'
        if plain.endswith(taken):
            plain = f"{plain[: -len(taken)]}-{taken[1:]}"
    if plain == name:
        return plain
    from hashlib import sha256  # rarely needed: most names are plain

    suffix = sha256(task_id.encode()).hexdigest()[:6]
    return f"{plain[: SLUG_LENGTH - 7].rstrip('.')}-{suffix}"


def mark(root: object, token: str) -> str:
    """What every process below a worker carries in its environment: a dead worker's orphans are found by it, and no others."""
    return f"{token}@{root}"
