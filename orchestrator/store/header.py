"""The YAML front matter of a spec: strict, bounded, and with the place of every value.

Imports yaml, so import it only where a spec is really parsed (a warm cache needs none of this).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from frontmatter.default_handlers import YAMLHandler

from orchestrator.core.value import Value
from orchestrator.errors import Problem, SpecError

MAX_HEADER = 64 * 1024
MAX_VALUES = 10_000  # after aliases are expanded: a YAML bomb ends here, before anything is built
MAX_DEPTH = 30
MAX_DIGITS = 40
MOST = 20  # problems told of one file
OPENING = re.compile(r"^---[ \t]*$", re.MULTILINE)
CORE_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge"))
INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$")
FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)$"
)
NOTHING = "nothing"
MARKED = re.compile(r"cannot start any token|\\t|alias|anchor|scanning a tag")
NOT_FOUND = re.compile(r"^(?:did|could) not find expected ")
BOOL = re.compile(r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$")
Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Place = tuple[int, int]


class Loader(Base):  # type: ignore[misc]  # the base depends on how yaml was built
    """YAML 1.1 without its traps: no base 60 (`1:30`), no octal (`010`), no dates, no infinity; `1e3` is a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # yaml's own protocol


Loader.add_implicit_resolver("tag:yaml.org,2002:bool", BOOL, list("yYnNtTfFoO"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", INT, list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Header(Value):
    """What stood between the two `---` lines, and what came after. `body_line` is the file line the body begins on."""

    data: dict[str, Any]
    body: str
    body_line: int
    first_line: int = 0  # of the YAML text, counted from 0
    text: str = ""
    root: yaml.MappingNode | None = None

    def node(self, where: Sequence[str | int]) -> tuple[yaml.Node | None, yaml.Node | None]:
        """The key's node and the value's node for a path such as `("metric", "target")`; the nearest known ones."""
        key: yaml.Node | None = None
        node: yaml.Node | None = self.root
        for step in where:
            inner = _child(node, step)
            if inner is None:
                break
            key, node = inner
        return key, node

    def place(self, where: Sequence[str | int]) -> Place:
        """Line and column, from 1, of the value at that path; of its key where the value is empty."""
        key, node = self.node(where)
        best = key if key is not None and (node is None or node.start_mark.line > key.start_mark.line) else node
        return self._place(best.start_mark) if best is not None else (0, 0)

    def _place(self, mark: Any) -> Place:
        return (self.first_line + mark.line + 1, mark.column + 1)

    def source(self, where: Sequence[str | int]) -> str:
        """How the value is written in the file, cut to what fits into a message."""
        _, node = self.node(where)
        if node is None:
            return NOTHING
        lines = self.text.split("\n")
        start, end = node.start_mark, node.end_mark
        line = lines[start.line] if start.line < len(lines) else ""
        text = line[start.column : end.column] if start.line == end.line else line[start.column :]
        return shorten(text.strip()) or NOTHING

    def remark(self, where: Sequence[str | int]) -> str:
        """The YAML comment right behind a value that is written without quotes, or that is missing because of it."""
        key, node = self.node(where)
        if key is None or not isinstance(node, yaml.ScalarNode) or node.style:
            return ""
        end = node.end_mark if node.value else key.end_mark
        behind = self.text.split("\n")[end.line][end.column :].strip()
        return behind if node.value else behind.lstrip(": \t")


def shorten(text: str, size: int = 60) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def read_header(path: Path, text: str) -> Header:
    """Split `text` into front matter and body. Raises SpecError with every problem that has a place in the YAML."""
    start = len(text) - len(text.lstrip())
    if not (opening := OPENING.match(text, start)):
        return Header({}, text, 1)
    handler = YAMLHandler(fm_boundary=OPENING)
    try:
        yaml_text, body = handler.split(text[start:])
    except ValueError:
        line = text.count("\n", 0, start) + 1
        raise SpecError((Problem(path, line, 1, "front matter that is never closed", "a line `---` after it"),)) from None
    first = text.count("\n", 0, opening.end())
    body_line = first + yaml_text.count("\n") + 1
    if len(yaml_text) > MAX_HEADER:
        found = f"front matter of {len(yaml_text)} characters"
        raise SpecError((Problem(path, first + 1, 1, found, f"at most {MAX_HEADER}; long text belongs into the body"),))
    data, root = load(path, yaml_text, first)
    return Header(data, body, body_line, first, yaml_text, root)


def load(path: Path, text: str, first_line: int = 0) -> tuple[dict[str, Any], yaml.MappingNode | None]:
    """The mapping in `text` with its nodes. Nothing is built before its size is known."""
    loader = None
    try:
        _refuse_depth(path, text, first_line)
        loader = Loader(text)
        root = loader.get_single_node()
        if root is None:
            return {}, None
        if problems := tuple(islice(_problems(path, first_line, root), MOST)):
            raise SpecError(problems)
        return loader.construct_document(root), root
    except yaml.MarkedYAMLError as error:
        raise SpecError((_marked(path, first_line, error),)) from None
    except yaml.YAMLError as error:
        raise SpecError((_unmarked(path, first_line, text, error),)) from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse_depth(path: Path, text: str, first_line: int) -> None:
    """Events come without recursion; building the nodes of `[[[[…` recurses in C and would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            mark: Any = event.start_mark
            line, column = first_line + mark.line + 1, mark.column + 1
            problem = Problem(path, line, column, "values nested too deep", f"at most {MAX_DEPTH} levels")
            raise SpecError((problem,))


def _problems(path: Path, first_line: int, root: yaml.Node) -> Iterator[Problem]:
    def at(node: yaml.Node, found: str, expected: str) -> Problem:
        return Problem(path, first_line + node.start_mark.line + 1, node.start_mark.column + 1, found, expected)

    if not isinstance(root, yaml.MappingNode):
        odd = isinstance(root, yaml.ScalarNode) and "\N{NO-BREAK SPACE}" in root.value
        wanted = "ordinary spaces: there is one that doesn't break" if odd else "a mapping, such as `priority: 5`"
        yield at(root, "something else than `key: value` lines", wanted)
        return
    try:
        size = _size(root, {}, 0)
    except RecursionError:
        yield at(root, "an alias that contains itself", "values that end")
        return
    if size > MAX_VALUES:
        yield at(root, f"{size if size < 10**9 else 'billions of'} values", f"at most {MAX_VALUES}, with aliases expanded")
        return
    yield from _node_problems(at, root)


def _size(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Values below `node` with aliases counted each time; shared nodes are visited once, so a bomb costs nothing."""
    if (size := known.get(id(node))) is not None:
        return size
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(node, yaml.MappingNode):
        size = 1 + sum(_size(part, known, depth + 1) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        size = 1 + sum(_size(part, known, depth + 1) for part in node.value)
    else:
        size = 1
    known[id(node)] = size
    return size


def _node_problems(at: Any, node: yaml.Node) -> Iterator[Problem]:
    if node.tag not in CORE_TAGS:
        yield at(node, f"the tag {node.tag}", "plain text, numbers, true or false, lists and mappings")
    elif isinstance(node, yaml.ScalarNode):
        yield from _scalar_problems(at, node)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _node_problems(at, item)
    elif isinstance(node, yaml.MappingNode):
        yield from _mapping_problems(at, node)


def _scalar_problems(at: Any, node: yaml.ScalarNode) -> Iterator[Problem]:
    kind = node.tag.rpartition(":")[2]
    if kind == "int" and (not INT.match(node.value) or len(node.value) > MAX_DIGITS):
        yield at(node, shorten(node.value), "a whole number of ordinary size")
    elif kind == "float" and (not FLOAT.match(node.value) or not math.isfinite(float(node.value.replace("_", "")))):
        yield at(node, shorten(node.value), "a finite number")
    elif kind == "bool" and not BOOL.match(node.value):
        yield at(node, shorten(node.value), "true or false")


def _mapping_problems(at: Any, node: yaml.MappingNode) -> Iterator[Problem]:
    seen: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            if not isinstance(value, yaml.MappingNode):
                yield at(value, "a merge key `<<` without a mapping", "`<<: *name` of a mapping")
        elif node.flow_style and seen and _cut_off(key, value):
            yield at(
                key, f"`{shorten(key.value)}` behind a comma", "a number without a comma in it: 1000, not 1,000; 1.5, not 1,5"
            )
        elif key.tag != "tag:yaml.org,2002:str" or not isinstance(key, yaml.ScalarNode):
            text = f"the key {shorten(str(key.value))}" if isinstance(key, yaml.ScalarNode) else "a list or mapping as a key"
            yield at(key, text, "a word as key, in quotes where YAML reads it as something else")
        elif key.value in seen:
            above = key.start_mark.line - seen[key.value].start_mark.line
            yield at(key, f"the key `{key.value}` a second time", f"it only once; the first is {above} lines above")
        else:
            seen[key.value] = key
        yield from _node_problems(at, value)


def _cut_off(key: yaml.Node, value: yaml.Node) -> bool:
    """Whether a key is the rest of a number: in `{target: 1,000}` the target is 1, and 000 has nothing behind it."""
    bare = isinstance(key, yaml.ScalarNode) and not key.style and isinstance(value, yaml.ScalarNode) and not value.value
    return bare and key.value[:1].isdigit()


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == step:
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _marked(path: Path, first_line: int, error: yaml.MarkedYAMLError) -> Problem:
    below = "scanning a simple key" in (error.context or "") or "end of stream" in (error.problem or "")  # found out only there
    mark = (below and error.context_mark) or error.problem_mark or error.context_mark
    line, column = (first_line + mark.line + 1, mark.column + 1) if mark else (first_line + 1, 1)
    found = " ".join(part for part in (error.problem, error.context and f"({error.context})") if part) or "broken YAML"
    return Problem(path, line, column, NOT_FOUND.sub("something else than ", found).removeprefix("found "), _advice(found))


def _advice(found: str) -> str:
    if "mapping values are not allowed" in found:
        return "`key: value`, with quotes around a value that contains a colon"
    if "scanning a simple key" in found:
        return "`key: value` or `- item`, with a blank behind the mark"
    if "end of stream" in found and "quoted scalar" in found:
        return "a quote at its end, too"
    if MARKED.search(found):
        return "valid YAML: spaces instead of tabs, quotes around a value that begins with @ ` % * & or !"
    return "valid YAML"


def _unmarked(path: Path, first_line: int, text: str, error: yaml.YAMLError) -> Problem:
    position = getattr(error, "position", None)
    line = text.count("\n", 0, position) if isinstance(position, int) else 0
    return Problem(path, first_line + line + 1, 1, shorten(str(error).splitlines()[0]), "printable text")
