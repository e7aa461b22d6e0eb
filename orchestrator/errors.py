"""Every error a person is meant to read.

One base class, one sentence for what happened, one `hint` for what to do next. Whatever is not an
`OrchestratorError` is a fault of ours: the command line turns it into exit code 3 and a log file.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

# What a command ends with; an error has its own `exit_code`. INTERRUPTED: somebody ended it by Ctrl-C or a signal.
DONE, STUCK, LATER, INTERRUPTED = 0, 1, 75, 130

DENIED = "Permission denied"  # as git says it, which we have speak English

# What the machine lacks: no fault of ours or of what was asked, it passes by itself or with some room. What to do about each.
LACKING = {
    errno.ENOSPC: "The disk is full: free some space, or files where it has no inodes left (`df -i`); nothing was lost.",
    errno.EDQUOT: "Your disk quota is used up: free some space; nothing was lost.",
    errno.EROFS: "The file system is mounted read-only: mount it writable.",
    errno.EIO: "The disk reports an error; look at the system's log.",
    errno.EMFILE: "Too many open files: raise the limit (ulimit -n).",
    errno.ENFILE: "Too many open files on this machine.",
    errno.ENOMEM: "There is no memory left.",
}


class OrchestratorError(Exception):
    """Something a person can act on. `exit_code` is what the process ends with."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def told(self) -> str:
        """Both sentences on one line."""
        return f"{self.message} {self.hint}".strip()


class Misuse(OrchestratorError):
    """The command line, a setting or a name was not understood."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: `line` and `column` count from 1, 0 where unknown."""

    path: Path
    line: int
    column: int
    found: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}" if self.line else str(self.path)
        return f"{where}: found {self.found}, expected {self.expected}"


class SpecError(OrchestratorError):
    """A task's spec can't be used as it stands; `problems` names each reason with its place."""

    def __init__(self, problems: tuple[Problem, ...], *, hint: str = "Fix the file; it is read again at once.") -> None:
        super().__init__("; ".join(str(problem) for problem in problems), hint=hint)
        self.problems = problems


class NoSuchTask(OrchestratorError):
    """No task of that name, or more than one that the given prefix could mean."""


class ClaimLost(OrchestratorError):
    """The folder of this claim is gone: someone else holds the task now. Write nothing more into it."""


class StoreError(OrchestratorError):
    """The tasks folder can't be read or written: permissions, a full disk, a rename the file system refuses."""


class RepositoryError(OrchestratorError):
    """The repository of a task can't be worked on: missing, bare, no commit, in the middle of something."""


class GitError(OrchestratorError):
    """A git command failed. `argv`, `code` and `stderr` tell which and why."""

    def __init__(self, argv: tuple[str, ...], code: int, stderr: str) -> None:
        super().__init__(f"git {' '.join(argv)} ended with {code}: {stderr.strip() or 'no message'}")
        self.argv = argv
        self.code = code
        self.stderr = stderr

    @property
    def denied(self) -> bool:
        """Whether this user was refused a file or a folder."""
        return DENIED in self.stderr


class AgentError(OrchestratorError):
    """An agent that doesn't exist or can't be started here."""
