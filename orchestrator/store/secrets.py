"""The one place where secrets are collected: from the environment, the project's `.env` files, a spec's own variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.core.masking import Masker, secrets_of

STAGES = ("development", "production", "test")
FILES = (".env", ".env.local", *(f".env.{stage}{local}" for stage in STAGES for local in ("", ".local")))
LARGEST = 1 << 20


def collect(
    environ: Mapping[str, str], folders: Iterable[Path] = (), *, more: Mapping[str, str] | None = None, named: Iterable[str] = ()
) -> Masker:
    """What masks the secrets of `environ`, of `more` and of the `.env` files in `folders`. `named`: variables that are secret
    whatever they are called."""
    own = tuple(named)
    found = secrets_of(environ, named=own) | secrets_of(more or {}, named=own)
    for folder in dict.fromkeys(folders):
        for name in FILES:
            found |= secrets_of(_variables(folder / name), named=own, random=True)
    return Masker(found)


def _variables(path: Path) -> dict[str, str]:
    """The variables of a `.env`; of one that can't be read, none."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode(errors="replace")
    except OSError:
        return {}
    from io import StringIO

    from dotenv.parser import parse_stream

    return {binding.key: binding.value or "" for binding in parse_stream(StringIO(text)) if binding.key}
