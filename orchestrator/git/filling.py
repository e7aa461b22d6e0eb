"""How git is told to put files into a checkout. Where that becomes another, what is measured there need not be what is committed.

It is read as text each time, since asking git takes a process; git is asked only what a text that has changed means.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.core.value import Value
from orchestrator.git import refs
from orchestrator.git.repository import Repository

CONVERTING = re.compile(
    r"(filter\..+|attr\.tree|core\.(attributesfile|autocrlf|eol|symlinks|worktree|sparsecheckout.*))\n", re.IGNORECASE
)
INCLUDES = re.compile(r"(?im)^[ \t]*\[include(?:if[ \t][^\n]*)?\]([^\[]*)")
ATTRIBUTES = re.compile(r"(?im)^[ \t]*attributesfile[ \t]*=[ \t]*(.+?)[ \t]*$")
PATH = re.compile(r"(?im)^[ \t]*path[ \t]*=[ \t]*(.+?)[ \t]*$")
DEPTH = 10  # of files that include each other, as git takes it
# What `git lfs install` and its packages set for anybody: commits name such content by its digest, so nobody makes it another.
LFS = re.compile(
    r"filter\.lfs\.(required|(clean|smudge|process)\ngit-lfs (clean -- %f|smudge (--skip )?-- %f|filter-process( --skip)?)$)"
)
DEFAULTS = {"core.autocrlf": "false", "core.eol": "native", "core.symlinks": "true", "core.sparsecheckout": "false"}
# Lines of attributes by which a file is shown and merged, not filled. A bare `diff` may be anybody's macro.
ELSE = re.compile(r"[ \t]*(#.*|[^\s\"]+([ \t]+(diff|merge)=\S+)+[ \t]*)?")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rules(Value):
    """As text, what is included too: the repository's configuration, its attributes, and both of the user's for all."""

    config: str = ""
    attributes: str = ""
    users: str = ""
    general: str = ""

    @property
    def own(self) -> tuple[str, str]:
        """The repository's."""
        return self.config, self.attributes


def rules(repo: Repository) -> Rules:
    """As they are now. Text throughout, since this is asked around each sample: paths would double its cost."""
    common, folder = os.fspath(repo.common), _expanded(f"{os.environ.get('XDG_CONFIG_HOME') or '~/.config'}/git")
    users = "\n".join(text for path in _users(folder) for text in _included(path))
    own = "\n".join(_included(f"{common}/config"))
    named = [_beside(common, found) for found in ATTRIBUTES.findall(f"{users}\n{own}")]
    general = "\n".join(map(_text, named or [f"{folder}/attributes"]))
    return Rules(own, _text(f"{common}/info/attributes"), users, general)


def changed(repo: Repository, before: Rules, now: Rules) -> str:
    """What of them is another `now` than `before`, in words; empty where a checkout still holds what its commit does."""
    if now == before:
        return ""
    old, new = (_converting(repo, f"{each.users}\n{each.config}") for each in (before, now))
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    names = [name for name in names if not LFS.match(f"{name}\n{new.get(name, '')}")]
    names += ["info/attributes"] if _filling(now.attributes) != _filling(before.attributes) else []
    names += ["the user's attributes"] if _filling(now.general) != _filling(before.general) else []
    return ", ".join(names[:5])


def _users(folder: str) -> Iterator[str]:
    """The files that git reads before the repository's own, the last one wins."""
    yield os.environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"
    if chosen := os.environ.get("GIT_CONFIG_GLOBAL"):
        yield chosen
    else:
        yield from (f"{folder}/config", _expanded("~/.gitconfig"))


def _included(path: str, depth: int = DEPTH) -> Iterator[str]:
    text = _text(path)
    yield text
    if depth and "include" in text.lower():
        for found in (name for section in INCLUDES.findall(text) for name in PATH.findall(section)):
            yield from _included(_beside(os.path.dirname(path), found), depth - 1)  # noqa: PTH120


def _text(path: str) -> str:
    try:
        return refs.content(path) or ""
    except OSError:  # nothing that this user's git could read
        return ""


def _beside(folder: str, name: str) -> str:
    return os.path.join(folder, _expanded(name))  # noqa: PTH118


def _expanded(name: str) -> str:
    return os.path.expanduser(name.strip('"'))  # noqa: PTH111 - which fails where there is no such user


def _converting(repo: Repository, text: str) -> Mapping[str, str]:
    asked = ("config", "-f", "-", "--no-includes", "-z", "--list")
    listed = repo.git.run(*asked, input=text.encode(errors="surrogateescape"), ok=(0, 1, 128))
    entries = listed.stdout.decode(errors="replace").split("\0")
    said = {found[1]: entry[found.end() :] for entry in entries if (found := CONVERTING.match(entry))}
    return {name: value for name, value in said.items() if DEFAULTS.get(name) != value}


def _filling(attributes: str) -> list[str]:
    return [line for line in attributes.splitlines() if not ELSE.fullmatch(line)]
