"""The queue's gates on a commit that takes a landed task back: those that run a command, and the verify command.

What the task's own spec asks for is about its work, which is gone there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from orchestrator.core import gates
from orchestrator.core.gates import CHECKS, JUDGE, SCOPE, VALIDATOR, VERIFY, Gate, Mode
from orchestrator.core.settings import Settings
from orchestrator.core.value import Value
from orchestrator.store.seal import Sealed
from orchestrator.worker.execution import Verdict
from orchestrator.worker.gates import commands, lint, tests
from orchestrator.worker.gates.trial import Comparable, Ran, read

ABOUT_WORK = frozenset({SCOPE, VALIDATOR, JUDGE, CHECKS})
TABLE: Mapping[str, Callable[[Comparable, Gate], Verdict]] = {
    "test": tests.test,
    "lint": lint.lint,
    "doctor": commands.doctor,
}
Run = Callable[[str, str, str, Mapping[str, str]], Verdict]  # by a gate's name, its command, a commit, and more environment


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reverted(Value):
    """`commit` before the gates, and `base`, which still has the task. `run` takes a command to a clean checkout at `place`."""

    run: Run
    commit: str
    base: str
    place: Path
    scratch: Path
    asked: tuple[Gate, ...] = (Gate(VALIDATOR, allow=("*",)),)  # the tests that came with the task may go with it

    def check(self, name: str, command: str, sealed: Sealed | None = None, **env: str) -> Verdict:
        return self.run(name, command, self.commit, env)

    def here(self, name: str, command: str) -> Ran:
        return read(partial(self.run, name, command, self.commit), self.place, self.scratch)

    def before(self, name: str, command: str) -> Ran:
        return read(partial(self.run, name, command, self.base), self.place, self.scratch)


def asked(settings: Settings) -> tuple[Gate, ...]:
    """The gates that say whether a landing may be taken back: those of the queue that block and have a command."""
    found = [gate for gate in map(gates.from_plain, settings.gates.values()) if gate.command and gate.name not in ABOUT_WORK]
    verify = [Gate(VERIFY, command=settings.verify_cmd)] if settings.verify_cmd else []
    return gates.ordered(gate for gate in (*found, *verify) if gate.means is Mode.BLOCK)


def refusal(trial: Reverted, asked: tuple[Gate, ...]) -> Verdict | None:
    """The first of them that says no."""
    answers = (replace(TABLE.get(gate.name, commands.command)(trial, gate), name=gate.name) for gate in asked)
    return next((verdict for verdict in answers if not verdict.ok), None)
