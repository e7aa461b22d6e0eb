"""Secrets of whoever runs the program: an agent and a benchmark may print them, no file of ours and no prompt holds them."""

from __future__ import annotations

from pathlib import Path

from support.project import Project

TOKEN = "ghp_0123456789abcdefghij"
PASSWORD = 'p"ss/w\\rd-42'
IN_FILE = "5f4dcc3b5aa765d61d8327deb882cf99"
SPEC = "from-the-spec-31415926"
ALL = (TOKEN, "ss/w", IN_FILE, SPEC)

TELLS = """#!/bin/sh
env; echo "$GITHUB_TOKEN" >&2; cat ../../.env ../.env "$ORCH_TASKS/../.env" 2>/dev/null
echo "METRIC left=$(grep -c . todo.txt)"
"""
AGENT = """
env; printf 'token ghp_0123456'; sleep 0.3; echo '789abcdefghij'; python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'
cat "$ORCH_TASKS/../.env" >&2
test "$ORCH_ATTEMPT" -gt 1 && : > todo.txt
exit 0
"""


def files_with(top: Path, *secrets: str) -> list[str]:
    """Files below `top` that hold one of the secrets in any form."""
    found = []
    for path in top.rglob("*"):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets):
            found.append(str(path.relative_to(top)))
    return found


def test_no_file_of_ours_holds_a_secret_that_agent_and_benchmark_print(project: Project) -> None:
    (project.top / ".env").write_text(f"SOMETHING={IN_FILE}\nPLAIN=words\n")
    project.env |= {"GITHUB_TOKEN": TOKEN, "DB_PASSWORD": PASSWORD, "ORCH_ENV_PASS": "GITHUB_TOKEN,DB_PASSWORD"}
    project.agent(AGENT)
    folder = project.drop("leaky", front=f"env: {{EXTRA_SECRET: {SPEC}}}", benchmark=TELLS)

    project.run(code=0, ORCH_AGENT_LOG_RAW="true")

    folder = project.folder("leaky")
    for attempt in ("0001", "0002"):
        log = (folder / f".orch/attempts/{attempt}/agent.log").read_text()
        assert "GITHUB_TOKEN=***" in log
        assert "token ***" in log
    own = [
        path for path in files_with(project.tasks, *ALL) if not path.endswith(("autoresearch.md", "specs.json"))
    ]  # a person's own words
    assert not [path for path in own if "/sealed/" not in path and not path.endswith("lease.json")]
    assert TOKEN not in (folder / ".orch/attempts/0002/prompt.md").read_text()
    assert not any(secret in project.git("log", "--all", "--format=%B") for secret in ALL)


def test_a_failing_benchmark_that_prints_its_environment_tells_nobody(project: Project) -> None:
    project.env |= {"GITHUB_TOKEN": TOKEN, "ORCH_ENV_PASS": "GITHUB_TOKEN"}
    project.agent("true")
    project.drop(
        "broken",
        benchmark='#!/bin/sh\necho "METRIC left=3"\ntest -z "$ORCH_ATTEMPT" || env\nexit "$(test -e todo.txt; echo $?)"\n',
    )
    project.drop("loud", benchmark='#!/bin/sh\necho "no luck with $GITHUB_TOKEN" >&2\nexit 7\n')

    done = project.run(code=1, ORCH_MAX_FAILURES="2")

    assert TOKEN not in done.stdout + done.stderr
    assert "no luck with ***" in project.record("loud")["detail"]
    assert not files_with(project.tasks, TOKEN)


def test_a_secret_in_the_change_is_told_and_the_patch_does_not_repeat_it(project: Project) -> None:
    project.env |= {"GITHUB_TOKEN": TOKEN, "ORCH_ENV_PASS": "GITHUB_TOKEN"}
    project.agent('echo "key = $GITHUB_TOKEN" > config.ini; : > todo.txt')
    project.drop("careless")

    project.run(code=0)

    folder = project.folder("careless")
    found = [event["detail"] for event in project.events("careless") if event["event"] == "finding"]
    assert "possible secret in the change: the value of GITHUB_TOKEN" in found[0]
    assert "possible secret in the change" in (folder / ".orch/attempts/0001/report.md").read_text()
    assert "+key = ***" in (folder / ".orch/attempts/0001/diff.patch").read_text()
    assert not files_with(project.tasks, TOKEN)


def test_an_agent_at_a_terminal_shows_no_secret_either(project: Project) -> None:
    project.env |= {"GITHUB_TOKEN": TOKEN, "ORCH_ENV_PASS": "GITHUB_TOKEN"}
    project.agent(r'printf "\033[2J\033[Hthe token is $GITHUB_TOKEN\r\n"; printf "Is $GITHUB_TOKEN right? "; read answer')
    project.drop("seen", front="tty: true")

    project.run(code=1, ORCH_PROGRESS_TIMEOUT="6s", ORCH_AGENT_LOG_RAW="true")

    record = project.record("seen")
    assert (record["reason"], "Is *** right?" in record["detail"]) == ("question", True)
    assert not files_with(project.tasks, TOKEN)


def test_a_secret_that_the_repository_keeps_in_an_ignored_file_is_masked_in_every_worktree_of_it(project: Project) -> None:
    other = project.make_repo({"todo.txt": "one\n", ".gitignore": ".env\n", ".worktreeinclude": ".env\n"}, project.top / "other")
    (other / ".env").write_text(f"SIGNING={IN_FILE}\n")
    project.agent("cat .env; : > todo.txt")
    project.drop("elsewhere", front="repo: other")

    project.run(code=0)

    assert "SIGNING=***" in (project.folder("elsewhere") / ".orch/attempts/0001/agent.log").read_text()
    assert not files_with(project.tasks, IN_FILE)


def test_the_login_that_an_agent_keeps_in_a_file_of_its_own_is_masked(project: Project) -> None:
    login = Path(project.env["HOME"], ".mybot/auth.json")
    login.parent.mkdir()
    login.write_text(f'{{"tokens": {{"access_token": "{TOKEN}"}}}}')
    described = (
        '[agents.mybot]\nargv = ["sh", "-c", "cat ~/.mybot/auth.json; : > todo.txt"]\ncredentials = ["~/.mybot/auth.json"]\n'
    )
    (project.top / "orchestrator.toml").write_text(described)
    project.drop("telling", front="agent: mybot")

    project.run(code=0, ORCH_RECORD=str(project.top / "tapes"), ORCH_AGENT_LOG_RAW="true")

    assert '"access_token": "***"' in (project.folder("telling") / ".orch/attempts/0001/agent.log").read_text()
    assert not files_with(project.tasks, TOKEN)
    assert not files_with(project.top / "tapes", TOKEN)
