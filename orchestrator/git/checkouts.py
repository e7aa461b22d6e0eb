"""Moving the base branch forward, and every checkout of it along: the one thing done to files of the user's (`rulings` 27).

All or nothing at every instant: whatever would be lost makes the task wait before anything is touched, the branch moves
last and only from where it was expected, and `recover` takes back what a kill left half done.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import GitError
from orchestrator.git import changes, lasting, listing, refs, undo
from orchestrator.git.changes import Change
from orchestrator.git.command import Git
from orchestrator.git.listing import Checkout
from orchestrator.git.repository import HEADS, Repository
from orchestrator.store.failpoints import hit
from orchestrator.store.locks import LockProof

SHOWN = 5
# What git says when it looked and refused, before it wrote anything.
REFUSED = re.compile(
    r"not uptodate|would be (overwritten|removed|lost)|Cannot merge|need to resolve|unmerged|Unable to create '.+\.lock'"
)
UNPLACED = "its own checkout of {} can't be found, since git notes nowhere where it is; run in it: git config core.worktree $PWD"
UNWATCHED = (
    "files would be overwritten whose edits git was told to hide "
    "(git update-index --no-assume-unchanged, or --no-skip-worktree, shows them)"
)
MESSAGE = "orchestrator: land tested work"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Blocker(Value):
    """Why a checkout of the base can't follow it now. `paths` are the files concerned. `broken_off`: git had begun to write."""

    checkout: Path
    reason: str
    paths: tuple[str, ...] = ()
    broken_off: bool = False

    def __str__(self) -> str:
        more = f" and {len(self.paths) - SHOWN} more" if len(self.paths) > SHOWN else ""
        return f"{self.checkout}: {self.reason}{': ' if self.paths else ''}{', '.join(self.paths[:SHOWN])}{more}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Advanced(Value):
    """The base and all its checkouts are at the new commit."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Moved(Value):
    """The base is not where the merge was made any more; nothing was changed."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Blocked(Value):
    """A checkout of the base is in the way; nothing was changed."""

    blockers: tuple[Blocker, ...]


def blockers(repo: Repository, base: str, old: str, new: str) -> tuple[Blocker, ...]:
    """What can be told beforehand: a checkout that isn't where it was, or is in the middle of something, and files that nobody
    tracks where NEW has one."""
    places = listing.holding(repo, base)
    return _astray(repo, base) or (_blockers(places, changes.changed(repo, old, new)) if places else ())


def advance(
    repo: Repository, base: str, old: str, new: str, _: LockProof, *, changed: Sequence[Change] | None = None
) -> Advanced | Moved | Blocked:
    """Move `base` from `old` to `new`, its checkouts first. The caller has written the intent down; the proof is that of
    the repository's landing lock. `changed`: what differs between the two, where the caller has asked git already."""
    if refs.read(repo.common, HEADS + base) != old:
        return Moved()
    places = listing.holding(repo, base)
    if changed is None:
        changed = changes.changed(repo, old, new) if places else ()
    if found := _astray(repo, base) or _blockers(places, changed) or _refusals(places, changed, old, new):
        return Blocked(found)
    for number, place in enumerate(places):
        hit("land.read-tree:before")
        refused = _forward(place, changed, old, new)
        hit("land.read-tree:after")
        if refused:
            if number or refused.broken_off:
                undo.restore(repo, base, old, new)
            return Blocked((refused,))
    return _move(repo, base, old, new, places)


def recover(repo: Repository, base: str, old: str, new: str) -> bool:
    """After a kill in `advance`: whether the base has `new`. If not, every path that was brought forward is taken back, and
    none is touched whose content is neither old nor new. Raises GitError while a lock of a living git is in the way.

    No ref names `new` until the base does: git may have collected it since, or a power cut taken it. Then no base has it, and
    what it had brought to a checkout stays: the next landing finds it there, or names it.
    """
    tip = refs.read(repo.common, HEADS + base)
    if tip != new and repo.git.run("cat-file", "-e", new, ok=(0, 1)).code:
        return False
    if tip and (tip == new or repo.git.run("merge-base", "--is-ancestor", new, tip, ok=(0, 1)).code == 0):
        return True
    undo.restore(repo, base, old, new)
    return False


def _move(repo: Repository, base: str, old: str, new: str, places: Sequence[Checkout]) -> Advanced | Moved | Blocked:
    """Compare and swap; run in a checkout of the base, so that its own history shows the step too."""
    git = places[0].git if places else repo.git
    hit("land.update-ref:before")
    try:
        git.run("update-ref", "-m", MESSAGE, HEADS + base, new, old)
    except GitError as error:
        if (now := refs.read(repo.common, HEADS + base)) == new:
            return Advanced()
        undo.restore(repo, base, old, new)
        reason = f"{base} can't be moved ({error.stderr.strip()})"
        return Moved() if now != old else Blocked((Blocker(git.cwd, reason),))
    hit("land.update-ref:after")
    lasting.settle(repo, HEADS + base)
    _follow(repo, base, old, new, places)
    return Advanced()


