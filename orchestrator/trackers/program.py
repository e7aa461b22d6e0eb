"""A tracker's command line program, called: nothing asked, nothing paged, failures told apart."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from orchestrator.core.outcome import ProcessEnd
from orchestrator.proc.capture import capture
from orchestrator.trackers.protocol import TrackerError, Where

TIMEOUT = 60.0
QUIET = {
    "GH_PROMPT_DISABLED": "1",
    "GH_NO_UPDATE_NOTIFIER": "1",
    "GLAB_CHECK_UPDATE": "false",
    "NO_PROMPT": "1",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "GH_PAGER": "cat",
    "GLAB_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
}
# What a person has to put right: a login, a permission, a repository that isn't there.
LASTING = re.compile(
    r"auth login|not logged in|authentication|HTTP 40[134]|\b40[134]\b|Bad credentials|permission|Could not resolve to a Repo",
    re.IGNORECASE,
)
SCP = re.compile(r"(?:[^@/:]+@)?([^/:]+):(?!//)(.+)")  # user@host:owner/name


def call(where: Where, argv: Sequence[str], *, feed: str | None = None) -> str:
    """What `argv` printed. Raises TrackerError. Its environment is our own: it holds the login, and no agent runs in it."""
    data = None if feed is None else feed.encode(errors="replace")
    ended = capture(argv, cwd=where.checkout, env={**os.environ, **QUIET}, input=data, timeout=TIMEOUT)
    if ended.ok:
        return ended.stdout.decode(errors="replace")
    if ended.end is ProcessEnd.NOT_STARTED:
        hint = f"Install {argv[0]} and log in with `{argv[0]} auth login`."
        raise TrackerError(f"{argv[0]} can't be run: {ended.detail}", hint=hint, lasting=True)
    said = " ".join(ended.stderr.decode(errors="replace").split()) or ended.detail or f"it ended with {ended.code}"
    lasting = bool(LASTING.search(said))
    hint = f"See `{argv[0]} auth status`, and what that account may do there." if lasting else ""
    raise TrackerError(f"{' '.join(argv[:3])} failed: {said[:500]}", hint=hint, lasting=lasting)


def done(where: Where, argv: Sequence[str]) -> bool:
    """Whether the tracker did it; False where it refuses just this. Raises TrackerError where a person has to help."""
    try:
        call(where, argv)
    except TrackerError as error:
        if error.lasting:
            raise
        return False
    return True


def parsed(text: str, argv: Sequence[str]) -> Any:
    """The JSON that a call printed. Raises TrackerError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise TrackerError(f"{' '.join(argv[:3])} printed no JSON: {text[:200]!r}") from error


def place(path: str | None, line: int | None) -> str:
    """`file:line` of a remark, as much of it as there is."""
    return f"{path}:{line}" if path and line else path or ""


def host_and_name(address: str) -> tuple[str, str] | None:
    """`github.com` and `owner/name` of a remote's address; None of a path."""
    if "://" in address:
        parts = urlsplit(address)
        host, path = parts.hostname or "", parts.path
        if parts.scheme == "file" or not host:
            return None
    elif match := SCP.fullmatch(address):
        host, path = match[1], match[2]
    else:
        return None
    name = path.strip("/").removesuffix(".git")
    return (host.lower(), name) if "/" in name else None
