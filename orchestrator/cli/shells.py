"""What a shell asks at Tab and how it takes the answer, where click leaves something out: `--option=value`, and names with
commas, quotes, backslashes or colons. Importing it tells click."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from orchestrator.core.value import Value

# What stands in quotes or behind a backslash, blanks, and all else, as bash reads them. Where none fits, a quote is open.
PART = re.compile(r"""\s+|\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\]+""", re.DOTALL)
READ_BY_BASH = re.compile(r"""[\s!"#$&'()*;<>?\[\\\]^`{|}~]""")
READ_IN_QUOTES = re.compile(r'["$\\`]')


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Line(Value):
    """A command line up to the cursor."""

    words: tuple[str, ...]  # before the one that is completed
    word: str  # that one, as the command would get it
    kept: str  # what bash doesn't replace of it: up to the open quote, or to the last character that breaks words
    quote: str  # the one that is open

    def inserted(self, value: str) -> str:
        """What bash has to insert, so that the word becomes `value`: it reads that as if it had been typed."""
        rest = value.removeprefix(self.kept)
        if self.quote == "'":
            return rest.replace("'", r"'\''")
        return (READ_IN_QUOTES if self.quote else READ_BY_BASH).sub(r"\\\g<0>", rest)


def read(line: str, breaks: str) -> Line:
    """`breaks` is bash's COMP_WORDBREAKS: what is behind a `=` or `:` is a word of its own for what inserts it."""
    start = kept = at = 0
    while part := PART.match(line, at):
        text, at = part.group(), part.end()
        if text.isspace():
            start = kept = at
        elif text[0] not in "\\'\"" and (last := max(map(text.rfind, breaks), default=-1)) >= 0:
            kept = part.start() + last + 1
    quote = line[at : at + 1].strip("\\")
    return Line(
        words=tuple(split_arg_string(line[:start])),
        word="".join(split_arg_string(line[start:])),
        kept="".join(split_arg_string(line[start : at if quote else kept])),
        quote=quote,
    )


class _Whole(ShellComplete):
    """Answers with whole words: for `--state=bl` click says `blocked`, and zsh takes that instead of all of it."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        found = super().get_completions(args, incomplete)
        option, sign, _ = incomplete.partition("=")
        if sign and option.startswith("-"):
            for item in found:
                item.value = item.value if item.type in ("dir", "file") else f"{option}={item.value}"
        return found


class Bash(_Whole, BashComplete):
    """What bash inserts it also reads: a task called `$(rm x)` must come as the word that it is. zsh and fish quote by
    themselves."""

    source_template = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${line#plain,}") ;;
        esac
    done < <(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        self._line = read(os.environ["COMP_WORDS"], os.environ.get("COMP_WORDBREAKS", ""))
        return list(self._line.words[1:]), self._line.word

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{self._line.inserted(item.value)}"


class Fish(_Whole, FishComplete):
    """Only the first comma separates; click's own script ends names and descriptions at the next one. It also forgets that what
    stands before a path in `--option=path` is a part of the word."""

    source_template = (
        FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')
        .replace("_directories $metadata[2]", "_directories $metadata[2] | string replace -r -- '^' $option")
        .replace("_path $metadata[2]", "_path $metadata[2] | string replace -r -- '^' $option")
        .replace("    for ", "    set -l option (commandline -t | string match -r '^(?:-[^=]*=)?');\n\n    for ", 1)
    )


class Zsh(_Whole, ZshComplete):
    """What stands before a path in `--option=path` is none of it; a word without `=` loses nothing."""

    source_template = ZshComplete.source_template.replace("_path_files", "compset -P 1 '-*='; _path_files")


KINDS: dict[str, type[ShellComplete]] = {kind.name: add_completion_class(kind) for kind in (Bash, Zsh, Fish)}
