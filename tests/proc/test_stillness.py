"""Whether anything was touched: every way of it that there is, and what reading is not."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.proc import stillness
from orchestrator.proc.inotify import Inotify
from orchestrator.proc.stillness import Stillness


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top/sub/deep").mkdir(parents=True)
    for name in ("file", "sub/file", "sub/deep/file"):
        (tmp_path / "top" / name).write_text("content")
    (tmp_path / "top/link").symlink_to("file")
    return tmp_path / "top"


def read_it(top: Path) -> None:
    for folder, _, names in os.walk(top):
        assert list(Path(folder).iterdir())
        assert [Path(folder, name).read_text() for name in names]


def write_by_memory(top: Path) -> None:
    with (top / "sub/deep/file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b"C"


def make_inside(top: Path) -> None:
    (top / "new").mkdir()
    (top / "new/file").touch()


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda top: (top / "sub/deep/file").write_text("CONTENT"),
    "written by memory": write_by_memory,
    "made": lambda top: (top / "sub/new").touch(),
    "made and removed": lambda top: ((top / "sub/new").touch(), (top / "sub/new").unlink()),
    "removed": lambda top: (top / "file").unlink(),
    "moved": lambda top: (top / "file").rename(top / "sub/moved"),
    "moved away": lambda top: (top / "file").rename(top.parent / "moved"),
    "replaced": lambda top: (top / "sub/file").replace(top / "file"),
    "mode": lambda top: (top / "sub/deep").chmod(0o700),
    "time": lambda top: os.utime(top / "sub/file", (1, 1)),
    "another link": lambda top: ((top / "link").unlink(), (top / "link").symlink_to("sub")),
    "in a new folder": make_inside,
    "all of it": lambda top: top.rename(top.parent / "elsewhere"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_touched_is_told(top: Path, what: str) -> None:
    with Stillness().watching(top) as still:
        CHANGES[what](top)
        assert not still()


def test_reading_and_what_happens_elsewhere_is_no_touch(top: Path) -> None:
    with Stillness().watching(top, top.parent / "top/sub") as still:
        read_it(top)
        (top.parent / "beside").touch()
        assert still()


def test_what_can_not_be_known_is_not_still(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stillness().watching(top, top / "missing") as still:
        assert not still()
    monkeypatch.setattr(stillness, "MOST", 3)
    with Stillness().watching(top) as still:
        assert not still()

    def refused(_: object) -> None:
        raise OSError(errno.EMFILE, "no more of them")

    monkeypatch.setattr(Inotify, "__init__", refused)
    with Stillness().watching(top) as still:
        assert not still()


def test_what_happened_before_or_between_two_looks_is_none_of_the_next_one_s(top: Path) -> None:
    looker = Stillness()
    for _ in range(3):
        (top / "sub/file").write_text("before")
        with looker.watching(top) as still:
            assert still()
            (top / "sub/new").mkdir(exist_ok=True)
            (top / "file").write_text("while")
            assert not still()
        (top / "sub/new/file").write_text("between")
