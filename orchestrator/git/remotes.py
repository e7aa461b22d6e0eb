"""The repository's remote: where it is, what a branch is there, one branch pushed to it, and a base brought from it. No branch of
the repository is ever moved by what is there."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote

from orchestrator.core.value import Value
from orchestrator.git.repository import HEADS, Repository

TIMEOUT = 120.0  # a push that takes longer is tried again later
ORIGIN = "origin"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Remote(Value):
    """`address` is where git pushes to, after `insteadOf` and `pushurl`."""

    name: str
    address: str


def of(repo: Repository, base: str) -> Remote | None:
    """The remote that the base branch comes from, else `origin`, else the only one. None where there is none to choose."""
    names = repo.git.text("remote").splitlines()
    if not names:
        return None
    wanted = repo.git.run("config", "--get", f"branch.{base}.remote", ok=(0, 1)).stdout.decode(errors="replace").strip()
    chosen = next((name for name in (wanted, ORIGIN) if name in names), names[0] if len(names) == 1 else None)
    return Remote(chosen, repo.git.text("remote", "get-url", "--push", chosen).splitlines()[0]) if chosen else None


def missing(repo: Repository, base: str) -> tuple[str, str]:
    """Why `of` found none, in words, and the command that helps."""
    if names := repo.git.text("remote").splitlines():
        said = f"several remotes ({', '.join(names)}), and nothing says which one {base} belongs to"
        return said, f"git config branch.{quote(base)}.remote NAME"
    return "no remote to push to", f"git remote add {ORIGIN} ADDRESS"


def tip(repo: Repository, remote: Remote, branch: str) -> str | None:
    """The commit that `branch` is at there, None where it isn't. Raises GitError where the remote can't be reached."""
    done = repo.git.run("ls-remote", remote.address, HEADS + branch, timeout=TIMEOUT)
    return done.stdout.decode().partition("\t")[0] or None


def fetched(repo: Repository, remote: Remote, base: str) -> str | None:
    """The commit that `base` is at there, which is here afterwards; None where it isn't there. Raises GitError where the remote
    can't be reached."""
    done = repo.git.run("ls-remote", remote.name, HEADS + base, timeout=TIMEOUT)
    there = done.stdout.decode().partition("\t")[0]
    if there and repo.git.run("cat-file", "-e", f"{there}^{{commit}}", ok=()).code:
        alone = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--recurse-submodules=no")
        repo.git.run("fetch", "--quiet", *alone, remote.name, HEADS + base, timeout=TIMEOUT)
    return there or None


def push(repo: Repository, remote: Remote, branch: str, commit: str, expected: str | None) -> None:
    """Let `branch` be at `commit` there, if it is at `expected` now (None: not there). Raises GitError otherwise.

    One step for everybody else: a kill leaves it there or not, and `tip` tells which."""
    _send_large(repo, remote, branch, commit, expected)
    lease = f"--force-with-lease={HEADS}{branch}:{expected or ''}"
    where = (remote.address, f"{commit}:{HEADS}{branch}")
    alone = ("--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no")  # whatever the configuration says
    repo.git.run("push", "--quiet", *alone, lease, *where, timeout=TIMEOUT)


def _send_large(repo: Repository, remote: Remote, branch: str, commit: str, expected: str | None) -> None:
    """The contents that git-lfs keeps beside git go first. It sends them in a hook, and a git of ours runs none; without them
    nobody could check that commit out."""
    asked = ("grep", "-q", "-F", "-e", "filter=lfs", commit, "--", ":(top,glob)**/.gitattributes")
    if repo.git.run(*asked, ok=(0, 1)).code or not repo.git.run("config", "filter.lfs.clean", ok=(0, 1)).stdout:
        return
    told = f"{HEADS}{branch} {commit} {HEADS}{branch} {expected or '0' * 2 * repo.hash_size}\n"
    repo.git.run("lfs", "pre-push", remote.name, remote.address, input=told.encode(), timeout=TIMEOUT)
