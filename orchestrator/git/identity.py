"""Whom to commit as: whom the repository says, else ourselves, told by environment and never by its configuration."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import GitError
from orchestrator.git.command import Git, Output

NAME, EMAIL = "orchestrator", "orchestrator@localhost"
NO_GUESS = ("-c", "user.useConfigOnly=true")
NOBODY = "auto-detection is disabled"


def fallback() -> dict[str, str]:
    """The environment that commits as ourselves."""
    return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", NAME), ("EMAIL", EMAIL))}


def commit_as(git: Git, *args: str, message: str, env: Mapping[str, str] | None = None, ok: tuple[int, ...] = (0,)) -> Output:
    """Run a committing command with `message` on its input. Asking first who commits would cost a process each time."""
    data = message.encode(errors="replace")
    try:
        return git.run(*NO_GUESS, *args, input=data, env=env, ok=ok)
    except GitError as error:
        if NOBODY not in error.stderr:
            raise
        return git.run(*NO_GUESS, *args, input=data, env={**(env or {}), **fallback()}, ok=ok)


def with_trailers(message: str, *trailers: Mapping[str, str] | None) -> str:
    """`message` with `Name: value` lines at its end, one line each whatever the value holds."""
    lines = [f"{name}: {' '.join(value.split())}" for each in trailers for name, value in (each or {}).items()]
    return "\n".join([message.rstrip(), *(["", *lines] if lines else []), ""])
