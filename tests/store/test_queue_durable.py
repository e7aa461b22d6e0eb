"""Renames that replace nothing, writes in one step, and every refusal of the system as a sentence with a way out."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import StoreError
from orchestrator.store import durable
from orchestrator.store.durable import NOBODY_ELSES, Gone, Taken
from tests.support.queues import names, new_queue


def fails_with(code: int) -> Callable[..., None]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture(params=["renameat2", "plain", "unsupported"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way a rename is made: by the kernel's call, without it, and on a file system that refuses its flag."""
    if request.param == "plain":
        monkeypatch.setattr(durable, "_renameat2", lambda: None)
    if request.param == "unsupported":
        monkeypatch.setattr(durable, "_renameat2", lambda: lambda _source, _target: errno.EINVAL)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("obstacle", ["empty folder", "full folder", "file", "dead link"])
def test_a_rename_replaces_nothing(tmp_path: Path, obstacle: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    if obstacle == "file":
        target.touch()
    elif obstacle == "dead link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
        if obstacle == "full folder":
            (target / "file").touch()
    with pytest.raises(Taken, match="already"):
        durable.rename(source, target, point="test")
    assert source.is_dir()
    assert os.path.lexists(target)


@pytest.mark.usefixtures("way")
def test_a_rename_of_nothing_is_gone(tmp_path: Path) -> None:
    with pytest.raises(Gone):
        durable.rename(tmp_path / "source", tmp_path / "target", point="test", inode=NOBODY_ELSES)
    with pytest.raises(Gone):
        durable.rename(tmp_path / "source", tmp_path / "no" / "target", point="test", inode=4711)


@pytest.mark.usefixtures("way")
def test_a_rename_into_a_missing_folder_does_not_make_it(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(Gone):
        durable.rename(tmp_path / "source", tmp_path / "no" / "target", point="test")
    assert names(tmp_path) == ["source"]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EEXIST])
@pytest.mark.parametrize("known", [True, False])
def test_a_rename_whose_reply_was_lost_counts_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, known: bool
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    inode = source.stat().st_ino if known else NOBODY_ELSES

    def renamed_and_said_no(old: str, new: str) -> None:
        Path(old).rename(new)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(durable, "_rename_new", renamed_and_said_no)
    durable.rename(source, target, point="test", inode=inode)
    assert names(tmp_path) == ["target"]


def test_somebody_elses_folder_at_the_destination_is_no_proof_of_a_rename(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(Gone):
        durable.rename(tmp_path / "source", tmp_path / "target", point="test", inode=(tmp_path / "target").stat().st_ino + 1)
    with pytest.raises(Gone):
        durable.rename(tmp_path / "source", tmp_path / "target", point="test")


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "no inodes left"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission"),
        (errno.EPERM, "permission"),
        (errno.EROFS, "read-only"),
        (errno.EXDEV, "one file system"),
        (errno.EXDEV, "a folder of its image can't be moved either: put a copy"),  # overlayfs
        (errno.EBUSY, "mount point"),
        (errno.EMFILE, "ulimit"),
        (errno.ENAMETOOLONG, "shorter"),
        (errno.EIO, "system's log"),
        (errno.ELOOP, "symbolic link"),
        (errno.ETXTBSY, "permissions"),
    ],
)
def test_a_refusal_names_the_path_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, hint: str) -> None:
    monkeypatch.setattr(durable, "_rename_new", fails_with(code))
    (tmp_path / "source").mkdir()
    with pytest.raises(StoreError) as caught:
        durable.rename(tmp_path / "source", tmp_path / "target", point="test", inode=NOBODY_ELSES)
    assert str(tmp_path / "source") in caught.value.message
    assert hint in caught.value.hint
    assert names(tmp_path) == ["source"]  # never copied instead


def test_a_rename_across_file_systems_is_refused_and_nothing_is_copied(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system here")
    (tmp_path / "source").mkdir()
    target = other / f"orchestrator-test-{os.getpid()}"
    with pytest.raises(StoreError, match="Can't move") as caught:
        durable.rename(tmp_path / "source", target, point="test")
    assert "one file system" in caught.value.hint
    assert not target.exists()


def test_a_write_leaves_the_old_content_and_no_temporary_file_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    durable.write(file, b"old", point="test")
    for function in ("fsync", "write", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fails_with(errno.ENOSPC))
            with pytest.raises(StoreError, match="file") as caught:
                durable.write(file, b"new", point="test")
        assert "disk is full" in caught.value.hint
        assert file.read_bytes() == b"old"
        assert names(tmp_path) == ["file"]


def test_a_write_goes_on_where_the_system_took_only_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))
    durable.write(tmp_path / "file", bytes(range(100)), point="test")
    assert (tmp_path / "file").read_bytes() == bytes(range(100))


