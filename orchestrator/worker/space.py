"""What the flow asks of the place a task is worked on in, be it a repository's worktrees or a plain folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from orchestrator.core.record import Intent
from orchestrator.worker.findings import Left, Watch
from orchestrator.worker.work import Ending, Work


class Space(Protocol):
    """`path` is where the agent works, `tip` names what is there now."""

    tip: str

    @property
    def path(self) -> Path: ...

    def recover_landing(self, work: Work, intent: Intent) -> bool:
        """Finish or undo a landing that a dead owner began; whether the base has it."""

    def open(self, work: Work) -> Ending | None:
        """Make it ready to be worked in."""

    def at_base(self, work: Work) -> AbstractContextManager[Path]:
        """A checkout of what the task began with."""

    def at_tip(self, work: Work) -> AbstractContextManager[Path]:
        """Where the agent works, for a benchmark to run in."""

    def checkout(self, work: Work, commit: str) -> Path:
        """A clean checkout of `commit`."""

    def checkouts(self, work: Work, commit: str) -> AbstractContextManager[Callable[[], Path]]:
        """For several samples of `commit`: a function to call before each, which gives its clean checkout."""

    def rival(self, work: Work, commit: str) -> Path:
        """A second clean checkout, of what it is compared with."""

    def watch(self, work: Work) -> Watch:
        """Look before an agent starts."""

    def hide(self, *patterns: str) -> None:
        """Keep what these patterns match out of every commit, by no file that a commit holds."""

    def state(self) -> str:
        """Names what lies there now, committed or not, for `between`; nothing is changed for it."""

    def between(self, old: str, new: str, *, limit: int = ...) -> bytes:
        """What was changed from one such state, or commit, to another, as a patch of at most so many bytes."""

    def revised(self, old: str, new: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, str]]:
        """The changed files that are there at both commits and wanted by their path, each as it was and as it is."""

    def throw_away(self, folder: Path, commit: str) -> None:
        """Make `folder` a checkout of `commit` that nothing is ever taken from."""

    def strays(self, work: Work, base: str, commit: str) -> Mapping[str, str]:
        """What was changed from one to the other outside of the scope, each file with the reason."""

    def collect(self, work: Work, number: int, watch: Watch) -> Left:
        """Take in what the agent of attempt `number` left."""

    def outside(self, work: Work) -> str | None:
        """What of the task's whole work is out of its scope, in words."""

    def fall_back(self, work: Work) -> None:
        """Back to where the task began."""

    def kept(self, work: Work, number: int) -> str | None:
        """The commit that attempt `number` left, where it was taken in."""

    def go_back(self, work: Work, commit: str) -> None:
        """The task branch goes back to `commit`; what it held stays reachable."""

    def put_back(self, work: Work, left: Left) -> None:
        """Take refused work off the task branch; it stays reachable."""

    def save_cut(self, work: Work) -> None:
        """Keep what lies there in the middle of an attempt."""

    def leave(self, work: Work) -> None:
        """The claim ends and the task has not converged: leave nothing there that isn't work."""

    def restart(self, work: Work) -> None:
        """Go where the record's `restart` says that the task goes on; what was there stays under its refs."""

    def retire(self, work: Work) -> None:
        """The task has converged: clean up."""
