from __future__ import annotations

import errno
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.spec import LIVE, Metric, Spec
from orchestrator.errors import ClaimLost, StoreError
from orchestrator.store import clearing, seal, specfile
from orchestrator.store.seal import INDEX, Sealed, SealedFile


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "task"
    (folder / "data" / "empty").mkdir(parents=True)
    (folder / ".orch" / "attempts").mkdir(parents=True)
    (folder / ".orch" / "state.json").write_text("{}")
    (folder / "autoresearch.md").write_text("# Goal\n")
    (folder / "benchmark.sh").write_text("echo METRIC n=1\n")
    (folder / "benchmark.sh").chmod(0o755)
    (folder / "data" / "input.bin").write_bytes(b"\x00\xff")
    return folder


def tree(folder: Path) -> dict[str, bytes | str | None]:
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def test_everything_but_our_own_folder_is_sealed_and_copied_out_as_it_was(task: Path, tmp_path: Path) -> None:
    (task / "link").symlink_to("data/input.bin")
    before = {name: content for name, content in tree(task).items() if not name.startswith(".orch")}
    sealed = seal.seal(task)
    for path in task.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_text("changed behind our back")
    sealed.write(tmp_path / "copy")
    assert tree(tmp_path / "copy") == before
    assert os.access(tmp_path / "copy" / "benchmark.sh", os.X_OK)
    assert not os.access(tmp_path / "copy" / "autoresearch.md", os.X_OK)


