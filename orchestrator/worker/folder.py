"""A task whose `repo` is no git repository: worked on in place, one at a time, nothing to land and nothing to take back.

What is lost against a repository is said in the documentation: no branch, no clean checkout, no scope check, no recovery.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Intent, Result
from orchestrator.core.task import Stage
from orchestrator.store import locks
from orchestrator.worker import findings, setup
from orchestrator.worker.findings import Left, Watch
from orchestrator.worker.work import Ending, Work, blocked

PUT_BACK = "put it back, or `retry` if that was you; what the benchmark itself builds let a `benchmark.sh` in the task folder run"


class PlainFolder:
    """The same steps as a `Workspace`, without git. `tip` only says that an agent has been here since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tip = ""
        self._held = ExitStack()  # the lock of this folder, until this worker ends

    def close(self) -> None:
        """Let another worker in; the end of this one's process does the same."""
        self._held.close()

    def recover_landing(self, work: Work, intent: Intent) -> bool:
        return False

    def open(self, work: Work) -> Ending | None:
        if work.optimizing:
            return blocked(Reason.REPO, f"mode: optimize takes back what is no better, and {self.path} is no git repository")
        work.enter(Stage.SETUP)
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        self._held.enter_context(locks.acquire(work.claim.queue.control / "locks" / f"folder-{name}", work.pulse.wait))
        # Named after this claim, since nobody knows what happened there since the last one.
        start = f"start-{work.claim.token}"
        self.tip = f"left-{work.claim.token}" if work.record.attempts else start
        work.save(repo=str(self.path), base_commit=start)
        problem = setup.run(work, "setup", work.spec.setup, self.path) if work.spec.setup else None
        findings.seal_lying(work, self.path)  # setup may make some of what is run
        return blocked(Reason.SETUP, problem) if problem else None

    @contextmanager
    def at_base(self, work: Work) -> Iterator[Path]:
        yield self.path

    @contextmanager
    def at_tip(self, work: Work) -> Iterator[Path]:
        yield self.path

    def checkout(self, work: Work, commit: str) -> Path:
        return self.path

    @contextmanager
    def checkouts(self, work: Work, commit: str) -> Iterator[Callable[[], Path]]:
        yield lambda: self.path

    def rival(self, work: Work, commit: str) -> Path:
        return self.path

    def watch(self, work: Work) -> Watch:
        return Watch(self.tip, "", "", findings.evaluator_files(work))

    def hide(self, *patterns: str) -> None:
        return

    def state(self) -> str:
        return self.tip

    def between(self, old: str, new: str, *, limit: int = 0) -> bytes:
        return b""  # without git nobody can tell

    def revised(self, old: str, new: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, str]]:
        return iter(())

    def throw_away(self, folder: Path, commit: str) -> None:
        return

    def strays(self, work: Work, base: str, commit: str) -> Mapping[str, str]:
        return {}

    def collect(self, work: Work, number: int, watch: Watch) -> Left:
        """Without git nobody can tell whether the agent changed something: the measurement decides."""
        self.tip = f"attempt-{number}-{work.claim.token}"
        spoilt = findings.rewritten(work, self.path)
        problem = findings.tampered(work, watch) or (f"{spoilt}; {PUT_BACK}" if spoilt else None)
        return Left(watch.start, self.tip, Result.TAMPERED if problem else None, problem or "", final=spoilt is not None)

    def outside(self, work: Work) -> str | None:
        return None

    def fall_back(self, work: Work) -> None:
        return

    def kept(self, work: Work, number: int) -> str | None:
        return None

    def go_back(self, work: Work, commit: str) -> None:
        return

    def put_back(self, work: Work, left: Left) -> None:
        return

    def save_cut(self, work: Work) -> None:
        findings.left_rewritten(work, self.path)

    def leave(self, work: Work) -> None:
        findings.left_rewritten(work, self.path)

    def restart(self, work: Work) -> None:
        work.save(restart=None)

    def retire(self, work: Work) -> None:
        return
