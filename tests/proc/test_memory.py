"""Memory that a fork shares, copied at once."""

from __future__ import annotations

import mmap
import os
import platform
import resource
from pathlib import Path

import pytest

from orchestrator.proc import memory

PAGES = 2000


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def written(block: mmap.mmap) -> int:
    """The page faults that writing to every page takes."""
    before = faults()
    for page in range(PAGES):
        block[page * mmap.PAGESIZE] = 1
    return faults() - before


def in_a_fork(block: mmap.mmap, *, own: bool) -> int:
    """The same in a child, which has its memory made its own first, or not."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        if own:
            memory.make_own()
        os.write(write, str(written(block)).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as told:
        return int(told.read())


@pytest.mark.skipif(
    tuple(map(int, platform.release().split(".")[:2])) < (5, 14), reason="madvise(2): MADV_POPULATE_WRITE came with Linux 5.14"
)
def test_what_a_fork_shares_is_copied_at_once_and_no_write_waits_for_it() -> None:
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        written(block)
        assert in_a_fork(block, own=False) >= PAGES
        assert in_a_fork(block, own=True) < PAGES / 10


def test_without_a_list_of_what_there_is_nothing_is_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "MAPS", tmp_path / "none")
    memory.make_own()
