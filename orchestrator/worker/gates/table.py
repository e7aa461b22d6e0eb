"""The gates by name: asked one after the other, and what is written down of their answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.core.gates import CHECKS, JUDGE, SCOPE, VALIDATOR, Gate
from orchestrator.worker import prompt
from orchestrator.worker.execution import Verdict
from orchestrator.worker.gates import commands, lint, tests
from orchestrator.worker.gates.asked import asked
from orchestrator.worker.gates.trial import Answer, Trial
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work


def scope(trial: Trial, gate: Gate) -> Verdict:
    """Where the scope is only warned of: nothing was changed outside of it."""
    found = trial.space.strays(trial.work, trial.base, trial.commit) if trial.base != trial.commit else {}
    reason = f"{len(found)} changed outside of the scope" if found else "nothing was changed outside of the scope"
    return Verdict(gate.name, not found, reason, places=tuple(f"{path}: {why}" for path, why in found.items()))


def _judge(trial: Trial, gate: Gate) -> Verdict:
    """Most tasks have none, and needn't load what holds a session."""
    from orchestrator.worker.gates.judge import judge

    return judge(trial, gate)


# Every other name is a command of the user's own.
TABLE: Mapping[str, Answer] = {
    SCOPE: scope,
    "test": tests.test,
    "lint": lint.lint,
    "doctor": commands.doctor,
    CHECKS: commands.checks,
    VALIDATOR: tests.validator,
    JUDGE: _judge,
}
SHOWN = 40  # places in a prompt
GAP = 8  # characters that what was left out, and the next verdict, begin with


def verdicts(work: Work, space: Space, commit: str, base: str) -> tuple[Verdict, ...]:
    """What every gate says of `commit`, compared with `base`. The judge, who costs money, isn't asked about what won't land."""
    trial = Trial(work, space, commit, base, asked(work))
    for gate in trial.asked:
        if gate.name == JUDGE and any(verdict.blocks for verdict in trial.said):
            continue
        verdict = replace(TABLE.get(gate.name, commands.command)(trial, gate), name=gate.name, mode=gate.means)
        trial.said += (verdict,)
        work.event("verdict", gate=verdict.name, ok=verdict.ok, mode=verdict.mode.value, reason=verdict.reason, commit=commit)
    if trial.said:
        document = {"schema": 1, "commit": commit, "base": base, "verdicts": [_plain(verdict) for verdict in trial.said]}
        work.beside(work.number or work.record.attempts, "verdicts.json", json.dumps(document, indent=1))
    return trial.said


def told(refused: Sequence[Verdict]) -> str:
    """What the next prompt says of a no, or of several: where that is too much for it, each has its share."""
    said = "\n\n".join(_told(verdict) for verdict in refused)
    if len(said) <= prompt.FEEDBACK:
        return said
    return "\n\n".join(_told(verdict, prompt.FEEDBACK // len(refused) - GAP) for verdict in refused)


def _told(verdict: Verdict, most: int = sys.maxsize) -> str:
    """Its reason and its places, and of its output as much of the end as there is room for."""
    more = len(verdict.places) - SHOWN
    places = [*verdict.places[:SHOWN], *([f"… and {more} more"] if more > 0 else [])]
    head = "\n".join([f"{verdict.name}: {verdict.reason}", *places])[:most]
    room = most - len(head)
    output = verdict.output if len(verdict.output) < room else f"[…]\n{verdict.output[-room:]}" if room > 0 else ""
    return f"{head}\n{output}" if output else head


def _plain(verdict: Verdict) -> dict[str, object]:
    return {
        "gate": verdict.name,
        "ok": verdict.ok,
        "mode": verdict.mode.value,
        "reason": verdict.reason,
        "places": list(verdict.places),
        "output": verdict.output,
    }
