"""Refs that keep every commit an agent made: `refs/orchestrator/<slug>/<label>`, made once and never moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.core.value import Value
from orchestrator.git import listing, merge, refs, repository
from orchestrator.git.repository import Repository

BRANCHES = f"{repository.HEADS}orchestrator/"
KEEPING = "refs/orchestrator/"
FORMAT = "%(refname)%00%(objectname)%00%(committerdate:unix)%00%(contents:subject)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Kept(Value):
    """One kept commit. `when` is its committer's time."""

    slug: str
    label: str
    commit: str
    when: float
    subject: str

    @property
    def ref(self) -> str:
        return ref(self.slug, self.label)


def ref(slug: str, label: str) -> str:
    return f"{KEEPING}{slug}/{label}"


def keep(repo: Repository, slug: str, label: str, commit: str) -> str:
    """Keep `commit` for good. The label may come back with a number added, where it names another commit already."""
    return keep_all(repo, slug, {label: commit})[0]


def keep_all(repo: Repository, slug: str, commits: Mapping[str, str]) -> tuple[str, ...]:
    """Keep each of the `commits` under its label, one after the other: a kill leaves the first of them. Returns the labels they
    got. Mostly without a process, and then without git's lock beside each, which would stay after a kill."""
    wanted = {_free(repo, slug, label, commit): commit for label, commit in commits.items()}
    new = {label: commit for label, commit in wanted.items() if refs.read(repo.common, ref(slug, label)) is None}
    rest = {label: commit for label, commit in new.items() if not refs.create(repo.common, ref(slug, label), commit)}
    if rest:
        lines = b"".join(f"create {ref(slug, label)}\0{commit}\0".encode() for label, commit in rest.items())
        repo.git.run("update-ref", "--stdin", "-z", input=lines)
    return tuple(wanted)


def forget(repo: Repository, refs: Mapping[str, str]) -> None:
    """Remove these refs, by their full names, in one transaction that fails as a whole where one of them is not at the commit
    that is told. Their commits stay until git collects them."""
    lines = b"".join(f"delete {ref}\0{commit}\0".encode() for ref, commit in refs.items())
    if lines:
        repo.git.run("update-ref", "--stdin", "-z", input=lines)


def done_with(repo: Repository, base: str) -> Mapping[str, str]:
    """The task branches that are part of the branch `base`, with their commits; none that a checkout is on."""
    if not repository.find_branch(repo, base):
        return {}
    held = {checkout.branch for checkout in listing.checkouts(repo)}
    merged = f"--merged={repository.HEADS}{base}"
    lines = repo.git.text("for-each-ref", merged, "--format=%(refname:lstrip=2)%00%(objectname)", BRANCHES).split("\n")
    pairs = (line.split("\0") for line in lines if "\0" in line)
    return {name: commit for name, commit in pairs if name not in held}


def attempts(repo: Repository, slug: str | None = None) -> tuple[Kept, ...]:
    """Every kept commit of one task, or of all."""
    below = f"{KEEPING}{slug}/" if slug else KEEPING
    lines = repo.git.text("for-each-ref", f"--format={FORMAT}", below).split("\n")
    return tuple(_kept(line) for line in lines if line.count("\0") >= 3)


def slugs(repo: Repository, but: Iterable[str] = ()) -> set[str]:
    """The names of tasks by which branches and refs of ours are called, or below which they lie; leaving out the refs `but`."""
    found = repo.git.text("for-each-ref", "--format=%(refname)", BRANCHES, KEEPING).splitlines()
    return {name.removeprefix(BRANCHES).removeprefix(KEEPING).partition("/")[0] for name in set(found).difference(but)}


def heads(repo: Repository, commits: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Those of the `commits` that neither the `known` ones nor another of them can reach; missing objects are left out."""
    candidates = list(dict.fromkeys(commits))
    if not candidates:
        return ()
    arguments = ("rev-list", "--parents", "--ignore-missing", *candidates, "--not", *dict.fromkeys(known))
    lines = repo.git.run(*arguments).stdout
    rows = [line.split() for line in lines.decode().splitlines()]
    parents = {parent for _, *others in rows for parent in others}
    found = {row[0] for row in rows} - parents
    return tuple(commit for commit in candidates if commit in found)


def began(repo: Repository, commit: str, base: str | None, start: str | None) -> str:
    """Where `commit` left the branch `base`, also once it has landed there. `start`, where its task began, tells it of a branch
    that was moved to the very commit."""
    tip = repository.find_branch(repo, base) if base else None
    before = (_before(repo, tip, commit) if tip else None, start)
    forks = (merge.met(repo, each, commit) for each in before if each)
    return next((fork for fork in forks if fork and fork != commit), f"{commit}^")


def _before(repo: Repository, tip: str, commit: str) -> str:
    """What a branch was before it got `commit`; its tip where it never did. Only the last merge on the branch's own line that
    the commit is part of brought it there."""
    span = f"{commit}..{tip}"
    after = set(repo.git.text("rev-list", "--ancestry-path", span).split())
    landings = [each for each in repo.git.text("rev-list", "--first-parent", span).split() if each in after]
    return f"{landings[-1]}^1" if landings else tip


def _free(repo: Repository, slug: str, label: str, commit: str) -> str:
    name, number = label, 1
    while refs.read(repo.common, ref(slug, name)) not in (None, commit):
        number += 1
        name = f"{label}.{number}"
    return name


def _kept(line: str) -> Kept:
    name, commit, when, subject = line.split("\0", 3)
    slug, _, label = name.removeprefix(KEEPING).partition("/")
    return Kept(slug, label, commit, float(when or 0), subject)
