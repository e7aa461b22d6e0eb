"""From what a client declares, the tool that does what the script wants, called as its schema says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.modelserver.conversation import Ask, Form, Tool
from orchestrator.modelserver.script import Write

WRITERS = (
    "write writefile createfile create savefile writetofile strreplaceeditor strreplacebasededittool fileeditor applypatch "
    "edit editfile"
)
SHELLS = (
    "bash shell shellcommand execcommand localshell runshellcommand runcommand runinterminal runterminalcmd terminal "
    "executebash executecommand execute containerexec"
)
FINISHERS = "finish attemptcompletion submit taskcomplete"
PATHS = ("file_path", "filePath", "path", "filename", "file", "target_file", "absolute_path")
CONTENTS = ("content", "contents", "file_text", "text", "new_content")
PATCHES = ("input", "patch", "patchText", "patch_text")
COMMANDS = ("command", "cmd", "commands", "script")
ENDS = ("message", "result", "summary", "answer")
PURPOSE = "what the script says"
FOLDER = re.compile(
    r"(?:working directory|working folder|current directory|workspace director(?:y|ies)|\bcwd\b|working in the directory)"
    r"(?: is)?[^\w/]{1,16}(/[^\s<>`\"',;)]*)",
    re.IGNORECASE,
)

Arguments = Mapping[str, Any] | str


def writer(tools: Sequence[Tool]) -> Tool | None:
    """The tool that writes a whole file; none: a shell must do it."""
    return _best([tool for tool in tools if _writes(tool)], WRITERS)


def shell(tools: Sequence[Tool]) -> Tool | None:
    """The tool that runs a command line."""
    return _best([tool for tool in tools if tool.form is Form.LOCAL_SHELL or _runs(tool)], SHELLS)


def suits(tool: Tool, write: Write) -> bool:
    """Can this tool write exactly that? A patch is made of whole lines."""
    return not _patches(tool) or (write.content.endswith("\n") and "\r" not in write.content)


def finisher(tools: Sequence[Tool]) -> Tool | None:
    """The tool by which a session is ended, for clients that wait for one."""
    return _best(tools, FINISHERS)


def writing(tool: Tool, write: Write, ask: Ask) -> Arguments:
    """The arguments that make `tool` write the file."""
    if tool.form is Form.CUSTOM:
        return _patch(write)
    given: dict[str, Any] = {}
    if patch := _one(tool, PATCHES) if _patches(tool) else None:
        given[patch] = _patch(write)
    else:
        given[_one(tool, PATHS) or "path"] = _absolute(write.path, ask)
        given[_one(tool, CONTENTS) or "content"] = write.content
    if "create" in _enum(tool.properties.get("command")):
        given["command"] = "create"
    return filled(tool.schema, given)


def running(tool: Tool, command: str) -> Arguments:
    """The arguments that make `tool` run the command line: as a text, or as a list of words where it wants one."""
    if tool.form is Form.CUSTOM:
        return command
    name = _one(tool, COMMANDS) or "command"
    as_list = tool.form is Form.LOCAL_SHELL or _type(tool.properties.get(name)) == "array"
    return filled(tool.schema, {name: ["bash", "-c", command] if as_list else command})


def finishing(tool: Tool, text: str) -> Arguments:
    """The arguments that end the session with `text`."""
    return filled(tool.schema, {name: text} if (name := _one(tool, ENDS)) else {})


def by_shell(write: Write) -> str:
    """The command line that writes the file, for clients that have nothing better."""
    path, parent = PurePosixPath(write.path), PurePosixPath(write.path).parent
    folder = "" if parent == PurePosixPath() else f"mkdir -p {shlex.quote(str(parent))} && "
    return f"{folder}printf %s {shlex.quote(write.content)} > {shlex.quote(str(path))}"


def filled(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` and something sensible for whatever else the schema insists on."""
    properties = schema.get("properties") or {}
    missing = [name for name in schema.get("required") or () if name not in given]
    return {**given, **{name: sensible(properties.get(name) or {}) for name in missing}}


def sensible(schema: Mapping[str, Any]) -> Any:
    """A value that a schema accepts: its default, its first choice, or the plainest of its type."""
    if "default" in schema:
        return schema["default"]
    if choices := _enum(schema):
        return choices[0]
    kind = _type(schema)
    if kind == "object":
        return filled(schema, {})
    plain: dict[str, Any] = {"string": PURPOSE, "boolean": False, "array": [], "null": None}
    return plain.get(kind, schema.get("minimum", 1))


def _patch(write: Write) -> str:
    """The file in the patch language of OpenAI's models; "Add" replaces what is there."""
    lines = write.content.removesuffix("\n").split("\n")
    return "\n".join(["*** Begin Patch", f"*** Add File: {write.path}", *(f"+{line}" for line in lines), "*** End Patch\n"])


def _absolute(path: str, ask: Ask) -> str:
    """Many clients want an absolute path; most name their working folder, which lies on this machine, in what they send."""
    named = (Path(found.group(1)) for found in FOLDER.finditer(ask.words))
    folder = next((folder for folder in named if folder != Path("/") and folder.is_dir()), None)
    return str(folder / path) if folder else path


def _patches(tool: Tool) -> bool:
    return _plain(tool.name) == "applypatch"


def _writes(tool: Tool) -> bool:
    if _patches(tool):
        return tool.form is Form.CUSTOM or _one(tool, PATCHES) is not None
    return bool(_one(tool, PATHS) and _one(tool, CONTENTS)) and tool.form is Form.FUNCTION


def _runs(tool: Tool) -> bool:
    return bool(_one(tool, COMMANDS)) and not _one(tool, PATHS) and _plain(tool.name) in SHELLS.split()


def _best(tools: Sequence[Tool], names: str) -> Tool | None:
    """The tool whose name comes first in `names`."""
    rank = {name: at for at, name in enumerate(names.split())}
    known = [tool for tool in tools if _plain(tool.name) in rank]
    return min(known, key=lambda tool: rank[_plain(tool.name)], default=None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _one(tool: Tool, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in tool.properties), None)


def _enum(schema: Any) -> Sequence[Any]:
    return (schema.get("enum") or ()) if isinstance(schema, Mapping) else ()


def _type(schema: Any) -> str:
    """A schema's type in lower case, for Gemini writes it in capitals; the first that isn't null where there are several."""
    if not isinstance(schema, Mapping):
        return ""
    kind = schema.get("type")
    if kind is None and (choices := schema.get("anyOf") or schema.get("oneOf")):
        return next((_type(choice) for choice in choices if _type(choice) != "null"), "")
    if isinstance(kind, list):
        kind = next((word for word in kind if word != "null"), "null")
    return str(kind or "string").lower()
