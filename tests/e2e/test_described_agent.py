"""An agent that nothing but the configuration describes, through the real command line."""

from __future__ import annotations

from support.project import Project

CONFIG = r"""
[agents.bot]
argv = ["sh", "BOT", ["--model", "{model}"], "{prompt}"]
[agents.bot.patterns]
session = 'Session: (?P<session>\S+)'
usage = '(?P<input_tokens>\d+) in, (?P<output_tokens>\d+) out'
limit = 'Limit reached, (?P<reset>try again .*)'
auth = 'Please log in'
end = '^Done\.$'
"""
GOOD = "echo 'Session: s-1'; : > todo.txt; echo '100 in, 20 out'; echo 'Done.'"


def described(project: Project, script: str) -> None:
    program = project.top / "bot.sh"
    program.write_text(script)
    (project.top / "orchestrator.toml").write_text(CONFIG.replace("BOT", str(program)))
    project.drop("fix", front="agent: bot\nconverge: 1")


def test_its_work_lands_and_what_it_used_is_counted(project: Project) -> None:
    described(project, GOOD)
    project.run(code=0)
    assert project.where("fix") == "converged"
    spend = project.record("fix")["spend"]
    assert (spend["input_tokens"], spend["output_tokens"]) == (100, 20)
    assert "bot" in project.run("--check").stdout


def test_its_limit_parks_the_task_and_its_login_is_a_persons(project: Project) -> None:
    described(project, "echo 'Limit reached, try again in 2 hours'; exit 1")
    project.run(code=75)
    assert project.task("fix")["reason"] == "rate-limited"
    assert project.record("fix")["attempts"] == 0


def test_a_fault_in_its_description_is_told_before_anything_starts(project: Project) -> None:
    described(project, GOOD)
    config = project.top / "orchestrator.toml"
    config.write_text(config.read_text().replace("argv", "argw"))
    told = project.run()
    assert "agents.bot" in told.stdout + told.stderr
    assert "argv" in told.stdout + told.stderr
    assert not (project.folder("fix") / ".orch" / "attempts").exists()
