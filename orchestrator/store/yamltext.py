"""Values as one would write them by hand in a front matter, and surely read back as the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from orchestrator.errors import Misuse, SpecError
from orchestrator.store.header import load

PLAIN_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*")


SAFE = re.compile(r"[ !#-\[\]-~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\U00010000-\U0010ffff]")
NAMED = {'"': '"', "\\": "\\", "\n": "n", "\t": "t", "\r": "r"}


def entry(key: str, value: object) -> str:
    """`key: value` without a line end; a text of several lines becomes an indented block."""
    if isinstance(value, str) and (block := _block(value)) and _reads_as(f"{key}: {block}", key, value):
        return f"{key}: {block}"
    return f"{key}: {inline(value)}"


def inline(value: object) -> str:
    """`value` on one line, at home in `key: …` as well as inside brackets."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{inline(key)}: {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    raise TypeError(f"{value!r} can't be written into a front matter")


def whole(value: str) -> str:
    """`value`, where it can be written down. Raises Misuse for bytes of a command line that are no text."""
    if any(0xD800 <= ord(character) < 0xE000 for character in value):
        raise Misuse(f"{value!r} is not valid UTF-8.", hint="Write it in UTF-8.")
    return value


def _text(value: str) -> str:
    plain = yaml.safe_dump([whole(value)], default_flow_style=True, allow_unicode=True, width=2**30).strip()[1:-1]
    if PLAIN_LINE.fullmatch(plain) and _reads_as(f"k: {{a: {plain}}}", "k", {"a": value}):
        return plain
    return _quoted(value)


def _quoted(value: str) -> str:
    """In double quotes, with every character escaped that YAML would not give back as it is."""
    return '"' + "".join(character if SAFE.fullmatch(character) else _escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in NAMED:
        return f"\\{NAMED[character]}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _block(value: str) -> str | None:
    """A literal block, where a text is plain enough for one."""
    text = value.removesuffix("\n")
    lines = text.split("\n")
    if len(lines) < 2 or not text.strip() or lines[0][:1].isspace() or text.endswith("\n"):
        return None
    if not all(PLAIN_LINE.fullmatch(line.replace("\t", " ")) for line in lines):
        return None
    return ("|" if value.endswith("\n") else "|-") + "".join(f"\n  {line}" if line else "\n" for line in lines)


def _reads_as(text: str, key: str, value: object) -> bool:
    try:
        return load(Path("front matter"), text)[0] == {key: value}
    except SpecError:
        return False
