"""Usage limits, log-ins and full contexts through the real command line: what waits, what goes on, and with which agent."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from support.project import Project

DONE = ": > todo.txt"


def started(project: Project, name: str) -> list[dict[str, object]]:
    return [event for event in project.events(name) if event["event"] == "agent_started"]


def kinds(project: Project, name: str) -> list[str]:
    return [reason["kind"] for reason in project.task(name)["waiting_on"]]


def test_other_tasks_of_the_account_wait_for_its_limit_while_other_agents_go_on(project: Project) -> None:
    project.scripted("first", "limit 3600", front="priority: 9")
    project.scripted("second", DONE)
    project.scripted("other-account", DONE, front="model: elsewhere/big")
    project.drop("other-agent", front="agent: exec")

    project.run(code=75, ORCH_AGENT_CMD=DONE)

    assert [project.where(name) for name in ("first", "second", "other-account", "other-agent")] == [
        "pending", "pending", "converged", "converged",
    ]  # fmt: skip
    assert project.record("first")["attempts"] == 0
    assert started(project, "second") == []
    assert (kinds(project, "first"), kinds(project, "second")) == (["limit"], ["limit"])
    assert "scripted is held up by its provider" in project.run("why", "second", code=0).stdout

    begun = time.monotonic()
    project.run(code=75)  # as after a reboot: what is known lies in the record
    assert time.monotonic() - begun < 20
    assert (len(started(project, "first")), started(project, "second")) == (1, [])


def test_a_parked_session_goes_on_at_its_reset_in_its_own_worktree(project: Project) -> None:
    project.scripted(
        "long",
        'if [ "$ORCH_RESUME" ]; then test "$ORCH_RESUME" = s-1 && test -e half && : > todo.txt; exit; fi\n'
        "say session s-1; say text 'half way'; touch half; limit 2",
    )  # fmt: skip

    project.run(code=0)

    record = project.record("long")
    assert (record["attempts"], record["history"][0]["result"]) == (1, "converged")
    assert [event["resumed"] for event in started(project, "long")] == [None, "s-1"]
    assert "interrupted by its provider" in (project.folder("long") / ".orch/attempts/0001/prompt.md").read_text()
    told = project.run("logs", "long", code=0).stdout
    assert 0 < told.index("half way") < told.index("! limit: limit reached") < told.index("in the session that was interrupted")


def test_a_session_that_can_not_go_on_is_begun_afresh_in_the_same_attempt(project: Project) -> None:
    project.scripted(
        "lost", f'[ "$ORCH_RESUME" ] && exit 1\n[ -e half ] && {{ {DONE}; exit; }}\nsay session s-1; touch half; limit 1'
    )

    project.run(code=0)

    assert project.record("lost")["attempts"] == 1
    assert [event["resumed"] for event in started(project, "lost")] == [None, "s-1", None]


def test_nobody_has_to_wait_for_a_limit(project: Project) -> None:
    project.scripted("hurried", "limit 3600", front="max_failures: 1")

    project.run(code=1, ORCH_LIMIT_WAIT="0")

    record = project.record("hurried")
    assert (record["reason"], record["attempts"], record["history"][0]["end"]) == ("exhausted", 1, "failed")
    assert "limit_wait is 0" in record["history"][0]["detail"]


def test_a_wait_is_no_longer_than_the_setting_allows(project: Project) -> None:
    project.scripted("capped", f"[ -e half ] && {{ {DONE}; exit; }}\ntouch half; limit 3600")

    project.run(code=0, ORCH_LIMIT_WAIT="1s")

    assert project.record("capped")["attempts"] == 1


@pytest.mark.parametrize("how", [("retry", "second"), ("--task", "second")])
def test_a_person_ends_a_wait_at_once_whatever_other_tasks_know(project: Project, how: tuple[str, str]) -> None:
    project.scripted("first", "limit 3600", front="priority: 9")
    project.scripted("second", f"[ -e half ] && {{ {DONE}; exit; }}\ntouch half; limit 3600", front="model: scripted-2")
    project.run(code=75, ORCH_PARALLEL="2")
    assert kinds(project, "first") == ["limit"]

    project.run(*how, code=0)
    project.run(code=75)

    assert (project.where("first"), project.where("second")) == ("pending", "converged")


def test_another_agent_stands_in_at_a_limit_and_is_named_as_who_worked(project: Project) -> None:
    project.scripted("chained", "touch half; say usage '' '{\"usd\": 0.25}'; limit 3600", front="fallback: [exec]")

    project.run(code=0, ORCH_AGENT_CMD=f"test -e half && {DONE}")

    record = project.record("chained")
    assert [(attempt["agent"], attempt["result"]) for attempt in record["history"]] == [("exec", "converged")]
    assert record["agents"]["scripted"]["usd"] == 0.25
    assert "Agent: exec" in project.git("log", "-1", "--format=%B", "main")
    (told,) = [event for event in project.events("chained") if event["event"] == "fallback"]
    assert (told["agent"], told["instead_of"]) == ("exec", "scripted")

    project.scripted("next", "touch never", front="fallback: [exec]")  # it begins with the one that can work
    project.run(code=0, ORCH_AGENT_CMD=DONE)
    assert [event["agent"] for event in started(project, "next")] == ["exec"] or project.where("chained") == "converged"


def test_another_agent_stands_in_where_one_is_not_installed_and_without_one_the_task_says_how_to_get_it(project: Project) -> None:
    here = project.top / "bin"
    here.mkdir()
    for name in ("git", "sh", "env", "grep", "cat", "date"):
        (here / name).symlink_to(shutil.which(name) or name)
    project.env |= {"PATH": str(here), "ORCH_AGENT_CMD": DONE}
    project.drop("chained", front="agent: qwen\nfallback: [exec]\nland: branch")

    project.run(code=0)

    assert [attempt["agent"] for attempt in project.record("chained")["history"]] == ["exec"]
    (told,) = [event for event in project.events("chained") if event["event"] == "fallback"]
    assert (told["instead_of"], told["detail"]) == ("qwen", "qwen is not installed")

    project.drop("alone", front="agent: qwen")
    project.run(code=1)
    record = project.record("alone")
    assert record["attempts"] == 0
    assert "npm install -g @qwen-code/qwen-code" in project.run("why", "alone", code=0).stdout


def test_a_wait_for_a_limit_can_be_cancelled_and_its_worktree_goes(project: Project) -> None:
    project.scripted("parked", "touch half; limit 3600")
    project.run(code=75)
    worktree = project.repo / ".worktrees/parked"
    assert (worktree / "half").exists()

    project.run("cancel", "parked", code=0)
    project.run(code=1)

    assert (project.where("parked"), project.task("parked")["reason"]) == ("blocked", "cancelled")
    assert not worktree.exists()


def test_no_agent_stands_in_for_one_that_failed(project: Project) -> None:
    project.scripted("fails", "exit 3", front="fallback: [exec]\nmax_failures: 2")

    project.run(code=1, ORCH_AGENT_CMD=DONE)

    assert [attempt["agent"] for attempt in project.record("fails")["history"]] == ["scripted", "scripted"]


def test_a_missing_login_stops_that_agents_tasks_and_no_others_until_a_person_has_been_there(project: Project) -> None:
    project.scripted("first", f"[ -e {project.top}/key ] && {{ {DONE}; exit; }}\nsay auth 'no key'; exit 1", front="priority: 9")
    project.scripted("second", DONE)
    project.drop("other-agent", front="agent: exec")

    project.run(code=1, ORCH_AGENT_CMD=DONE)

    assert [project.where(name) for name in ("first", "second", "other-agent")] == ["blocked", "pending", "converged"]
    assert (project.record("first")["reason"], project.record("first")["attempts"]) == ("auth", 0)
    assert (kinds(project, "second"), started(project, "second")) == (["paused"], [])
    assert "first" in project.task("second")["waiting_on"][0]["detail"]

    (project.top / "key").touch()
    project.run("retry", "first", code=0)
    project.run(code=0)
    assert [project.where(name) for name in ("first", "second")] == ["converged", "converged"]


def test_after_a_full_context_a_fresh_session_is_told_where_the_one_before_stopped(project: Project) -> None:
    project.scripted(
        "big",
        f'[ "$ORCH_ATTEMPT" = 2 ] && {{ {DONE}; exit; }}\necho one >> half; say text "the parser is next"; say context "no room"; exit 1',
    )  # fmt: skip

    project.run(code=0)

    history = project.record("big")["history"]
    assert [(attempt["end"], attempt["result"]) for attempt in history] == [
        ("context-full", "no-improvement"), ("finished", "converged"),
    ]  # fmt: skip
    prompt = (project.folder("big") / ".orch/attempts/0002/prompt.md").read_text()
    assert "the parser is next" in prompt
    assert "`half` +1 -0" in prompt
    assert [event["resumed"] for event in started(project, "big")] == [None, None]


def test_what_an_attempt_said_in_the_end_is_told_to_the_next_but_for_secrets(project: Project) -> None:
    project.env |= {"ORCH_ENV_PASS": "A_TOKEN", "A_TOKEN": "hunter2-hunter2"}
    project.scripted(
        "tries",
        f'[ "$ORCH_ATTEMPT" = 3 ] && {{ {DONE}; exit; }}\n[ "$ORCH_ATTEMPT" = 2 ] || say text "sorting first, with $A_TOKEN, brought nothing"',
    )

    project.run(code=0)

    attempts = project.folder("tries") / ".orch/attempts"
    first, second, third = (attempts.joinpath(f"000{number}/prompt.md").read_text() for number in (1, 2, 3))
    told = "## What the attempt before said in the end"
    assert [told in prompt for prompt in (first, second, third)] == [False, True, False]
    assert "sorting first, with" in second
    assert "brought nothing" in second
    assert "hunter2" not in second


@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("agent: nemo", ["autoresearch.md:2", "nemo", "exec", "claude"]),
        ("agent: exec\nfallback: [nemo]", ["autoresearch.md:3", "nemo", "exec"]),
        ("model: nemo-7", ["autoresearch.md:2", "nemo-7", "claude-*"]),
    ],
)
def test_an_unknown_agent_or_model_is_told_before_anything_starts(project: Project, front: str, told: list[str]) -> None:
    project.drop("lost", front=front)

    project.run(code=1)

    assert (project.where("lost"), (project.folder("lost") / ".orch").exists()) == ("pending", False)
    (reason,) = project.task("lost")["waiting_on"]
    assert reason["kind"] == "invalid"
    for word in told:
        assert word in reason["detail"]


def test_a_setting_that_names_no_agent_starts_nothing(project: Project) -> None:
    project.drop("a")

    done = project.run("--agent", "nemo", code=2)

    assert "nemo" in done.stderr
    assert "claude" in done.stderr
    assert not (project.folder("a") / ".orch").exists()


def test_a_task_that_never_began_can_be_sent_on_too(project: Project) -> None:
    project.scripted("first", "limit 3600", front="priority: 9")
    project.scripted("second", DONE)
    project.run(code=75)

    project.run("queue", "second", code=0)
    project.run(code=75)

    assert (project.where("first"), project.where("second")) == ("pending", "converged")


def test_check_and_add_tell_of_an_agent_that_nobody_knows(project: Project) -> None:
    project.drop("lost", front="agent: nemo")

    checked = json.loads(project.run("--check", "--json", ORCH_AGENT="exec", ORCH_AGENT_CMD=DONE).stdout)["checks"]
    assert [each["status"] for each in checked if "nemo" in each["detail"]] == ["warning"]
    assert "nemo" in project.run("add", "second", "--goal", "x", "--agent", "nemo", "--benchmark", "true", code=0).stdout
