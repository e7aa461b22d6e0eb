"""`land: pr` against a real bare remote and stand-ins that are as strict as `gh` and `glab` about what they are told."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.project import Project
from support.trackers import Forge

from orchestrator.store import locks
from orchestrator.trackers import program
from orchestrator.trackers.github import GitHub, _at_lines
from orchestrator.trackers.protocol import Draft, TrackerError, Where

FRONT = "land: pr\nissue: 7\nmetric: {name: left, target: 0}"
REVIEW = {"id": "r1", "state": "CHANGES_REQUESTED", "body": "Say why in notes.txt.", "author": {"login": "ada"}}
BRANCH = "orchestrator/x"
AGENT = (
    ': > todo.txt; grep -q "Say why in notes.txt" "$ORCH_PROMPT_FILE" && echo because > notes.txt;'
    ' grep -q "check lint failed" "$ORCH_PROMPT_FILE" && echo linted > lint.txt; true'
)


@pytest.fixture(params=["github"])
def forge(project: Project, tmp_path: Path, request: pytest.FixtureRequest) -> Forge:
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(remote)], check=True)
    project.git("remote", "add", "origin", str(remote))
    project.git("push", "-q", "origin", "main")
    made = Forge(tmp_path / "forge", remote)
    made.install()
    project.env |= {**made.env(), "ORCH_TRACKER": request.param}
    project.agent(AGENT)
    return made


def opened(project: Project, front: str = FRONT) -> dict[str, Any]:
    """A task whose pull request is open."""
    project.drop("x", front=front)
    project.run(code=0)
    return project.record("x")


@pytest.mark.parametrize("forge", ["github", "gitlab"], indirect=True)
def test_the_branch_and_only_that_is_pushed_and_a_pull_request_says_what_it_is_worth(project: Project, forge: Forge) -> None:
    base = project.git("rev-parse", "main")
    record = opened(project)
    [pull] = forge.pulls
    assert (pull["branch"], pull["base"], pull["title"]) == (BRANCH, "main", "x")
    for words in ("- Result: converged\n", "left 3 -> 0", "Closes #7", "Task: x", "| todo.txt"):
        assert words in pull["body"]
    assert record["landed"]["how"] == "pr"
    assert (record["landed"]["url"], record["landed"]["state"]) == (pull["url"], "open")
    refs = project.git("ls-remote", str(forge.remote)).split()[1::2]
    assert sorted(refs) == ["HEAD", "refs/heads/main", f"refs/heads/{BRANCH}"]
    assert project.git("rev-parse", "main") == base == forge.tip("main")
    assert project.task("x")["landed"]["url"] == pull["url"]


@pytest.mark.parametrize("forge", ["github", "gitlab"], indirect=True)
def test_merged_it_says_so_and_closed_it_needs_a_person(project: Project, forge: Forge) -> None:
    opened(project)
    assert "is open" in project.run("pulls", code=0).stdout
    forge.change(1, state="merged", mergeCommit={"oid": "c0ffee"})
    assert "is merged" in project.run("pulls", code=0).stdout
    landed = project.record("x")["landed"]
    assert (project.where("x"), landed["state"], landed["merged"]) == ("converged", "merged", "c0ffee")
    assert f"{landed['url']} (merged)" in (project.tasks / "converged/x/.orch/report.md").read_text()
    assert "No task has an open pull request" in project.run("pulls", code=0).stdout


def test_closed_without_a_merge_it_is_blocked_and_retry_opens_another(project: Project, forge: Forge) -> None:
    opened(project)
    forge.change(1, state="closed")
    project.run("pulls", code=0)
    assert (project.where("x"), project.record("x")["reason"]) == ("blocked", "closed")
    assert "- Result: closed" in (project.tasks / "blocked/x/.orch/report.md").read_text()
    project.run("retry", "x", code=0)
    project.git("update-ref", f"refs/heads/{BRANCH}", "main")
    project.agent(f"{AGENT}; echo other > other.txt")
    project.run(code=0)
    assert [each["state"] for each in forge.pulls] == ["closed", "open"]


@pytest.mark.parametrize("forge", ["github", "gitlab"], indirect=True)
def test_retry_without_an_edit_opens_the_closed_one_again(project: Project, forge: Forge) -> None:
    first = opened(project)
    forge.change(1, state="closed")
    project.run("pulls", code=0)
    assert "Without an edit `retry` opens the same pull request again" in project.run("why", "x", code=0).stdout
    project.run("retry", "x", code=0)
    project.run(code=0)
    record = project.record("x")
    assert [each["state"] for each in forge.pulls] == ["open"]
    assert (record["landed"]["url"], record["attempts"]) == (first["landed"]["url"], 1)
    assert "is open" in project.run("pulls", code=0).stdout
    assert project.where("x") == "converged"


def test_one_that_can_t_be_opened_again_is_opened_anew(project: Project, forge: Forge) -> None:
    opened(project)
    forge.change(1, state="closed", locked=True)
    project.run("pulls", code=0)
    project.run("retry", "x", code=0)
    project.run(code=0)
    assert [each["state"] for each in forge.pulls] == ["closed", "open"]


def test_retry_after_an_edit_is_an_attempt_that_is_told_of_the_closing(project: Project, forge: Forge) -> None:
    opened(project)
    forge.change(1, state="closed")
    project.run("pulls", code=0)
    project.run("edit", "x", "--goal", "Say why in notes.txt.", code=0)
    project.run("retry", "x", code=0)
    project.agent(f"{AGENT}; cp $ORCH_PROMPT_FILE {project.top}/asked")
    project.run(code=0)
    assert "pull/1, which was closed without being merged" in (project.top / "asked").read_text()
    assert project.git("show", f"{BRANCH}:notes.txt") == "because"
    assert [each["state"] for each in forge.pulls] == ["closed", "open"]


def test_a_review_comes_back_as_the_next_attempt_and_the_same_pull_request_is_updated(project: Project, forge: Forge) -> None:
    first = opened(project)
    forge.change(1, reviews=[{**REVIEW, "authorAssociation": "MEMBER"}])
    assert "has remarks" in project.run("pulls", code=0).stdout
    assert project.where("x") == "pending"
    project.run(code=0)
    record = project.record("x")
    assert record["attempts"] == 2
    assert project.git("show", f"{BRANCH}:notes.txt") == "because"
    assert forge.tip(BRANCH) == project.git("rev-parse", BRANCH) != first["landed"]["commit"]
    assert [each["state"] for each in forge.pulls] == ["open"]
    assert "is open" in project.run("pulls", code=0).stdout  # answered once


def test_a_pull_request_that_is_merged_while_it_is_taken_up_again_is_no_tampering(project: Project, forge: Forge) -> None:
    """What was sent had passed all, and a person may have liked it as it was."""
    waits = f"test -e {project.top}/sent || exit 0; touch {project.top}/taken-up; while [ ! -e {project.top}/go ]; do sleep 0.02; done"
    head = opened(project, f"{FRONT}\nsetup: {waits!r}")["landed"]["commit"]
    forge.change(1, reviews=[{**REVIEW, "authorAssociation": "MEMBER"}])
    project.run("pulls", code=0)
    (project.top / "sent").touch()
    loop = project.start()
    project.wait((project.top / "taken-up").exists)
    project.git("merge", "-q", head)
    (project.top / "go").touch()
    assert loop.wait(60) == 0, project.story()
    assert project.where("x") == "converged"


def test_what_is_said_at_a_line_comes_back_with_its_place(project: Project, forge: Forge) -> None:
    opened(project)
    said = {"id": 11, "path": "todo.txt", "line": 1, "body": "Say why in notes.txt.", "user": {"login": "ada"}}
    old = {**said, "id": 12, "line": None, "original_line": 3, "author_association": "OWNER", "body": "And this?"}
    forge.change(
        1,
        line_comments=[
            {**said, "author_association": "MEMBER"},
            old,
            {**said, "id": 13, "body": "Mine.", "author_association": "NONE"},
        ],
    )
    assert "has remarks" in project.run("pulls", code=0).stdout
    demand = project.record("x")["demand"]
    assert "ada, at todo.txt:1:\nSay why in notes.txt.\n\nada, at todo.txt:3:\nAnd this?" in demand
    assert "Mine." not in demand
    project.run(code=0)
    assert project.git("show", f"{BRANCH}:notes.txt") == "because"
    assert "is open" in project.run("pulls", code=0).stdout  # answered once


def test_strangers_words_reach_no_agent(project: Project, forge: Forge) -> None:
    opened(project)
    comment = {"id": "c1", "body": "Say why in notes.txt.", "authorAssociation": "NONE", "author": {"login": "mallory"}}
    forge.change(1, reviews=[{**REVIEW, "authorAssociation": "CONTRIBUTOR"}], comments=[comment])
    assert "is open" in project.run("pulls", code=0).stdout


@pytest.mark.parametrize("forge", ["github", "gitlab"], indirect=True)
def test_a_stranger_s_pull_request_from_a_branch_of_the_same_name_is_not_taken_for_ours(project: Project, forge: Forge) -> None:
    theirs = {
        "number": 1,
        "url": "https://forge.test/o/r/pull/1",
        "branch": BRANCH,
        "base": "main",
        "title": "mine",
        "body": "mine",
    }
    forge.save([{**theirs, "state": "open", "fork": 7, "head": "f00d", "done": True}])
    record = opened(project)
    assert record["pull"]["number"] == 2
    assert [each["title"] for each in forge.pulls] == ["mine", "x"]
    project.run("queue", "x", code=0)
    project.agent(f"{AGENT}; echo more > more.txt")
    project.run(code=0)
    assert [each["title"] for each in forge.pulls] == ["mine", "x"]


def test_a_failed_check_comes_back_once_all_checks_are_done(project: Project, forge: Forge) -> None:
    opened(project)
    lint = {"name": "lint", "status": "COMPLETED", "conclusion": "FAILURE", "detailsUrl": "https://ci.test/1"}
    forge.change(1, statusCheckRollup=[lint, {"name": "slow", "status": "IN_PROGRESS", "conclusion": ""}])
    assert "is open" in project.run("pulls", code=0).stdout
    forge.change(1, statusCheckRollup=[lint, {"name": "slow", "status": "COMPLETED", "conclusion": "SUCCESS"}])
    assert "has remarks" in project.run("pulls", code=0).stdout
    project.run(code=0)
    assert project.git("show", f"{BRANCH}:lint.txt") == "linted"


@pytest.mark.parametrize("forge", ["gitlab"], indirect=True)
def test_gitlab_s_notes_and_pipelines_are_heard_and_strangers_are_not(project: Project, forge: Forge) -> None:
    opened(project)
    note = {"id": 5, "body": "Say why in notes.txt.", "author": {"id": 2, "username": "mallory"}}
    forge.change(1, notes=[note, {"id": 6, "body": "changed the title", "system": True, "author": {"id": 1}}])
    assert "is open" in project.run("pulls", code=0).stdout
    ada = {**note, "author": {"id": 1, "username": "ada"}, "type": "DiffNote"}
    at, gone = (
        {"new_path": "a.txt", "new_line": 4, "old_path": "b.txt", "old_line": None},
        {"old_path": "b.txt", "old_line": 2, "new_line": None},
    )
    notes = [note, {**ada, "id": 7}, {**ada, "id": 8, "position": at}, {**ada, "id": 9, "position": gone}]
    forge.change(1, pipeline={"status": "failed"}, notes=[*notes, {**ada, "id": 10, "body": "Settled.", "resolved": True}])
    assert "has remarks" in project.run("pulls", code=0).stdout
    demand = project.record("x")["demand"]
    for place in ("ada:", "ada, at a.txt:4:", "ada, at b.txt:2:"):
        assert f"{place}\nSay why" in demand
    assert "Settled" not in demand
    assert "The pipeline failed" in demand
    assert "mallory" not in demand


def test_an_attempt_that_changes_nothing_has_answered_nothing(project: Project, forge: Forge) -> None:
    opened(project)
    forge.change(1, comments=[{"id": "c1", "body": "Hm.", "authorAssociation": "OWNER", "author": {"login": "ada"}}])
    project.run("pulls", code=0)
    project.run(code=1, ORCH_MAX_FAILURES="2")
    assert (project.where("x"), project.record("x")["reason"]) == ("blocked", "exhausted")


OPTIMUM = "land: pr\nmode: optimize\nplateau: 1\nmetric: {name: left, kind: deterministic}"
SHORTER = "[ $ORCH_ATTEMPT = 1 ] && sed -i 1d todo.txt"


def demanded(project: Project, forge: Forge, agent: str) -> None:
    """An optimum in a pull request, of which somebody asks for more, and what is done about that."""
    project.agent(f"{SHORTER}; {agent}")
    opened(project, OPTIMUM)
    forge.change(1, reviews=[{**REVIEW, "authorAssociation": "MEMBER"}])
    project.run("pulls", code=0)
    project.run()


def test_an_answer_that_makes_an_optimum_no_worse_is_kept_and_updates_the_pull_request(project: Project, forge: Forge) -> None:
    demanded(project, forge, 'grep -q "Say why" "$ORCH_PROMPT_FILE" && echo because > notes.txt')
    record = project.record("x")
    assert (project.where("x"), record["landed"]["how"], record.get("demand")) == ("converged", "pr", None)
    assert project.git("show", f"{BRANCH}:notes.txt") == "because"
    assert forge.tip(BRANCH) == project.git("rev-parse", BRANCH) == record["landed"]["commit"]
    kept = [event for event in project.events("x") if event["event"] == "kept"]
    assert [event["improved"] for event in kept] == [True, False]
    assert record["best"] == {"left": 2}


def test_an_answer_that_makes_it_worse_is_discarded_and_the_demand_stays_open(project: Project, forge: Forge) -> None:
    demanded(project, forge, 'grep -q "Say why" "$ORCH_PROMPT_FILE" && echo because >> todo.txt')
    record = project.record("x")
    assert (project.where("x"), record["reason"]) == ("blocked", "no-improvement")
    assert "what its pull request asks for is not done" in record["detail"]
    assert forge.tip(BRANCH) == record["pull"]["head"] == project.git("rev-parse", BRANCH)


@pytest.mark.parametrize("front", [FRONT, OPTIMUM], ids=["converge", "optimize"])
def test_a_counted_answer_whose_worker_died_lands_without_another_attempt(project: Project, forge: Forge, front: str) -> None:
    project.agent(
        f"{SHORTER}; {AGENT if front is FRONT else 'grep -q Say.why $ORCH_PROMPT_FILE && echo because > notes.txt; true'}"
    )
    opened(project, front)
    forge.change(1, reviews=[{**REVIEW, "authorAssociation": "MEMBER"}])
    project.run("pulls", code=0)
    tried = project.record("x")["attempts"]
    forge.fail("error connecting to api.github.com")  # it is counted, and can't be sent
    project.run(ORCH_BACKOFF="100s")
    assert (project.where("x"), project.record("x")["attempts"]) == ("pending", tried + 1)
    forge.fail(None)
    project.run("--task", "x")
    assert (project.where("x"), project.record("x")["attempts"]) == ("converged", tried + 1)
    assert project.git("show", f"{BRANCH}:notes.txt") == "because"


def test_a_task_that_depends_on_it_starts_once_the_pull_request_is_merged(project: Project, forge: Forge) -> None:
    record = opened(project)
    project.drop("child", front="depends_on: [x]\nmetric: {name: left, target: 0}")
    project.run(code=75)
    assert project.where("child") == "pending"
    (waiting,) = project.task("child")["waiting_on"]
    assert (waiting["kind"], record["pull"]["url"] in waiting["detail"]) == ("dependency", True)
    assert f"pull request {record['pull']['url']} has to be merged" in project.run("why", "child", code=0).stdout
    assert "converged, its pull request is not merged" in project.run("--graph", code=0).stdout
    project.start("--loop")
    project.drop("first")
    project.wait(lambda: project.where("first") == "converged", why="the loop has looked at everything")
    assert project.where("child") == "pending"
    forge.change(1, state="merged", mergeCommit={"oid": "c0ffee"})
    project.run("pulls", code=0)
    project.drop("second")  # wakes the loop, which else looks again within half a minute
    project.wait(lambda: project.where("child") == "converged", why="the loop sees that it was merged")


def merged_there(project: Project, forge: Forge, branch: str) -> str:
    """A person merges on the website: the remote has it, and the repository here doesn't."""
    there = project.top / "elsewhere"
    project.git("clone", "-q", str(forge.remote), str(there), cwd=project.top)
    project.git("merge", "-q", "--no-ff", "-m", "merged there", f"origin/{branch}", cwd=there)
    project.git("push", "-q", "origin", "main", cwd=there)
    return project.git("rev-parse", "HEAD", cwd=there)


