"""What an agent must not touch, looked at before and after it ran: the evaluator, the base, the scope, the configuration."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import Stage
from orchestrator.core.value import Value
from orchestrator.errors import SpecError
from orchestrator.git import changes, files, filling, repository, save
from orchestrator.git.changes import Change
from orchestrator.git.filling import Rules
from orchestrator.git.repository import Repository
from orchestrator.store import seal, specfile
from orchestrator.store.seal import SealedFile
from orchestrator.worker import meddling, scope, scripts, shellwords
from orchestrator.worker.gates import asked
from orchestrator.worker.work import Leaving, Work, blocked

MEASURED = "changed while the task's work was measured"
REFILLED = "how git fills a checkout {} ({}): what is measured need not be what is committed"
SHORTENED = (
    "the repository's history was cut off while the agent ran (`git fetch --depth`, say): git shows no older commits, and throws "
    "them away in time; `git fetch --unshallow` brings them back"
)
UNFINISHED = "a merge's conflict markers were left in {}: all that was uncommitted is in commit {} and in nothing that counts"
UNFINISHED_REBASE = "a rebase was left unfinished: what counts is the work from before it; what it had come to is in commit {}"
STASHED = (
    "what the agent left in `git stash` counts for nothing; it is in commit {}, and in the repository's own stash, where a "
    "person's `git stash pop` would find it"
)
BESIDE = (
    "nothing changed on the task's branch: commit {}, made on another branch or in a worktree of the agent's own, or taken back, "
    "counts for nothing"
)
HIDDEN = "git was told by .git/info/exclude to ignore {}: that is in no commit, so it neither counts nor lands"
RECONFIGURED = "the repository's git configuration or hooks"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Left(Value):
    """What an agent left behind: the commit that holds all of it, and a finding where it did what it must not; a `final` one
    needs a person. Without a finding `detail` tells what of it is not in the commit."""

    start: str
    commit: str
    finding: Result | None = None
    detail: str = ""
    patch: bytes = b""
    changes: tuple[Change, ...] = ()
    final: bool = False

    @property
    def changed(self) -> bool:
        return self.commit != self.start


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Watch(Value):
    """How things were before the agent started. `evaluator` is the task folder's files on disk."""

    start: str
    base: str
    config: str
    evaluator: Mapping[str, bytes]
    saved: save.Before | None = None
    rules: Rules = field(default_factory=Rules)
    shallow: str | None = None  # what is cut off there was so before, and is elsewhere


def watch(work: Work, repo: Repository, start: str, saved: save.Before) -> Watch:
    """Look before the agent starts."""
    assert work.record.base is not None
    base, config = repository.tip(repo, work.record.base), repository.config_digest(repo)
    return Watch(start, base, config, evaluator_files(work), saved, filling.rules(repo), repository.shallow(repo))


def judge(work: Work, repo: Repository, before: Watch, collected: save.Collected) -> Left:
    """Look again. A finding refuses the attempt; a changed configuration is reported."""
    assert work.record.base is not None
    tip = collected.tip
    if repository.config_digest(repo) != before.config:
        suspect(work, f"{RECONFIGURED} changed while the agent ran")
    if repository.shallow(repo) and not before.shallow:
        suspect(work, SHORTENED)
    if refilled := _refilled(work, before):
        return Left(before.start, tip, Result.TAMPERED, refilled, final=True)
    if moved := meddling.taken(repo, work.record.base, before.base, collected.seen - {before.start}, "while the agent ran"):
        return Left(before.start, tip, Result.TAMPERED, moved, final=True)
    edited = _edited(work, before)
    if edited:
        mistrust(work, edited)
    if problem := _copy_edited(work) or edited:
        return Left(before.start, tip, Result.TAMPERED, problem)
    review = changes.review(repo, before.start, tip) if tip != before.start else changes.Review((), b"")
    if refused := scope.strays(work, repo, review.changes, tip):
        scope.ask(work, refused)
        return Left(before.start, tip, Result.SCOPE_VIOLATION, scope.named(refused), review.patch)
    return Left(before.start, tip, detail=_put_aside(work, before.start, collected), patch=review.patch, changes=review.changes)


def _put_aside(work: Work, start: str, collected: save.Collected) -> str:
    """What an agent left of a merge or a rebase that it did not finish, or in the stash, or had git ignore, neither counts nor
    lands, and all that it did may be somewhere else: the next one has to know."""
    made, found = collected.made, []
    if made.aside:
        found.append(UNFINISHED.format(", ".join(made.unresolved[: scope.SHOWN]), made.aside[:10]))
    elif collected.rebased:
        found.append(UNFINISHED_REBASE.format(collected.rebased[:10]))
    elif collected.beside and collected.tip == start:
        found.append(BESIDE.format(", ".join(commit[:10] for commit in collected.beside[: scope.SHOWN])))
    if collected.stashed:
        found.append(STASHED.format(", ".join(commit[:10] for commit in collected.stashed[: scope.SHOWN])))
    if collected.hidden:
        found.append(HIDDEN.format(", ".join(collected.hidden[: scope.SHOWN])))
    if told := "; ".join(found):
        work.event("notice", detail=told)
    return told


