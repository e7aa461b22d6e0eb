import errno
import os
import threading

import pytest

from orchestrator.errors import RepositoryError
from orchestrator.git import slugs
from orchestrator.git.repository import Repository


def test_a_name_is_kept_for_its_task(repo: Repository) -> None:
    assert slugs.reserve(repo, "fix", "id-1") == "fix"
    assert slugs.reserve(repo, "fix", "id-1") == "fix"


def test_another_task_of_that_name_gets_the_next(repo: Repository) -> None:
    slugs.reserve(repo, "fix", "id-1")
    assert slugs.reserve(repo, "fix", "id-2") == "fix-2"
    assert slugs.reserve(repo, "fix", "id-2") == "fix-2"


def test_a_branch_or_refs_that_are_there_are_never_reused(repo: Repository, git, base: str) -> None:
    git(repo.top, "branch", "orchestrator/fix")
    git(repo.top, "update-ref", "refs/orchestrator/fix-2/0001", base)
    assert slugs.reserve(repo, "fix", "id-1") == "fix-3"


@pytest.mark.parametrize("packed", [False, True])
def test_a_name_below_which_there_are_branches_is_never_used(repo: Repository, git, packed: bool) -> None:
    git(repo.top, "branch", "orchestrator/fix/mine")
    if packed:
        git(repo.top, "pack-refs", "--all")
    name = slugs.reserve(repo, "fix", "id-1")
    git(repo.top, "branch", f"orchestrator/{name}")
    assert name == "fix-2"


def test_a_name_below_which_there_are_no_branches_any_more_is_free(repo: Repository, git) -> None:
    (repo.common / "refs/heads/orchestrator/fix").mkdir(parents=True)
    assert slugs.reserve(repo, "fix", "id-1") == "fix"


def test_two_tasks_at_once_never_share_one(repo: Repository) -> None:
    names: list[str] = []
    threads = [threading.Thread(target=lambda n=n: names.append(slugs.reserve(repo, "fix", f"id-{n}"))) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(set(names)) == 8


def test_a_file_system_without_hard_links_keeps_names_apart_too(repo: Repository, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # exFAT

    monkeypatch.setattr(os, "link", refused)
    names = [slugs.reserve(repo, "fix", each) for each in ("id-1", "id-2", "id-1", "id-2")]
    assert names == ["fix", "fix-2", "fix", "fix-2"]
    assert sorted(path.name for path in (repo.control / "slugs").iterdir()) == ["fix", "fix-2"]


def test_a_branch_called_orchestrator_is_an_error_with_its_fix(repo: Repository, git) -> None:
    git(repo.top, "branch", "orchestrator")
    with pytest.raises(RepositoryError, match="in the way") as error:
        slugs.reserve(repo, "fix", "id-1")
    assert "git branch -m orchestrator" in error.value.hint