def test_the_next_one_begins_at_what_was_merged_on_the_remote_meanwhile(project: Project, forge: Forge) -> None:
    opened(project)
    here = project.git("rev-parse", "main")
    merged = merged_there(project, forge, BRANCH)
    forge.change(1, state="merged", mergeCommit={"oid": merged})
    project.drop(
        "child",
        front="land: pr\ndepends_on: [x]",
        benchmark="#!/bin/sh\necho METRIC n=$([ -s todo.txt ] || [ ! -e new.txt ]; echo $((1 - $?)))\n",
    )
    project.agent(": > new.txt")
    project.run("pulls", code=0)
    project.run(code=0)
    assert project.record("child")["base_commit"] == merged
    assert project.git("diff", "--name-only", merged, "orchestrator/child") == "new.txt"
    assert (project.git("rev-parse", "main"), project.git("status", "--porcelain")) == (here, "")


def test_it_does_not_go_back_to_what_is_here_while_the_remote_is_away(project: Project, forge: Forge) -> None:
    opened(project)
    merged = merged_there(project, forge, BRANCH)
    project.drop("child", front="land: pr\nsetup: 'false'")
    project.run()
    assert (project.where("child"), project.record("child")["base_commit"]) == ("blocked", merged)
    forge.remote.rename(forge.remote.with_name("away"))
    project.run("retry", "child", code=0)
    project.run()
    assert (project.where("child"), project.record("child")["base_commit"]) == ("blocked", merged)


