"""Where a task is worked on: its repository, its branch, its worktrees, and everything git does for the worker.

The agent's worktree is on the task's branch; those beside it (`stand`) are ours alone, detached, clean, each at a commit that is
measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Intent
from orchestrator.core.task import RIVAL, VERIFY, Stage
from orchestrator.errors import GitError, OrchestratorError
from orchestrator.git import (
    changes,
    checkouts,
    files,
    given,
    kept,
    loose,
    merge,
    pool,
    refs,
    repository,
    save,
    submodules,
    throwaway,
    worktree,
)
from orchestrator.git.changes import Change
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.proc.stillness import Stillness
from orchestrator.store import locks
from orchestrator.worker import beginning, collecting, findings, retiring, routes, scope, setup, unmoved
from orchestrator.worker.findings import Left, Watch
from orchestrator.worker.setup import SetupFailed
from orchestrator.worker.stand import Stand
from orchestrator.worker.work import Ending, Work, blocked

MEASURED = frozenset({Stage.MEASURE, Stage.VERIFY, Stage.LAND})  # all work is committed; what else lies there is a benchmark's


class Workspace:
    """One per worker, in a git repository. `open` makes it; before that only `recover_landing` may be called."""

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.tip = ""  # what the task branch holds
        self.made: str | None = None  # what git has committed for us last
        self._tree: Worktree | None = None
        self._stands: dict[str, Stand] = {}  # where commits are measured, by the suffix of their folders' names
        self._stillness = Stillness()
        self._guard = unmoved.Guard()
        self._litter: tuple[str, ...] | None = None  # a benchmark ran in the agent's worktree; what was untracked before
        self._cleared = ""  # the commit up to which everything since the base is known to be in scope
        self._began: float | None = None  # when the last agent started
        self._left: Left | None = None  # what the last attempt left

    @property
    def tree(self) -> Worktree:
        """The agent's worktree."""
        assert self._tree is not None
        return self._tree

    @property
    def path(self) -> Path:
        return self.tree.path

    # --- opening ----------------------------------------------------------------------------------------------------

    def recover_landing(self, work: Work, intent: Intent) -> bool:
        """Finish or undo what a killed landing had begun; whether the base has it."""
        with locks.acquire(self.repo.landing_lock, work.pulse.wait):  # others may be landing by now
            return checkouts.recover(self.repo, intent.base, intent.old, intent.new)

    def open(self, work: Work) -> Ending | None:
        """Branch and worktree, made or taken up again; what a dead owner left uncommitted is kept first."""
        work.repo = self.repo
        work.enter(Stage.SETUP)
        beginning.begin(work, self.repo)
        findings.seal_scripts(work, self.repo)
        found = worktree.find(self.repo, self._place(work))
        if found and found.owner == work.record.id and self._take_up(work, found):
            return None
        if found is None and work.record.seal is not None:
            save.keep_lost(self.repo, self._place(work), work.record.slug, self._cut(work), base=work.record.base_commit)
        self._tree = self._prepared(work, beginning.branch_tip(work, self.repo), work.pulse.wait)
        self.tip = beginning.branch_tip(work, self.repo)
        self._cleared = work.record.base_commit or ""
        try:
            self.restart(work)
            self._furnish(work)
        except SetupFailed as error:
            return blocked(Reason.SETUP, error.message)
        return None

    def _prepared(self, work: Work, commit: str, pump: pool.Pump) -> Worktree:
        place, branch = self._place(work), self._branch(work)
        return pool.prepare(self.repo, place, owner=work.record.id, branch=branch, commit=commit, pump=pump)

    def _furnish(self, work: Work) -> None:
        """Make the worktree ready for an agent. With a conflict's markers in the files a set-up may well fail, and that is the
        agent's to mend; what comes of it is measured in a checkout of its own. Raises SetupFailed."""
        if problem := setup.furnish(work, self.repo, self.tree):
            if not self.marked(work):
                raise SetupFailed(problem)
            work.event("notice", detail=f"with the conflict's markers in the files the setup fails: {problem}")
        setup.note(work, self.tree)
        worktree.finish(self.tree)

    def _take_up(self, work: Work, found: Worktree) -> bool:
        """Go on in the worktree of an earlier claim: what lies there is kept, and committed where it is in scope.

        In one that is being made or reset lies nobody's work but what was kept before: it is made anew. So is one that other
        commands made ready than a fresh one would be: what a person added because it was missing has to be there.
        """
        self._tree = found
        self.tip = beginning.branch_tip(work, self.repo)
        self._cleared = work.record.base_commit or ""
        if not found.finished or work.record.restart or work.cut in MEASURED or not worktree.usable(found):
            save.keep_everything(found, work.record.slug, self._cut(work), base=work.record.base_commit)
            retiring.keep_copies(work, found)
            return False
        self.save_cut(work)
        if not setup.noted(work, found):
            retiring.keep_copies(work, found)
            return False
        retiring.renew_copies(work, found)
        return found.head == self.tip

    def _cut(self, work: Work) -> str:
        """The label of what is kept in the middle of an attempt."""
        return f"cut/{work.record.attempts + 1:04d}-{work.claim.token}"

    def _place(self, work: Work) -> Path:
        return beginning.folder(work, self.repo) / work.record.slug

    def _branch(self, work: Work) -> str:
        assert work.record.branch is not None
        return work.record.branch

    # --- measuring --------------------------------------------------------------------------------------------------

    @contextmanager
    def at_base(self, work: Work) -> Iterator[Path]:
        """A checkout of the commit the task began at: the fresh worktree itself, later the verify one."""
        assert work.record.base_commit is not None
        if self.tip == work.record.base_commit:
            with self.at_tip(work) as place, self._stillness.watching(self.tree.path, self.tree.admin) as still:
                yield place
                if not self._litter and still():  # which saves git a look at every file before the first agent
                    self._litter = None
        else:
            yield self.checkout(work, work.record.base_commit)

    @contextmanager
    def at_tip(self, work: Work) -> Iterator[Path]:
        """The agent's worktree, for a benchmark: what that leaves there is taken away before the next agent comes."""
        self._litter = save.untracked(self.tree) if setup.furnishing(work.spec, work.settings) else ()
        self.hold(work)
        try:
            yield self.path
        finally:
            self.hold(work)

    def hold(self, work: Work) -> None:
        """See that nothing but an agent has moved the task's branch, or a commit that is measured: what did is taken back."""
        if self._tree is not None and work.record.stage in MEASURED and worktree.usable(self._tree):
            self._guard.hold(work, self._tree, self._stands.values())

    def checkout(self, work: Work, commit: str) -> Path:
        """A clean checkout of `commit`, furnished like the agent's."""
        self.hold(work)
        return self._stand(work, VERIFY).at(work, commit)

    @contextmanager
    def checkouts(self, work: Work, commit: str) -> Iterator[Callable[[], Path]]:
        """For several samples: what one of them leaves is gone before the next. Where none touched anything no git is started."""
        verify = self._stand(work, VERIFY)
        with ExitStack() as watched:
            still: Callable[[], bool] | None = None

            def clean() -> Path:
                nonlocal still
                if still is None or not still():
                    self.hold(work)
                    watched.close()
                    path, tree = verify.at(work, commit), verify.tree
                    assert tree is not None
                    still = watched.enter_context(self._stillness.watching(path, tree.admin))
                return verify.path

            yield clean

    def rival(self, work: Work, commit: str) -> Path:
        """A second one, beside the first."""
        self.hold(work)
        return self._stand(work, RIVAL).at(work, commit)

    def _stand(self, work: Work, suffix: str) -> Stand:
        place = self._place(work)
        return self._stands.setdefault(suffix, Stand(self.repo, place.with_name(f"{place.name}{suffix}")))

    # --- the agent --------------------------------------------------------------------------------------------------

    def watch(self, work: Work) -> Watch:
        """How things are before the agent starts, to see afterwards what it touched."""
        self.hold(work)
        self._guard.release()
        self._mend(work)
        self._tidy(work)
        if not self.tree.finished:
            self._reset(work, self.tip)
        if work.route is not None and (litter := routes.traits(work).leaves):
            repository.exclude(self.repo, litter)
        self._began = loose.clock(self.tree)
        return findings.watch(work, self.repo, self.tip, save.before(self.tree))

    def leave(self, work: Work) -> None:
        """The claim ends and the worktree stays: without a benchmark's litter, which the next claim would take for work. What
        stands beside it holds nobody's work, and would take as much of the disk for each task that is blocked."""
        with suppress(OrchestratorError, OSError):  # then it does: the litter is kept, and judged by the scope
            self.hold(work)
            self._tidy(work)
            self._stands.clear()
            retiring.give_back_beside(work, self.repo, self._place(work))

    def _tidy(self, work: Work) -> None:
        """Take away what a benchmark left: all work was committed before it ran. Where that can't be removed, as what a container
        makes in there as another user, none of it is work, and the worktree is to be made anew."""
        if self._litter is not None and self._tree is not None and worktree.usable(self._tree):
            try:
                save.tidy(self._tree, self._litter)
                if self._litter:  # what setup made, and a benchmark may have used
                    given.note(self._tree, given.beyond(self._tree))
            except GitError as error:
                if not error.denied:
                    raise
                work.event("notice", detail=f"the worktree is made anew: {error.message}")
                worktree.begin(self._tree)
        self._litter = None

    def hide(self, *patterns: str) -> None:
        repository.exclude(self.repo, patterns)

    def state(self) -> str:
        """A commit of everything in the agent's worktree; where an agent has taken that apart, what the branch holds."""
        return (save.pending(self.tree) if worktree.usable(self.tree) else None) or self.tip

    def between(self, old: str, new: str, *, limit: int = changes.PATCH_LIMIT) -> bytes:
        return changes.patch(self.repo, old, new, limit=limit)

    def revised(self, old: str, new: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, str]]:
        paths = [change.path for change in changes.changed(self.repo, old, new) if wanted(change.path)]
        before, after = (
            {file.path: file.data.decode(errors="replace") for file in files.at(self.repo.git, commit, paths)}
            for commit in (old, new)
        )
        yield from ((path, before[path], after[path]) for path in paths if path in before and path in after)

    def throw_away(self, folder: Path, commit: str) -> None:
        throwaway.checkout(self.repo, folder, commit)

    def strays(self, work: Work, base: str, commit: str) -> Mapping[str, str]:
        return scope.outside(work.spec, self.repo, changes.changed(self.repo, base, commit))

    def collect(self, work: Work, number: int, watch: Watch) -> Left:
        """Everything the agent did, as one commit on the task branch, kept under the attempt's own ref."""
        self._mend(work)
        title = work.spec.title or work.name
        collected = collecting.gather(work, self.tree, number, title, watch.start, watch)
        self.made = collected.made.commit
        label = f"{number:04d}"
        extra = {f"extra/{label}-{index}": commit for index, commit in enumerate(collected.extra, 1)}
        if collected.tip != watch.start or extra:  # its own ref last: after a kill that says that all of it is taken in
            kept.keep_all(self.repo, work.record.slug, {**extra, label: collected.tip})
        self.tip = collected.tip
        if edits := submodules.edited(self.tree):
            work.event("notice", detail=f"{edits}: they can't be taken, and are in no commit")
        left = self._left = findings.judge(work, self.repo, watch, collected)
        if self._cleared == watch.start and not left.finding:
            self._cleared = self.tip
        if left.changed:
            findings.leaked(work, left.patch)
            work.claim.write(f"attempts/{label}/diff.patch", left.patch)
        return left

    def outside(self, work: Work) -> str | None:
        """Whatever of the task's whole work is out of its scope as that is now, in words; commits of earlier claims included."""
        assert work.record.base_commit is not None
        if self._cleared == self.tip:
            return None
        found = scope.violations(work, self.repo, work.record.base_commit, self.tip)
        if found is None:
            self._cleared = self.tip
        return found

    def fall_back(self, work: Work) -> None:
        """Back to the best that is in scope, else to where the task began, or the resolution; the work stays under its refs."""
        kept.keep(self.repo, work.record.slug, self._cut(work), self.tip)
        if work.record.resolving:
            self._reset(work, work.record.resolving.commit)
            return
        base, best = work.record.base_commit or self.tip, work.record.best_commit
        if best is None or not merge.contains(self.repo, best, base):
            best = base
        outside = scope.violations(work, self.repo, base, best)
        self._reset(work, base if outside else best)
        self._cleared = self.tip

    def kept(self, work: Work, number: int) -> str | None:
        return refs.read(self.repo.common, kept.ref(work.record.slug, f"{number:04d}"))

    def go_back(self, work: Work, commit: str) -> None:
        """Back to what is best; what the branch held is kept, by its attempt's ref or by one of its own."""
        if self.tip not in (commit, self.kept(work, work.record.attempts)):
            kept.keep(self.repo, work.record.slug, self._cut(work), self.tip)
        self._reset(work, commit)

    def put_back(self, work: Work, left: Left) -> None:
        """Refused work is kept under its ref and taken off the task branch."""
        self._reset(work, left.start)

    def save_cut(self, work: Work) -> None:
        """Keep what lies in the worktree in the middle of an attempt; in scope it stays on the branch for the next one.

        What a benchmark left that was cut short is no work: the worktree is made anew without it.
        """
        if self._tree is None:
            return
        number = work.record.attempts + 1
        start = self.tip or beginning.branch_tip(work, self.repo)
        self.hold(work)
        self._guard.release()
        self._mend(work)
        self._tidy(work)
        save.keep_everything(self._tree, work.record.slug, self._cut(work), base=work.record.base_commit)
        if work.record.stage == Stage.MEASURE or not self._tree.finished:
            worktree.begin(self._tree)
            return
        title = f"Unfinished: {work.spec.title or work.name}"
        collected = collecting.gather(work, self._tree, number, title, start)
        self.made = collected.made.commit
        findings.strayed(work, self.repo, collected)
        self.tip = collected.tip
        if self.tip != start and scope.violations(work, self.repo, start, self.tip):
            self._reset(work, start)

    def _mend(self, work: Work) -> None:
        """An agent or a benchmark removed its worktree, or git's folder for it: there is one again, and what can be found of it
        has refs."""
        if worktree.usable(self.tree):
            return
        slug, base = work.record.slug, work.record.base_commit
        if self.tree.admin.is_dir():
            save.keep_everything(self.tree, slug, self._cut(work), base=base)
        save.keep_lost(self.repo, self.tree.path, slug, self._cut(work), base=base)
        if self._began is not None and not self.tree.admin.is_dir():
            collecting.keep_unnamed(work, self.repo, self._began)
        self._tree = self._prepared(work, beginning.branch_tip(work, self.repo), work.pulse.nap)
        self._furnish(work)

    def _reset(self, work: Work, commit: str) -> None:
        self.hold(work)
        self._guard.release()
        retiring.keep_copies(work, self.tree)
        worktree.begin(self.tree)
        try:
            worktree.reset(self.tree, branch=self._branch(work), commit=commit)
        except GitError as error:
            if not error.denied:
                raise
            # another user's files, as a container leaves them: those go with the folder
            self._tree = self._prepared(work, commit, work.pulse.nap)
        self.tip = commit
        self._furnish(work)  # what was copied in and set up went with the rest

    # --- landing ----------------------------------------------------------------------------------------------------

    def base_tip(self, work: Work) -> str:
        return beginning.base_tip(work, self.repo)

    def bare(self, work: Work, commit: str) -> Worktree:
        """The verify worktree at `commit`, without what setup makes: git merges there."""
        self.hold(work)
        return self._stand(work, VERIFY).bare(work, commit)

    def marked(self, work: Work, commit: str = "") -> tuple[str, ...]:
        """The files in which markers of the conflict that is resolved are left, on the task branch or in `commit`."""
        return collecting.marked(work, self.repo, commit or self.tip)

    def changed_since(self, old: str) -> tuple[Change, ...] | None:
        """What the task branch changes in `old`, where that was looked at already: git need not be asked again."""
        known = self._left and (self._left.start, self._left.commit) == (old, self.tip)
        return self._left.changes if self._left and known else None

    def restart(self, work: Work) -> None:
        """Go on at the fresh base, or at the merge with it; the earlier commits stay under their refs."""
        if planned := work.record.restart:
            self._reset(work, planned.commit)
            work.save(base_commit=planned.base, restart=None)
            self._cleared = planned.base if work.record.resolving else planned.commit  # git may have put files elsewhere

    def retire(self, work: Work) -> None:
        """All is saved: the worktrees go back to the pool, or away with it where nobody is left to use them. The branch stays."""
        self.hold(work)
        place = self._place(work)
        if self._tree is None and (dead_owners := worktree.find(self.repo, place)):
            save.keep_everything(dead_owners, work.record.slug, self._cut(work), base=work.record.base_commit)
        retiring.retire(work, self.repo, place)