def _follow(repo: Repository, base: str, old: str, new: str, places: Sequence[Checkout]) -> None:
    """A person may have switched branches meanwhile: a checkout that has come to the base holds OLD, and one that has left it
    holds what NEW brought. Either would be in the next commit there; what somebody edits there stays as it is."""
    now = {place.git_dir: place for place in listing.holding(repo, base)}
    before = {place.git_dir: place for place in places}
    for place in (now[each] for each in now.keys() - before.keys()):
        _bring(repo, place, old, new)
    for place in (before[each] for each in before.keys() - now.keys()):
        if place.path.is_dir() and place.git.run("merge-base", "--is-ancestor", new, "HEAD", ok=()).code == 1:
            _bring(repo, place, new, old)


def _bring(repo: Repository, place: Checkout, old: str, new: str) -> None:
    """Take one checkout along where nothing is in the way."""
    changed = changes.changed(repo, old, new)
    if not _blockers((place,), changed):
        _forward(place, changed, old, new)


def _forward(place: Checkout, changed: Sequence[Change], old: str, new: str, *, dry: bool = False) -> Blocker | None:
    """Take one checkout from `old` to `new`, or say why not. Git looks at everything before it writes anything; a second
    try follows a refresh, for files that were touched but hold what they held."""
    command = ("read-tree", *(("-n",) if dry else ()), "-m", "-u", old, new)
    output = place.git.run(*command, ok=(0, 128))
    if output.code == 0:
        return None
    if not REFUSED.search(output.stderr):
        return Blocker(place.path, output.stderr.strip().removeprefix("error: "), broken_off=not dry)
    place.git.run("update-index", "-q", "--refresh", ok=(0, 1, 128))
    output = place.git.run(*command, ok=(0, 128))
    return None if output.code == 0 else _refusal(place, changed, old, output.stderr)


def _refusals(places: Sequence[Checkout], changed: Sequence[Change], old: str, new: str) -> tuple[Blocker, ...]:
    """A dry run where there are several: none may be changed if one of them can't be."""
    found = [_forward(place, changed, old, new, dry=True) for place in places] if len(places) > 1 else []
    return tuple(filter(None, found))


def _refusal(place: Checkout, changed: Sequence[Change], old: str, stderr: str) -> Blocker:
    if lock := re.search(r"Unable to create '(.+)': File exists", stderr):
        return Blocker(place.path, "another git is at work there, or one was killed", (lock[1],))
    ours = {change.path for change in changed}
    if dirty := [path for path in place.git.split("diff-index", "-z", "--name-only", old) if path in ours]:
        return Blocker(place.path, "uncommitted changes would be overwritten", tuple(dirty))
    if hidden := [path for path in _unwatched(place) if path in ours]:
        return Blocker(place.path, UNWATCHED, tuple(hidden))
    return Blocker(place.path, stderr.strip().removeprefix("error: "))


def _unwatched(place: Checkout) -> Iterator[str]:
    """The files there whose edits git was told not to show: no status names what keeps the landing waiting."""
    flagged = (row[2:] for row in place.git.split("ls-files", "-v", "-z") if row[0] in "hsS")
    return (path for path in flagged if os.path.lexists(place.path / path))


def _astray(repo: Repository, base: str) -> tuple[Blocker, ...]:
    """Left behind, the next commit in one of these would take the landing back."""
    reason = "this checkout of {} isn't there; if it was moved: git worktree repair NEW-PLACE, if deleted: git worktree prune"
    found = tuple(Blocker(place.path, reason.format(base)) for place in listing.astray(repo, base))
    return (*found, Blocker(repo.common, UNPLACED.format(base))) if listing.unplaced(repo, base) else found


def _blockers(places: Iterable[Checkout], changed: Sequence[Change]) -> tuple[Blocker, ...]:
    added = [change for change in changed if change.old_mode == changes.ABSENT or _ends_submodule(change)]
    found = []
    for place in places:
        if place.busy:
            found.append(Blocker(place.path, f"{place.busy} is in progress; finish or abort it"))
        elif paths := _untracked(place.git, added):
            found.append(Blocker(place.path, "files that git doesn't track there would be overwritten", paths))
    return tuple(found)


def _ends_submodule(change: Change) -> bool:
    """Whether a file or link takes a submodule's place: git removes its whole checkout for that, with all edits in there. One
    that is only taken out stays on the disk."""
    return change.old_mode == changes.SUBMODULE and change.mode not in (changes.SUBMODULE, changes.ABSENT)


def _untracked(git: Git, added: Iterable[Change]) -> tuple[str, ...]:
    """What exists on disk where `added` paths will go, and isn't in the index: git overwrites ignored files without a word. Not
    a submodule that was left there when it was taken out: git writes nothing into it."""
    paths = (each.path for each in added if each.mode != changes.SUBMODULE or not (git.cwd / each.path / ".git").exists())
    present = list(dict.fromkeys(path for name in paths for path in _in_the_way(git.cwd, name)))
    if not present:
        return ()
    tracked = set(git.split("ls-files", "-z"))
    return tuple(path for path in present if path not in tracked)


def _in_the_way(top: Path, name: str) -> Iterator[str]:
    """The files at `name`, below it, or in place of one of the folders above it."""
    parts = name.split("/")
    for length in range(1, len(parts)):
        above = "/".join(parts[:length])
        if os.path.islink(top / above) or not (top / above).is_dir():  # noqa: PTH114
            if os.path.lexists(top / above):
                yield above
            return
    path = top / name
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            links = (each for each in folders if Path(folder, each).is_symlink())
            yield from (str(Path(folder, file).relative_to(top)) for file in (*files, *links))
    elif os.path.lexists(path):
        yield name