def test_work_that_the_remote_s_base_has_already_opens_no_pull_request(project: Project, forge: Forge) -> None:
    opened(project)
    merged = merged_there(project, forge, BRANCH)
    project.drop("again", front="land: pr\nmetric: {name: left, target: 0}")
    project.run(code=0)
    landed = project.record("again")["landed"]
    assert (landed["how"], landed["commit"], len(forge.pulls)) == ("none", merged, 1)


def test_where_the_remote_can_t_be_asked_it_begins_at_what_is_here(project: Project, forge: Forge) -> None:
    forge.remote.rename(forge.remote.with_name("away"))
    project.drop("x", front=FRONT)
    project.run()
    assert project.record("x")["base_commit"] == project.git("rev-parse", "main")
    assert any("it begins at main as that is here" in str(event) for event in project.events("x"))


def test_without_a_remote_the_branch_is_kept_and_that_is_said(project: Project) -> None:
    project.agent(AGENT)
    record = opened(project)
    assert (record["landed"]["how"], record["landed"]["commit"]) == ("branch", project.git("rev-parse", BRANCH))
    assert "no remote to push to" in project.run("why", "x", code=0).stdout


def test_a_remote_that_no_tracker_knows_gets_the_branch_and_later_a_pull_request(project: Project, forge: Forge) -> None:
    tracker = project.env.pop("ORCH_TRACKER")
    record = opened(project)
    assert (record["landed"]["how"], forge.tip(BRANCH)) == ("branch", record["landed"]["commit"])
    assert "no pull request can be opened" in record["detail"]
    assert "once that is mended, `orchestrator queue x` opens one" in project.run("why", "x").stdout
    project.run("queue", "x")
    project.run(ORCH_TRACKER=tracker)
    assert [pull["branch"] for pull in forge.pulls] == [BRANCH]


