"""Secrets are not written down: which values are secrets, and how text, JSON and streams are freed of them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

MASK = "***"
SHORTEST = 6  # characters; a shorter value stands in too much that is none
LONGEST = 2048  # of one piece; a longer value is looked for piece by piece, and what is held back of a stream stays small
TAIL = 20  # characters at the end of a key by which programs show which one they use
LINE = 12  # characters of a line of a secret over several lines that is looked for by itself
KEY_LIKE = re.compile(
    r"(?i)SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|WEBHOOK"
    r"|(?:^|[_-])(?:KEYS?|PASS|AUTH|PAT|COOKIE|DSN|JWT|BEARER)(?:[_-]|$)|KEY$"
)
TELLS_WHERE = re.compile(
    r"(?i)^ORCH_ENV_PASS$|(?:FILE|PATH|DIR|FOLDER|SOCK|SOCKET|HOST|PORT|USER|USERNAME|HELPER|TIMEOUT|TTL|LIMIT|MS)$"
)
PLACE = re.compile(r"(?:~|\.{1,2})?/[\w.@+~-]+(?:/[\w.@+~-]+)*/?")
CREDENTIALS = re.compile(r"[a-zA-Z][\w+.-]*://[^/\s:@]*:([^/\s@]+)@")
RANDOM = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[\w+/=.~-]{16,}")  # a value of a .env whose name tells nothing
NUMBER = re.compile(r"[\d.,_-]{1,11}")
COMMON = frozenset(
    {
        *("anonymous", "another", "bearer", "boolean", "changeme", "claude", "default", "develop", "development"),
        *("disabled", "enabled", "example", "external", "false-positive", "gateway", "global", "hidden", "inherit"),
        *("internal", "keychain", "keyring", "letmein", "localhost", "manual", "master", "native", "nobody", "normal"),
        *("nothing", "offline", "online", "openai", "option", "optional", "passed", "password", "personal", "preview"),
        *("private", "process", "production", "project", "prompt", "provider", "public", "random", "readonly", "regular"),
        *("release", "remote", "required", "sandbox", "secret", "server", "service", "session", "shared", "simple"),
        *("staging", "standard", "static", "string", "system", "target", "testing", "token", "undefined", "unknown"),
        *("unlimited", "username", "version"),
    }
)  # fmt: skip


def key_like(name: str) -> bool:
    """Whether a variable of this name holds a secret, by what people call them."""
    return bool(KEY_LIKE.search(name)) and not TELLS_WHERE.search(name)


def secrets_of(variables: Mapping[str, str], *, named: Iterable[str] = (), random: bool = False) -> dict[str, str]:
    """The secrets among `variables`, with the name of each: by its name or because `named` has it, a password inside an address
    whatever its name, and with `random` whatever reads like a key."""
    own = frozenset(named)
    found: dict[str, str] = {}
    for name, value in variables.items():
        stripped = value.strip()
        if password := CREDENTIALS.match(stripped):
            found[password[1]] = name
        elif name in own or key_like(name) or (random and RANDOM.fullmatch(stripped)):
            found[stripped] = name
    return {value: name for value, name in found.items() if maskable(value)}


def maskable(value: str) -> bool:
    """Whether `value` is long and odd enough to be looked for everywhere."""
    if len(value) < SHORTEST or value.lower() in COMMON:
        return False
    return not (NUMBER.fullmatch(value) or PLACE.fullmatch(value))


class Masker:
    """Replaces secrets, given as value and name. Immutable; `with_more` makes a larger one."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._secrets = dict(secrets or {})
        forms: dict[str, str] = {}
        for value, name in self._secrets.items():
            forms |= dict.fromkeys(_forms(value), name)
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._names = {form.encode(errors="surrogateescape"): name for form, name in forms.items()}
        self._longest = max(map(len, self._names), default=0)
        self._first = frozenset(form[0] for form in self._names)

    def with_more(self, secrets: Mapping[str, str]) -> Masker:
        """This one, and `secrets`."""
        return self if secrets.items() <= self._secrets.items() else Masker({**self._secrets, **secrets})

    def text(self, text: str) -> str:
        """`text` without secrets."""
        if not any(form in text for form in self._forms):
            return text
        return re.sub("|".join(map(re.escape, self._forms)), MASK, text)

    def data(self, data: bytes) -> bytes:
        """The same for bytes that are complete."""
        return self._pattern.sub(MASK.encode(), data) if self._stands_in(data) else data

    def deep(self, value: Any) -> Any:
        """JSON-ready data with every text in it freed of secrets; its keys and numbers stay."""
        match value:
            case str():
                return self.text(value) if type(value) is str else value  # an enum's word is none of theirs
            case Mapping():
                return {key: self.deep(each) for key, each in value.items()}
            case list() | tuple():
                return [self.deep(each) for each in value]
        return value

    def named(self, data: bytes) -> tuple[str, ...]:
        """The names of the secrets that stand in `data`, each once."""
        found = self._pattern.finditer(data) if self._stands_in(data) else ()
        return tuple(dict.fromkeys(self._names[match[0]] for match in found))

    def stream(self, sink: Callable[[bytes], None]) -> Stream:
        """A sink before `sink`, for what comes in pieces."""
        return Stream(self, sink)

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """`data` without secrets, and the end of it that may be the beginning of one and has to wait for what comes next."""
        held, done, parts = self._held(data, 0), 0, []
        for match in self._pattern.finditer(data) if self._stands_in(data) else ():
            if match.start() >= held:
                break
            parts += [data[done : match.start()], MASK.encode()]
            done = match.end()
            if done > held:
                held = self._held(data, done)
        end = max(held, done)
        return b"".join((*parts, data[done:end])), data[end:]

    @functools.cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        """Compiled when the first secret was seen: most workers never see one."""
        return re.compile(b"|".join(map(re.escape, sorted(self._names, key=len, reverse=True))))

    def _stands_in(self, data: bytes) -> bool:
        return any(form in data for form in self._names)

    def _held(self, data: bytes, start: int) -> int:
        """Where the first part of `data` begins that could go on to be a secret; its end where there is none."""
        for place in range(max(start, len(data) - self._longest + 1), len(data)):
            if data[place] in self._first:
                rest = data[place:]
                if any(form.startswith(rest) and form != rest for form in self._names):
                    return place
        return len(data)


