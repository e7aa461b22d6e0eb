"""GitHub by its own program, `gh`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.core.pull import PullState
from orchestrator.core.remarks import Look, Remark
from orchestrator.trackers import program
from orchestrator.trackers.protocol import Draft, Opened, TrackerError, Where

# Whose words an agent is given: strangers may comment on a public repository, and would be heard as its owner.
TRUSTED = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
FAILED = frozenset({"FAILURE", "TIMED_OUT", "STARTUP_FAILURE", "ACTION_REQUIRED", "ERROR"})
URL = re.compile(r"https?://\S+/pull/(\d+)")
LISTED = "number,url,state,headRefOid,isCrossRepository"
SEEN = "state,headRefOid,mergeCommit,reviews,comments,statusCheckRollup"


class GitHub:
    name = "github"

    def owns(self, address: str) -> bool:
        found = program.host_and_name(address)
        return found is not None and "github" in found[0]

    def check(self, where: Where) -> None:
        found = program.host_and_name(where.address)
        host = found[0] if found else "github.com"
        if not program.done(where, ("gh", "auth", "token", "--hostname", host)):
            hint = f"gh auth login --hostname {host}, or set GH_TOKEN."
            raise TrackerError(f"gh is not logged in at {host}.", hint=hint, lasting=True)

    def publish(self, where: Where, draft: Draft) -> Opened:
        there = self._there(where, draft)
        if there is not None and there["state"] == "CLOSED" and there["number"] == draft.known:
            again = ("gh", "pr", "reopen", str(there["number"]), *_repo(where))
            there = {**there, "state": "OPEN"} if program.done(where, again) else None
        if there is None:
            return self._create(where, draft)
        if there["state"] == "OPEN":
            edit = ("gh", "pr", "edit", str(there["number"]), *_repo(where), "--title", draft.title, "--body-file", "-")
            program.call(where, edit, feed=draft.body)
        return Opened(int(there["number"]), str(there["url"]))

    def look(self, where: Where, number: int) -> Look:
        argv = ("gh", "pr", "view", str(number), *_repo(where), "--json", SEEN)
        told = program.parsed(program.call(where, argv), argv)
        try:
            merged = told.get("mergeCommit") or {}
            head = str(told["headRefOid"])
            state = PullState(told["state"].lower())
            remarks = (*_remarks(told, head), *(_at_lines(where, number) if state is PullState.OPEN else ()))
            return Look(state, head, merged.get("oid"), remarks)
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            raise TrackerError(f"gh told something else than expected of pull request {number}: {error!r}") from error

    def _there(self, where: Where, draft: Draft) -> Mapping[str, Any] | None:
        """The branch's pull request that is open, else the one that is done with exactly this commit. Not one of a stranger's
        fork, who may call a branch as ours is called."""
        argv = ("gh", "pr", "list", *_repo(where), "--head", draft.branch, "--state", "all", "--json", LISTED)
        found = [each for each in program.parsed(program.call(where, argv), argv) if not each["isCrossRepository"]]
        opened = [each for each in found if each["state"] == "OPEN"]
        return next(iter((*opened, *(each for each in found if each["headRefOid"] == draft.head))), None)

    def _create(self, where: Where, draft: Draft) -> Opened:
        names = ("--head", draft.branch, "--base", draft.base, "--title", draft.title)
        said = program.call(where, ("gh", "pr", "create", *_repo(where), *names, "--body-file", "-"), feed=draft.body)
        if match := URL.search(said):
            return Opened(int(match[1]), match[0])
        raise TrackerError(f"gh pr create printed no address: {said[:200]!r}")


def _repo(where: Where) -> tuple[str, ...]:
    """Named, so that gh doesn't have to ask which of several remotes is meant."""
    found = program.host_and_name(where.address)
    return ("--repo", "/".join(found)) if found else ()


def _remarks(told: Mapping[str, Any], head: str) -> Iterator[Remark]:
    for review in told.get("reviews") or ():
        asks = review.get("state") == "CHANGES_REQUESTED" or (review.get("state") == "COMMENTED" and review.get("body"))
        if asks and review.get("authorAssociation") in TRUSTED:
            text = review.get("body") or "asks for changes; see the comments at the lines."
            yield Remark(f"review:{review['id']}", _who(review), text)
    for comment in told.get("comments") or ():
        if comment.get("authorAssociation") in TRUSTED and comment.get("body"):
            yield Remark(f"comment:{comment['id']}", _who(comment), comment["body"])
    checks = told.get("statusCheckRollup") or ()
    if all(check.get("status", "COMPLETED") == "COMPLETED" and check.get("state") != "PENDING" for check in checks):
        yield from (_failed(check, head) for check in checks if {check.get("conclusion"), check.get("state")} & FAILED)


def _at_lines(where: Where, number: int) -> Iterator[Remark]:
    """What was said at lines of the change, the oldest of the newest hundred first. `pr view` doesn't tell of these."""
    found = program.host_and_name(where.address)
    repo = found[1] if found else "{owner}/{repo}"  # which gh fills in
    path = f"repos/{repo}/pulls/{number}/comments?per_page=100&sort=created&direction=desc"
    argv = ("gh", "api", path, *(("--hostname", found[0]) if found else ()))
    for comment in reversed(program.parsed(program.call(where, argv), argv)):
        if comment.get("author_association") in TRUSTED and comment.get("body"):
            who = str((comment.get("user") or {}).get("login") or "somebody")
            line = comment.get("line") or comment.get("original_line")  # of one that has changed since, as it was
            yield Remark(f"line:{comment['id']}", who, comment["body"], program.place(comment.get("path"), line))


def _failed(check: Mapping[str, Any], head: str) -> Remark:
    name = check.get("name") or check.get("context") or "a check"
    link = check.get("detailsUrl") or check.get("targetUrl") or ""
    return Remark(f"check:{head}:{name}", "CI", f"The check {name} failed on {head[:10]}. {link}".strip())


def _who(said: Mapping[str, Any]) -> str:
    return str((said.get("author") or {}).get("login") or "somebody")