def test_work_that_changes_nothing_is_closed_as_no_change(project: Project, forge: Forge) -> None:
    project.drop("x", front=FRONT, benchmark="#!/bin/sh\necho METRIC left=0\n")
    project.run(code=0)
    assert (project.record("x")["landed"]["how"], forge.pulls, forge.tip(BRANCH)) == ("none", [], "")


def test_a_push_that_fails_is_tried_again_and_then_shown(project: Project, forge: Forge) -> None:
    hook = forge.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho try later >&2; exit 1\n")
    hook.chmod(0o755)
    project.drop("x", front=FRONT)
    project.run(code=1, ORCH_BACKOFF="10ms")
    record = project.record("x")
    assert (project.where("x"), record["reason"], record["attempts"]) == ("blocked", "repo", 1)
    assert "can't be pushed to origin" in record["detail"]
    hook.unlink()
    project.run("retry", "x", code=0)
    project.run(code=0)
    assert len(forge.pulls) == 1
    assert project.record("x")["attempts"] == 1


def test_a_missing_login_is_shown_at_once(project: Project, forge: Forge) -> None:
    forge.fail("To get started with GitHub CLI, please run:  gh auth login")
    project.drop("x", front=FRONT)
    project.run(code=1)
    assert project.record("x")["reason"] == "repo"
    assert "gh auth status" in project.record("x")["detail"]


