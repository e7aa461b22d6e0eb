"""Every setting, in one frozen object. `store.config` fills it and knows where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """Effective settings. Paths are absolute strings; durations are seconds; None means: found out when needed.

    They travel to the worker as JSON in the lease, so every field is plain data.
    """

    tasks: str = "tasks"
    repo: str | None = None
    base: str | None = None
    worktrees: str | None = None  # default: <repo>/.worktrees
    agent: str | None = None
    agent_cmd: str | None = None
    model: str | None = None
    effort: str | None = None
    converge: int = 3
    max_failures: int | None = 5  # None: no limit ("infinite")
    parallel: int = 1  # 0 on the command line means one per core, resolved when read
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
    keep_converged: int = 100  # 0: keep all
    agent_log_max_bytes: int = 10 * 1024 * 1024
    agent_log_raw: bool = False
    log_level: str = "normal"  # quiet | normal | verbose
    env_pass: tuple[str, ...] = ()
    hooks: Mapping[str, str] = field(default_factory=dict)  # after_create, before_run, after_run, before_remove
