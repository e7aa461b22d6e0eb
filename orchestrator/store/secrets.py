"""The one place where secrets are collected: from the environment, the project's `.env` files, a spec's own variables, the files
in which agents keep their logins."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from orchestrator.core.masking import RANDOM, Masker, key_like, maskable, secrets_of

STAGES = ("development", "production", "test")
FILES = (".env", ".env.local", *(f".env.{stage}{local}" for stage in STAGES for local in ("", ".local")))
LARGEST = 1 << 20
ASSIGNED = re.compile(r"""\b([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s;&|]+)""")
HALVES = frozenset({"access", "refresh"})  # what some call the tokens of a login
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


def in_logins(credentials: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The secrets of an agent's login: `credentials` are the files, and variables that hold such a file's text, which keep it."""
    found: dict[str, str] = {}
    for name in credentials:
        path = Path(os.path.expandvars(name)).expanduser()
        if path.name == ".env":
            found |= secrets_of(_variables(path), random=True)
        else:
            text = _text(path) if "/" in name else environ.get(name, "")
            found |= {value: name for value in _kept(text) if maskable(value)}
    return found


def _kept(text: str) -> list[str]:
    """What reads like a key below a name like a key's, in JSON; nothing in any other text."""
    if not text.lstrip().startswith("{"):
        return []
    try:
        return [value for value in _below(json.loads(text), named=False) if RANDOM.fullmatch(value)]
    except (ValueError, RecursionError):
        return []


def _below(value: Any, *, named: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _below(each, named=named or key in HALVES or key_like(key))
    elif isinstance(value, list):
        for each in value:
            yield from _below(each, named=named)
    elif named and isinstance(value, str):
        yield value


def _variables(path: Path | str) -> dict[str, str]:
    """The variables of a `.env`; of one that can't be read, none."""
    text = _text(path)
    if not text:
        return {}

    from dotenv.parser import parse_stream

    return {binding.key: binding.value or "" for binding in parse_stream(StringIO(text)) if binding.key}


def _text(path: Path | str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a dozen looks for files that mostly aren't there
            return (file.read(LARGEST) or b"").decode(errors="replace")
    except OSError:
        return ""
