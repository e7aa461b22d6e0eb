"""What adapters share: lines read without ever raising, events made of them, and the words in which clients tell of a failure.

Streams come torn, mixed with other programs' output and in another shape with each version: whatever isn't there is empty here.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from orchestrator.agents.protocol import AgentEvent, Availability, EventKind, Request, Stream
from orchestrator.core.resets import reset_at

GIST = 200  # characters of a tool's input in a line for people
VALUE = 2000  # of one value of it in the normalised event
AFTERWORD = Path(__file__).with_name("afterword.py")
DEEP = 4  # levels of it
# What agents for many providers are given: enough to reach each, and nothing of a cloud's own credentials.
PROVIDERS = (
    *("ANTHROPIC_*", "OPENAI_*", "GEMINI_*", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "OPENROUTER_*", "MISTRAL_*"),
    *("GROQ_*", "XAI_*", "DEEPSEEK_*", "CEREBRAS_*", "AZURE_OPENAI_*", "OLLAMA_*"),
)
OWNERS = "ANTHROPIC OPENAI GEMINI GOOGLE OPENROUTER MISTRAL GROQ XAI DEEPSEEK CEREBRAS AZURE_OPENAI"
KEYS = tuple(f"{owner}_API_KEY" for owner in OWNERS.split())
ARGUMENT = 100_000  # bytes of one command line argument; Linux allows 128 KB
SAYS_MOST = ("command", "cmd", "file_path", "path", "filePath", "pattern", "query", "url", "description")

STATUS = re.compile(r"(?:\b(?:status|error|http|code)\b\W{0,6}(?:code\W{0,3})?|^\W*)([45]\d\d)\b", re.I)
REFUSED = frozenset({401, 403, 407})
LIMITED = frozenset({402, 429, 503, 529})
COMPLAINT = re.compile(r"\b(?:error|fatal|cannot|can't|could not|failed|invalid|unknown|not found|refus\w+)\b", re.I)
MILD = re.compile(r"\W*(?:\S*\d\S*\s+)?(?:warn(?:ing)?|info|debug)\b", re.I)  # the beginning of what ends nothing
AUTH = re.compile(
    r"(?:invalid|incorrect|missing|no|expired|provide an?) (?:x-)?api[ -]?key"
    r"|api[ _-]?key (?:is |was )?(?:not|missing|invalid|required)"
    r"|unauthori[sz]ed|unauthenticated|authentication|not logged in|not authenticated|log ?in again|/login|sign in again"
    r"|(?:token|session|credentials?) (?:has |have |is |are )?(?:expired|revoked|invalid|missing|not found)|invalid auth",
    re.I,
)
CONTEXT = re.compile(
    r"(?:prompt|input|request|conversation|message) (?:is|was|as) too (?:long|large)"
    r"|context[ _-]?(?:window|length|overflow|limit)|maximum (?:context|number of (?:input )?tokens)|ran out of room"
    r"|too many (?:input )?tokens|token limit exceeded",
    re.I,
)
LIMIT = re.compile(
    r"(?:rate|usage|request|token|spend(?:ing)?)[ _-]?limit|limit (?:reached|exceeded)|(?:hit|reached) your\b.{0,40}\blimit"
    r"|quota|too many requests|resource[ _-]?exhausted|overloaded|high demand|credit balance|out of credits",
    re.I,
)
# The provider is out of reach, for this task as for all others: no fault of theirs, and over as suddenly as it came.
UNREACHED = re.compile(
    r"\b(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ENETDOWN|ETIMEDOUT)\b"
    r"|\bgetaddrinfo\b|name resolution|network is unreachable|no route to host",
    re.I,
)


def plain(line: bytes) -> str:
    """A line as text; what is no UTF-8 becomes a replacement character."""
    return line.decode("utf-8", errors="replace")


def record(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line holds; None where it holds none, or a torn one."""
    text = plain(line).strip()
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def at(data: Any, *path: str) -> Any:
    """What lies at that path of keys, None where it breaks off."""
    for key in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def string(data: Any, *path: str) -> str:
    """The text there, else "". Half of a surrogate pair, which JSON can hold and no file can, is replaced."""
    value = at(data, *path)
    return _whole(value) if isinstance(value, str) else ""