def test_what_a_crash_left_of_a_write_is_overwritten_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".file.new.tmp").write_bytes(b"a longer, torn content")
    durable.write(tmp_path / "file", b"new", point="test", durable=False)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_who_may_write_a_file_of_the_queue_is_the_umasks_to_say(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        durable.write(tmp_path / "written", b"", point="test")
        durable.append(tmp_path / "appended", b"", point="test")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {mode}


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(b"secret")
    for name in (".file.new.tmp", "log"):
        (tmp_path / name).symlink_to("private")
    with pytest.raises(StoreError):
        durable.write(tmp_path / "file", b"new", point="test")
    with pytest.raises(StoreError):
        durable.append(tmp_path / "log", b"line", point="test")
    assert (tmp_path / "private").read_bytes() == b"secret"


def test_a_write_into_a_folder_that_has_gone_does_not_bring_it_back(tmp_path: Path) -> None:
    for act in (
        lambda path: durable.write(path, b"", point="test"),
        lambda path: durable.append(path, b"", point="test"),
        lambda path: durable.mkdir(path, point="test"),
        lambda path: durable.open_lock(path, point="test", new=True),
        durable.touch,
    ):
        with pytest.raises(Gone):
            act(tmp_path / "gone" / "file")
    assert names(tmp_path) == []
    assert not durable.unlink(tmp_path / "gone" / "file", point="test")


def test_a_line_after_a_torn_one_stands_alone(tmp_path: Path) -> None:
    file = tmp_path / "log"
    durable.append(file, b"one", point="test")
    with file.open("ab") as opened:
        opened.write(b"torn")
    durable.append(file, b"two", point="test", durable=True)
    assert file.read_bytes() == b"one\ntorn\ntwo\n"


def test_an_append_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", fails_with(errno.ENOSPC))
    with pytest.raises(StoreError, match="Can't write to") as caught:
        durable.append(tmp_path / "log", b"one", point="test")
    assert "disk is full" in caught.value.hint


def test_removing_what_is_not_there_is_fine_and_what_can_not_be_removed_is_said(tmp_path: Path) -> None:
    durable.remove(tmp_path / "nothing", point="test")
    durable.remove_tree(tmp_path / "nothing", point="test")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    with pytest.raises(StoreError, match="Can't remove"):
        durable.unlink(tmp_path / "folder", point="test")
    durable.remove(tmp_path / "folder", point="test")
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    durable.remove(tmp_path / "link", point="test")
    assert names(tmp_path) == ["kept"]


def test_a_tree_that_can_not_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    monkeypatch.setattr(os, "rmdir", fails_with(errno.EBUSY))
    with pytest.raises(StoreError, match="Can't remove"):
        durable.remove_tree(tmp_path / "folder", point="test")


def test_a_folder_is_made_once_and_a_file_in_its_place_is_left(tmp_path: Path) -> None:
    durable.mkdir(tmp_path / "folder", point="test")
    durable.mkdir(tmp_path / "folder", point="test")
    (tmp_path / "file").touch()
    durable.mkdir(tmp_path / "file", point="test")
    assert not durable.is_folder(tmp_path / "file")
    assert durable.is_folder(tmp_path / "folder")


def test_a_log_that_has_grown_is_moved_aside_replacing_the_older_one(tmp_path: Path) -> None:
    log, older = tmp_path / "log", tmp_path / "log.1"
    durable.rotate(log, older, 3)
    log.write_bytes(b"123")
    durable.rotate(log, older, 3)
    assert not older.exists()
    log.write_bytes(b"1234")
    older.write_bytes(b"old")
    durable.rotate(log, older, 3)
    assert (older.read_bytes(), log.exists()) == (b"1234", False)
    older.unlink()
    older.mkdir()
    log.write_bytes(b"1234")
    with pytest.raises(StoreError, match="rotate"):
        durable.rotate(log, older, 3)


def test_a_file_system_that_can_not_sync_folders_is_let_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def no_folders(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "no")
        real(file)

    monkeypatch.setattr(os, "fsync", no_folders)
    durable.write(tmp_path / "file", b"x", point="test")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_folder_that_could_not_be_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "tree").mkdir()
    monkeypatch.setattr(os, "fsync", fails_with(errno.EIO))
    with pytest.raises(StoreError, match="make sure of"):
        durable.rename(tmp_path / "source", tmp_path / "target", point="test", durable=True)
    with pytest.raises(StoreError, match="make sure of"):
        durable.sync_tree(tmp_path / "tree")


def test_a_root_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="tasks folder"):
        durable.make_root(tmp_path / "file" / "tasks")


def test_a_file_in_the_place_of_a_state_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "running").touch()
    with pytest.raises(StoreError, match="must be a folder"):
        new_queue(tmp_path)


def test_the_clock_of_a_folder_that_can_not_be_written_is_this_machines(tmp_path: Path) -> None:
    assert durable.now(tmp_path / "gone" / ".clock") > 0


def test_the_queue_is_empty_where_its_folders_are_not_there_yet(tmp_path: Path) -> None:
    from orchestrator.store.queue import Queue

    assert Queue(tmp_path / "nowhere").places() == []
    with pytest.raises(Gone):
        Queue(tmp_path / "nowhere").take("fix")


def test_ensure_makes_what_is_missing_and_touches_nothing_else(tmp_path: Path) -> None:
    queue = new_queue(tmp_path / "deep" / "down")
    (queue.root / "pending" / "fix").mkdir()
    queue.ensure()
    assert names(queue.root) == [".orch", "blocked", "converged", "pending", "running"]
    assert names(queue.root / "pending") == ["fix"]
