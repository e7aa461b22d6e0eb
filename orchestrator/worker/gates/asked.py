"""Which gates a task has, and which of the repository's files they run."""

from __future__ import annotations

from shlex import quote

from orchestrator.core import gates
from orchestrator.core.gates import CHECKS, SCOPE, VALIDATOR, VERIFY, Gate, Mode
from orchestrator.errors import Problem, SpecError
from orchestrator.store import specfile
from orchestrator.worker import shellwords
from orchestrator.worker.work import Work

# Their commands name what the task may well have to change: tests, and what is linted.
OPEN = frozenset({"test", "lint", VALIDATOR})


def asked(work: Work) -> tuple[Gate, ...]:
    """The gates of this task in the order in which they are asked (`gates.ordered`). They are the settings', with the spec's own
    in their place, its script of checks, its scope where that is only warned of, the verify command."""
    found = gates.merged(map(gates.from_plain, work.settings.gates.values()), work.spec.gates)
    if work.evaluator.checks and CHECKS not in found:
        found[CHECKS] = Gate(CHECKS)
    if work.spec.enforcement is Mode.WARN and (work.spec.scope or work.spec.off_limits):
        found[SCOPE] = Gate(SCOPE, Mode.WARN)
    if work.settings.verify_cmd:
        found[VERIFY] = Gate(VERIFY, command=work.settings.verify_cmd)
    return gates.ordered(gate for gate in found.values() if gate.asked)


def refuse_unable(work: Work) -> None:
    """Before anybody is paid: a gate that nobody says the command of can't be asked. Raises SpecError."""
    problems = []
    for name in gates.without_command(asked(work)):
        path, line = specfile.line_of(work.claim.folder, name)
        edit = f"orchestrator edit {quote(work.name)} --gate {name}=COMMAND"
        expected = f'one for it (`{edit}`, or `{name} = "COMMAND"` under [gates] in orchestrator.toml)'
        path = path.relative_to(work.claim.folder)  # which will be elsewhere
        problems.append(Problem(path, line, 1 if line else 0, f"the gate `{name}` without a command", expected))
    if problems:
        raise SpecError(tuple(problems))


def named(work: Work) -> tuple[str, ...]:
    """What could be files of the repository that gates run: no task may change these, as it may not change its benchmark."""
    commands = (gate.command for gate in asked(work) if gate.command and gate.name not in OPEN and gate.name != VERIFY)
    return tuple(dict.fromkeys(word for command in commands for word in shellwords.named(command)))
