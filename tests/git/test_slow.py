"""Programs that git has to run, whatever they do: a filter, a merge driver, a credential helper. They have a time limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support import closed
from support.processes import gone, pid_in, until, waits_for

from orchestrator.errors import GitError
from orchestrator.git import remotes
from orchestrator.git.remotes import Remote
from orchestrator.git.repository import Repository

HANG = "echo $$ > {note}; exec sleep 600"


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "pid"


@pytest.fixture(autouse=True)
def it_hangs_before_its_time_is_over(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits_for(note, monkeypatch)


@pytest.mark.parametrize("kind", ["clean", "smudge", "process"])
def test_a_filter_that_hangs_ends_with_its_git(repo: Repository, git, note: Path, kind: str) -> None:
    (repo.top / ".gitattributes").write_text("*.slow filter=slow\n")
    (repo.top / "a.slow").write_text("a")
    if kind == "smudge":
        git(repo.top, "add", "a.slow")
        (repo.top / "a.slow").unlink()
    git(repo.top, "config", f"filter.slow.{kind}", HANG.format(note=note))
    command = ("checkout-index", "-f", "a.slow") if kind == "smudge" else ("add", "a.slow")

    with pytest.raises(GitError, match="took longer"):
        repo.git.run(*command, timeout=1.0)

    until(lambda: gone(pid_in(note)), "the filter's end")
    assert not (repo.common / "index.lock").exists() or kind != "smudge"


def test_a_merge_driver_that_hangs_ends_with_its_git(repo: Repository, base: str, commit: Callable, git, note: Path) -> None:
    commit(repo.top, ".gitattributes", "one merge=slow\n")
    git(repo.top, "config", "merge.slow.driver", HANG.format(note=note))
    git(repo.top, "checkout", "-q", "-b", "side")
    side = commit(repo.top, "one", "side\n")
    git(repo.top, "checkout", "-q", "main")
    main = commit(repo.top, "one", "main\n")

    with pytest.raises(GitError, match="took longer"):
        repo.git.run("merge-tree", "--write-tree", main, side, timeout=1.0)

    until(lambda: gone(pid_in(note)), "the driver's end")


def test_a_credential_helper_that_hangs_ends_with_its_push(
    repo: Repository, base: str, git, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo.top, "config", "credential.helper", f"!{HANG.format(note=note)};:")
    monkeypatch.setattr(remotes, "TIMEOUT", 1.0)
    with closed.remote() as address, pytest.raises(GitError, match="took longer"):
        remotes.push(repo, Remote("origin", address), "main", base, None)
    until(lambda: gone(pid_in(note)), "the helper's end")