class Stream:
    """Masks a stream: what could be the beginning of a secret is handed on once it is known not to be."""

    def __init__(self, masker: Masker, sink: Callable[[bytes], None]) -> None:
        self._masker, self._sink, self._rest = masker, sink, b""

    def feed(self, data: bytes) -> None:
        """The next piece."""
        ready, self._rest = self._masker.split(self._rest + data)
        if ready:
            self._sink(ready)

    def flush(self) -> None:
        """Nothing more comes."""
        rest, self._rest = self._masker.data(self._rest), b""
        if rest:
            self._sink(rest)


def _forms(value: str) -> Iterable[str]:
    """How a value may stand in a file: as it is, in JSON, in an address, line by line, and as the end of a long key."""
    pieces = [value] if len(value) <= LONGEST else [value[start : start + LONGEST] for start in range(0, len(value), LONGEST)]
    lines = [line.strip() for line in value.splitlines()] if "\n" in value else []
    tail = [value[-TAIL:]] if len(value) >= 2 * TAIL and not any(map(str.isspace, value)) else []
    for piece in (*pieces, *tail, *(line for line in lines if len(line) >= LINE and not line.startswith("-----"))):
        if len(piece) >= SHORTEST:
            yield from {piece, json.dumps(piece)[1:-1], json.dumps(piece, ensure_ascii=False)[1:-1], quote(piece, safe="")}
