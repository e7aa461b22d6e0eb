"""Stand-ins for `gh` and `glab` that hold pull requests in one file and know the real programs' arguments, no more.

An argument that the real program (gh 2.23, glab 1.36) doesn't have, a field it doesn't print, or a branch that the remote doesn't have
ends with an error, as there. Put on PATH by `install`; `Forge` is what a person does on the website.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

FIELDS = frozenset(
    [
        "additions",
        "assignees",
        "author",
        "baseRefName",
        "body",
        "changedFiles",
        "closed",
        "closedAt",
        "comments",
        "commits",
        "createdAt",
        "deletions",
        "files",
        "headRefName",
        "headRefOid",
        "headRepository",
        "id",
        "isCrossRepository",
        "isDraft",
        "labels",
        "latestReviews",
        "mergeCommit",
        "mergeable",
        "mergedAt",
        "mergedBy",
        "number",
        "reviewDecision",
        "reviewRequests",
        "reviews",
        "state",
        "statusCheckRollup",
        "title",
        "updatedAt",
        "url",
    ]
)


class Forge:
    """The website: its state in `folder`, its repository the bare one at `remote`."""

    def __init__(self, folder: Path, remote: Path) -> None:
        self.folder, self.remote = folder, remote

    def env(self) -> dict[str, str]:
        """What a program needs to find the stand-ins instead of the real ones."""
        return {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "FORGE": str(self.folder), "FORGE_REMOTE": str(self.remote)}

    def install(self) -> None:
        (self.folder / "bin").mkdir(parents=True)
        for name in ("gh", "glab"):
            path = self.folder / "bin" / name
            path.write_text(
                f"#!{sys.executable}\nimport sys\nsys.argv[0] = {name!r}\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nimport trackers\ntrackers.main()\n"
            )
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def pulls(self) -> list[dict[str, Any]]:
        path = self.folder / "pulls.json"
        found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
        return found

    def change(self, number: int, **facts: Any) -> None:
        """What a person, or CI, does to a pull request."""
        done = facts.get("state", "open") != "open"  # a pull request that is done stays at the commit it was at
        self.save(
            [
                {**each, **facts, **({"head": self.tip(each["branch"]), "done": True} if done else {})}
                if each["number"] == number
                else each
                for each in self.pulls
            ]
        )

    def save(self, pulls: list[dict[str, Any]]) -> None:
        (self.folder / "pulls.json").write_text(json.dumps(pulls))

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def fail(self, message: str | None) -> None:
        """From now on every call fails with this message; None: no more."""
        path = self.folder / "fails"
        path.write_text(message) if message else path.unlink()

    def tip(self, branch: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.remote), "rev-parse", "-q", "--verify", f"refs/heads/{branch}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.strip()


class Strict(argparse.ArgumentParser):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, add_help=False, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        sys.exit(f"unknown flag or argument: {message}")


def main() -> None:
    """Be `gh` or `glab`, as argv[0] says. One at a time: the file is read and written as a whole."""
    forge = Forge(Path(os.environ["FORGE"]), Path(os.environ["FORGE_REMOTE"]))
    with (forge.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (forge.folder / "calls.jsonl").open("a") as log:
            log.write(json.dumps(sys.argv) + "\n")
        if (forge.folder / "fails").exists():
            sys.exit((forge.folder / "fails").read_text())
        (gh if sys.argv[0] == "gh" else glab)(forge, sys.argv[1:])


def gh(forge: Forge, argv: list[str]) -> None:
    if argv[:2] == ["auth", "token"]:
        print((forge.folder / "token").read_text() if (forge.folder / "token").exists() else sys.exit("no oauth token"))
        return
    if argv[:1] == ["api"]:
        asked_api(forge, argv[1:])
        return
    if argv[:1] != ["pr"]:
        sys.exit(f"unknown command {argv[:1]}")
    verb, parser = argv[1], Strict()
    parser.add_argument("-R", "--repo")
    if verb in ("edit", "view", "reopen"):
        parser.add_argument("number", type=int)
    if verb in ("create", "edit"):
        for flags in (("-t", "--title"), ("-F", "--body-file"), ("-B", "--base")):
            parser.add_argument(*flags)
    if verb in ("create", "list"):
        parser.add_argument("-H", "--head")
    if verb in ("list", "view"):
        parser.add_argument("--json", required=True)
    if verb == "list":
        parser.add_argument("-s", "--state", choices=("open", "closed", "merged", "all"), default="open")
    said = parser.parse_args(argv[2:])
    if unknown := {*getattr(said, "json", "number").split(",")} - FIELDS:
        sys.exit(f"Unknown JSON field: {unknown}")
    if verb == "create":
        create(forge, said.head, said.base, said.title, sys.stdin.read() if said.body_file == "-" else "", "pull")
    elif verb == "reopen":
        reopen(forge, said.number)
    elif verb == "edit":
        number(forge, said.number)
        forge.change(said.number, title=said.title, body=sys.stdin.read())
        print(number(forge, said.number)["url"])
    elif verb == "list":
        found = [each for each in forge.pulls if each["branch"] == said.head and said.state in ("all", each["state"])]
        print(json.dumps([shown(forge, each, said.json) for each in found]))
    elif verb == "view":
        print(json.dumps(shown(forge, number(forge, said.number), said.json)))


def asked_api(forge: Forge, argv: list[str]) -> None:
    """`gh api` of the comments at a pull request's lines."""
    parser = Strict()
    parser.add_argument("path")
    parser.add_argument("--hostname")
    path, _, query = parser.parse_args(argv).path.partition("?")
    *_, kind, wanted, what = path.split("/")
    if (kind, what) != ("pulls", "comments") or "direction=desc" not in query:
        sys.exit("gh: Not Found (HTTP 404)")
    print(json.dumps([*reversed(number(forge, int(wanted)).get("line_comments", []))]))


