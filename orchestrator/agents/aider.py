"""aider, one message a session. It speaks plain text, exits with 0 whatever happened, and applies edits itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.agents import reading
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentOutcome
from orchestrator.proc.command import Command, Finished

FLAGS = (
    *("--yes-always", "--no-auto-commits", "--no-dirty-commits", "--no-gitignore", "--no-pretty", "--stream", "--no-fancy-input"),
    *("--no-check-update", "--no-show-release-notes", "--no-show-model-warnings", "--analytics-disable"),
    *("--no-detect-urls", "--no-suggest-shell-commands"),
)
HISTORIES = ("input", "chat", "llm")
FAILED = re.compile(r"litellm\.\w+|The API provider|Insufficient credits|No LLM model was specified|Only \d+ reflections allowed")
COUNT = r"[\d.,]+[kM]?"
USED = re.compile(
    rf"Tokens: (?P<sent>{COUNT}) sent(?:, (?P<cache_write>{COUNT}) cache write)?(?:, (?P<cached>{COUNT}) cache hit)?"
    rf", (?P<received>{COUNT}) received\.(?P<more>.*)"
)
COST = re.compile(r"Cost: \$[\d.,]+ message, \$(?P<usd>[\d.,]+) session")
INPUT = re.compile(r"Input tokens: ~(?P<held>[\d,]+) of (?P<most>[\d,]+)")
EDITED = re.compile(r"Applied edit to (?P<path>.+)")
REFUSED = ("not able to authenticate", "No LLM model was specified")
TOO_MUCH = "has hit a token limit!"
# Its own words around the model's: how it starts, advice after an error, and a login in a browser where it has no model.
ASIDE = re.compile(
    r"Aider v|Model: |Weak model: |Git repo: |Repo-map: |Analytics have|Detected dumb|Update git |HTTPSConnectionPool"
    r"|Added .+ to the chat|Retrying in [\d.]+ seconds|(?:Output|Total) tokens: |Token counts below|To reduce "
    r"|- (?:Use|Ask|Break) |For more info|https://aider\.chat/"
    r"|OpenRouter provides|Please open this URL|https://openrouter\.ai/auth|Waiting up to \d+ minutes|Use Control-C"
)
WIDE = "4000"  # it breaks its lines at the terminal's width, and messages on errors with them
FULL = 0.7  # of the window: what aider itself takes for full
SCALE = {"k": 1_000, "M": 1_000_000}


class Aider:
    """`aider --message` that commits nothing and keeps its histories out of the worktree. It is given the files that the scope
    names; others it asks for itself, and gets."""

    name = "aider"
    traits = Traits(
        efforts=("low", "medium", "high"),
        cost=True,
        closes=True,
        permissions=("yes-always",),
        environment=("AIDER_*", "OPENAI_API_KEY", "OPENAI_API_BASE", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY",
                     "OPENROUTER_API_KEY", "OLLAMA_API_BASE", "AZURE_API_*", "LITELLM_LOCAL_MODEL_COST_MAP"),
        secrets=("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "OPENROUTER_API_KEY",
                 "AZURE_API_KEY"),
        leaves=(".aider*",),
        silence=180.0,
        program="aider",
        install="pipx install aider-chat==0.86.2",
        login="Set the key of the model's provider (OPENAI_API_KEY, ANTHROPIC_API_KEY …), and a model.",
        credentials=("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "OPENROUTER_API_KEY",
                     "AZURE_API_KEY", "OLLAMA_API_BASE", "~/.aider.conf.yml", "~/.aider/oauth-keys.env"),
    )  # fmt: skip

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed(self.traits.program, install=self.traits.install)

    def command(self, request: Request) -> Command:
        argv = ["aider", "--message-file", str(request.prompt_file), *FLAGS]
        argv += ["--model", request.model] if request.model else []
        argv += ["--reasoning-effort", request.effort] if request.effort else []
        argv += [f"--{kind}-history-file={request.prompt_file.with_name(f'aider.{kind}.history')}" for kind in HISTORIES]
        argv += [f"--file={name}" for name in request.files]
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", **request.env, "COLUMNS": WIDE}
        return Command((*argv, *request.args), cwd=request.worktree, env=env, tty=request.tty)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        text = reading.plain(line).rstrip()
        if stream is Stream.ERR or ASIDE.match(text):
            return reading.notice(text)
        if used := USED.match(text):
            return _answered(used)
        if edited := EDITED.fullmatch(text):
            return (reading.tool("edit", edited["path"], edited["path"]), reading.result(edited["path"], text))
        if full := INPUT.match(text):
            return _room(text, full)
        if FAILED.match(text) or TOO_MUCH in text:
            return (_failure(text), reading.end(ok=False))
        return (AgentEvent(EventKind.TEXT, text, {"joins": "\n"}),) if text else ()

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        return outcome_of(finished, closing, closes=True)


def _answered(used: re.Match[str]) -> tuple[AgentEvent, ...]:
    """The line after a whole answer, the only one that tells of its end: it counts from the session's start."""
    cost = COST.search(used["more"])
    kinds = {kind: _count(used[kind]) for kind in ("sent", "cached", "cache_write", "received")}
    usd = float(cost["usd"].replace(",", "")) if cost else None
    return (
        AgentEvent(EventKind.TEXT, used[0], {"joins": "\n"}),
        *reading.usage(**kinds, usd=usd, total=True),
        reading.end(ok=True),
    )


def _failure(text: str) -> AgentEvent:
    """litellm's own words tell what it was; aider's own explain them."""
    if any(words in text for words in REFUSED):
        return AgentEvent(EventKind.AUTH, text)
    return AgentEvent(EventKind.ERROR, text) if TOO_MUCH in text else reading.failure(text)


def _room(text: str, full: re.Match[str]) -> tuple[AgentEvent, ...]:
    held, most = (int(full[name].replace(",", "")) for name in ("held", "most"))
    return (AgentEvent(EventKind.CONTEXT, text),) if most and held >= FULL * most else reading.notice(text)


def _count(text: str | None) -> int | None:
    """`1.2k` as a number."""
    if not text:
        return None
    try:
        return round(float(text.rstrip("kM").replace(",", "")) * SCALE.get(text[-1], 1))
    except ValueError:
        return None
