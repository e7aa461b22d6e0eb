"""GitLab by its own program, `glab`; its merge requests are our pull requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from orchestrator.core.pull import PullState
from orchestrator.core.remarks import Look, Remark
from orchestrator.trackers import program
from orchestrator.trackers.protocol import Draft, Opened, TrackerError, Where

STATES = {"opened": PullState.OPEN, "locked": PullState.OPEN, "merged": PullState.MERGED, "closed": PullState.CLOSED}
DEVELOPER = 30  # GitLab's number for who may push
URL = re.compile(r"https?://\S+/merge_requests/(\d+)")


class GitLab:
    name = "gitlab"

    def owns(self, address: str) -> bool:
        found = program.host_and_name(address)
        return found is not None and "gitlab" in found[0]

    def check(self, where: Where) -> None:
        program.call(where, ("glab", "--version"))  # whether it is logged in, it asks the server

    def publish(self, where: Where, draft: Draft) -> Opened:
        there = self._there(where, draft)
        words = ("--title", draft.title, "--description", draft.body)
        if there is not None and there["state"] == "closed" and there["iid"] == draft.known:
            again = ("glab", "mr", "reopen", str(there["iid"]), *_repo(where))
            there = {**there, "state": "opened"} if program.done(where, again) else None
        if there is None:
            names = ("--source-branch", draft.branch, "--target-branch", draft.base)
            said = program.call(where, ("glab", "mr", "create", *_repo(where), *names, *words, "--yes"))
            if match := URL.search(said):
                return Opened(int(match[1]), match[0])
            raise TrackerError(f"glab mr create printed no address: {said[:200]!r}")
        if there["state"] == "opened":
            program.call(where, ("glab", "mr", "update", str(there["iid"]), *_repo(where), *words))
        return Opened(int(there["iid"]), str(there["web_url"]))

    def look(self, where: Where, number: int) -> Look:
        argv = ("glab", "mr", "view", str(number), *_repo(where), "--output", "json")
        told = program.parsed(program.call(where, argv), argv)
        try:
            state, head = STATES[told["state"]], str(told["sha"])
            commit = told.get("merge_commit_sha") or told.get("squash_commit_sha")
        except (KeyError, AttributeError, TypeError) as error:
            raise TrackerError(f"glab told something else than expected of merge request {number}: {error!r}") from error
        remarks = tuple(self._remarks(where, number, told, head)) if state is PullState.OPEN else ()
        return Look(state, head, commit, remarks)

    def _there(self, where: Where, draft: Draft) -> Mapping[str, Any] | None:
        """The branch's merge request that is open, else the one that is done with exactly this commit; none of a fork's."""
        argv = ("glab", "mr", "list", *_repo(where), "--source-branch", draft.branch, "--all", "--output", "json")
        listed = program.parsed(program.call(where, argv) or "[]", argv)
        found = [each for each in listed if each["source_project_id"] == each["target_project_id"]]
        opened = [each for each in found if each["state"] == "opened"]
        return next(iter((*opened, *(each for each in found if each["sha"] == draft.head))), None)

    def _remarks(self, where: Where, number: int, told: Mapping[str, Any], head: str) -> Iterator[Remark]:
        pipeline = told.get("head_pipeline") or told.get("pipeline") or {}
        if pipeline.get("status") == "failed":
            told_of = f"The pipeline failed on {head[:10]}. {pipeline.get('web_url', '')}"
            yield Remark(f"check:{head}:pipeline", "CI", told_of.strip())
        trusted: dict[str, bool] = {}
        for note in _api(where, f"merge_requests/{number}/notes?per_page=100"):
            author = note.get("author") or {}
            who = str(author.get("id"))
            if not (note.get("system") or note.get("resolved")) and note.get("body"):
                trusted[who] = trusted[who] if who in trusted else _trusted(where, who)
                if trusted[who]:
                    yield Remark(f"note:{note['id']}", str(author.get("username") or "somebody"), note["body"], _place(note))


def _place(note: Mapping[str, Any]) -> str:
    """Where in the change it stands; a line that was taken away has only its old number."""
    at = note.get("position") or {}
    if at.get("new_line"):
        return program.place(at.get("new_path"), at["new_line"])
    return program.place(at.get("old_path") or at.get("new_path"), at.get("old_line"))


def _trusted(where: Where, who: str) -> bool:
    """Whether this user may push there. Anybody may comment on a public project, and no stranger's words reach an agent; where
    it can't be told, they are kept for the next look."""
    try:
        return int(_api(where, f"members/all/{who}")["access_level"]) >= DEVELOPER
    except (TrackerError, KeyError, TypeError, ValueError):
        return False


def _api(where: Where, path: str) -> Any:
    found = program.host_and_name(where.address)
    project = quote(found[1], safe="") if found else ":id"
    argv = ("glab", "api", f"projects/{project}/{path}", *(("--hostname", found[0]) if found else ()))
    return program.parsed(program.call(where, argv), argv)


def _repo(where: Where) -> tuple[str, ...]:
    found = program.host_and_name(where.address)
    return ("--repo", f"https://{found[0]}/{found[1]}") if found else ()