def number(data: Any, *path: str) -> float | None:
    """The finite number there."""
    value = at(data, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def whole(data: Any, *path: str) -> int | None:
    """The whole number there."""
    value = number(data, *path)
    return None if value is None else int(value)


def price(data: Any, *path: str) -> float | None:
    """The dollars there. 0 is what programs say of models whose price they don't know: that is unknown."""
    return number(data, *path) or None


def table(data: Any, *path: str) -> Mapping[str, Any]:
    """The object there, else an empty one."""
    value = at(data, *path)
    return value if isinstance(value, Mapping) else {}


def tables(data: Any, *path: str) -> list[Mapping[str, Any]]:
    """The objects of the list there."""
    value = at(data, *path)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def words(line: bytes, stream: Stream) -> tuple[AgentEvent, ...]:
    """A line that is no JSON, of an agent that speaks JSON: other programs' words, or a torn record, of which the beginning says
    enough. What sounds like an error on stderr may be all that is ever said of why it failed."""
    text = plain(line)[:VALUE]
    if stream is Stream.ERR and COMPLAINT.search(text) and not MILD.match(text):
        return (AgentEvent(EventKind.ERROR, text),)
    return notice(text)


def row(line: bytes, *, done: re.Pattern[str], failed: re.Pattern[str]) -> tuple[AgentEvent, ...]:
    """A row of an agent's screen that says that its turn is over, or, in the first group of `failed`, why it came to nothing."""
    text = plain(line).strip()
    if done.match(text):
        return (end(ok=True),)
    found = failed.match(text)
    return (failure(found[1]),) if found else ()


def notice(line: bytes | str) -> tuple[AgentEvent, ...]:
    """A line that decides nothing, for the log; nothing where it is empty."""
    text = plain(line) if isinstance(line, bytes) else line
    return (AgentEvent(EventKind.NOTICE, text),) if text.strip() else ()


def said(text: str, *, joins: str | None = None) -> tuple[AgentEvent, ...]:
    """What the agent says; nothing where that is nothing. `joins`: it goes on with what was said before."""
    return (AgentEvent(EventKind.TEXT, text, {} if joins is None else {"joins": joins}),) if text.strip() else ()


def session(identity: str) -> tuple[AgentEvent, ...]:
    """The session's id, where there is one."""
    return (AgentEvent(EventKind.SESSION, identity),) if identity else ()


def model(name: str) -> tuple[AgentEvent, ...]:
    """The model that answers, where it is told."""
    return (AgentEvent(EventKind.MODEL, name),) if name else ()


def tool(name: str, given: Any, identity: str = "") -> AgentEvent:
    """What the agent does. Give `identity` only where a `result` with it follows: until then the tool counts as running."""
    data: dict[str, Any] = {"name": name, "input": brief(given)}
    if identity:
        data["id"] = identity
    return AgentEvent(EventKind.TOOL, f"{name} {_gist(given)}".strip(), data)


def result(identity: str, text: str = "", *, ok: bool = True) -> AgentEvent:
    """What came of the tool with that id."""
    return AgentEvent(EventKind.RESULT, text[:VALUE], {"id": identity, "ok": ok})


def usage(
    *,
    usd: float | None = None,
    sent: int | None = None,
    cached: int | None = None,
    cache_write: int | None = None,
    received: int | None = None,
    reasoning: int | None = None,
    total: bool = False,
) -> tuple[AgentEvent, ...]:
    """What was used: all tokens sent, those of them read from and written to a cache, all received. None is unknown. `total`:
    counted from the session's start, in place of what was told before."""
    counts = {"usd": usd, "input_tokens": sent, "cached_tokens": cached, "cache_write_tokens": cache_write}
    counts |= {"output_tokens": received, "reasoning_tokens": reasoning}
    known = {kind: count for kind, count in counts.items() if count is not None and count >= 0}
    return (AgentEvent(EventKind.USAGE, "", {**known, **({"total": True} if total else {})}),) if known else ()


def end(*, ok: bool, text: str = "") -> AgentEvent:
    """The closing event."""
    return AgentEvent(EventKind.END, text, {"ok": ok})


def failure(message: str, status: int | None = None, *, reset: float | None = None, now: float | None = None) -> AgentEvent:
    """What the agent's own words on a failure mean: not logged in, no room left, a limit (and its end), or an error. A provider
    that can't be reached is a limit without an end that anybody knows.

    `status` is the HTTP status where the agent tells it beside the words; `reset` the limit's end where it tells that.
    """
    status = status or _status(message)
    if status in REFUSED:
        return AgentEvent(EventKind.AUTH, message)
    if status != 429 and CONTEXT.search(message):
        return AgentEvent(EventKind.CONTEXT, message)
    if status in LIMITED or LIMIT.search(message) or UNREACHED.search(message):
        return limit(message, reset=reset, now=now)
    return AgentEvent(EventKind.AUTH if AUTH.search(message) else EventKind.ERROR, message)


def limit(message: str, *, reset: float | None = None, now: float | None = None) -> AgentEvent:
    """A limit of the provider, with its end where that is told or can be read from `message`. Times of day without a zone are
    those of this machine's clock, as clients write them."""
    if reset is None:
        now = time.time() if now is None else now
        reset = reset_at(message, now, _here(now))
    return AgentEvent(EventKind.LIMIT, message, {} if reset is None else {"reset_at": reset})


def installed(program: str, *, install: str) -> Availability:
    """Whether a program of that name is on PATH; its version is asked elsewhere."""
    import shutil

    if found := shutil.which(program):
        return Availability(installed=True, detail=found)
    return Availability(installed=False, detail=f"{program} was not found on PATH", fix=install)


def stdin(request: Request) -> bytes:
    """The prompt for a program's stdin: an argument may neither begin with a dash nor be longer than 128 KB."""
    return request.prompt.encode("utf-8", errors="replace")


def argument(request: Request) -> str:
    """The prompt as an argument of a program that doesn't read it from stdin; a long one is left in its file."""
    text = stdin(request).decode().replace("\0", "")
    if len(text.encode()) > ARGUMENT:
        return f"Your task is written in the file {request.prompt_file}. Read all of it, then do what it says."
    return f" {text}" if text.startswith("-") else text


def dollars(usd: float) -> str:
    """What is left of a budget, for a switch: a cent at least, since programs refuse nothing, or take it for no limit."""
    return f"{max(usd, 0.01):.2f}"


def told_after(file: str, *argv: str) -> tuple[str, ...]:
    """`argv`, run so that the file in which the program says how it ended follows on its output, as one JSON object: see
    `afterword.py`."""
    return (sys.executable, "-I", "-S", str(AFTERWORD), file, *argv)


def temporary(request: Request) -> str:
    """A temporary folder of the session's own, beside its prompt; whoever made that folder removes it."""
    folder = request.prompt_file.parent / "tmp"
    folder.mkdir(exist_ok=True)
    return str(folder)


def brief(value: Any, deep: int = DEEP) -> Any:
    """`value` with its texts cut and what lies too deep left out: a tool may be given a whole file."""
    if isinstance(value, str):
        return value if len(value) <= VALUE else f"{value[:VALUE]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {str(key): brief(item, deep - 1) for key, item in _some(value.items())} if deep else "…"
    if isinstance(value, list | tuple):
        return [brief(item, deep - 1) for item in _some(value)] if deep else "…"
    return value if value is None or isinstance(value, int | float) else str(value)


def _some(items: Iterable[Any], most: int = 50) -> list[Any]:
    return [item for item, _ in zip(items, range(most), strict=False)]


def _gist(given: Any) -> str:
    """The one value of a tool's input that says most, on one line."""
    if isinstance(given, Mapping):
        named = [given[key] for key in SAYS_MOST if isinstance(given.get(key), str | list)]
        given = next(iter(named), next((value for value in given.values() if isinstance(value, str)), ""))
    if isinstance(given, list):
        given = " ".join(str(part) for part in given)
    return _whole(" ".join(str(given or "").split())[:GIST])


def _whole(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode()


def _status(message: str) -> int | None:
    found = STATUS.search(message)
    return int(found[1]) if found else None


def _here(now: float) -> tzinfo:
    return datetime.fromtimestamp(now, UTC).astimezone().tzinfo or UTC
