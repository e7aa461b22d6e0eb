"""Which files a task may change. Globs are git's own (gitignore syntax); what is off limits wins over what is in scope."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.value import Value

BRACES = re.compile(r"\{([^{},]*,[^{}]*)\}")
LISTED = re.compile(r"(?:\{[^{}]*\}|[^,])+")  # what stands between commas; one in braces divides nothing
PAGE = r"\.(?:[jt]sx?|vue|svelte|astro|mdx?)$"  # `pages/[slug].tsx`; before another ending, brackets are what they say
ROUTE = re.compile(rf"(?:(?<=/)|^)\[((?:\.{{3}})?[A-Za-z_]\w+)\](?=/|$|{PAGE})")  # `app/[id]/page.tsx`: a name, no set of letters
BACKSLASH = re.compile(r"(?<=\w)\\(?=\w|\*[*.])")  # `src\a.py`, as Windows has it
QUOTES = "“”„‟‘’‚«»\N{NO-BREAK SPACE}"  # what word processors and chats make of `"` and of a blank
PATHLIKE = re.compile(r"[/*]|\.\w+$")  # what is meant as a path or a pattern, where it may be a word as well
ALL = frozenset({"all", "any", "anything", "everything"})
LONGEST = 4096  # characters of a pattern, as of a path; reading one takes time by the square of them
Match = Callable[[str], bool]
FORBIDDEN = "no task may change it"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scope(Value):
    """`scope` empty: everything may change but `off_limits` and `forbidden`.

    `forbidden` are plain paths inside the repository, no globs: the tasks root, the evaluator's files. Each covers all below it.
    """

    scope: tuple[str, ...] = ()
    off_limits: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def violations(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Those of `paths` (relative to the repository, as git prints them) that the task must not change, with their reasons."""
        forbidden = tuple(path.strip("/") for path in self.forbidden)
        off_limits, scope = _matcher(self.off_limits), _matcher(self.scope)
        found = {}
        for path in paths:
            if any(path == each or path.startswith(f"{each}/") for each in forbidden):
                found[path] = FORBIDDEN
            elif off_limits(path):
                found[path] = "off limits"
            elif self.scope and not scope(path):
                found[path] = "outside the scope"
        return found


def problem(globs: Sequence[str]) -> str | None:
    """Why one of `globs` can't be used, or None."""
    for glob in globs:
        if len(glob) > LONGEST:
            return f"{glob[:40]}… has {len(glob)} characters, and no path has more than {LONGEST}"
        try:
            _matcher((glob,))
        except (ValueError, re.error) as error:
            return f"{glob!r} is no glob in git's syntax: {error}"
    return None


def listed(text: str) -> tuple[str, ...]:
    """The patterns of a text that lists several, `a, b`; any other is one. A comma without a blank may be in a file's name."""
    parts = tuple(part.strip() for part in LISTED.findall(text) if part.strip())
    return parts if ", " in text and parts else (text,)


def meant(glob: str) -> str:
    """What to write for a pattern that reads like another tool's and matches nothing in git's syntax; empty for every other.

    Where it takes several, each is a code span of its own: "`a, b`, did you mean `a, b`?" would help nobody.
    """
    if glob.lower() in ALL:
        return "*"
    if (parts := listed(glob)) != (glob,):
        return "`, `".join(parts)
    if len(items := glob.split(" - ")) > 1 and all(map(PATHLIKE.search, items)):  # an item of a list that is indented further
        return "`, `".join(items)
    if braces := BRACES.search(glob):
        before, after = glob[: braces.start()], glob[braces.end() :]
        return "`, `".join(f"{before}{part.strip()}{after}" for part in braces[1].split(","))
    plain = BACKSLASH.sub("/", glob.strip(QUOTES).removeprefix("-\N{NO-BREAK SPACE}"))
    escaped = ROUTE.sub(r"\\[\1\\]", plain)
    return escaped if escaped != glob else ""


def _matcher(globs: Sequence[str]) -> Match:
    """pathspec costs a worker 30 ms to import, so a task without globs doesn't."""
    if not globs:
        return lambda _: False
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines([_as_git_means_it(glob) for glob in globs])

    # Its expressions end in `$`, which also matches before a last newline: `a.py\n` isn't `*.py`.
    return lambda path: spec.match_file(path.replace("\n", "\N{REPLACEMENT CHARACTER}"))


def _as_git_means_it(glob: str) -> str:
    """`./src` and `.` are what people write; in gitignore syntax they would match nothing."""
    sign, plain = ("!", glob[1:]) if glob.startswith("!") else ("", glob)
    if plain.strip() in {".", "./"}:
        return f"{sign}/*"
    return sign + ("/" + plain.removeprefix("./") if plain.startswith("./") else plain)