def suspect(work: Work, detail: str) -> None:
    """Something that a person should look at, in the report and in the story. Nothing is refused for it."""
    work.doubts = (*work.doubts, detail)
    work.event("finding", detail=detail)


def leaked(work: Work, patch: bytes) -> None:
    """Tell of secrets in what the attempt adds. Whether they may be there is a person's to say, so nothing is refused for it."""
    added = b"\n".join(line for line in patch.split(b"\n") if line.startswith(b"+"))
    if names := work.mask.named(added):
        suspect(work, f"possible secret in the change: the value of {', '.join(names)} (masked in diff.patch, not in the commit)")


def strayed(work: Work, repo: Repository, collected: save.Collected) -> None:
    """Tell of a base that is at a commit made in the task's worktree: an agent that nobody judges may have moved it there."""
    base = work.record.base
    if base and repository.find_branch(repo, base) in collected.seen:
        work.event("finding", detail=f"{base} is at a commit that was made in the task's worktree and was not landed from there")


def tampered(work: Work, before: Watch) -> str | None:
    """Whether the evaluator was changed, in the task folder or in the copy the agent was given, or what it is run in will be."""
    return _copy_edited(work) or _edited(work, before) or _refilled(work, before)


def _refilled(work: Work, before: Watch) -> str | None:
    told = filling.changed(work.repo, before.rules, filling.rules(work.repo)) if work.repo else ""
    return REFILLED.format("changed while the agent ran", told) if told else None


def _copy_edited(work: Work) -> str | None:
    copy = agent_copy(work)
    for name in (work.evaluator.path, work.evaluator.checks):
        sealed = work.sealed.get(name) if name else None
        if name and sealed and sealed.data is not None and _rewritten(copy / name, sealed.data):
            return f"the agent changed {name} in its copy of the task folder"
    return None


def _edited(work: Work, before: Watch) -> str | None:
    now = evaluator_files(work)
    if changed := [path for path, content in before.evaluator.items() if now.get(path) != content]:
        named = ", ".join(changed[: scope.SHOWN])
        return f"{named} in the task folder changed while the agent ran; an edit of yours counts from the next claim"
    return None


@contextmanager
def guarded(work: Work) -> Iterator[None]:
    """While work is measured: what an agent made runs there, and may edit the task's folder as the agent itself might have, or
    what is the user's. Raises Leaving where it moved the base, or made checkouts another thing than their commits: no further
    step may take that for anybody's work."""
    if not _worked_on(work):
        yield
        return
    folder, spec, base = work.claim.folder, _spec_key(work), meddling.base_now(work)
    rules = filling.rules(work.repo) if work.repo else filling.Rules()
    before = seal.prints(folder)
    try:
        yield
    finally:
        if _spec_key(work) != spec:
            note_edit(work, MEASURED)
        now = seal.prints(folder)
        if now and (changed := sorted(path for path in {*before, *now} if before.get(path) != now.get(path))):
            mistrust(work, f"{', '.join(changed[: scope.SHOWN])} in the task folder {MEASURED}")
        found = filling.rules(work.repo) if work.repo else rules
        if found.own != rules.own:  # not what wrote it: `husky` sets the same anew
            suspect(work, f"{RECONFIGURED} {MEASURED}")
    if moved := meddling.taken_meanwhile(work, base):
        raise Leaving(blocked(Reason.TAMPERED, moved))
    if work.repo and (told := filling.changed(work.repo, rules, found)):
        raise Leaving(blocked(Reason.TAMPERED, REFILLED.format(MEASURED, told)))


def _worked_on(work: Work) -> bool:
    """Whether more may be measured than the base, as people made it: attempts, or what is left of one that was cut short."""
    return bool(work.number or work.record.attempts) or work.measured not in ("", work.record.base_commit)


def _spec_key(work: Work) -> tuple[int, ...] | None:
    path = specfile.path_of(work.claim.folder)
    return specfile.key_of(path) if path else None


def mistrust(work: Work, detail: str) -> None:
    """What is sealed at the next claim counts only after a person has queued the task again."""
    known = work.record.doubt or ""
    work.save(doubt=known if detail in known else f"{known}; {detail}".removeprefix("; "))
    work.event("finding", detail=f"{detail}; it counts once a person has confirmed it")