def test_somebody_else_s_commits_on_the_branch_are_not_overwritten(project: Project, forge: Forge) -> None:
    opened(project)
    other = project.top / "other"
    project.git("clone", "-q", "-b", BRANCH, str(forge.remote), str(other), cwd=project.top)
    theirs = project.commit({"theirs.txt": "theirs\n"}, "theirs", other)
    project.git("push", "-q", "origin", BRANCH, cwd=other)
    forge.change(1, reviews=[{**REVIEW, "authorAssociation": "OWNER"}])
    project.run("pulls", code=0)
    project.run(code=1)
    assert forge.tip(BRANCH) == theirs
    assert "commits of somebody else" in project.record("x")["detail"]


def test_a_loop_looks_by_itself_and_goes_on_meanwhile(project: Project, forge: Forge) -> None:
    opened(project)
    project.start("--loop", ORCH_PULL_INTERVAL="50ms")
    forge.change(1, state="merged", mergeCommit={"oid": "c0ffee"})
    project.wait(lambda: project.record("x")["landed"]["state"] == "merged", why="the loop sees that it is merged")


def test_a_look_during_another_one_sees_for_itself(project: Project, forge: Forge) -> None:
    opened(project)
    lock = project.tasks / ".orch/locks/pulls.lock"
    with locks.acquire(lock):
        late = project.start("pulls")
        project.wait(lambda: late.poll() is not None or lock in opened_by(late.pid), why="it is about to look")
    late.wait(60)
    assert "is open" in (project.top / f"out-{len(project.started) - 1}.txt").read_text()


