"""The judge on real commits: what it may see, what it may not do, and that no usable word is a no."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.desk import DONE, Desk

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State

EVIDENCE = [{"file": "todo.txt", "line": 1, "says": "it is empty"}]
ONCE = "max_failures: 1\n"


def word(verdict: str = "pass", evidence: object = EVIDENCE, summary: str = "as wanted") -> str:
    return json.dumps({"verdict": verdict, "summary": summary, "evidence": evidence})


def judged(desk: Desk, script: str, front: str = "", agent: str = DONE, mode: str = "block") -> dict[str, Any]:
    """One attempt before a judge that is this shell script; its verdict."""
    (desk.top / "judge.sh").write_text(script)
    desk.drop(front=f"{ONCE}gates:\n{front}  judge: {{command: 'sh {desk.top}/judge.sh', mode: {mode}}}")
    desk.agent(agent)
    desk.serve()
    said: list[dict[str, Any]] = json.loads((desk.folder() / ".orch/attempts/0001/verdicts.json").read_text())["verdicts"]
    return next(each for each in said if each["gate"] == "judge")


@pytest.mark.parametrize("where", ["> $ORCH_VERDICT_FILE", ""], ids=["in a file", "said last"])
@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_its_word_counts_and_its_evidence_is_shown(desk: Desk, verdict: str, where: str) -> None:
    said = judged(desk, f"echo thinking; echo '{word(verdict)}' {where}\n")
    assert (said["ok"], said["reason"], said["places"]) == (verdict == "pass", "as wanted", ["todo.txt:1: it is empty"])
    assert desk.state() is (State.CONVERGED if verdict == "pass" else State.BLOCKED)


def test_a_word_over_several_lines_with_others_around_it_counts_too(desk: Desk) -> None:
    many = [*EVIDENCE, *({"file": "README", "line": 1, "says": "a repository " * 5} for _ in range(60))]
    (desk.top / "word").write_text(json.dumps(json.loads(word(evidence=many)), indent=2))
    said = judged(desk, f"echo I have read it.; echo '```json'; cat {desk.top}/word; echo; echo '```'\n")
    assert (said["ok"], said["reason"], len(said["places"])) == (True, "as wanted", 61)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("true", "no JSON object"),
        ("echo Looks good to me.", "no JSON object"),
        (f"echo '{word(evidence=[])}'", "it gives no evidence"),
        (f"echo '{word(evidence=[{'file': 'made/up.py', 'says': 'x'}])}'", "made/up.py, which is not there"),
        (f"echo '{word(evidence=[{'file': '/etc/hostname', 'says': 'x'}])}'", "/etc/hostname, which is not there"),
        (f"echo '{word()}'; exit 3", "it ended as failed"),
        (f"echo '{word()}'; kill -9 $$", "it ended as"),
        ("mkfifo $ORCH_VERDICT_FILE", "no JSON object"),
    ],
)
def test_no_usable_word_is_a_no(desk: Desk, script: str, told: str) -> None:
    said = judged(desk, f"{script}\n")
    assert not said["ok"]
    assert told in said["reason"]
    assert (desk.record().reason, desk.record().history[0].result) == (Reason.GATE, Result.GATE)


def test_an_answer_that_cannot_be_used_is_asked_for_once_more(desk: Desk) -> None:
    script = f"cp $ORCH_PROMPT_FILE {desk.top}/asked; mkdir {desk.top}/once && echo Looks good to me. && exit; echo '{word()}'\n"
    said = judged(desk, script)
    assert (said["ok"], said["reason"]) == (True, "as wanted")
    assert "could not be used: there is no JSON object" in (desk.top / "asked").read_text()
    assert len(desk.events(event="judge_started")) == 2
    assert desk.state() is State.CONVERGED


def test_a_no_is_not_asked_for_twice(desk: Desk) -> None:
    judged(desk, f"echo '{word('fail')}'\n")
    assert len(desk.events(event="judge_started")) == 1


def test_it_sees_what_was_wanted_and_what_was_changed_and_what_the_others_said(desk: Desk) -> None:
    judged(desk, f"cp $ORCH_PROMPT_FILE {desk.top}/asked; git show HEAD:todo.txt > {desk.top}/shown; test -z \"$ORCH_REPO\" || exit 1; echo '{word()}'\n",
           front="  size: 'true'\n")  # fmt: skip
    asked = (desk.top / "asked").read_text()
    assert "Make it so." in asked
    assert "- size: yes; passed" in asked
    assert "-one\n-two\n-three" in asked
    assert (desk.top / "shown").read_text() == ""
    assert "judge" in {path.name for path in (desk.folder() / ".orch/attempts/0001").iterdir()}
    assert desk.state() is State.CONVERGED


def test_no_byte_of_a_change_is_hidden_from_it(desk: Desk) -> None:
    hidden = r"printf 'true \033P; rm -rf x;\033\134\r# harmless\n' > run.sh"
    judged(desk, f"cp $ORCH_PROMPT_FILE {desk.top}/asked; echo '{word()}'\n", agent=f"{DONE}; {hidden}")
    assert r"+true \x1bP; rm -rf x;\x1b\\r# harmless" in (desk.top / "asked").read_text()


def test_nothing_it_does_is_taken(desk: Desk) -> None:
    commits = "echo cheat > todo.txt; echo x > new.txt; git add -A; git -c user.name=j -c user.email=j@j commit -qm j"
    moves = "git update-ref refs/heads/main HEAD; git update-ref refs/heads/orchestrator/x HEAD; git push -q origin HEAD:main"
    judged(desk, f"({commits}; {moves}) 2> /dev/null; echo '{word()}' > $ORCH_VERDICT_FILE\n")
    assert desk.state() is State.CONVERGED
    assert desk.git("ls-tree", "--name-only", "main").split() == [".gitignore", "README", "todo.txt"]
    assert desk.show("todo.txt") == ""


def test_an_empty_change_fails_without_a_session(desk: Desk) -> None:
    desk.drop(
        benchmark="#!/bin/sh\necho METRIC left=0\n", front=f"{ONCE}gates:\n  judge: {{command: 'echo >> {desk.top}/judged'}}"
    )
    desk.agent("true")
    desk.serve()
    assert not (desk.top / "judged").exists()
    assert desk.state() is State.BLOCKED
    assert any("the change is empty" in event["reason"] for event in desk.events(event="verdict"))


def test_a_disagreement_is_told_and_what_cannot_land_is_not_judged(desk: Desk) -> None:
    said = judged(desk, f"echo '{word()}'\n", front="  size: {command: 'false', mode: warn}\n")
    assert said["reason"] == "as wanted (in disagreement with size, which says no)"
    assert desk.state() is State.CONVERGED


def test_the_others_being_happy_is_told_with_its_no(desk: Desk) -> None:
    said = judged(desk, f"echo '{word('fail', summary='gamed')}'\n", front="  a: 'true'\n  b: 'true'\n", mode="warn")
    assert said["reason"] == "gamed (in disagreement with a, b, which say yes)"
    assert desk.state() is State.CONVERGED


def test_where_another_gate_blocks_it_is_not_paid_for(desk: Desk) -> None:
    desk.drop(front=f"{ONCE}gates:\n  a: 'false'\n  judge: {{command: 'echo >> {desk.top}/judged'}}")
    desk.agent(DONE)
    desk.serve()
    assert not (desk.top / "judged").exists()


SCENARIO = "[[attempts]]\nsteps = [{steps}]\n"


def test_any_agent_can_judge_and_what_it_used_is_counted(desk: Desk) -> None:
    line = json.dumps(word())
    steps = f"{{usage = {{usd = 0.25, input_tokens = 10, output_tokens = 5}}}}, {{print = {line}}}"
    desk.drop(front="gates: {judge: scripted}", files={"scenario.toml": SCENARIO.format(steps=steps)})
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED
    record = desk.record()
    assert record.agents["scripted"].usd == 0.25
    assert record.history[0].spend.usd == 0.25
    assert record.history[0].agent == "exec"


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        ("nobody", "The judge can't be asked: `agent: nobody` is no agent or model that is known; there are: exec,"),
        ("{agent: mybot}", "The judge can't be asked: mybot is not installed: no-such-bot was not found on PATH."),
    ],
)
def test_a_judge_that_can_not_be_asked_is_told_before_an_agent_is_paid_for(desk: Desk, judge: str, told: str) -> None:
    desk.set(agents={"mybot": {"argv": ["no-such-bot", "{prompt}"]}})
    desk.drop(front=f"gates: {{judge: {judge}}}")
    desk.agent(DONE)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts) == (State.BLOCKED, Reason.SETUP, 0)
    assert (record.detail or "").startswith(told)
    assert "agent_started" not in [event["event"] for event in desk.events()]


def test_at_a_limit_the_task_waits_and_the_attempt_is_judged_later(desk: Desk) -> None:
    folder = desk.drop(front="gates: {judge: scripted}", files={"scenario.toml": SCENARIO.format(steps="{limit = 1000}")})
    desk.agent(f"{desk.call} {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().attempts) == (State.PENDING, Reason.RATE_LIMITED, 0)
    assert folder.name in str(desk.folder())
    (desk.folder() / "scenario.toml").write_text(SCENARIO.format(steps=f"{{print = {json.dumps(word())}}}"))
    desk.set(agent_cmd=desk.settings.agent_cmd)
    desk.serve()
    assert (desk.state(), desk.calls()) == (State.CONVERGED, 1)
    assert [attempt.result for attempt in desk.record().history] == [Result.CONVERGED]
    assert replace(desk.record(), pauses={}).pauses == {}