def note_edit(work: Work, how: str = "changed while an agent ran") -> None:
    """What decides on the task may be edited at any time, and counts from the next claim. An edit made while an agent ran may
    have been the agent's: it is written down, and counts only after a person has queued the task again."""
    path = specfile.path_of(work.claim.folder)
    if path is None or specfile.key_of(path) == work.spec_key:
        return
    try:
        now = seal.judging(specfile.read(work.claim.folder))
    except SpecError:
        return  # nobody can claim it like that; what it is mended to differs from what was there before
    sealed = seal.judging(work.spec)
    fine = (sealed, work.asked or sealed)
    if changed := sorted(key for key in {*now, *sealed} if all(now.get(key) != before.get(key) for before in fine)):
        mistrust(work, f"{', '.join(changed)} in the spec {how}")


def unexplained(work: Work) -> str | None:
    """Why an evaluator that is not the one sealed before can't be trusted: an agent was caught at one since the task was
    queued, or a dead worker could not look. A person who queues the task again has looked."""
    record, lease = work.record, work.claim.lease
    if record.seal in (None, work.sealed.digest):
        return None
    work.event("resealed", detail="the evaluator differs from the one that was sealed before", before=record.seal)
    if record.doubt:
        confirm = f"`orchestrator retry {quote(work.name)}`"
        return f"{record.doubt}; if that was you, {confirm} confirms it; if it wasn't, put it right before"
    caught = any(attempt.result is Result.TAMPERED for attempt in record.history[len(record.history) - record.tried :])
    if caught or (lease and lease.previous and work.cut == Stage.AGENT):
        return "the evaluator differs from the one sealed before, and an agent may have changed it; look at it, then retry"
    return None


def evaluator_files(work: Work) -> Mapping[str, bytes]:
    """The task folder's files as they are now, but for the spec (people edit it while a task runs) and its session logs."""
    files = seal.seal(work.claim.folder).files
    return {file.path: file.data for file in files if file.data is not None and file.path not in seal.SPECS | seal.LOGS}


def agent_copy(work: Work) -> Path:
    """Where the agent's copy of the task folder lies."""
    return work.scratch / "task"


def _rewritten(path: Path, data: bytes) -> bool:
    """Whether `path` holds anything but `data` by now, be it a pipe or without an end; where nothing is left nothing was."""
    try:
        with open(path, "rb", opener=specfile.careful) as file:  # Path.open takes no opener
            return not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or file.read(len(data) + 1) != data
    except OSError:
        return path.is_symlink()


def hide_queue(repo: Repository, root: Path, worktrees: Path) -> None:
    """Keep the queue and the worktrees out of the repository's commits, in its own ignore file (never in a tracked one)."""
    lines = []
    if worktrees.is_relative_to(repo.top):
        lines.append(f"/{repository.pattern(worktrees.relative_to(repo.top))}/")
    if root.is_relative_to(repo.top):
        inside = repository.pattern(root.relative_to(repo.top))
        tracked = repository.tracked(repo, root)
        lines += [f"/{inside}/running/", f"/{inside}/**/.orch/"] if tracked else [f"/{inside}/"]  # a task's own has logs, copies
    repository.exclude(repo, lines)


def seal_scripts(work: Work, repo: Repository) -> None:
    """The repository's files that a benchmark's command or the holdout's runs are from the base commit and count in the seal.
    What gates run may not be changed either, and no link by which any of them is found."""
    assert work.record.base_commit is not None
    base = work.record.base_commit
    gates, ways = files.led_to(repo.git, base, asked.named(work))
    found, links = files.led_to(repo.git, base, _run(work))
    work.guarded = (*(file.path for file in gates), *ways, *links)
    _seal(work, {file.path: SealedFile(file.path, 0o755 if file.executable else 0o644, data=file.data) for file in found})


def seal_lying(work: Work, folder: Path) -> None:
    """The same of a folder without git: they are as they lie there now, and what gates run is with them."""
    found = scripts.found(folder, (*_run(work), *asked.named(work)))
    _seal(work, {path: SealedFile(path, mode, data=data) for path, (mode, data) in found.items()})


def rewritten(work: Work, folder: Path) -> str | None:
    """Whether the scripts of benchmark and gates in a folder without git are others by now: nobody can take that back."""
    if changed := scripts.edited(work.sealed, folder):
        return f"{', '.join(changed[: scope.SHOWN])}, which the benchmark or a gate runs, changed while the task was worked on"
    return None


def left_rewritten(work: Work, folder: Path) -> None:
    """The next claim seals what lies there by then, however this one ends."""
    told = rewritten(work, folder) if _worked_on(work) else None
    if told and told not in (work.record.doubt or ""):
        mistrust(work, told)


def _run(work: Work) -> tuple[str, ...]:
    """What the words of the benchmark's command and the holdout's run."""
    commands = [program.command for program in (work.evaluator, work.hidden) if program and program.command]
    return tuple(dict.fromkeys(word for command in commands for word in shellwords.named(command)))


def _seal(work: Work, found: Mapping[str, SealedFile]) -> None:
    work.sealed = work.sealed.with_scripts(found)
    if found:
        work.sealed.keep(work.claim)  # under the digest that the record names
