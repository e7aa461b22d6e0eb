"""Every setting that can be given from outside: its names, how its text is read, and what is allowed. One table."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.core import durations
from orchestrator.core.spec import INFINITE, LEAST_ALPHA, MOST_ALPHA
from orchestrator.core.value import Value

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})
LEVELS = {"quiet": "quiet", "normal": "normal", "verbose": "verbose"} | {
    "error": "quiet",
    "warning": "quiet",
    "warn": "quiet",
    "info": "normal",
    "debug": "verbose",
}
SIZE = re.compile(r"(\d{1,15})\s*(?:([kmg])(?:i?b)?)?", re.ASCII | re.IGNORECASE)
FACTOR = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
TOKENS = re.compile(r"(\d{1,13})\s*([km])?", re.ASCII | re.IGNORECASE)
THOUSANDS = {"": 1, "k": 1000, "m": 1_000_000}
ODD = re.compile(r"[\s,]")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
COUNT_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Given(Value):
    """A value as somebody wrote it. `folder` is what a relative path starts from; `milliseconds` says what a bare number is.

    `in_file`: no shell has seen the value, so `${NAME}` in a path is still to be expanded.
    """

    value: object
    folder: str
    environ: Mapping[str, str]
    milliseconds: bool = False
    in_file: bool = False


Parse = Callable[[Given], object]


FLAGS = frozenset(
    {"tasks", "repo", "agent", "model", "effort", "fallback", "record", "parallel"}
)  # the settings that have a flag


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Option(Value):
    """One field of `Settings`. `parse` raises ValueError with what is allowed, as the end of 'expected …'."""

    field: str
    env: str
    parse: Parse
    help: str

    @property
    def flag(self) -> str:
        return "--" + self.field.replace("_", "-")

    @property
    def names(self) -> str:
        """Every way to give it."""
        flag = f"{self.flag}, " if self.field in FLAGS else ""
        return f"{flag}{self.env} or `{self.field}` in orchestrator.toml"

    @property
    def milliseconds(self) -> bool:
        """Whether a bare number in the environment is milliseconds (`rulings` 19)."""
        return self.env.endswith(("_TIMEOUT", "_MS"))


def _text(given: Given) -> str:
    if not isinstance(given.value, str) or not given.value.strip() or "\0" in given.value:
        raise ValueError("a text that isn't empty")
    return given.value.strip()


def _path(given: Given) -> str:
    """`~` is expanded wherever it comes from (services don't), symbolic links are left as they are."""
    if not isinstance(given.value, str | os.PathLike):
        raise ValueError("a path")  # noqa: TRY004  all parsers tell of a bad value in one way
    plain = os.fspath(given.value)
    if not isinstance(plain, str) or not plain.strip() or "\0" in plain:
        raise ValueError("a path")
    expanded = plain
    if given.in_file:
        expanded = REFERENCE.sub(lambda match: _variable(match[1] or match[2], given.environ), plain)
    if expanded == "~" or expanded.startswith("~/"):
        expanded = _variable("HOME", given.environ) + expanded[1:]
    return os.path.normpath(os.path.join(given.folder, expanded))  # noqa: PTH118  resolving would follow links


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise ValueError(f"a path; the variable {name} in it is not set")
    return environ[name]


def _whole(least: int, most: int = COUNT_LIMIT) -> Callable[[Given], int]:
    def parse(given: Given) -> int:
        number = _integer(given.value)
        if number is None or not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return number

    return parse


def _integer(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value.strip(), re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _failures(given: Given) -> int | None:
    if isinstance(given.value, str) and given.value.strip().lower() in INFINITE:
        return None
    number = _integer(given.value)
    if number is None or not 1 <= number <= COUNT_LIMIT:
        raise ValueError("a whole number from 1, or 'infinite'")
    return number


def _parallel(given: Given) -> int:
    return _whole(0, 1000)(given) or cores()


def cores() -> int:
    """How many processors this process may use: what 0 stands for in `parallel`."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _duration(*, zero: bool = False) -> Callable[[Given], float]:
    def parse(given: Given) -> float:
        value = given.value if isinstance(given.value, str | int | float) else ""
        try:
            length = durations.seconds(value, bare="ms" if given.milliseconds else "s")
        except ValueError as error:
            raise ValueError(_duration_words(given)) from error
        if length == 0 and not zero:
            raise ValueError(_duration_words(given) + ", more than 0")
        return length

    return parse


def _duration_words(given: Given) -> str:
    return f'a length of time like "90s", "15m" or "2h" (a bare number is {"milliseconds" if given.milliseconds else "seconds"})'


def _switch(given: Given) -> bool:
    if isinstance(given.value, bool):
        return given.value
    word = str(given.value).strip().lower()
    if word not in YES | NO:
        raise ValueError("true or false")
    return word in YES


def _size(given: Given) -> int:
    match = SIZE.fullmatch(str(given.value).strip())
    size = int(match[1]) * FACTOR[(match[2] or "").lower()] if match else 0
    if size < 1024:
        raise ValueError('a number of bytes, 1024 or more, like 10485760 or "10MB"')
    return size


def _level(given: Given) -> str:
    word = given.value.strip().lower() if isinstance(given.value, str) else ""
    if word not in LEVELS:
        raise ValueError("quiet, normal or verbose")
    return LEVELS[word]


def _usd(given: Given) -> float:
    return _amount(given, "an amount of US dollars")


def _minutes(given: Given) -> float:
    return _amount(given, "a number of minutes")


def _amount(given: Given, what: str) -> float:
    amount = _number(given)
    if not 0 < amount < 10**9:
        raise ValueError(f"{what} above 0, like 20 or 7.50")
    return amount


def _fraction(given: Given, *, most: float = 1.0, least: float = 0.0) -> float:
    share = _number(given)
    if not least <= share <= most:
        raise ValueError(f"a share from {least:g} to {most:g}, like 0.01 for 1 %")
    return share


def _alpha(given: Given) -> float:
    return _fraction(given, least=LEAST_ALPHA, most=MOST_ALPHA)


def _number(given: Given) -> float:
    """NaN, which lies in no range, for what is no number."""
    value = given.value
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        return math.nan


def _tokens(given: Given) -> int:
    match = TOKENS.fullmatch(str(given.value).strip())
    count = int(match[1]) * THOUSANDS[(match[2] or "").lower()] if match else 0
    if count < 1:
        raise ValueError('a number of tokens from 1, like 2000000 or "2M"')
    return count


def _words(given: Given) -> tuple[str, ...]:
    """Names in the order given: `codex,opencode`, or a list."""
    value = given.value
    words = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) and word and not ODD.search(word) for word in words):
        raise ValueError("names, separated by commas")
    return tuple(dict.fromkeys(words))


def _names(given: Given) -> tuple[str, ...]:
    value = given.value
    words = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) and VARIABLE.fullmatch(word) for word in words):
        raise ValueError("names of environment variables, separated by commas")
    return tuple(dict.fromkeys(words))


OPTIONS = (
    Option("tasks", "ORCH_TASKS", _path, "the folder of the queue"),
    Option("repo", "ORCH_REPO", _path, "the repository tasks work on; found from the tasks folder when not given"),
    Option("base", "ORCH_BASE", _text, "the branch that work starts from and lands on"),
    Option("worktrees", "ORCH_WORKTREES", _path, "where worktrees are made; <repo>/.worktrees when not given"),
    Option("agent", "ORCH_AGENT", _text, "who works on a task that doesn't say"),
    Option("agent_cmd", "ORCH_AGENT_CMD", _text, "the shell command of the agent `exec`"),
    Option("model", "ORCH_MODEL", _text, "the agent's model"),
    Option("effort", "ORCH_EFFORT", _text, "the agent's reasoning effort"),
    Option("fallback", "ORCH_FALLBACK", _words, "agents to take where the one chosen is at a limit or not installed"),
    Option("phases", "ORCH_PHASES", _words, "skills that an attempt goes through, each in a session of its own"),
    Option("limit_wait", "ORCH_LIMIT_WAIT", _duration(zero=True), "the longest wait for a usage limit to pass; 0 is none"),
    Option("budget_usd_day", "ORCH_BUDGET_USD_DAY", _usd, "US dollars that all tasks together may cost in 24 hours"),
    Option("budget_tokens_day", "ORCH_BUDGET_TOKENS_DAY", _tokens, "tokens that all tasks together may use in 24 hours"),
    Option("budget_minutes_day", "ORCH_BUDGET_MINUTES_DAY", _minutes, "minutes that all sessions together may last in 24 hours"),
    Option("budget_attempts_day", "ORCH_BUDGET_ATTEMPTS_DAY", _whole(1), "attempts that all tasks may make in 24 hours"),
    Option("record", "ORCH_RECORD", _path, "the folder that a cassette of each session is put into"),
    Option("converge", "ORCH_CONVERGE", _whole(1, 10_000), "how many samples in a row must be at target"),
    Option("alpha", "ORCH_ALPHA", _alpha, "mode optimize: how often a change that does nothing may be kept"),
    Option("min_effect", "ORCH_MIN_EFFECT", _fraction, "mode optimize: the least that counts as better, unless the metric says"),
    Option("plateau", "ORCH_PLATEAU", _whole(1), "mode optimize: attempts in a row without improvement until the best lands"),
    Option("max_failures", "ORCH_MAX_FAILURES", _failures, "attempts in a row without improvement until a task is blocked"),
    Option("parallel", "ORCH_PARALLEL", _parallel, "how many tasks run at once; 0 is one per core"),
    Option("heartbeat", "ORCH_HEARTBEAT_MS", _duration(), "how long a silent owner on another host is believed to live"),
    Option("benchmark_timeout", "ORCH_BENCHMARK_TIMEOUT", _duration(), "how long one run of a benchmark may take"),
    Option("progress_timeout", "ORCH_PROGRESS_TIMEOUT", _duration(), "how long an agent may be silent"),
    Option("timeout", "ORCH_TIMEOUT", _duration(), "how long one session of an agent may take"),
    Option("setup_timeout", "ORCH_SETUP_TIMEOUT", _duration(), "how long a task's set-up and each hook may take"),
    Option("stop_grace", "ORCH_STOP_GRACE", _duration(zero=True), "how long a process has between TERM and KILL"),
    Option("backoff", "ORCH_BACKOFF", _duration(zero=True), "the first wait after an agent that couldn't work; it doubles"),
    Option("backoff_max", "ORCH_BACKOFF_MAX", _duration(zero=True), "the longest such wait"),
    Option("settle", "ORCH_SETTLE", _duration(zero=True), "how long a dropped folder must have been left alone"),
    Option("verify_cmd", "ORCH_VERIFY_CMD", _text, "a shell command that must succeed before work lands"),
    Option("integration_cmd", "ORCH_INTEGRATION_CMD", _text, "a shell command that looks at the base after a set of landings"),
    Option("tracker", "ORCH_TRACKER", _text, "who opens pull requests: github, gitlab or a plug-in; else found by the remote"),
    Option("pull_interval", "ORCH_PULL_INTERVAL", _duration(), "how often a loop looks at open pull requests"),
    Option(
        "keep_converged", "ORCH_KEEP_CONVERGED", _whole(0), "how many converged tasks are kept beside those that must; 0 is all"
    ),
    Option("agent_log_max_bytes", "ORCH_AGENT_LOG_MAX_BYTES", _size, "the size at which an agent's log is rotated"),
    Option("agent_log_raw", "ORCH_AGENT_LOG_RAW", _switch, "whether the agent's raw output is kept too"),
    Option("log_level", "ORCH_LOG_LEVEL", _level, "how much is told: quiet, normal or verbose"),
    Option("env_pass", "ORCH_ENV_PASS", _names, "further environment variables that agents and benchmarks get"),
)
HOOKS = ("after_create", "before_run", "after_run", "before_remove")

# Set by the program itself for its children, or read by parts that have no setting. Never worth a warning.
OWN_VARIABLES = frozenset(
    {
        "ORCH_TASK",
        "ORCH_TASK_DIR",
        "ORCH_WORKTREE",
        "ORCH_GOAL",
        "ORCH_ATTEMPT",
        "ORCH_PROMPT_FILE",
        "ORCH_MEASURING",
        "ORCH_MARK",
        "ORCH_OWNER_FD",
        "ORCH_HOST",
        "ORCH_CANARY",
        "ORCH_METRICS_FILE",
        "ORCH_METRICS_FD",
        "ORCH_JUNIT_FILE",
        "ORCH_VERDICT_FILE",
        "ORCH_SCENARIO",
        "ORCH_REPLAY_SPEED",
        "ORCH_FAILPOINT",
        "ORCH_FAILPOINT_TRACE",
        "ORCH_CONFIG_DIR",
    }
)


def hook(given: Given) -> str:
    """A command line of the `[hooks]` table."""
    return _text(given)


def args(given: Given) -> tuple[str, ...]:
    """Words for a command line: a list, or a text as a shell would split it."""
    import shlex

    try:
        words = shlex.split(given.value) if isinstance(given.value, str) else given.value
    except ValueError:
        words = None
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError('words for a command line, like "--flag value" or ["--flag", "value"]')
    return tuple(words)
