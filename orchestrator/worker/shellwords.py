"""Which files of the repository a shell command runs, as far as its words tell. Nothing is executed or looked up for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from orchestrator.store.layouts import INTERPRETERS

PUNCTUATION = re.compile(r"[();<>|&]+")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
SUBSTITUTION = re.compile(r"[$<>]\(")
HEREDOC = re.compile(r"^(.*<<-?\s*(['\"]?)(\w+)\2.*)\n(?:.*\n)*?\s*\3$", re.MULTILINE)
COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)  # an apostrophe in it opens no quote
TOP = re.compile(r"^\$\{?ORCH_WORKTREE\}?(/|$)")  # where a command begins
HERE = re.compile(r"^\$\{?PWD\}?(/|$)")
UNTOLD = "*?[$`~"
DATA = ""  # stands before words that are no program's: where output goes, what input is taken from
# What only starts another program: how many words of its own come first, and which of its options have one more.
STARTS = {
    **dict.fromkeys(("!", "{", "do", "else", "if", "then", "until", "while"), (0, "")),
    **dict.fromkeys(("builtin", "command", "nohup", "setsid", "npm", "npx", "pnpm", "yarn", "bunx"), (0, "")),
    **dict.fromkeys(("poetry", "pdm", "pipenv", "rye", "hatch", "conda", "mamba", "micromamba"), (0, "")),
    **dict.fromkeys(("uv", "run"), (0, "-n -p --name --prefix --python --with --extra --group --project --env-file")),
    "exec": (0, "-a"),
    "env": (0, "-u --unset"),
    "time": (0, "-f -o"),
    "nice": (0, "-n"),
    "ionice": (0, "-c -n"),
    "stdbuf": (0, "-i -o -e"),
    "xvfb-run": (0, "-e -f -n -s"),
    "sudo": (0, "-u -g"),
    "timeout": (1, "-k -s --kill-after --signal"),
    "taskset": (1, ""),
    "chrt": (1, ""),
    "flock": (1, "-E -w"),
}
# What is given a script, by its name: the options after which no file comes, and those that have a word of their own.
SHELL = re.compile(r"(ba|da|z|k|fi)?sh")
GIVEN = (
    (re.compile(r"\.|source"), re.compile(r"(?!)"), re.compile(r"(?!)")),
    (SHELL, re.compile(r"-\w*c"), re.compile(r"[-+][a-zA-Z]*[oO]|--(rcfile|init-file)")),
    (re.compile(r"(python|pypy)[\d.]*"), re.compile(r"-|-[^-WX]*[cm].*"), re.compile(r"-[WX]")),
    (re.compile(r"php[\d.]*"), re.compile(r"-r"), re.compile(r"-[cdz]")),
    (
        re.compile(r"(node|ruby|perl|lua|julia|tclsh)[\d.]*|bun|deno|tsx|Rscript|elixir|luajit"),
        re.compile(r"-|-\w*[eE]|-[cmp]|--eval|--print"),
        re.compile(r"-[rILJ]|--(require|import|loader|experimental-loader|preload)"),
    ),
)
BY_OPTION = re.compile(r"[gmn]?awk|sed|jq|g?make")  # these are given a script by -f


def named(command: str) -> tuple[str, ...]:
    """The words of a shell command that are run and could be a file of the repository: relative to its top, each once, in order.

    A program (`./bench.sh -n 5`) or what an interpreter is given (`timeout 60 python bench/run.py`), after a `cd` and within
    `bash -c` or `$(…)`, too; never data (`wc -l todo.txt`), which the agent may well have to change. Those that exist at the base
    commit belong to the evaluator (`Sealed.with_scripts`).
    """
    return tuple(dict.fromkeys(_Reader("").read(command)))


class _Reader:
    """Reads a command that begins in this folder of the repository; None: somewhere else."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._outer: list[tuple[str | None, list[str]]] = []  # folder and words before each ( that is open

    def read(self, command: str) -> Iterator[str]:
        words: list[str] = []
        for word in (*_words(command), ";"):
            for inner in _substituted(word):
                yield from _Reader(self._folder).read(inner)
            if not PUNCTUATION.fullmatch(word):
                words.append(word)
                continue
            yield from self._run(words)
            words = self._enter(word, words)

    def _enter(self, marks: str, words: list[str]) -> list[str]:
        """The words that those after these marks follow: what `$(…)` stands in goes on behind it."""
        if marks == "()":  # of a function
            return []
        for mark in marks:
            if mark == "(":
                self._outer.append((self._folder, words))
                words = []
            elif mark == ")" and self._outer:
                self._folder, words = self._outer.pop()
            else:
                words = [DATA] if {"<", ">"} & set(marks) else []
        return words

    def _run(self, words: list[str]) -> Iterator[str]:
        """One program with its words."""
        program, *words = _program(words) or [DATA]
        name = PurePosixPath(program).name
        if name == "cd":
            self._folder = self._beyond([word for word in words if not word.startswith("-")])
        if "/" in program or PurePosixPath(program).suffix in INTERPRETERS:
            yield from self._file(program)
        if BY_OPTION.fullmatch(name) and "-f" in words[:-1]:
            yield from self._file(words[words.index("-f") + 1])
        for pattern, inline, valued in GIVEN:
            if pattern.fullmatch(name):
                yield from self._given(words, inline, valued, shell=bool(SHELL.fullmatch(name)))

    def _given(self, words: list[str], inline: re.Pattern[str], valued: re.Pattern[str], *, shell: bool) -> Iterator[str]:
        """The script that an interpreter is given, or what a shell is told to run."""
        while words and (words[0][:1] in ("-", "+") or words[0] == "run" or ASSIGNMENT.match(words[0])):
            option, *words = words
            if inline.fullmatch(option):
                yield from _Reader(self._folder).read(words[0]) if shell and words else ()
                return
            words = words[1:] if valued.fullmatch(option) else words
        if words:
            yield from self._file(words[0])

    def _beyond(self, words: list[str]) -> str | None:
        """The folder after `cd`. One that only the shell can tell is taken for the one before."""
        if not words or words[0].startswith(("/", "~")):
            return None
        if any(mark in TOP.sub("", HERE.sub("", words[0])) for mark in UNTOLD):
            return self._folder
        return self._path(words[0])

    def _file(self, word: str) -> Iterator[str]:
        if (path := self._path(word)) and path != ".":
            yield path

    def _path(self, word: str) -> str | None:
        """What `word` is called from the repository's top; None where it lies elsewhere, or only the shell can tell."""
        top, here = TOP.sub("", word), HERE.sub("", word)
        folder, word = ("", top) if top != word else (self._folder, here)
        if folder is None or word.startswith("/") or any(mark in word for mark in UNTOLD):
            return None
        path = os.path.normpath(os.path.join(folder, word))  # noqa: PTH118  # as text; nothing is there to be resolved
        return None if path.split("/")[0] == ".." else path


