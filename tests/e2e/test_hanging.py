"""Whatever a repository or a person's environment has git start, ours waits for none of it: it isn't started, or not for long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support import closed
from support.project import Project

MOVE = (
    "git -C {repo} -c core.hooksPath=/dev/null -c core.fsmonitor=false -c commit.gpgSign=false commit -q -m moved --allow-empty"
)
AGENT = f": > todo.txt; echo more > new.txt; {MOVE}"
HOOKS = (
    *("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "pre-merge-commit", "post-merge", "post-checkout"),
    *("post-index-change", "reference-transaction", "pre-push", "post-rewrite", "pre-auto-gc", "fsmonitor-watchman"),
)
# What each kind of program is asked for by: configuration, `.gitattributes`, environment.
CONFIGURED: dict[str, dict[str, str]] = {
    "editor": {"core.editor": "{hang}", "sequence.editor": "{hang}"},
    "pager": {
        "core.pager": "{hang}",
        "pager.diff": "{hang}",
        "pager.log": "{hang}",
        "pager.show": "{hang}",
        "pager.branch": "{hang}",
    },
    "signing": {
        "commit.gpgSign": "true",
        "tag.gpgSign": "true",
        "push.gpgSign": "if-asked",
        "log.showSignature": "true",
        "gpg.program": "{hang}",
        "gpg.ssh.program": "{hang}",
        "gpg.x509.program": "{hang}",
        "merge.verifySignatures": "true",
    },
    "hooks": {"core.fsmonitor": "{hang}"},
    "other hooks": {"core.hooksPath": "{hooks}", "core.fsmonitor": "true"},
    "diff": {
        "diff.external": "{hang}",
        "diff.slow.command": "{hang}",
        "diff.slow.textconv": "{hang}",
        "interactive.diffFilter": "{hang}",
    },
    "merge tool": {"merge.tool": "slow", "mergetool.slow.cmd": "{hang}", "diff.tool": "slow", "difftool.slow.cmd": "{hang}"},
    "housekeeping": {
        "gc.auto": "1",
        "maintenance.auto": "true",
        "alias.commit-tree": "!{hang}",
        "core.alternateRefsCommand": "{hang}",
    },
}
ENVIRONMENT = {
    "editor": ("GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "VISUAL", "EDITOR"),
    "pager": ("GIT_PAGER", "PAGER"),
    "diff": ("GIT_EXTERNAL_DIFF",),
}


@pytest.fixture
def hang(project: Project) -> Path:
    """A program that never answers, and notes that it was asked."""
    path = project.top / "hang"
    path.write_text(f'#!/bin/sh\necho "$0 $*" >> {project.top}/asked\nexec sleep 600\n')
    path.chmod(0o755)
    return path


def configure(project: Project, settings: Mapping[str, str], **names: object) -> None:
    for key, value in settings.items():
        project.git("config", key, value.format(**names))


def asked(project: Project) -> str:
    path = project.top / "asked"
    return path.read_text() if path.exists() else ""


def hooks(folder: Path, hang: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in HOOKS:
        (folder / name).symlink_to(hang)


@pytest.mark.parametrize("kind", CONFIGURED)
def test_no_program_that_a_person_would_answer_is_started_by_landing_or_undoing(project: Project, hang: Path, kind: str) -> None:
    project.commit({".gitattributes": "* diff=slow\n"})
    configure(project, CONFIGURED[kind], hang=hang, hooks=project.top / "hooks")
    hooks(project.repo / ".git/hooks" if kind == "hooks" else project.top / "hooks", hang)
    project.env |= dict.fromkeys(ENVIRONMENT.get(kind, ()), str(hang))
    project.drop("x")
    project.agent(AGENT.format(repo=project.repo))

    project.run(code=0)
    project.run("diff", "x", code=0)
    project.run("undo", "x", code=0)

    assert asked(project) == ""
    assert project.git("show", "main:todo.txt") != ""


@pytest.mark.parametrize("where", ["environment", "configuration"])
def test_a_push_that_needs_a_password_waits_for_later_and_asks_nobody(project: Project, hang: Path, where: str) -> None:
    if where == "environment":
        project.env |= {"GIT_ASKPASS": str(hang), "SSH_ASKPASS": str(hang), "DISPLAY": ":0"}
    else:
        configure(project, {"core.askPass": str(hang)})
    project.drop("x", front="land: pr")
    project.agent(": > todo.txt")

    with closed.remote() as address:
        project.git("remote", "add", "origin", address)
        project.run(code=75, ORCH_BACKOFF="100s")

    assert "can't be pushed to origin" in project.record("x")["detail"]
    assert asked(project) == ""


# As ssh asks for a passphrase or about an unknown host: on the terminal, or by the program that $SSH_ASKPASS names.
SSH = """#!/bin/sh
if (: < /dev/tty) 2> /dev/null; then read answer < /dev/tty; fi
[ "$("${SSH_ASKPASS:-hang}" "Are you sure you want to continue connecting (yes/no)?")" = yes ] || { echo "Host key verification failed." >&2; exit 255; }
exec sleep 600
"""


@pytest.mark.parametrize("variable", ["core.sshCommand", "GIT_SSH_COMMAND", "GIT_SSH"])
def test_an_ssh_that_has_a_question_is_refused(project: Project, hang: Path, variable: str) -> None:
    ssh = project.top / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    project.git("remote", "add", "origin", "ssh://git@localhost/x.git")
    if variable.startswith("GIT_"):
        project.env[variable] = str(ssh)
    else:
        project.git("config", variable, str(ssh))
    project.env["SSH_ASKPASS"] = str(hang)
    project.drop("x", front="land: pr")
    project.agent(": > todo.txt")

    project.run(code=75, ORCH_BACKOFF="100s")

    assert "Host key verification failed" in project.record("x")["detail"]
    assert asked(project) == ""


def test_a_push_to_a_remote_that_takes_signed_ones_is_not_signed_and_runs_no_hook(project: Project, hang: Path) -> None:
    remote = project.top / "remote.git"
    project.git("init", "-q", "--bare", "-b", "main", str(remote))
    project.git("config", "receive.certNonceSeed", "seed", cwd=remote)
    project.git("remote", "add", "origin", str(remote))
    project.git("push", "-q", "origin", "main")
    configure(project, CONFIGURED["signing"], hang=hang)
    hooks(project.repo / ".git/hooks", hang)
    project.drop("x", front="land: pr")
    project.agent(": > todo.txt")

    project.run(code=0)

    assert asked(project) == ""
    assert project.git("ls-remote", "origin", "refs/heads/orchestrator/x") != ""