def test_a_copy_is_private_and_its_owner_may_change_it(task: Path, tmp_path: Path) -> None:
    (task / "data" / "input.bin").chmod(0o444)
    (task / "data").chmod(0o555)
    seal.seal(task).write(tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert (tmp_path / "copy" / "data" / "input.bin").stat().st_mode & 0o600 == 0o600
    (task / "data").chmod(0o755)


def test_a_copy_is_never_made_over_something_that_is_there(task: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(FileExistsError):
        seal.seal(task).write(tmp_path / "copy")


@pytest.mark.parametrize(
    "change",
    [
        lambda task: (task / "benchmark.sh").write_text("echo METRIC n=0\n"),
        lambda task: (task / "benchmark.sh").chmod(0o644),
        lambda task: (task / "data" / "more").write_text(""),
        lambda task: (task / "data" / "input.bin").rename(task / "data" / "renamed.bin"),
        lambda task: (task / "data" / "input.bin").unlink(),
        lambda task: (task / "link").symlink_to("anywhere"),
        lambda task: (task / "autoresearch.md").write_text("# Another\n"),
    ],
)
def test_any_change_of_what_is_sealed_changes_the_digest(task: Path, change: object) -> None:
    before = seal.seal(task)
    assert seal.seal(task).digest == before.digest
    change(task)  # type: ignore[operator]
    assert seal.seal(task).digest != before.digest


def test_a_link_and_a_file_of_the_same_content_are_not_the_same(task: Path) -> None:
    (task / "x").write_text("target")
    before = seal.seal(task).digest
    (task / "x").unlink()
    (task / "x").symlink_to("target")
    assert seal.seal(task).digest != before


@pytest.mark.parametrize(
    "name", [".autoresearch.md.swp", ".#autoresearch.md", "autoresearch.md~", "#notes#", "4913", ".DS_Store", "__pycache__"]
)
def test_what_editors_and_interpreters_leave_is_not_part_of_the_evaluator(task: Path, tmp_path: Path, name: str) -> None:
    before = seal.seal(task).digest
    (task / "data" / name).mkdir() if name == "__pycache__" else (task / "data" / name).write_text("x")
    sealed = seal.seal(task)
    assert sealed.digest == before
    assert sealed.get(f"data/{name}") is None


def test_a_growing_session_log_is_sealed_and_no_other_evaluator(task: Path) -> None:
    (task / "autoresearch.jsonl").write_text("")
    before = seal.seal(task).digest
    (task / "autoresearch.jsonl").write_text('{"run": 1}\n')
    sealed = seal.seal(task)
    assert sealed.digest == before
    assert sealed.get("autoresearch.jsonl") is not None


def test_with_the_spec_only_its_sealed_fields_count(task: Path) -> None:
    spec = Spec(goal="One", metrics=(Metric("n", target=0.0),))
    before = seal.seal(task, spec).digest
    (task / "autoresearch.md").write_text("# The same, put in other words\n")
    assert seal.seal(task, replace(spec, goal="Another", model="m", budget_minutes=5, warnings=("w",))).digest == before
    assert seal.seal(task, replace(spec, priority=7, depends_on=("x",), draft=True, labels=("l",))).digest == before
    assert seal.seal(task, replace(spec, metrics=(Metric("n", target=1.0),))).digest != before
    assert seal.seal(task, replace(spec, scope=("src/**",))).digest != before
    assert seal.seal(task, replace(spec, holdout="h.sh")).digest != before


def test_every_live_field_is_one_of_the_spec() -> None:
    assert all(hasattr(Spec(), name) for name in LIVE)


def test_a_symbolic_link_is_recorded_and_not_followed(task: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "many").write_text("outside")
    (task / "out").symlink_to(tmp_path / "secret")
    (task / "folder").symlink_to(tmp_path / "folder")
    (task / "loop").symlink_to("loop")
    sealed = seal.seal(task)
    assert sealed.get("out") == SealedFile("out", 0o777, link=str(tmp_path / "secret"))
    assert sealed.get("folder/many") is None
    assert not any(file.data == b"outside" for file in sealed.files)


def test_a_fifo_or_a_socket_is_refused_with_its_path(task: Path) -> None:
    os.mkfifo(task / "pipe")
    with pytest.raises(StoreError, match="pipe is no file") as caught:
        seal.seal(task)
    assert "Take it out" in caught.value.hint
    (task / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(task)  # a socket's path is short
        try:
            server.bind("sock")
        finally:
            os.chdir(here)
        with pytest.raises(StoreError, match="sock is no file"):
            seal.seal(task)


def test_more_than_the_cap_is_refused_by_one_file_or_by_all_together(task: Path) -> None:
    with (task / "huge").open("wb") as file:
        file.truncate(seal.CAP + 1)  # sparse: costs nothing
    with pytest.raises(StoreError, match="huge is larger than 100 MB"):
        seal.seal(task)


def test_many_files_together_above_the_cap_are_refused(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "CAP", 1024 * 1024)
    for number in range(3):
        (task / f"part{number}").write_bytes(b"x" * 500_000)
    with pytest.raises(StoreError, match="holds more than 1 MB"):
        seal.seal(task)


def test_too_many_files_are_refused(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "MOST", 3)
    with pytest.raises(StoreError, match="more than 3 files"):
        seal.seal(task)


def test_an_unreadable_file_is_named(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, _size: int) -> bytes:  # root, as whom tests may run, reads everything
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(seal, "_content", refuse)
    with pytest.raises(StoreError, match=r"autoresearch\.md can't be read: Permission denied"):
        seal.seal(task)


def test_folders_nested_beyond_measure_are_refused_and_can_be_removed(task: Path) -> None:
    here = Path.cwd()
    try:
        os.chdir(task)
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        with pytest.raises(StoreError, match="nested too deeply"):
            seal.seal(task)
    finally:  # a tree that deep breaks whoever cleans up after the tests
        os.chdir(here)
        clearing.remove(task)
    assert not task.exists()


def test_a_folder_that_has_gone_is_a_lost_claim(task: Path) -> None:
    task.rename(task.with_name("moved"))
    with pytest.raises(ClaimLost):
        seal.seal(task)


def test_a_file_that_vanishes_while_it_is_read_is_looked_at_again(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = seal._content
    vanished: list[str] = []

    def once(path: str, size: int) -> bytes:
        if path.endswith("input.bin") and not vanished:
            vanished.append(path)
            Path(path).unlink()
        return read(path, size)

    monkeypatch.setattr(seal, "_content", once)
    assert seal.seal(task).get("data/input.bin") is None
    assert vanished


def test_a_folder_that_never_rests_is_an_error_and_no_endless_loop(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(path: str, _size: int) -> bytes:
        raise FileNotFoundError(path)

    monkeypatch.setattr(seal, "_content", never)
    with pytest.raises(StoreError, match="keeps changing"):
        seal.seal(task)


def test_a_file_that_grows_after_the_look_is_read_to_its_end(task: Path) -> None:
    (task / "grown").write_bytes(b"0123456789")
    assert seal._content(str(task / "grown"), 4) == b"0123456789"


def test_a_link_put_in_place_of_a_file_at_the_last_moment_is_not_followed(task: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    (task / "swapped").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        seal._content(str(task / "swapped"), 7)


@pytest.mark.parametrize(
    "holdout", ["hidden/check.sh", "python hidden/check.sh --quick", ["hidden/check.sh"], "./hidden", "hidden/"]
)
def test_the_agent_copy_lacks_the_holdout_however_it_is_named(task: Path, tmp_path: Path, holdout: object) -> None:
    (task / "hidden").mkdir()
    (task / "hidden" / "check.sh").write_text("secret")
    (task / "hiddenness").write_text("not it")
    (task / "holdout.py").write_text("secret")
    seal.seal(task).agent_copy(tmp_path / "copy", holdout=holdout)
    assert not (tmp_path / "copy" / "hidden" / "check.sh").exists()
    assert not (tmp_path / "copy" / "holdout.py").exists()
    assert (tmp_path / "copy" / "hiddenness").exists()
    assert (tmp_path / "copy" / "benchmark.sh").exists()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_agent_s_copy_of_the_spec_lacks_the_key_whatever_ends_its_lines(task: Path, tmp_path: Path, end: str) -> None:
    (task / "autoresearch.md").write_bytes(end.join(["---", "holdout: sh secret", "priority: 1", "---", "# T", ""]).encode())
    spec = specfile.read(task)
    seal.seal(task).agent_copy(tmp_path / "copy", holdout=spec.holdout)
    assert spec.holdout == "sh secret"
    text = (tmp_path / "copy" / "autoresearch.md").read_text()
    assert ("secret" in text, "priority: 1" in text) == (False, True)


def test_without_a_holdout_the_agent_sees_all_of_the_task(task: Path, tmp_path: Path) -> None:
    seal.seal(task).agent_copy(tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"autoresearch.md", "benchmark.sh", "data"}


def test_scripts_of_the_repository_count_in_the_digest(task: Path) -> None:
    sealed = seal.seal(task)
    one = sealed.with_scripts({"bench/run.py": SealedFile("bench/run.py", 0o644, data=b"1")})
    other = sealed.with_scripts({"bench/run.py": SealedFile("bench/run.py", 0o644, data=b"2")})
    assert len({sealed.digest, one.digest, other.digest}) == 3
    assert sealed.with_scripts({}).digest == one.with_scripts({}).digest == sealed.digest
    assert other.with_scripts(one.scripts).digest == one.digest


def test_odd_names_survive_the_way_in_and_out(task: Path, tmp_path: Path) -> None:
    names = ["with space", "new\nline", "-dash", "ünï", os.fsdecode(b"\xff\xfe")]
    for name in names:
        (task / name).write_text(name.encode(errors="surrogateescape").hex())
    sealed = seal.seal(task)
    sealed.write(tmp_path / "copy")
    assert all((tmp_path / "copy" / name).read_text() == (task / name).read_text() for name in names)
    assert sealed.digest == seal.seal(tmp_path / "copy").digest


def test_removing_a_copy_works_whatever_was_done_to_it_and_leaves_what_links_point_to(task: Path, tmp_path: Path) -> None:
    seal.seal(task).write(tmp_path / "copy")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("keep")
    (tmp_path / "copy" / "data" / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "copy" / "data" / "empty").chmod(0)
    (tmp_path / "copy" / "data").chmod(0o555)
    clearing.remove(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert (tmp_path / "precious" / "file").read_text() == "keep"
    clearing.remove(tmp_path / "copy")  # not there any more: fine


class Kept:
    """As much of a claim as keeping needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


def kept(sealed: Sealed, task: Path) -> Path:
    sealed.keep(Kept(task))  # type: ignore[arg-type]
    return task / ".orch" / "sealed" / sealed.digest[:12]


def test_the_evaluator_of_each_claim_is_kept_for_people(task: Path) -> None:
    sealed = seal.seal(task)
    folder = kept(sealed, task)
    assert (folder / "benchmark.sh").read_text() == "echo METRIC n=1\n"
    assert set(json.loads((folder / INDEX).read_text())) == {"autoresearch.md", "benchmark.sh", "data/input.bin"}
    stamp = (folder / INDEX).stat().st_mtime_ns
    kept(sealed, task)
    assert (folder / INDEX).stat().st_mtime_ns == stamp
    (task / "benchmark.sh").write_text("echo METRIC n=2\n")
    assert kept(seal.seal(task), task) != folder
    assert (folder / "benchmark.sh").read_text() == "echo METRIC n=1\n"


def test_a_keeping_that_was_cut_short_is_completed(task: Path) -> None:
    sealed = seal.seal(task)
    folder = kept(sealed, task)
    (folder / INDEX).unlink()
    (folder / "benchmark.sh").write_text("half")
    kept(sealed, task)
    assert (folder / "benchmark.sh").read_text() == "echo METRIC n=1\n"
    assert (folder / INDEX).exists()


def test_a_large_evaluator_is_kept_as_a_list_only(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "KEPT", 1)
    folder = kept(seal.seal(task), task)
    assert [path.name for path in folder.iterdir()] == [INDEX]


def test_what_is_kept_is_never_sealed_again(task: Path) -> None:
    before = seal.seal(task).digest
    kept(seal.seal(task), task)
    assert seal.seal(task).digest == before
