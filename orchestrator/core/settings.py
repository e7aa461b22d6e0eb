"""Every setting, in one frozen object. `store.config` fills it and knows where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.task import WORKTREES
from orchestrator.core.value import Value

DAY = 86400.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Settings(Value):
    """Effective settings. Paths are absolute strings; durations are seconds; None means: found out when needed.

    They travel to the worker as JSON in the lease, so every field is plain data.
    """

    tasks: str = "tasks"
    repo: str | None = None
    base: str | None = None
    worktrees: str | None = None  # ask `worktrees_of`
    agent: str | None = None
    agent_cmd: str | None = None
    model: str | None = None
    effort: str | None = None
    fallback: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    limit_wait: float = 7 * DAY  # the longest wait for a usage limit to pass; 0: none, the attempt fails
    budget_usd_day: float | None = None  # for all tasks of a queue together, within 24 hours
    budget_tokens_day: int | None = None
    budget_minutes_day: float | None = None
    budget_attempts_day: int | None = None
    record: str | None = None  # the folder that each session's cassette is put into
    converge: int = 3
    alpha: float = 0.01
    min_effect: float = 0.0  # of metrics that say none
    plateau: int = 5
    max_failures: int | None = 5  # None: no limit ("infinite")
    parallel: int = 1  # 0 means one per core, resolved when read
    heartbeat: float = 300.0  # a lease's time to live, for owners on other hosts
    benchmark_timeout: float = 120.0
    progress_timeout: float = 120.0  # an agent silent for this long is stalled
    timeout: float = 3600.0  # an agent's session
    setup_timeout: float = 600.0
    stop_grace: float = 2.0  # between TERM and KILL
    backoff: float = 5.0  # first wait; doubles up to backoff_max
    backoff_max: float = 900.0
    settle: float = 1.0
    verify_cmd: str | None = None
    integration_cmd: str | None = None
    tracker: str | None = None  # who opens pull requests; None: whoever the remote's address belongs to
    pull_interval: float = 300.0  # between looks at open pull requests
    keep_converged: int = 100  # 0: keep all
    agent_log_max_bytes: int = 10 * 1024 * 1024
    agent_log_raw: bool = False
    log_level: str = "normal"  # quiet | normal | verbose
    env_pass: tuple[str, ...] = ()
    hooks: Mapping[str, str] = field(default_factory=dict)  # after_create, before_run, after_run, before_remove
    gates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # for every task, as `core.gates.to_plain` writes them
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # agents that configuration alone describes
    agent_args: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by `args_name`; ask `args_of`

    def worktrees_of(self, top: Path) -> Path:
        """The folder of the worktrees of the repository at `top`."""
        return Path(self.worktrees) if self.worktrees else top / WORKTREES

    def args_of(self, agent: str) -> tuple[str, ...]:
        """What is added to the command line of the agent called `agent`."""
        return self.agent_args.get(args_name(agent), ())


def args_name(agent: str) -> str:
    """An agent's name as a variable's name can say it: `my-agent` is meant by ORCH_MY_AGENT_ARGS."""
    return agent.replace("-", "_").lower()
