"""One task in short words: the cells of a table row, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.cli import output, view
from orchestrator.cli.output import clean
from orchestrator.cli.view import Look
from orchestrator.core import budget, digits, durations, limits, resolving
from orchestrator.core.candidate import Candidate, WaitingKind
from orchestrator.core.record import Record, whereabouts
from orchestrator.core.task import Stage, State
from orchestrator.core.value import Value

HEAD = ("STATE", "TASK", "METRIC", "TRIES", "FAILED", "COST", "WHAT")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Row(Value):
    """One task in seven short texts."""

    state: str
    name: str
    metric: str
    tries: str
    failed: str
    cost: str
    what: str

    def cells(self) -> tuple[str, ...]:
        return (self.state, self.name, self.metric, self.tries, self.failed, self.cost, self.what)


def row(look: Look, candidate: Candidate) -> Row:
    """One task as the table shows it."""
    state = candidate.place.state
    word = pending_word(look, candidate) if state is State.PENDING else state.value
    if state is State.RUNNING and lost(look, candidate):
        word = "lost"
    return Row(
        state=word,
        name=output.name_text(candidate.name),
        metric=metric_text(candidate),
        tries=tries_text(candidate),
        failed=failed_text(look, candidate),
        cost=cost_text(candidate),
        what=clean(what_text(look, candidate)),
    )


def lost(look: Look, candidate: Candidate) -> bool:
    """Whether a running task's worker on this host has died; a loop takes it over."""
    token, lease = candidate.place.token, candidate.lease
    if token is None:
        return True
    here = lease is None or lease.owner.host == look.queue.me().host
    if not here or look.queue.owner_alive(token):
        return False
    return look.queue.path(candidate.place).is_dir()  # else it has ended as any does, since it was looked at


def pending_word(look: Look, candidate: Candidate) -> str:
    """ready, invalid, draft, review (a person has to approve it), parked (goes on by itself at a known time) or waiting."""
    if candidate.problems or candidate.spec is None:
        return "invalid"
    if candidate.spec.draft:
        return "draft"
    kinds = {reason.kind for reason in look.waiting(candidate)}
    if not kinds or kinds == {WaitingKind.CAPACITY}:
        return "ready"
    if WaitingKind.REVIEW in kinds:
        return "review"
    return "parked" if kinds & {WaitingKind.BACKOFF, WaitingKind.LIMIT, WaitingKind.CHECKOUT} else "waiting"


def metric_text(candidate: Candidate) -> str:
    """The first deciding metric on its way: `failures 12 -> 3 (target 0)`."""
    record = view.facts(candidate)
    metric = next((metric for metric in view.metrics(candidate) if not metric.guard), None)
    if metric is None:
        return ""
    start = record.baseline.get(metric.name) if record else None
    current = record.best.get(metric.name, record.values.get(metric.name)) if record else None
    if record and candidate.place.state is State.CONVERGED and not (metric.target is None and metric.name in record.noisy):
        # What was verified, also where no attempt's result was that good. Of a noisy optimum that is one sample, and no result.
        current = record.values.get(metric.name, current)
    shown = numbers(start, current, metric.target)
    way = " -> ".join(dict.fromkeys(text for text, value in zip(shown, (start, current), strict=False) if value is not None))
    target = f" (target {shown[2]})" if metric.target is not None else ""
    return clean(f"{metric.name}{' ' + way if way else ''}{target}")


def number(value: float | None, least: int = digits.FEW) -> str:
    """A metric's value without the noise of floating point."""
    if value is None:
        return "-"
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < digits.WHOLE else digits.text(value, least)


def numbers(*values: float | None) -> list[str]:
    """Those that are read together: none that differs from another looks like it."""
    least = digits.enough(values, digits.FEW)
    return [number(value, least) for value in values]


def tries_text(candidate: Candidate) -> str:
    """How many attempts there were."""
    record = view.facts(candidate)
    return str(record.attempts) if record and record.attempts else ""


def failed_text(look: Look, candidate: Candidate) -> str:
    """How many of the failures in a row that are allowed: `2/5`."""
    record = view.facts(candidate)
    if record is None or not record.failures or candidate.place.state is State.CONVERGED:
        return ""
    most = limits.max_failures(candidate.spec, look.settings)
    return f"{record.failures}/{most}" if most else str(record.failures)