def opened_by(pid: int) -> set[Path]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(each.readlink())
    return found


def test_a_tracker_that_can_t_be_asked_changes_nothing_and_is_told_of(project: Project, forge: Forge) -> None:
    before = opened(project)
    forge.fail("error connecting to api.github.com")
    done = project.run("pulls", "-q", code=1)
    assert "can't be looked at: gh pr view failed: error connecting" in done.stderr
    assert project.record("x") == before


def test_a_look_that_was_killed_before_the_move_is_finished(project: Project, forge: Forge) -> None:
    opened(project)
    forge.change(1, state="closed")
    for point in ("record.put:before", "record.put:after", "move:before", "move:after"):
        project.run("pulls", ORCH_FAILPOINT=point)
    project.run("pulls", code=0)
    assert (project.where("x"), project.record("x")["reason"]) == ("blocked", "closed")


def tracker_of(project: Project) -> list[tuple[str, str, str]]:
    found = json.loads(project.run("--check", "--json").stdout)["checks"]
    return [(each["status"], each["detail"], each["fix"] or "") for each in found if each["name"] == "tracker"]


def test_check_tells_whether_pull_requests_can_be_opened_where_a_task_asks_for_them(project: Project, forge: Forge) -> None:
    asked = project.env.pop("ORCH_TRACKER")
    project.drop("plain")
    assert tracker_of(project) == []
    project.drop("x", front=FRONT)
    [(status, detail, fix)] = tracker_of(project)
    assert (status, "which x asks for" in detail, "ORCH_TRACKER" in fix) == ("warning", True, True)
    project.env["ORCH_TRACKER"] = asked
    [(status, detail, fix)] = tracker_of(project)
    assert (status, detail) == ("missing", "gh is not logged in at github.com, which x asks for (land: pr)")
    assert "gh auth login" in fix
    (forge.folder / "token").write_text("secret")
    assert tracker_of(project) == [("ok", "github for origin, which x asks for (land: pr)", "")]
    (forge.folder / "bin/gh").unlink()
    project.env["PATH"] = ":".join(folder for folder in project.env["PATH"].split(":") if not (Path(folder) / "gh").exists())
    project.env["PATH"] += f":{one_program(project, 'git')}"
    [(status, detail, fix)] = tracker_of(project)
    assert (status, "gh can't be run" in detail, "Install gh" in fix) == ("missing", True, True)
    assert project.run("--check").returncode == 1
    project.git("remote", "remove", "origin")
    [(status, detail, _)] = tracker_of(project)
    assert (status, "has no remote to push to" in detail) == ("warning", True)
    for name in ("fork", "upstream"):
        project.git("remote", "add", name, str(forge.remote))
    [(status, detail, fix)] = tracker_of(project)
    assert (status, "several remotes (fork, upstream)" in detail) == ("warning", True)
    project.git(*fix.replace("NAME", "fork").split()[1:])
    assert tracker_of(project)[0][2] != fix


