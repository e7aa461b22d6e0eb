"""What a client asked and what it is answered, in words that belong to none of the four protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Speaker(StrEnum):
    """Who said one entry of a conversation; a tool's result is the client's, but no prompt."""

    USER = "user"
    MODEL = "model"
    TOOL = "tool"


class Form(StrEnum):
    """How a tool wants its call: with arguments after a schema, with plain text, or as OpenAI's own shell."""

    FUNCTION = "function"
    CUSTOM = "custom"
    LOCAL_SHELL = "local_shell"


class End(StrEnum):
    """Why an answer ends."""

    SAID = "said"
    CALLED = "called"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the client declared; `schema` is the JSON schema of its arguments, `group` the namespace it lies in."""

    name: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    form: Form = Form.FUNCTION
    description: str = ""
    group: str = ""

    @property
    def properties(self) -> Mapping[str, Any]:
        found = self.schema.get("properties")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing said. `calls` are the ids of the calls the model made in it; `call` the id a tool's result answers."""

    speaker: Speaker
    text: str = ""
    calls: tuple[str, ...] = ()
    call: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it came, before anyone knows what its protocol means by it."""

    path: str
    body: Mapping[str, Any]
    size: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for an answer. `schema` is the JSON the client wants instead of text, `forced` the tool it insists on."""

    model: str
    streaming: bool
    system: str = ""
    entries: tuple[Entry, ...] = ()
    tools: tuple[Tool, ...] = ()
    schema: Mapping[str, Any] | None = None
    forced: str = ""
    size: int = 0

    @property
    def words(self) -> str:
        """All that the client itself said, instructions first."""
        return "\n".join((self.system, *(entry.text for entry in self.entries if entry.speaker is Speaker.USER)))


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool: `arguments` after its schema, or plain text for a custom tool."""

    id: str
    tool: Tool
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer: `input` without what came from the cache, `output` without the reasoning."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says. `broken` cuts the arguments of its calls in the middle, so that they are no JSON."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    usage: Usage = Usage()
    end: End = End.SAID
    broken: bool = False