def cost_text(candidate: Candidate) -> str:
    """Dollars: `0.42`, `>=0.42` where some sessions' cost isn't known, `?` where tokens are and their price isn't."""
    spend = candidate.record.spend if candidate.record else None
    if spend is None or (spend.usd is None and spend.tokens is None):
        return ""
    if spend.usd is None:
        return "?"
    return f"{'>=' if spend.unpriced else ''}{budget.dollars(spend.usd)}"


def what_text(look: Look, candidate: Candidate) -> str:
    """What it is doing, or why it isn't, in one line."""
    state, record = candidate.place.state, view.facts(candidate)
    if state is State.PENDING:
        return "; ".join((*_short(look, candidate), *conflict_text(candidate)))
    if state is State.RUNNING:
        return _running_text(look, candidate)
    if state is State.BLOCKED:
        if record is None or record.reason is None:
            return candidate.unread or "moved here by hand"
        return f"{record.reason}: {record.detail}" if record.detail else str(record.reason)
    return landed_text(candidate)


def _short(look: Look, candidate: Candidate) -> Iterator[str]:
    """The reasons, paths of invalid files shortened to what lies below the task's folder."""
    folder = str(look.queue.path(candidate.place))
    for reason in look.waiting(candidate):
        if reason.kind is not WaitingKind.CAPACITY:
            yield reason.detail.removeprefix(f"{folder}/").removeprefix(f"{folder}: ")


def _running_text(look: Look, candidate: Candidate) -> str:
    record, lease = candidate.record, candidate.lease
    if lost(look, candidate):
        return (
            "its worker has died; a loop takes it over"
            if look.loops
            else "its worker has died; the next `orchestrator` takes it over"
        )
    if record is None or record.stage is None:
        return view.held_back(look, candidate) or "starting"
    parts = [record.stage]
    if record.streak:
        parts.append(
            f"{record.streak}/{(candidate.spec.converge if candidate.spec else None) or look.settings.converge} at target"
        )
    parts += conflict_text(candidate)
    parts.append(f"for {durations.text(max(0.0, look.now - record.updated))}")
    if record.stage == Stage.LAND and record.detail:
        parts.append(record.detail)
    if candidate.problems:
        parts.append("its spec can't be read any more")
    if lease and lease.owner.host != look.queue.me().host:
        parts.append(f"on {lease.owner.host}")
    return ", ".join(parts)


def conflict_text(candidate: Candidate) -> list[str]:
    """That it resolves a conflict, and which attempt at that it is at; nothing where it doesn't."""
    record = view.facts(candidate)
    if record is None or record.resolving is None:
        return []
    found = record.resolving
    number = min(record.tries + 1, resolving.TRIES)
    return [f"resolves a conflict with {record.base} in {found.named} (try {number} of {resolving.TRIES})"]


def landed_text(candidate: Candidate) -> str:
    """Where converged work went."""
    record = candidate.record
    if record is None or not record.converged:
        return candidate.unread or "moved here by hand, nothing was verified or landed"
    return "; ".join(filter(None, (whereabouts(record), record.detail, _undoing(record))))


def _undoing(record: Record) -> str:
    if record.intent is None or not record.intent.undo:
        return ""
    from shlex import quote

    return f"an undo of it was cut short: `orchestrator undo {quote(record.name)}` goes on with it"


def misspelt(candidates: Iterable[Candidate], most: int = 3) -> Iterator[str]:
    """What these tasks' specs say in vain, for somebody who looks at many of them."""
    found = [
        f"{output.name_text(candidate.name)}: {clean(warning)}"
        for candidate in candidates
        if candidate.spec and candidate.place.state is not State.CONVERGED
        for warning in candidate.spec.misspelt
    ]
    yield from (f"warning: {line}" for line in found[:most])
    if len(found) > most:
        yield f"warning: {len(found) - most:,} more of the kind; `orchestrator why NAME` names them."


def rows(look: Look, candidates: Iterable[Candidate]) -> list[Row]:
    """Rows of these tasks, all of them."""
    return [row(look, candidate) for candidate in candidates]
