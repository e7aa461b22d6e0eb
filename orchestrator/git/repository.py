"""A repository as a task sees it: where it is, what it can be asked, and what is in the way of working on it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import RepositoryError
from orchestrator.git import known, refs
from orchestrator.git.atomicfile import unwritable, write
from orchestrator.git.command import Git, program

OLDEST = (2, 38)
WILD = re.compile(r"[\\*?\[]")
HEADS = "refs/heads/"
FACTS = (
    "--is-bare-repository", "--is-shallow-repository", "--show-object-format",
    "--absolute-git-dir", "--git-common-dir", "--show-toplevel",
)  # fmt: skip
OPERATIONS = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or `git am`",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_START": "a bisect",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Repository(Value):
    """`top` is the checkout it was found through, with its own `git_dir`; `common` is what all its worktrees share."""

    top: Path
    common: Path
    git_dir: Path
    shallow: bool
    hash_size: int = 20

    @property
    def git(self) -> Git:
        return Git(self.top, self.git_dir)

    @property
    def control(self) -> Path:
        """Our own folder in the repository: locks and reservations."""
        return self.common / "orchestrator"

    @property
    def landing_lock(self) -> Path:
        return self.control / "landing.lock"

    @property
    def integration_lock(self) -> Path:
        return self.control / "integration.lock"

    @property
    def landing_queue(self) -> Path:
        """The folder of those who wait for it (`git.landingqueue`)."""
        return self.control / "landing"

    @property
    def worktree_lock(self) -> Path:
        return self.control / "worktree.lock"


class NotARepository(RepositoryError):
    """There is no git repository there: a task with `land: none` can do without."""


class NoCommitYet(RepositoryError):
    """`repo` is one, before its first commit: nothing can be worked on, but its ignore file is there."""

    def __init__(self, repo: Repository) -> None:
        hint = "Commit what tasks need: git add -A && git commit --allow-empty -m 'Begin'."  # in an empty one they find nothing
        super().__init__(f"{repo.top} has no commit yet.", hint=hint)
        self.repo = repo


def discover(path: Path) -> Repository:
    """The repository that holds `path`. Raises RepositoryError where it is missing, bare, has no commit, or git is too old."""
    if not path.is_dir():
        raise NotARepository(f"The repository {path} does not exist.", hint="Correct `repo`, or make the folder.")
    recalled = known.recall(path)
    lines = recalled or _asked(path)
    repo = _told(lines)
    _make_control(repo)
    if recalled is None and (text := known.remember(path, lines)):
        write(path / ".git" / known.FILE, text)
    _check(repo)
    return repo


def look(path: Path) -> Repository:
    """The same for whoever only tells of it: nothing is written there, and nothing is checked."""
    return _told(known.recall(path) or _asked(path))


def _told(lines: list[str]) -> Repository:
    git_dir, common, top = (Path(line) for line in lines[3:6])
    return Repository(top, common, git_dir, shallow=lines[1] == "true", hash_size=32 if lines[2] == "sha256" else 20)


def _asked(path: Path) -> list[str]:
    """What git says of `path`, line by line. Raises RepositoryError."""
    output = Git(path).run("rev-parse", "--path-format=absolute", *FACTS, ok=())
    lines = os.fsdecode(output.stdout).split("\n")
    if lines[0] == "true":
        hint = "Give a checkout of it as `repo`: work lands in the base branch of a checkout."
        raise RepositoryError(f"{path} is a bare repository.", hint=hint)
    if output.code != 0:
        raise _refused(path, output.stderr)
    if len(lines) != len(FACTS) + 1:
        told = f"There is a line break in the path {str(path)!r}: git's answers can't be read."
        raise RepositoryError(told, hint="Rename that folder.")
    return lines


def version(cache: Path | None = None) -> tuple[int, ...]:
    """The installed git's version. `cache` is a folder that remembers it for as long as the program file is the same."""
    key = _program_key()
    if cache and (known := refs.content(cache / "git-version")) and known.startswith(f"{key} "):
        return tuple(int(part) for part in known.rpartition(" ")[2].split("."))
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", Git(Path("/")).text("version"))
    numbers = tuple(int(part) for part in found.groups(default="0")) if found else (0,)
    if cache and key:
        write(cache / "git-version", f"{key} {'.'.join(map(str, numbers))}\n")
    return numbers


def head(git_dir: Path, common: Path) -> str | None:
    """The commit a checkout is at, None before the first one."""
    if not refs.files(common):
        output = Git(git_dir, git_dir).run("rev-parse", "--verify", "-q", "HEAD", ok=(0, 1, 128))
        return output.stdout.decode().strip() or None
    name = refs.symbolic(f"{git_dir}/HEAD")
    return refs.read(common, name) if name else refs.content(f"{git_dir}/HEAD") or None


def branch(git_dir: Path, common: Path) -> str | None:
    """The branch a checkout is on, None where its HEAD is detached."""
    if not refs.files(common):
        name = os.fsdecode(Git(git_dir, git_dir).run("symbolic-ref", "-q", "HEAD", ok=(0, 1, 128)).stdout).strip()
    else:
        name = refs.symbolic(f"{git_dir}/HEAD") or ""
    return name.removeprefix(HEADS) or None