def test_check_asks_gitlab_s_program_where_the_configuration_names_it(project: Project, forge: Forge) -> None:
    project.env["ORCH_TRACKER"] = "gitlab"
    assert tracker_of(project) == [("ok", "gitlab for origin", "")]


def one_program(project: Project, name: str) -> Path:
    """A folder that holds this one of the machine's programs."""
    folder = project.top / f"only-{name}"
    folder.mkdir()
    (folder / name).symlink_to(str(shutil.which(name)))
    return folder


REAL = shutil.which("gh")


@pytest.mark.skipif(REAL is None, reason="gh is not installed (apt install gh)")
def test_the_real_gh_understands_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It parses its arguments and then asks a server, of which there is none: no error may be about what it was told."""
    said = []
    monkeypatch.setenv("GH_TOKEN", "dummy")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    where, tracker = Where(tmp_path, "https://github.com/o/r.git"), GitHub()
    draft = Draft("b", "main", "c0ffee", "title", "body")
    there = {"state": "OPEN", "number": 1, "url": "https://github.com/o/r/pull/1"}
    calls = (
        lambda: tracker.publish(where, draft),
        lambda: tracker.look(where, 1),
        lambda: list(_at_lines(where, 1)),
        lambda: tracker._create(where, draft),
        lambda: program.call(where, ("gh", "pr", "reopen", "1", "--repo", "github.com/o/r")),
        lambda: monkeypatch.setattr(GitHub, "_there", lambda *_: there) or tracker.publish(where, draft),
    )
    for call in calls:
        with pytest.raises(TrackerError) as error:
            call()
        said.append(error.value.message)
    for message in said:
        assert "proxyconnect" in message or "error connecting" in message, said
