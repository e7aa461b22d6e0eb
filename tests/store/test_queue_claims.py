"""Claims, releases and moves: where folders lie afterwards, and who may still touch them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from orchestrator.core.lease import Lease
from orchestrator.core.task import State
from orchestrator.errors import ClaimLost, Misuse, NoSuchTask
from orchestrator.store import removed
from orchestrator.store.claim import Claim
from orchestrator.store.durable import Gone, Taken
from orchestrator.store.queue import Queue
from tests.support.queues import ODD_NAMES, claimed, die, drop, names, new_queue, only, where


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_survives_a_whole_life(tmp_path: Path, name: str) -> None:
    queue = new_queue(tmp_path)
    drop(queue, name)
    claim = claimed(queue, name)
    assert [(place.name, place.token) for place in queue.places()] == [(name, claim.token)]
    claim.save(claim.fresh_record())
    claim.release(State.PENDING)
    assert where(queue) == only(State.PENDING, name)
    assert queue.find(name).name == name
    queue.move(queue.find(name), State.BLOCKED)
    assert where(queue) == only(State.BLOCKED, name)


def test_a_claim_renames_the_folder_to_its_name_and_a_token(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = queue.take("fix")
    assert claim is not None
    assert re.fullmatch("[0-9a-f]{6}", claim.token)
    assert where(queue) == only(State.RUNNING, f"fix.{claim.token}")
    assert claim.folder == queue.folder(State.RUNNING) / f"fix.{claim.token}"
    assert queue.owner_alive(claim.token)


def test_a_task_is_claimed_once(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    first = queue.take("fix")
    assert first is not None
    assert queue.take("fix") is None
    assert Queue(queue.root).take("fix") is None


def test_a_claim_that_lost_the_race_leaves_no_lock_file_behind(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    assert queue.take("nothing") is None
    assert queue.take("nothing") is None
    assert len(queue.owners.tokens()) == 1  # kept ready for the next claim
    queue.owners.close()
    assert queue.owners.tokens() == []


def test_a_lock_kept_ready_is_not_used_again_once_somebody_removed_its_file(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    queue.owners.prepare()
    (ready,) = queue.owners.tokens()
    (queue.control / "owners" / ready).unlink()
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    assert claim.token != ready
    assert queue.owner_alive(claim.token)


def test_begin_writes_the_lease_and_takes_the_ready_mark_away(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    folder = drop(queue, "fix")
    (folder / ".orch").mkdir()
    (folder / ".orch" / "ready").touch()
    claim = claimed(queue, "fix")
    assert names(claim.control) == ["lease.json"]


def test_begin_works_where_the_drop_brought_a_file_called_orch(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    (drop(queue, "fix") / ".orch").write_text("surprise")
    claim = claimed(queue, "fix")
    assert (claim.control / "lease.json").is_file()
    assert (claim.folder / f".orch.aside-{claim.token}").read_text() == "surprise"


def test_begin_does_not_follow_a_link_called_orch(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    (tmp_path / "private").mkdir()
    (drop(queue, "fix") / ".orch").symlink_to(tmp_path / "private")
    claimed(queue, "fix")
    assert names(tmp_path / "private") == []


def test_a_release_moves_the_folder_writes_the_record_and_drops_the_lock(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    claim.release(State.CONVERGED, claim.fresh_record())
    assert where(queue) == only(State.CONVERGED, "fix")
    assert (queue.root / "converged/fix/.orch/state.json").is_file()
    assert not queue.owner_alive(claim.token)
    assert queue.owners.tokens() == []


def test_a_release_never_replaces_what_lies_at_its_destination(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    (queue.folder(State.CONVERGED) / "fix").mkdir()  # empty: a plain rename would replace it
    with pytest.raises(Taken, match="already"):
        claim.release(State.CONVERGED, claim.fresh_record())
    assert claim.held()
    assert queue.owner_alive(claim.token)
    (queue.folder(State.CONVERGED) / "fix").rmdir()
    claim.release(State.CONVERGED)
    assert where(queue) == only(State.CONVERGED, "fix")


@pytest.mark.parametrize("state", [State.PENDING, State.BLOCKED, State.CONVERGED])
def test_a_running_folder_moved_by_hand_is_lost_to_its_holder(tmp_path: Path, state: State) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    record = claim.fresh_record()
    claim.folder.rename(queue.folder(state) / "fix")
    assert not claim.held()
    acts = (
        lambda: claim.save(record),
        lambda: claim.begin(Lease(claim.token, queue.me())),
        claim.heartbeat,
        claim.record,
        lambda: claim.attempt_folder(1),
        lambda: claim.write("note", b"x"),
        lambda: claim.mkdir("sub"),
        lambda: claim.event("measured"),
        lambda: claim.release(State.PENDING, record),
    )
    for act in acts:
        with pytest.raises(ClaimLost):
            act()
    assert where(queue) == only(state, "fix")
    assert names(queue.folder(state) / "fix" / ".orch") == ["lease.json"]


def test_a_lost_claim_lets_its_lock_go_when_it_is_released(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    claim.folder.rename(queue.folder(State.BLOCKED) / "fix")
    assert queue.owner_alive(claim.token)
    with pytest.raises(ClaimLost):
        claim.release(State.PENDING)
    assert not queue.owner_alive(claim.token)


def test_a_token_that_came_along_with_a_move_by_hand_is_stripped(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    claim.folder.rename(queue.folder(State.BLOCKED) / claim.folder.name)
    (place,) = queue.places()
    assert (place.name, place.token, place.state) == ("fix", claim.token, State.BLOCKED)
    ((before, after),) = queue.settle_names()
    assert (before, after.folder) == (place, "fix")
    assert where(queue) == only(State.BLOCKED, "fix")
    assert not claim.held()


def test_a_token_is_recognised_before_the_lease_is_written(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = queue.take("fix")
    assert claim is not None
    claim.folder.rename(queue.folder(State.PENDING) / claim.folder.name)
    queue.settle_names()
    assert where(queue) == only(State.PENDING, "fix")


def test_a_name_that_only_looks_like_a_token_is_left_alone(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "release.abcdef")
    (place,) = queue.places()
    assert (place.name, place.token) == ("release.abcdef", None)
    assert queue.settle_names() == []


def test_stripping_a_token_never_replaces_a_folder(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    (queue.folder(State.PENDING) / "fix").mkdir()
    claim.folder.rename(queue.folder(State.PENDING) / claim.folder.name)
    assert queue.settle_names() == []
    assert where(queue) == only(State.PENDING, "fix", claim.folder.name)
    assert {place.name for place in queue.places()} == {"fix"}  # one name twice: shown as such by whoever reads


@pytest.mark.parametrize("name", ["fix", "a b"])
def test_a_folder_put_into_running_without_a_token_goes_back_to_pending(tmp_path: Path, name: str) -> None:
    queue = new_queue(tmp_path)
    drop(queue, name, State.RUNNING)
    queue.settle_names()
    assert where(queue) == only(State.PENDING, name)


def test_a_task_whose_last_worker_still_stops_is_not_claimed(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    claim.folder.rename(queue.folder(State.PENDING) / "fix")
    assert Queue(queue.root).take("fix") is None
    assert where(queue) == only(State.PENDING, "fix")
    die(claim)
    assert Queue(queue.root).take("fix") is not None


def test_a_claim_that_draws_the_very_token_of_the_last_one_is_not_taken_for_a_worker_that_still_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in sixteen million: no file says any more who had it."""
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    first = claimed(queue, "fix")
    first.release(State.PENDING)
    monkeypatch.setattr(os, "urandom", lambda _size: bytes.fromhex(first.token))
    second = queue.take("fix")
    assert second is not None
    assert second.token == first.token
    assert where(queue) == only(State.RUNNING, f"fix.{first.token}")


