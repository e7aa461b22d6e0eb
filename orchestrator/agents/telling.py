"""A session's events as a person reads them in `agent.log`: what it said, what it did and how that went, what it cost."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.agents.protocol import AgentEvent, EventKind
from orchestrator.core.outcome import Spend

GIST = 200  # characters of a tool's arguments, and of the line that tells of its result
DONE, FAILED, TOOL, LOUD, SOFT, OURS = "  ok", "  failed", "> ", "! ", "· ", "-- "
SHELLS = frozenset({"bash", "command_execution", "exec_command", "run_shell_command", "shell", "terminal", "execute_bash"})
WRAPPED = re.compile(r"^(?:/(?:usr/)?bin/)?(?:ba|z)?sh -l?c (['\"]?)(.*)\1$", re.DOTALL)
LOUDLY = {
    EventKind.LIMIT: "limit: ",
    EventKind.AUTH: "not logged in: ",
    EventKind.CONTEXT: "context full: ",
    EventKind.QUESTION: "it asks: ",
    EventKind.ERROR: "",
}


class Teller:
    """Makes lines of events. It remembers which tools are at work, to tell how long each took. Paths below `root` lose it."""

    def __init__(self, root: str = "") -> None:
        self._root = f"{root.rstrip('/')}/" if root else ""
        self._begun: dict[str, tuple[str, float]] = {}
        self._saying = ""  # the last line of a text that comes cut anywhere: it may go on

    def lines(self, event: AgentEvent, now: float) -> Iterator[str]:
        """The lines for one event; none for what is told elsewhere (its closing event, what it used so far)."""
        cut = event.kind is EventKind.TEXT and event.data.get("joins") == ""
        if not cut:
            yield from self.rest()
        match event.kind:
            case EventKind.TEXT:
                *whole, last = f"{self._saying}{event.text}".split("\n")
                self._saying = last if cut else ""
                yield from whole if cut else (*whole, last)
            case EventKind.TOOL:
                yield TOOL + self._tool(event, now)
            case EventKind.RESULT:
                yield self._result(event, now)
            case EventKind.SESSION | EventKind.MODEL:
                yield f"{OURS}{event.kind}: {event.text}"
            case EventKind.NOTICE:
                yield from (SOFT + line for line in event.text.split("\n"))
            case EventKind.END | EventKind.USAGE:
                return
            case _:
                yield from _loud(LOUDLY[event.kind], event.text)

    def rest(self) -> Iterator[str]:
        """What was said and not told yet, since it might have gone on."""
        said, self._saying = self._saying, ""
        if said:
            yield said

    def _tool(self, event: AgentEvent, now: float) -> str:
        name = str(event.data.get("name") or event.text.partition(" ")[0])
        told = self._inside(event.text.removeprefix(name).strip())
        if "id" in event.data:
            self._begun[str(event.data["id"])] = (name, now)
        if name.lower() not in SHELLS:
            return gist(f"{name} {told}")
        wrapped = WRAPPED.match(told)
        return gist(f"$ {wrapped[2] if wrapped else told}")

    def _result(self, event: AgentEvent, now: float) -> str:
        name, began = self._begun.pop(str(event.data.get("id")), ("", now))
        which = f" {name}" if self._begun else ""  # of several at once
        took = f" {now - began:.1f} s" if now - began >= 0.1 else ""
        text = self._inside(event.text.strip("\n"))
        first, *more = text.split("\n") if text else [""]
        rest = f" (+{len(more)} line{'s' if len(more) > 1 else ''})" if more else ""
        return f"{DONE if event.data.get('ok', True) else FAILED}{which}{took}{f'  {gist(first)}' if first.strip() else ''}{rest}"

    def _inside(self, text: str) -> str:
        return text.replace(self._root, "") if self._root else text


def used(spend: Spend) -> str:
    """What a session used, in a line; nothing where nothing is known of it."""
    tokens = [
        _tokens(spend.input_tokens, "in", spend.cached_tokens, "from cache"),
        _tokens(spend.output_tokens, "out", spend.reasoning_tokens, "thought"),
    ]
    known = [part for part in (*tokens, None if spend.usd is None else f"${spend.usd:.4f}") if part]
    return f"used: {', '.join(known)}" if known else ""


def gist(text: str) -> str:
    """The beginning of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= GIST else line[: GIST - 1] + "…"


def _tokens(count: int | None, what: str, part: int | None, which: str) -> str | None:
    if count is None:
        return None
    return f"{count:,} tokens {what}{f' ({part:,} {which})' if part else ''}"


def _loud(word: str, text: str) -> Iterator[str]:
    first, *more = text.split("\n")
    yield f"{LOUD}{word}{first}"
    yield from (f"  {line}" for line in more if line.strip())
