"""The one place where secrets are collected: from the environment, the project's `.env` files, a spec's own variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.core.masking import Masker, maskable, secrets_of

STAGES = ("development", "production", "test")
FILES = (".env", ".env.local", *(f".env.{stage}{local}" for stage in STAGES for local in ("", ".local")))
LARGEST = 1 << 20
ASSIGNED = re.compile(r"""\b([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s;&|]+)""")
LOGIN = re.compile(r"://(?:[^/\s:@]*:)?([^/\s:@]{8,})@")  # a password, or a token in a user's place


def collect(environ: Mapping[str, str], folders: Iterable[Path] = (), *, commands: Iterable[str] = ()) -> Masker:
    """What masks the secrets of `environ`, of variables set inside `commands`, of the `.env` files in `folders` and of the
    addresses in their git configuration."""
    found = secrets_of(environ) | in_folders(folders)
    for command in commands:
        found |= secrets_of({name: value.strip("\"'") for name, value in ASSIGNED.findall(command)})
    return Masker(found)


def in_folders(folders: Iterable[Path]) -> dict[str, str]:
    """The secrets that lie in files of these folders, with their names."""
    found: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        found |= {secret: "a git remote" for secret in LOGIN.findall(_text(f"{folder}/.git/config")) if maskable(secret)}
        for name in FILES:
            found |= secrets_of(_variables(f"{folder}/{name}"), random=True)
    return found


def _variables(path: str) -> dict[str, str]:
    """The variables of a `.env`; of one that can't be read, none."""
    text = _text(path)
    if not text:
        return {}
    from io import StringIO

    from dotenv.parser import parse_stream

    return {binding.key: binding.value or "" for binding in parse_stream(StringIO(text)) if binding.key}


def _text(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a dozen looks for files that mostly aren't there
            return (file.read(LARGEST) or b"").decode(errors="replace")
    except OSError:
        return ""
