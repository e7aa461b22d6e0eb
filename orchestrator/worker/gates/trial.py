"""What a gate may look at: one commit in a clean checkout, and the commit that it is compared with."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from orchestrator.core import lintdelta, testresults
from orchestrator.core.gates import Gate
from orchestrator.core.lintdelta import Finding
from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.testresults import Outcome
from orchestrator.core.value import Value
from orchestrator.store.seal import Sealed
from orchestrator.worker import channel, execution, findings, measure
from orchestrator.worker.execution import Verdict
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work

KEEP = execution.OUTPUT  # what is compared must be all of it
NO_PROGRAM = frozenset({126, 127})  # the shell's words for a command that can't be run
DIED = frozenset(execution.DIED + number for number in signal.valid_signals())  # and for one that a signal ended


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ran(Value):
    """A command of a gate that has run at a commit: how it ended, and what it said of tests or of lines."""

    verdict: Verdict
    tests: Mapping[str, Outcome] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it came to its own end: one that wasn't found, hung or died has said nothing."""
        return self.verdict.end is ProcessEnd.EXITED and self.verdict.code not in NO_PROGRAM | DIED

    def incomparable(self, before: Ran | None, what: str) -> Verdict:
        """The no of a command that fails and names nothing. Failing on the base as well excuses nothing: one that never worked
        does that, too."""
        if before is None or before.verdict.ok:
            return self.verdict
        hint = f"It fails on the base, too, and names no {what}: nothing can be compared. Make it pass there, or set its mode."
        return replace(self.verdict, reason=f"{self.verdict.reason} {hint}")


@dataclass(slots=True)
class Trial:
    """One commit before the gates. `asked` are all its gates, `said` the verdicts so far, `ran` what commands said here."""

    work: Work
    space: Space
    commit: str
    base: str
    asked: tuple[Gate, ...] = ()
    said: tuple[Verdict, ...] = ()
    ran: dict[str, Ran] = field(default_factory=dict)

    def place(self) -> Path:
        """The commit in a clean checkout."""
        return self.space.checkout(self.work, self.commit)

    def check(self, name: str, command: str, sealed: Sealed | None = None, **env: str) -> Verdict:
        """Run a command, or with `sealed` a file of the task folder, on the commit."""
        return execute(self.work, name, command, self.place(), sealed, env)

    def here(self, name: str, command: str) -> Ran:
        """What `command` says of the commit."""
        if command not in self.ran:
            self.ran[command] = self._read(name, command, self.place())
        return self.ran[command]

    def before(self, name: str, command: str) -> Ran | None:
        """What `command` says of the commit that this one is compared with; None where there is none to check out."""
        if not self.work.record.branch or self.base == self.commit:
            return self.here(name, command) if self.work.record.branch else None
        key = (self.base, command)
        if key not in self.work.compared:
            self.work.compared[key] = self._read(name, command, self.space.checkout(self.work, self.base))
        return self.work.compared[key]

    def _read(self, name: str, command: str, place: Path) -> Ran:
        return read(partial(execute, self.work, name, command, place, None), place, self.work.scratch)

    def patch(self) -> str:
        """What the commit changes."""
        if not self.work.record.branch or self.base == self.commit:
            return ""
        return self.space.between(self.base, self.commit).decode(errors="replace")

    def revised(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, str]]:
        """The files that it changes and did not make, each as it was and as it is."""
        if not self.work.record.branch or self.base == self.commit:
            return iter(())
        return self.space.revised(self.base, self.commit, wanted)


class Comparable(Protocol):
    """What the gates need that only run commands: one commit, and another one that it is compared with."""

    @property
    def asked(self) -> tuple[Gate, ...]: ...

    def check(self, name: str, command: str, sealed: Sealed | None = None, **env: str) -> Verdict: ...

    def here(self, name: str, command: str) -> Ran: ...

    def before(self, name: str, command: str) -> Ran | None: ...


class Answer(Protocol):
    """A gate: it looks at the trial and says yes or no. The mode is put on by whoever asked."""

    def __call__(self, trial: Trial, gate: Gate) -> Verdict: ...


def read(run: Callable[[Mapping[str, str]], Verdict], place: Path, scratch: Path) -> Ran:
    """Let a command `run` in `place`, with more environment, and read what it says of single tests and single lines."""
    junit = scratch / f"junit-{os.urandom(4).hex()}.xml"
    verdict = run({"ORCH_JUNIT_FILE": str(junit)})
    output = verdict.full.decode(errors="replace")
    tests = testresults.read(output, channel.read(junit, testresults.LARGEST))
    junit.unlink(missing_ok=True)
    return Ran(verdict, tests, with_text(lintdelta.read(output, str(place)), place))


def with_text(findings: tuple[Finding, ...], place: Path) -> tuple[Finding, ...]:
    """`findings` with the lines of source that they are about."""
    lines: dict[str, list[str]] = {}
    for finding in findings:
        if finding.path not in lines:
            lines[finding.path] = _lines(place, finding.path)
    return tuple(
        Finding(each.path, each.line, each.message, lines[each.path][each.line - 1])
        if 0 < each.line <= len(lines[each.path])
        else each
        for each in findings
    )


def _lines(place: Path, path: str) -> list[str]:
    file = place / path
    try:
        inside = file.resolve().is_relative_to(place.resolve()) and file.is_file()
        return file.read_text(errors="replace").splitlines() if inside else []
    except (OSError, ValueError):
        return []


def execute(work: Work, name: str, command: str, place: Path, sealed: Sealed | None, env: Mapping[str, str]) -> Verdict:
    """One command in `place`, once more where a signal ended it. Raises Stopped where this worker was asked to stop meanwhile.

    One that was cut has not judged the commit: unchanged, it is measured and judged again."""
    verdict = _once(work, name, command, place, sealed, env)
    if verdict.died:
        work.event("notice", detail=f"{verdict.reason} It is run once more.")
        verdict = _once(work, name, command, place, sealed, env)
    if verdict.cut:
        work.measured = work.refused = ""
    return verdict


def _once(work: Work, name: str, command: str, place: Path, sealed: Sealed | None, env: Mapping[str, str]) -> Verdict:
    with findings.guarded(work):
        under = work.conditions(place, work.spec.timeout or work.settings.timeout, env)
        verdict = measure.check(name, command, under, sealed, keep=KEEP)
    work.pulse.check()
    return verdict
