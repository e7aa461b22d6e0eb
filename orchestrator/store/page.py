"""The lines of a spec's front matter, and changes that touch only the lines they must."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError
from orchestrator.store import yamltext
from orchestrator.store.header import Loader, load

Steps = tuple[str | int, ...]
Point = tuple[int, int]  # line below the opening mark, column
NOWHERE = Path("front matter")
MARK = "---"


def refusal(key: str) -> OrchestratorError:
    return OrchestratorError(f"`{key}` can't be changed here without touching other lines.", hint="Change it in an editor.")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Page(Value):
    """A spec's text in lines. `first` and `last` are the line indexes of the YAML, `last` the closing mark's."""

    lines: list[str]
    first: int
    last: int
    data: dict[str, Any]
    root: yaml.MappingNode | None

    @classmethod
    def of(cls, text: str, path: Path = NOWHERE) -> Page:
        """The page that `text` is; `path` is only named in problems."""
        lines = text.split("\n")
        start = next((number for number, line in enumerate(lines) if line.strip()), 0)
        if lines[start].rstrip() != MARK:
            return cls(lines, 0, 0, {}, None)
        ends = (number for number, line in enumerate(lines[start + 1 :], start + 1) if line.rstrip() == MARK)
        end = next(ends, None)
        if end is None:
            raise OrchestratorError("The front matter is never closed.", hint="Add a line `---` after it.")
        source = "\n".join(lines[start + 1 : end])
        data, root = load(path, source, start + 1)
        if root is not None and any(getattr(event, "anchor", None) for event in yaml.parse(source, Loader=Loader)):
            raise OrchestratorError("The front matter uses `&` and `*` references.", hint="Change it in an editor.")
        return cls(lines, start + 1, end, data, root)

    @property
    def body(self) -> str:
        """What comes after the front matter, without the blank lines in between."""
        return "\n".join(self.lines[self.body_start :]).lstrip("\r\n")

    @property
    def ending(self) -> str:
        """What new lines end with before their line feed: the file's own way."""
        return "\r" if self.lines[0].endswith("\r") else ""

    @property
    def body_start(self) -> int:
        return self.last + 1 if self.first else 0

    def with_value(self, steps: Steps, value: object, wanted: dict[str, Any], *, block: bool = True) -> str:
        """The text with the value at `steps` set; what is missing on the way is made. `block`: several lines may stay such."""
        pair = self.pair(steps)
        if pair:
            return self._replaced(*pair, self._written(steps, value, block=block))
        if len(steps) == 1:
            return self._appended(f"{yamltext.inline(str(steps[0]))}: {self._written(steps, value, block=block)}")
        holder = self.pair(steps[:-1])
        if holder is None or not isinstance(holder[1], yaml.MappingNode) or not holder[1].value:
            inner: Any = wanted
            for step in steps[:-1]:
                inner = inner[step]
            return self.with_value(steps[:-1], inner, wanted, block=block)
        return self._inserted(holder[1], str(steps[-1]), value)

    def pair(self, steps: Steps) -> tuple[yaml.Node | None, yaml.Node] | None:
        """Key and value nodes at `steps`; an item of a list has no key."""
        key: yaml.Node | None = None
        node: yaml.Node | None = self.root
        for step in steps:
            if isinstance(node, yaml.MappingNode):
                key, node = next(((key, item) for key, item in node.value if key.value == step), (None, None))
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                key, node = None, node.value[step]
            else:
                return None
        return (key, node) if node is not None else None

    def removed(self, steps: Steps) -> str:
        """The text without the key at `steps`; with the mapping around it, where it was the only one."""
        holder = self.pair(steps[:-1])
        if len(steps) > 1 and holder and isinstance(holder[1], yaml.MappingNode) and len(holder[1].value) == 1:
            return self.removed(steps[:-1])
        key, node = self.pair(steps) or (None, None)
        if key is None or node is None:
            raise refusal(".".join(str(step) for step in steps))
        if len(steps) > 1 and holder and isinstance(holder[1], yaml.MappingNode) and holder[1].flow_style:
            return self._cut_from_flow(holder[1], key)
        end = self._end(key, node)[0] + 1
        while self._comment_below(end, key.start_mark.column):
            end += 1
        return "\n".join([*self.lines[: self.first + key.start_mark.line], *self.lines[self.first + end :]])

    def _comment_below(self, number: int, column: int) -> bool:
        """Whether a line is a comment that is indented as part of what stands at `column`."""
        line = self._line(number)
        return line.lstrip().startswith("#") and len(line) - len(line.lstrip()) > column

    def _written(self, steps: Steps, value: object, *, block: bool) -> str:
        if block and len(steps) == 1:
            return yamltext.entry("key", value).removeprefix("key: ")
        return yamltext.inline(value)

    def _replaced(self, key: yaml.Node | None, node: yaml.Node, new: str) -> str:
        """Put `new` where a value is: on its own span, so that a comment behind it stays."""
        start, end = (node.start_mark.line, node.start_mark.column), self._end(key, node)
        if key is None or (start[0] == key.start_mark.line and not _empty(node)):
            return self._spliced(start, end, new)
        colon = (key.end_mark.line, self._after_colon(key))
        if _empty(node):
            return self._spliced(colon, colon, f" {new}")
        behind = self._line(colon[0])[colon[1] :].strip()  # the value stood below its key; a comment behind the colon stays
        first, newline, block = new.partition("\n")
        kept = f" {first}" + (f" {behind}" if behind else "") + newline + block
        return self._spliced(colon, (end[0], len(self._line(end[0]).rstrip("\r"))), kept)

    def _spliced(self, start: Point, end: Point, new: str) -> str:
        """Put `new` in place of a span. What stood behind the span goes behind the first line of `new`."""
        first, newline, block = new.partition("\n")
        behind = self._line(end[0])[end[1] :]
        added = [part + self.ending for part in block.split("\n")] if newline else []
        replaced = self._line(start[0])[: start[1]] + first + behind
        return "\n".join([*self.lines[: self.first + start[0]], replaced, *added, *self.lines[self.first + end[0] + 1 :]])

    def _appended(self, text: str) -> str:
        """A new key as the last one, in front matter made for it where there is none."""
        new = [line + self.ending for line in text.split("\n")]
        if self.first:
            return "\n".join([*self.lines[: self.last], *new, *self.lines[self.last :]])
        return "\n".join([MARK + self.ending, *new, MARK + self.ending, *self.lines])

    def _inserted(self, holder: yaml.MappingNode, key: str, value: object) -> str:
        """A new key as the last one of a mapping that has some."""
        end = self._end(*holder.value[-1])
        if holder.flow_style:
            return self._spliced(end, end, f", {key}: {yamltext.inline(value)}")
        new = " " * holder.value[0][0].start_mark.column + f"{key}: {yamltext.inline(value)}{self.ending}"
        after = self.first + end[0] + 1
        return "\n".join([*self.lines[:after], new, *self.lines[after:]])

    def _cut_from_flow(self, holder: yaml.MappingNode, key: yaml.Node) -> str:
        keys = [pair[0] for pair in holder.value]
        index = keys.index(key)
        if index:
            return self._spliced(self._end(*holder.value[index - 1]), self._end(*holder.value[index]), "")
        start, following = key.start_mark, keys[1].start_mark
        return self._spliced((start.line, start.column), (following.line, following.column), "")

    def _end(self, key: yaml.Node | None, node: yaml.Node) -> Point:
        """Where a value really ends: the parser's mark of a block is where the next thing begins."""
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return self._block_end(key, node)
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, item) for item in node.value]
            return max(self._end(*pair) for pair in pairs)
        if key is not None and _empty(node):
            return key.end_mark.line, self._after_colon(key)
        return node.end_mark.line, node.end_mark.column

    def _block_end(self, key: yaml.Node | None, node: yaml.Node) -> Point:
        """The last line that is indented deeper than the key; blank lines after it belong to nobody."""
        indent = key.start_mark.column if key is not None else node.start_mark.column - 2
        last = node.start_mark.line
        for number in range(last + 1, self.last - self.first):
            line = self._line(number)
            if line.strip():
                if len(line) - len(line.lstrip()) <= indent:
                    break
                last = number
        return last, len(self._line(last).rstrip("\r"))

    def _after_colon(self, key: yaml.Node) -> int:
        return self._line(key.end_mark.line).index(":", key.end_mark.column) + 1

    def _line(self, number: int) -> str:
        return self.lines[self.first + number]


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style