def test_a_task_that_goes_while_its_last_worker_is_asked_after_is_not_given_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    first = claimed(queue, "fix")
    first.folder.rename(queue.folder(State.PENDING) / "fix")
    ask = queue.owner_alive

    def person_moves_it(token: str) -> bool:
        for folder in queue.folder(State.RUNNING).iterdir():
            folder.rename(queue.folder(State.BLOCKED) / "fix")
        return ask(token)

    monkeypatch.setattr(queue, "owner_alive", person_moves_it)
    assert queue.take("fix") is None
    assert where(queue) == only(State.BLOCKED, "fix")


def test_a_claim_that_has_not_begun_writes_no_lease_for_its_agent(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = queue.take("fix")
    assert claim is not None
    claim.name_agent(os.getpid())
    assert not claim.control.exists()
    claim.begin(Lease(claim.token, queue.me()))
    claim.name_agent(os.getpid())
    assert Claim.adopt(queue, "fix", claim.token, claim.fileno()).lease == claim.lease
    assert claim.lease is not None
    assert claim.lease.agent == queue.me()


def test_a_claim_that_was_let_go_has_nothing_more_to_hand_over(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    claim.release(State.PENDING)
    before = queue.owners.tokens()
    claim.detach()
    claim.abandon()
    assert (claim.fileno(), queue.owners.tokens()) == (-1, before)


def test_the_last_lease_is_known_to_whoever_claims_next(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    first = claimed(queue, "fix")
    first.release(State.PENDING)
    second = queue.take("fix")
    assert second is not None
    assert second.previous is not None
    assert second.previous.token == first.token


def test_an_adopted_claim_keeps_the_lock_when_the_claimer_lets_go(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    inherited = os.dup(claim.fileno())
    os.set_inheritable(inherited, True)
    adopted = Claim.adopt(Queue(queue.root), "fix", claim.token, inherited)
    claim.detach()
    assert queue.owner_alive(claim.token)
    assert not os.get_inheritable(adopted.fileno())
    assert adopted.lease is not None
    adopted.release(State.CONVERGED)
    assert not queue.owner_alive(claim.token)


def test_a_claim_is_adopted_without_a_descriptor_once_its_lock_is_free(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    with pytest.raises(ClaimLost, match="another process"):
        Claim.adopt(Queue(queue.root), "fix", claim.token, None)
    die(claim)
    adopted = Claim.adopt(Queue(queue.root), "fix", claim.token, None)
    assert adopted.held()
    assert queue.owner_alive(claim.token)


def test_a_claim_that_was_reclaimed_can_not_be_adopted(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    die(claim)
    assert queue.reclaim(queue.find("fix")) is not None
    with pytest.raises(ClaimLost, match="taken away"):
        Claim.adopt(Queue(queue.root), "fix", claim.token, None)
    assert not queue.owner_alive(claim.token)


def test_a_descriptor_of_another_file_is_no_proof_of_a_claim(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    foreign = os.open(tmp_path / "foreign", os.O_RDWR | os.O_CREAT)
    with pytest.raises(ClaimLost):
        Claim.adopt(queue, "fix", claim.token, foreign)


def test_a_move_strips_the_token_and_takes_the_task_away_from_its_worker(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    place = queue.move(queue.find("fix"), State.BLOCKED)
    assert (place.name, place.state, place.folder) == ("fix", State.BLOCKED, "fix")
    assert where(queue) == only(State.BLOCKED, "fix")
    assert not claim.held()


def test_a_move_replaces_nothing(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "a")
    drop(queue, "a", State.CONVERGED)
    pending, converged = sorted(
        (place for place in queue.places() if place.name == "a"), key=lambda place: place.state != State.PENDING
    )
    with pytest.raises(Taken):
        queue.move(pending, State.CONVERGED)
    assert queue.move(converged, State.CONVERGED) == converged
    assert where(queue) == {"pending": ["a"], "running": [], "converged": ["a"], "blocked": []}


def test_a_move_of_a_folder_that_went_elsewhere_is_gone(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    place = queue.find("fix")
    queue.move(place, State.BLOCKED)
    with pytest.raises(Gone):
        queue.move(place, State.CONVERGED)


def test_nobody_moves_a_task_to_running_but_a_claim(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    with pytest.raises(ValueError, match="claim"):
        queue.move(queue.find("fix"), State.RUNNING)


def test_find_takes_the_exact_name_before_a_unique_prefix(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    for name in ("fix", "fix-auth", "build"):
        drop(queue, name)
    assert queue.find("fix").name == "fix"
    assert queue.find("fix-").name == "fix-auth"
    assert queue.find("b").name == "build"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("fi", "More than one", "more of the name"),
        ("buidl", "no task", "build"),
        ("", "no task", "list"),
        ("../pending/fix", "no task", ""),
    ],
)
def test_find_says_what_it_could_not_find(tmp_path: Path, name: str, message: str, hint: str) -> None:
    queue = new_queue(tmp_path)
    for task in ("fix", "fix-auth", "build"):
        drop(queue, task)
    with pytest.raises(NoSuchTask, match=message) as caught:
        queue.find(name)
    assert hint in caught.value.hint


def test_find_shows_both_paths_of_a_name_that_exists_twice(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    paths = [drop(queue, "fix"), drop(queue, "fix", State.BLOCKED)]
    with pytest.raises(NoSuchTask) as caught:
        queue.find("fix")
    assert all(str(path) in caught.value.message for path in paths)


def test_files_and_dead_links_in_a_state_folder_are_no_tasks(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    pending = queue.folder(State.PENDING)
    (pending / "README.md").touch()
    (pending / "loop").symlink_to("loop")
    (pending / "dead").symlink_to("nowhere")
    (tmp_path / "elsewhere").mkdir()
    (pending / "linked").symlink_to(tmp_path / "elsewhere")
    (pending / "-bad").mkdir()
    assert sorted(place.name for place in queue.places()) == ["-bad", "linked"]


def test_a_name_that_is_not_utf8_is_listed_for_being_shown(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    os.mkdir(os.fsencode(queue.folder(State.PENDING)) + b"/bad\xff")  # noqa: PTH102
    (place,) = queue.places()
    assert os.fsencode(place.name) == b"bad\xff"


def test_publish_makes_a_finished_folder_a_task_in_one_step(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    folder = queue.scratch()
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("x")
    place = queue.publish(folder, "fix")
    assert queue.path(place) == queue.root / "pending" / "fix"
    assert (queue.path(place) / "sub" / "file").read_text() == "x"
    assert queue.places() == [place]


@pytest.mark.parametrize("state", list(State))
def test_publish_refuses_a_name_that_any_state_has(tmp_path: Path, state: State) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix.abcdef" if state is State.RUNNING else "fix", state)
    with pytest.raises(Taken, match="already"):
        queue.publish(queue.scratch(), "fix")


def test_publish_refuses_a_name_that_no_task_may_have(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    with pytest.raises(Misuse):
        queue.publish(queue.scratch(), "../fix")


def test_a_discarded_task_is_gone_and_remembered_where_asked(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix", State.CONVERGED)
    queue.removed.add("fix")
    queue.removed.add("ünï")
    queue.discard(queue.find("fix"))
    assert where(queue) == only(State.CONVERGED)
    assert queue.removed.names() == {"fix", "ünï"}


def test_names_are_remembered_around_a_torn_line(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    assert queue.removed.names() == frozenset()
    queue.removed.add("a")
    with (queue.control / "converged.jsonl").open("ab") as file:
        file.write(b'{"name": "to')
    queue.removed.add("b")
    with (queue.control / "converged.jsonl").open("ab") as file:
        file.write(b'[1]\n{"name": 3}\n\xff\n')
    assert queue.removed.names() == {"a", "b"}


def test_what_was_read_of_removed_tasks_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = new_queue(tmp_path)
    lines: list[bytes] = []
    monkeypatch.setattr(removed.json, "loads", lambda line: lines.append(line) or {"name": line[-3:-2].decode()})
    for name in "abc":
        queue.removed.add(name)
    assert queue.removed.names() == {"a", "b", "c"}
    assert len(lines) == 3
    queue.removed.add("d")
    assert queue.removed.names() == {"a", "b", "c", "d"}
    assert len(lines) == 4


def test_removed_tasks_are_as_a_person_has_the_file_by_now(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    file = queue.control / "converged.jsonl"
    for name in "ab":
        queue.removed.add(name)
    assert queue.removed.names() == {"a", "b"}
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[1])
    assert queue.removed.names() == {"b"}
    file.rename(tmp_path / "away")
    assert queue.removed.names() == frozenset()
