"""Skills lie where the agent looks for them while it works, and nowhere afterwards; phases are sessions of one attempt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from support.desk import DONE, LESS, Desk

from orchestrator.agents import registry
from orchestrator.agents.exec import Exec
from orchestrator.agents.protocol import Traits
from orchestrator.core.outcome import Reason
from orchestrator.core.task import State
from orchestrator.store import templates

LISTING = "find .claude .agents -name SKILL.md 2>/dev/null | sort > {out}; "


@dataclass(frozen=True)
class Reader(Exec):
    """A shell command that looks for skills in `folders`."""

    folders: tuple[str, ...] = (".claude/skills", ".agents/skills")

    @property
    def traits(self) -> Traits:  # type: ignore[override]
        return Traits(skills=self.folders)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "get", lambda name, tables=None: Reader())


def skill(folder: Path, words: str) -> None:
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(f"---\nname: {folder.name}\ndescription: test\n---\n# Heading\n{words}\n")


def attempt(desk: Desk, file: str, number: int = 1) -> str:
    return (desk.folder() / f".orch/attempts/{number:04d}/{file}").read_text()


@pytest.mark.usefixtures("reader")
def test_our_skills_lie_where_the_agent_looks_while_it_works_and_are_in_no_commit(desk: Desk) -> None:
    desk.drop()
    seen = desk.top / "seen"
    desk.agent(LISTING.format(out=seen) + f"{DONE}; git add -A; git commit -qm mine")
    desk.serve()
    assert desk.state() is State.CONVERGED
    ours = ("do-task", "plan-task", "review-task")
    assert seen.read_text().splitlines() == [
        f"{top}/{name}/SKILL.md" for top in (".agents/skills", ".claude/skills") for name in ours
    ]
    assert desk.git("ls-tree", "-r", "--name-only", "main").splitlines() == [".gitignore", "README", "todo.txt"]
    assert ".claude" not in desk.git("log", "-p", "--all", "--format=")


@pytest.mark.usefixtures("reader")
def test_they_are_gone_from_the_worktree_after_the_session_and_the_users_checkout_never_had_them(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent("true")
    desk.serve()
    assert desk.state() is State.BLOCKED
    assert "/.claude/skills/do-task/" in (desk.repo / ".git/info/exclude").read_text().splitlines()
    assert sorted(path.name for path in desk.worktree().iterdir()) == [".git", ".gitignore", "README", "todo.txt"]
    assert desk.git("status", "--porcelain", "--ignored").splitlines() == ["!! .worktrees/"]


@pytest.mark.usefixtures("reader")
def test_the_repositorys_own_skill_and_its_other_files_stay_as_they_are(desk: Desk) -> None:
    skill(desk.repo / ".claude/skills/do-task", "mine")
    desk.commit({".claude/settings.json": "{}", ".agents/skills": "a file\n"})
    desk.drop()
    seen = desk.top / "seen"
    desk.agent(f"cat .claude/skills/do-task/SKILL.md .agents/skills > {seen}; ls .claude/skills >> {seen}; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    words = seen.read_text()
    assert "mine" in words
    assert "a file" in words
    assert "review-task" in words
    assert desk.git("ls-tree", "-r", "--name-only", "main", ".claude").splitlines() == [
        ".claude/settings.json",
        ".claude/skills/do-task/SKILL.md",
    ]


@pytest.mark.usefixtures("reader")
def test_a_link_that_leads_out_of_the_worktree_is_not_followed(desk: Desk) -> None:
    outside = desk.top / "outside"
    outside.mkdir()
    (desk.repo / ".claude").symlink_to(outside)
    desk.commit({})
    desk.drop()
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert list(outside.iterdir()) == []


@pytest.mark.usefixtures("reader")
def test_the_specs_skill_comes_from_the_task_folder_and_wins_over_ours(desk: Desk) -> None:
    folder = desk.drop(front="skills: [do-task, extra]")
    skill(folder / "do-task", "the task's own")
    skill(desk.top / "extra", "of the project")
    seen = desk.top / "seen"
    desk.agent(f"cat .claude/skills/do-task/SKILL.md .claude/skills/extra/SKILL.md > {seen}; {DONE}")
    desk.serve()
    assert "the task's own" in seen.read_text()
    assert "of the project" in seen.read_text()


def test_a_skill_that_is_nowhere_blocks_the_task_and_says_where_it_may_be(desk: Desk) -> None:
    desk.drop(front="skills: [no-such]")
    desk.agent(DONE)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason) == (State.BLOCKED, Reason.SETUP)
    assert "'no-such'" in (record.detail or "")


def test_an_agent_that_reads_no_skills_is_told_the_specs_in_its_prompt(desk: Desk) -> None:
    skill(desk.drop(front="skills: [extra]") / "extra", "Do it the careful way.")
    desk.agent(DONE)
    desk.serve()
    assert "Do it the careful way." in attempt(desk, "prompt.md")
    assert "### Heading" in attempt(desk, "prompt.md")


def test_phases_are_sessions_of_one_attempt_and_the_next_one_sees_what_lies_there(desk: Desk) -> None:
    desk.drop(front="phases: [do-task, review-task]")
    desk.agent(
        desk.call + f'cp "$ORCH_PROMPT_FILE" {desk.top}/prompt.$n; echo session $n; {LESS}; [ $n = 1 ] || {DONE}; echo > new.txt'
    )
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert (desk.calls(), desk.record().attempts) == (2, 1)
    first, second = ((desk.top / f"prompt.{number}").read_text() for number in (1, 2))
    assert "**do-task** (yours), review-task" in first
    assert "do-task, **review-task** (yours)" in second
    assert "-one" not in first
    assert "-one" in second
    assert "session 1" in second
    assert templates.read("skills/review-task/SKILL.md").splitlines()[-1] in second


def test_each_phase_leaves_its_prompt_and_the_log_holds_all_of_them(desk: Desk) -> None:
    desk.drop(front="phases: [do-task, review-task]")
    desk.agent(desk.call + f"echo session $n; {DONE}")
    desk.serve()
    assert "**do-task** (yours)" in attempt(desk, "prompt.md")
    assert "**review-task** (yours)" in attempt(desk, "prompt.review-task.md")
    log = attempt(desk, "agent.log")
    assert log.index("session 1") < log.index("session 2")
    assert [event["phase"] for event in desk.events(event="agent_started")] == ["do-task", "review-task"]


@pytest.mark.usefixtures("reader")
def test_an_agent_that_reads_skills_is_told_the_phases_by_name_only(desk: Desk) -> None:
    desk.drop(front="phases: [review-task]")
    desk.agent(DONE)
    desk.serve()
    prompt = attempt(desk, "prompt.md")
    assert "`.claude/skills/review-task/SKILL.md`" in prompt
    assert "Mend little" not in prompt


def test_a_phase_that_does_not_finish_is_the_attempts_last(desk: Desk) -> None:
    desk.drop(front="phases: [do-task, review-task]\nmax_failures: 1")
    desk.agent(desk.call + "exit 3")
    desk.serve()
    assert desk.calls() == 1


def test_what_all_phases_used_is_the_attempts_spend(desk: Desk) -> None:
    usage = "{usage = {usd = 0.25, input_tokens = 10, output_tokens = 1}}"
    scenario = f'steps = [{usage}, {{write = "todo.txt"}}]'
    desk.drop(front="phases: [do-task, review-task]\nagent: scripted", files={"scenario.toml": scenario})
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert (desk.record().spend.usd, desk.record().spend.input_tokens) == (0.5, 20)


def test_an_unknown_phase_is_told_with_what_there_is_before_any_session(desk: Desk) -> None:
    desk.drop(front="phases: [no-such]")
    desk.agent(desk.call + DONE)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, desk.calls()) == (State.BLOCKED, Reason.SETUP, 0)
    assert "do-task" in (record.detail or "")


def test_in_a_folder_without_git_nothing_is_laid_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "get", lambda name, tables=None: Reader())
    plain = desk.top / "plain"
    plain.mkdir()
    (plain / "todo.txt").write_text("one\n")
    desk.drop(front=f"repo: {plain}\nphases: [do-task]")
    desk.agent(f"ls -A > {desk.top}/seen; {DONE}")
    desk.serve()
    assert (desk.top / "seen").read_text().split() == ["todo.txt"]
    assert "Choose one step" in attempt(desk, "prompt.md")
