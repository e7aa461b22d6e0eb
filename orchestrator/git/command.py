"""The one way git is called: nothing inherited, nothing asked, no hook run, no editor opened."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.value import Value
from orchestrator.errors import DENIED, GitError, RepositoryError
from orchestrator.git import stale
from orchestrator.proc.capture import Captured, capture
from orchestrator.proc.spawn import locate
from orchestrator.store import clearing
from orchestrator.store.failpoints import hit

TIMEOUT = 900.0

# What the caller may have set for good reasons. All else called GIT_* is dropped: a hook exports GIT_DIR and
# GIT_INDEX_FILE, which would turn every call of ours against the repository that the hook runs in.
KEPT = frozenset(
    {
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_CEILING_DIRECTORIES",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_EXEC_PATH",
    }
)
KEPT_BEGINNINGS = ("GIT_SSL_", "GIT_SSH", "GIT_TRACE")

QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # what is measured is what lands, not what an agent's `git replace` shows here instead
    "LC_ALL": "C",
}

OPTIONS = tuple(
    part
    for option in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.safecrlf=false",
        "core.preferSymlinkRefs=false",
        "core.ignoreStat=false",  # these three by a `git config` of an agent's would keep edits of its own from git's eyes
        "core.trustctime=true",
        "core.checkStat=default",
        "core.fsync=committed,reference",  # a record that survives a power cut names them
        "commit.gpgSign=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "submodule.recurse=false",
        "branch.autoSetupMerge=false",
        "checkout.workers=4",
        "worktree.useRelativePaths=false",
        "i18n.commitEncoding=UTF-8",  # as our messages are
        "i18n.logOutputEncoding=UTF-8",
        "log.showSignature=false",  # of each commit, amid what we asked for
        "diff.orderFile=/dev/null",  # a person's may lie in their checkout: where a worktree has none, git ends at once
    )
    for part in ("-c", option)
)

IN_THE_WAY = re.compile(rb"Unable to create '(.+\.lock)': File exists|failed to read (.+/commondir): Success")

# What changes a repository or a checkout, and not just adds objects that nothing names: a crash test may kill around each.
CHANGING = frozenset(
    {
        *("add", "checkout", "checkout-index", "clean", "commit", "push"),
        *("read-tree", "reset", "update-index", "update-ref", "worktree"),
    }
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Output(Value):
    """What a git command ended with and printed."""

    code: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Git(Value):
    """Git, run at `cwd`. With `git_dir` it asks no `.git` file where the repository is: in a worktree whose `.git` an agent
    deleted, git would climb up to the user's own checkout. `author` holds the GIT_AUTHOR_* and GIT_COMMITTER_* to commit by."""

    cwd: Path
    git_dir: Path | None = None
    author: Mapping[str, str] | None = None

    def run(
        self,
        *args: str,
        input: bytes | None = None,  # noqa: A002 - subprocess calls it so
        ok: tuple[int, ...] = (0,),
        env: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Output:
        """Run `git ARGS`. Raises GitError where it ends with a code that is not in `ok`; an empty `ok` takes every code. One that
        was killed, took too long, or could not be started for want of processes or memory, has told nothing: that is always an
        error, and another try may go better. Raises RepositoryError where there is no git to be run."""
        changing = next((arg for arg in args[:3] if arg in CHANGING), None)
        if changing:
            hit(f"git.{changing}:before")
        argv, environ = (*OPTIONS, *self._case(), *args), self._environment(env)
        ended = _capture(argv, cwd=self.cwd, env=environ, input=input, timeout=timeout)
        if (lock := _lock_in_the_way(self.cwd, ended)) and stale.clear(lock):
            ended = _capture(argv, cwd=self.cwd, env=environ, input=input, timeout=timeout)
        if changing:
            hit(f"git.{changing}:after")
        if ended.end is ProcessEnd.NOT_STARTED and not ended.shortage:
            missing = locate("git", None, None) is None
            hint = "Install git 2.38 or newer." if missing else "See what `git version` says there."
            raise RepositoryError(f"git can't be run: {ended.detail}", hint=hint)
        if ended.code in ok or (not ok and ended.end is ProcessEnd.EXITED):
            return Output(ended.code, ended.stdout, os.fsdecode(ended.stderr))
        if lock := _lock_in_the_way(self.cwd, ended):
            raise Locked(lock, args, ended.code)
        raise GitError(args, ended.code, os.fsdecode(ended.stderr) or ended.detail)

    def reach(self, *args: str, **how: Any) -> Output:
        """The same in a worktree of ours, where an agent or a benchmark may have closed folders. Git only warns that it can't see
        what lies in there, though it may be work, and removes nothing: they are opened, and it tries again."""
        try:
            done = self.run(*args, **how)
        except GitError as error:
            if not error.denied or not clearing.let_in_all(self.cwd):
                raise
            return self.run(*args, **how)
        return self.run(*args, **how) if DENIED in done.stderr and clearing.let_in_all(self.cwd) else done

    def text(self, *args: str) -> str:
        """What the command printed, as one stripped string."""
        return os.fsdecode(self.run(*args).stdout).strip()

    def split(self, *args: str) -> list[str]:
        """The NUL-separated items that the command printed."""
        return split(self.run(*args).stdout)

    def _case(self) -> tuple[str, ...]:
        """Git's own probe, made anew: a checkout copied here from a system where `README` and `readme` are one file says so for
        good, and of two such files git would see one, commit neither's rename, and say that all is committed."""
        return () if os.path.lexists(f"{self.cwd}/.GIT") else ("-c", "core.ignoreCase=false")

    def _environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        place = {"GIT_DIR": str(self.git_dir), "GIT_WORK_TREE": str(self.cwd)} if self.git_dir else {}
        return {**clean(os.environ), **place, **(self.author or {}), **(extra or {})}


class Locked(GitError):
    """A lock file is in the way: another git is at work, or one was killed just now. Worth another try later."""

    def __init__(self, lock: Path, argv: tuple[str, ...] = (), code: int = 128) -> None:
        super().__init__(argv, code, f"{lock} is in the way: another git is at work, or was killed.")
        self.lock = lock
        self.message = self.stderr
        self.hint = "Wait until that git has ended; if none runs, remove the file."
        self.args = (self.message,)


def _capture(
    args: tuple[str, ...],
    *,
    cwd: Path,
    env: Mapping[str, str],
    input: bytes | None,  # noqa: A002 - subprocess calls it so
    timeout: float,
) -> Captured:
    """Run git; where it has gone from where it was, the one that is there by now."""
    known = program(os.environ.get("PATH"))
    ended = capture((known, *args), cwd=cwd, env=env, input=input, timeout=timeout)
    if ended.end is ProcessEnd.NOT_STARTED and not os.access(known, os.X_OK):
        program.cache_clear()
        ended = capture((program(os.environ.get("PATH")), *args), cwd=cwd, env=env, input=input, timeout=timeout)
    return ended


@functools.lru_cache(maxsize=1)
def program(_: str | None) -> str:
    """Where git is, on this PATH: looked up once, since a hundred tries in places where it is not cost as much as a git."""
    found = locate("git", None, None)
    return str(found) if found and found.is_absolute() else "git"


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` as every git of ours gets it."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_") or _keep(name)}
    kept.pop("LANGUAGE", None)
    return kept | QUIET


def split(data: bytes) -> list[str]:
    """NUL-separated names, odd bytes kept."""
    return [os.fsdecode(item) for item in data.split(b"\0") if item]


def join(names: list[str] | tuple[str, ...]) -> bytes:
    """Names as git reads them with `-z`."""
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _lock_in_the_way(cwd: Path, ended: Captured) -> Path | None:
    """The lock file that git says it can't make; an index's belongs to whoever works in that checkout. An empty `commondir`
    is like one: a `git worktree add` is about to write it, or was killed then, and most commands fail in the whole repository."""
    if ended.code in (0, 1):
        return None
    found = IN_THE_WAY.search(ended.stderr)
    lock = cwd / os.fsdecode(found[1] or found[2]) if found else None
    return lock if lock and lock.name != "index.lock" else None


def _keep(name: str) -> bool:
    return name in KEPT or name.startswith(KEPT_BEGINNINGS)
