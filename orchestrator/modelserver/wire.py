"""Bytes of an answer: JSON, server-sent events, and text in the pieces a model sends."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

SMALL, LARGE = 24, 16_384


def as_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def event(data: Mapping[str, Any] | str, name: str = "") -> bytes:
    """One server-sent event, with its name where the protocol gives events names."""
    body = data.encode() if isinstance(data, str) else as_json(data)
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + body + b"\n\n"


def pieces(text: str) -> Iterator[str]:
    """The text as it streams: small pieces, larger ones where there is much of it."""
    size = SMALL if len(text) < LARGE else LARGE
    return (text[at : at + size] for at in range(0, len(text), size))


def arguments_text(arguments: Mapping[str, Any] | str, *, broken: bool) -> str:
    """A call's arguments as text; broken ones end before they are JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return text[: len(text) // 2] if broken else text


def fresh(prefix: str) -> str:
    """An id that no other answer has."""
    return prefix + secrets.token_hex(12)