def base_branch(repo: Repository, wanted: str | None) -> str:
    """The branch that work is measured against and lands in (`rulings` 26). Raises RepositoryError where there is none."""
    if wanted:
        name = wanted.removeprefix(HEADS)
        if refs.read(repo.common, HEADS + name):
            return name
        raise RepositoryError(f"{repo.top} has no branch called {wanted!r}.", hint="Correct `base`; it must be a local branch.")
    remote = refs.target(repo.common, "refs/remotes/origin/HEAD") or ""
    candidates = (remote.removeprefix("refs/remotes/origin/"), "main", "master", branch(repo.git_dir, repo.common))
    for name in filter(None, candidates):
        if refs.read(repo.common, HEADS + name):
            return name
    raise RepositoryError(
        f"{repo.top} is on no branch.", hint="Say which branch to land in: `base: NAME` in the spec, or ORCH_BASE."
    )


def find_branch(repo: Repository, name: str) -> str | None:
    """The commit that a local branch points to, None where there is no such branch."""
    return refs.read(repo.common, HEADS + name)


def tip(repo: Repository, name: str) -> str:
    """The commit that a local branch points to. Raises RepositoryError where it does not exist."""
    if found := find_branch(repo, name):
        return found
    raise RepositoryError(
        f"The branch {name!r} of {repo.top} is gone.",
        hint=f"Make it again (git branch {name} …), or name another as `base` in the spec, and retry.",
    )


def exclude(repo: Repository, lines: list[str] | tuple[str, ...]) -> None:
    """Add `lines` to the repository's own ignore file, which is in no commit. Those already there are left alone, and so is a
    link to where a person keeps it."""
    path = repo.common / "info" / "exclude"
    present = refs.content(path) or ""
    missing = [line for line in lines if line not in present.splitlines()]
    if missing:
        path.parent.mkdir(exist_ok=True)
        write(path.resolve(), "\n".join([*([present] if present else []), *missing, ""]))


def pattern(path: Path) -> str:
    """What means just this path in an ignore file: in `apps/[id]` the brackets are its name."""
    return WILD.sub(r"\\\g<0>", str(path))


def ignored(repo: Repository) -> list[str]:
    """The lines of that file that say something."""
    lines = (refs.content(repo.common / "info" / "exclude") or "").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def tracked(repo: Repository, path: Path) -> bool:
    """Whether git tracks `path` or anything below it in this checkout."""
    return bool(repo.git.run("ls-files", "-z", "--", f":(literal){path}", ok=(0, 128)).stdout)


def config_digest(repo: Repository) -> str:
    """Changes when the repository's configuration or its hooks do: an agent's `git config` writes the user's file."""
    digest = hashlib.sha256()
    worktrees = [admin / "config.worktree" for admin in refs.entries(repo.common / "worktrees")]
    for path in (repo.common / "config", repo.common / "config.worktree", repo.common / "info" / "attributes", *worktrees):
        if (text := refs.content(path)) is not None:  # worktrees come and go
            digest.update(f"{path}\0{text}\0".encode(errors="surrogateescape"))
    for hook in refs.entries(repo.common / "hooks"):
        if hook.suffix != ".sample":  # git's own, which run nothing
            digest.update(f"{hook}\0{hook.lstat().st_mode}\0{_written(hook)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def shallow(repo: Repository) -> str | None:
    """Where the history that is here begins; None where all of it is."""
    return refs.content(repo.common / "shallow")


def _written(hook: Path) -> str | int | None:
    """What a hook says, not when it was written: `pre-commit install` and its like write the same at each set-up."""
    readable = hook.is_file() and os.access(hook, os.R_OK)  # a pipe would never end
    return refs.content(hook) if readable else hook.lstat().st_mtime_ns


def busy(git_dir: Path) -> str | None:
    """What is unfinished in the checkout with this git directory ("a rebase"), or None."""
    names = refs.names(git_dir)
    return next((words for name, words in OPERATIONS.items() if name in names), None)


def _check(repo: Repository) -> None:
    if (found := version(repo.control)) < OLDEST:
        hint = f"Install git {OLDEST[0]}.{OLDEST[1]} or newer: merges need it."
        raise RepositoryError(f"git {'.'.join(map(str, found))} is too old.", hint=hint)
    if head(repo.git_dir, repo.common) is None:
        raise NoCommitYet(repo)


def _make_control(repo: Repository) -> None:
    try:
        repo.control.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(repo.control, error) from error


def _refused(path: Path, stderr: str) -> RepositoryError:
    if "dubious ownership" in stderr:
        told = re.search(r"git config --global --add safe\.directory .*", stderr, re.DOTALL)  # as a shell takes it
        hint = told[0].strip() if told else "See what `git status` says there."
        return RepositoryError(f"git refuses {path}: another user owns it.", hint=hint)
    if "not a git repository" in stderr:
        return NotARepository(
            f"{path} is not a git repository.",
            hint="git init there, or name another as `repo` (`repo: .` in a spec works in the project's folder as it is).",
        )
    if "must be run in a work tree" in stderr:
        return RepositoryError(f"{path} is inside a git directory.", hint="Give the checkout itself as `repo`.")
    return RepositoryError(f"git can't use {path}: {stderr.strip() or 'no message'}", hint="See what `git status` says there.")


def _program_key() -> str | None:
    try:
        found = program(os.environ.get("PATH"))
        facts = os.stat(found)  # noqa: PTH116 - asked for every task
    except OSError:
        return None
    return f"{found}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