def _program(words: list[str]) -> list[str]:
    """From the program on, without what only starts it."""
    while words:
        name = PurePosixPath(words[0]).name if words[0].startswith("/") else words[0]
        if name in STARTS:
            own, valued = STARTS[name]
            words = _after_options(words[1:], valued.split())[own:]
        elif ASSIGNMENT.match(words[0]):
            words = words[1:]
        else:
            return words
    return words


def _after_options(words: list[str], valued: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in valued else 1 :]
    return words


def _substituted(word: str) -> Iterator[str]:
    """What within a word of a command is run for its output."""
    yield from word.split("`")[1::2]
    for text in SUBSTITUTION.split(word)[1:]:
        ends = (at for at, mark in enumerate(text) if mark == ")" and text.count("(", 0, at) == text.count(")", 0, at))
        yield text[: next(ends, None)]


def _words(command: str) -> list[str]:
    import shlex

    command = HEREDOC.sub(_without_data, command.replace("\\\n", " "))
    lexer = shlex.shlex(COMMENT.sub("", command).replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # a quote without its end: the shell will say so
        return []


def _without_data(heredoc: re.Match[str]) -> str:
    """The line that a text is given to, and the text only where a shell may run it."""
    return heredoc[0] if any(SHELL.fullmatch(word) for word in heredoc[1].split()) else heredoc[1]
