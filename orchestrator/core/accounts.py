"""Which accounts refuse work: computed from what tasks' records say of limits and log-ins, never stored anywhere else.

An account is who is billed, as far as anybody can tell from outside: an agent, with the provider where its model names one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Pause, Record
from orchestrator.core.task import State

CLOCK_JUMP = 60.0


def account(agent: str, model: str | None) -> str:
    """The account that `agent` uses with `model`: `opencode/anthropic` for its model `anthropic/x`, else the agent's name."""
    provider, slash, _ = (model or "").partition("/")
    return f"{agent}/{provider}" if slash and provider else agent


def agent_of(account: str) -> str:
    """The agent whose account it is."""
    return account.partition("/")[0]


def pauses(record: Record, state: State, now: float) -> Iterator[tuple[str, Pause]]:
    """What this task found out that still holds. A log-in that is missing counts while the task is blocked for it: whoever
    retries one has logged in, or will see. After a clock that was set back nothing is believed."""
    if state is State.CONVERGED or record.updated - now > CLOCK_JUMP or (state is State.PENDING and record.ended):
        return
    for name, pause in record.pauses.items():
        needs_login = state is State.BLOCKED and record.reason is Reason.AUTH
        if needs_login if pause.until is None else pause.until > now:
            yield name, pause


def paused(found: Iterable[tuple[str, Pause]]) -> dict[str, Pause]:
    """One pause for each account: the longest, as new as the newest."""
    merged: dict[str, Pause] = {}
    for name, pause in found:
        other = merged.get(name)
        if other is None:
            merged[name] = pause
            continue
        longer = pause if _end(pause) > _end(other) else other
        merged[name] = replace(longer, since=max(pause.since, other.since))
    return merged


def holding(chain: tuple[str, ...], paused: Mapping[str, Pause], record: Record | None, now: float) -> tuple[str, Pause] | None:
    """The pause that a task with this chain of accounts waits for: the first to end, where none of them can be used. None also
    where a person has said since then that it need not wait."""
    held = [(name, pause) for name in chain if (pause := paused.get(name)) and _end(pause) > now and not ignored(record, pause)]
    if not chain or len(held) < len(chain):
        return None
    return min(held, key=lambda each: _end(each[1]))


def ignored(record: Record | None, pause: Pause) -> bool:
    """Whether a person has sent the task on after the pause was found out."""
    return record is not None and (record.ended or (record.forced is not None and record.forced >= pause.since))


def _end(pause: Pause) -> float:
    return float("inf") if pause.until is None else pause.until