def shown(forge: Forge, pull: dict[str, Any], fields: str) -> dict[str, Any]:
    facts = {"reviews": [], "comments": [], "statusCheckRollup": [], "mergeCommit": None, **pull}
    facts |= {"state": pull["state"].upper(), "headRefOid": head(forge, pull), "isCrossRepository": "fork" in pull}
    return {field: facts[field] for field in fields.split(",")}


def head(forge: Forge, pull: dict[str, Any]) -> str:
    return str(pull["head"] if pull.get("done") else forge.tip(pull["branch"]))


def glab(forge: Forge, argv: list[str]) -> None:
    states = {"open": "opened", "merged": "merged", "closed": "closed"}
    if argv[:1] == ["api"]:
        parser = Strict()
        parser.add_argument("path")
        parser.add_argument("--hostname")
        kind, _, rest = parser.parse_args(argv[1:]).path.removeprefix("projects/").partition("/")[2].partition("/")
        if kind == "merge_requests":
            print(json.dumps(number(forge, int(rest.partition("/")[0])).get("notes", [])))
        elif kind == "members" and rest == "all/1":
            print(json.dumps({"id": 1, "access_level": 40}))
        else:
            sys.exit("404 Not Found")
        return
    if argv == ["--version"]:
        print("glab version 1.36.0")
        return
    if argv[:1] != ["mr"]:
        sys.exit(f"Unknown command {argv[:1]}")
    verb, parser = argv[1], Strict()
    parser.add_argument("-R", "--repo")
    if verb in ("update", "view", "reopen"):
        parser.add_argument("number", type=int)
    if verb in ("create", "update"):
        parser.add_argument("-t", "--title")
        parser.add_argument("-d", "--description")
    if verb == "create":
        parser.add_argument("-b", "--target-branch")
        parser.add_argument("-y", "--yes", action="store_true")
    if verb in ("create", "list"):
        parser.add_argument("-s", "--source-branch")
    if verb == "list":
        parser.add_argument("-A", "--all", action="store_true")
    if verb in ("list", "view"):
        parser.add_argument("-F", "--output", choices=("text", "json"), required=True)
    said = parser.parse_args(argv[2:])
    if verb == "create":
        create(forge, said.source_branch, said.target_branch, said.title, said.description, "-/merge_requests")
    elif verb == "reopen":
        reopen(forge, said.number)
    elif verb == "update":
        forge.change(number(forge, said.number)["number"], title=said.title, body=said.description)
    else:
        listed = [
            {"iid": each["number"], "web_url": each["url"], "state": states[each["state"]], "sha": head(forge, each),
             "target_project_id": 1, "source_project_id": each.get("fork", 1), "merge_commit_sha": (each.get("mergeCommit") or {}).get("oid"), "head_pipeline": each.get("pipeline")}
            for each in forge.pulls
            if verb == "view" or each["branch"] == said.source_branch
        ]  # fmt: skip
        print(json.dumps(listed[0] if verb == "view" else listed))


def create(forge: Forge, branch: str, base: str, title: str, body: str, kind: str) -> None:
    if not forge.tip(branch) or not forge.tip(base):
        sys.exit(f"pull request create failed: GraphQL: Head ref must be a branch ({branch}, {base})")
    if any(each["branch"] == branch and each["state"] == "open" and "fork" not in each for each in forge.pulls):
        sys.exit(f'a pull request for branch "{branch}" into branch "{base}" already exists')
    new = len(forge.pulls) + 1
    url = f"https://forge.test/o/r/{kind}/{new}"
    facts = {"number": new, "url": url, "branch": branch, "base": base, "title": title, "body": body}
    forge.save([*forge.pulls, {**facts, "state": "open", "head": forge.tip(branch)}])
    print(url)


def reopen(forge: Forge, wanted: int) -> None:
    pull = number(forge, wanted)
    if pull["state"] != "closed" or pull["head"] != forge.tip(pull["branch"]) or pull.get("locked"):
        sys.exit("API call failed: GraphQL: Could not open the pull request. (reopenPullRequest)")
    forge.change(wanted, state="open", done=False)


def number(forge: Forge, wanted: int) -> dict[str, Any]:
    for each in forge.pulls:
        if each["number"] == wanted:
            return each
    sys.exit(f"GraphQL: Could not resolve to a PullRequest with the number of {wanted}.")
