from __future__ import annotations

import pytest
from support.desk import COUNT, DONE, LESS, Desk, me

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State
from orchestrator.git import repository
from orchestrator.worker import findings

SPOIL = "echo echo METRIC left=0 >"


def only_result(desk: Desk) -> tuple[State, Result, str]:
    (attempt,) = desk.record().history
    return desk.state(), attempt.result, attempt.detail


@pytest.mark.parametrize("where", ["$ORCH_TASK_DIR/benchmark.sh", "{running}/x.*/benchmark.sh", "{running}/x.*/checks.sh"])
def test_touching_the_evaluator_is_a_finding_wherever_it_lies(desk: Desk, where: str) -> None:
    desk.drop(front="max_failures: 1", files={"checks.sh": "true\n"})
    desk.agent(f"for f in {where.format(running=desk.queue.folder(State.RUNNING))}; do {SPOIL} $f; done; {DONE}")
    desk.serve()
    state, result, detail = only_result(desk)
    assert (state, result, desk.merges()) == (State.BLOCKED, Result.TAMPERED, 0)
    assert where.rpartition("/")[2] in detail


def test_a_script_of_the_repository_that_the_benchmark_runs_is_out_of_scope(desk: Desk) -> None:
    desk.commit({"bench/count.sh": 'echo "METRIC left=$(grep -c . todo.txt)"\n'})
    (desk.drop(front="benchmark: sh bench/count.sh\nmax_failures: 1") / "benchmark.sh").unlink()
    desk.agent(f"{SPOIL} bench/count.sh")
    desk.serve()
    state, result, detail = only_result(desk)
    assert (state, result, desk.merges()) == (State.BLOCKED, Result.SCOPE_VIOLATION, 0)
    assert "bench/count.sh" in detail
    assert desk.events(event="question") == []  # no wider scope would let it


def test_the_repositorys_script_is_measured_as_it_was_at_the_base(desk: Desk) -> None:
    desk.commit({"bench/count.sh": 'echo "METRIC left=$(grep -c . todo.txt)"\n'})
    (desk.drop(front="benchmark: sh bench/count.sh") / "benchmark.sh").unlink()
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.show("todo.txt")) == (State.CONVERGED, "")


def test_moving_the_base_is_a_finding_and_nothing_is_reset(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(f"{DONE}; git commit -qam mine; git update-ref refs/heads/main HEAD")
    desk.serve()
    assert only_result(desk)[:2] == (State.BLOCKED, Result.TAMPERED)
    assert desk.main == desk.tip("refs/orchestrator/x/0001")


def test_a_base_that_a_person_moved_meanwhile_is_none(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"git -C {desk.repo} commit -q --allow-empty -m person; {DONE}")
    desk.serve()
    assert only_result(desk)[:2] == (State.CONVERGED, Result.CONVERGED)


def test_a_changed_configuration_is_reported_and_no_more(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"git config user.name somebody; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert "configuration" in desk.events(event="finding")[0]["detail"]


def test_many_paths_out_of_scope_are_named_up_to_a_point(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]\nmax_failures: 1")
    desk.agent("touch a b c d e f g")
    desk.serve()
    assert desk.record().reason is Reason.SCOPE_VIOLATION
    assert only_result(desk)[2].endswith("and 2 more")


def test_a_queue_inside_the_repository_is_hidden_from_it_and_out_of_every_scope(desk: Desk) -> None:
    desk.drop()
    work, space = desk.opened()
    root = work.claim.queue.root
    inside = desk.repo / "tasks"
    findings.hide_queue(space.repo, inside, desk.repo / ".worktrees")
    lines = (desk.repo / ".git/info/exclude").read_text().splitlines()
    assert {"/tasks/", "/.worktrees/"} <= set(lines)
    desk.commit({"queue/pending/x/autoresearch.md": "# x\n"})
    findings.hide_queue(space.repo, desk.repo / "queue", desk.top / "elsewhere")
    lines = (desk.repo / ".git/info/exclude").read_text().splitlines()
    assert "/queue/" not in lines
    for path in ("queue/running/y.c0ffee/a", "queue/.orch/loop.json", "queue/pending/x/.orch/saved/.env", "queue/pending/y/a"):
        (desk.repo / path).parent.mkdir(parents=True, exist_ok=True)
        (desk.repo / path).touch()
    assert desk.git("status", "--porcelain", "-uall") == "?? queue/pending/y/a"
    assert not root.is_relative_to(desk.repo)
    assert repository.tracked(space.repo, desk.repo / "queue")


def test_a_queue_is_hidden_whatever_its_folder_is_called(desk: Desk) -> None:
    """`apps/[id]` is a folder as good as any, and was a set of letters."""
    desk.drop()
    _, space = desk.opened()
    odd = ("apps/[id]/tasks", "w*t", "a?b", "back\\slash ")
    for name in odd:
        findings.hide_queue(space.repo, desk.repo / name, desk.repo / f"{name}.trees")
        for path in (desk.repo / name / "pending/x/a", desk.repo / f"{name}.trees/x/a"):
            path.parent.mkdir(parents=True)
            path.touch()
    assert desk.git("status", "--porcelain", "-uall") == ""


def test_an_edit_of_a_file_whose_copy_is_gone_is_none(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"rm -rf $ORCH_TASK_DIR; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED


# What decides on the task, edited in the spec while an agent runs


EASIER = "sed -i 's/target: 0/target: 5/' {running}/x.*/autoresearch.md"
METRIC = "metric: {name: left, target: 0}"


def easier(desk: Desk) -> str:
    return EASIER.format(running=desk.queue.folder(State.RUNNING))


@pytest.mark.parametrize("end", ["true", f"kill -TERM {me()}; sleep 30", "exit 3"], ids=["once", "stopped", "failed"])
def test_a_target_lowered_while_an_agent_ran_counts_only_after_a_person_has_confirmed_it(desk: Desk, end: str) -> None:
    desk.drop(front=METRIC)
    desk.agent(f"{easier(desk)}; {end}")
    desk.serve(once=True)
    assert (desk.state(), desk.record().doubt) == (State.PENDING, "metrics in the spec changed while an agent ran")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, desk.merges()) == (State.BLOCKED, Reason.TAMPERED, 0)
    assert "`orchestrator retry x` confirms it" in (record.detail or "")
    desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.record().doubt) == (State.CONVERGED, None)


CHEAT = {
    "the-benchmark": "for file in {running}/x.*/benchmark.sh; do echo echo METRIC left=0 > $file; done",
    "the-spec": EASIER,
}
RUNS = 'sh product.sh\necho "METRIC left=$(grep -c . todo.txt)"\n'


@pytest.mark.parametrize("cheat", CHEAT)
@pytest.mark.parametrize("place", ["benchmark", "gate"])
def test_an_evaluator_that_the_product_edits_when_it_runs_counts_only_after_a_person_has_confirmed_it(
    desk: Desk, cheat: str, place: str
) -> None:
    desk.commit({"product.sh": "true\n"})
    gate = "gates: {test: sh product.sh && false}" if place == "gate" else ""
    desk.drop(front=f"{METRIC}\n{gate}".strip(), benchmark=RUNS if place == "benchmark" else COUNT)
    edit = CHEAT[cheat].format(running=desk.queue.folder(State.RUNNING))
    desk.agent(f"cat > product.sh <<'END'\n{edit}\nEND\n{DONE if place == 'gate' else 'true'}; exit 3")
    desk.serve(once=True)
    doubt = desk.record().doubt or ""
    assert "changed while the task's work was measured" in doubt, desk.events()
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.merges()) == (State.BLOCKED, Reason.TAMPERED, 0)
    assert doubt in (desk.record().detail or "")


def test_so_is_one_that_a_setup_edits_which_runs_what_the_agent_made(desk: Desk) -> None:
    desk.commit({"product.sh": "true\n"})
    desk.drop(front=f"{METRIC}\nsetup: sh product.sh")
    edit = CHEAT["the-benchmark"].format(running=desk.queue.folder(State.RUNNING))
    desk.agent(f"{DONE}; cat > product.sh <<'END'\n{edit}\nEND")
    desk.serve()
    (found,) = desk.events(event="finding")
    assert "benchmark.sh in the task folder changed while the task's work was measured" in found["detail"]
    assert desk.state() is State.CONVERGED  # by the evaluator as it was sealed


def test_put_right_before_the_next_claim_it_never_mattered(desk: Desk) -> None:
    folder = desk.drop(front=METRIC)
    before = (folder / "autoresearch.md").read_text()
    desk.agent(easier(desk))
    desk.serve(once=True)
    (folder / "autoresearch.md").write_text(before)
    desk.agent(DONE)
    desk.serve(once=True)
    assert (desk.state(), desk.record().doubt, desk.show("todo.txt")) == (State.CONVERGED, None, "")


def test_an_edit_of_a_persons_between_two_claims_needs_no_confirmation(desk: Desk) -> None:
    folder = desk.drop(front=METRIC)
    desk.agent("true")
    desk.serve(once=True)
    spec = folder / "autoresearch.md"
    spec.write_text(spec.read_text().replace("target: 0", "target: 5"))
    desk.serve(once=True)
    assert desk.state() is State.CONVERGED


def test_in_its_own_claim_the_edit_neither_counts_nor_refuses_the_work(desk: Desk) -> None:
    desk.drop(front=METRIC)
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ {easier(desk)}; }}; {LESS}")
    desk.serve()
    assert (desk.state(), desk.calls(), desk.show("todo.txt")) == (State.CONVERGED, 3, "")
    assert [event["detail"] for event in desk.events(event="finding")] == [
        "metrics in the spec changed while an agent ran; it counts once a person has confirmed it"
    ]


def test_words_may_be_edited_at_any_time_and_a_detour_over_a_broken_spec_does_not_help(desk: Desk) -> None:
    spec = f"{desk.queue.folder(State.RUNNING)}/x.*/autoresearch.md"
    folder = desk.drop(front=f"{METRIC}\nmax_failures: 9")
    desk.agent(f"for f in {spec}; do cp $f {desk.top}/spec; echo more words >> $f; done")
    desk.serve(once=True)
    assert desk.record().doubt is None
    acts = (
        f"1) cp $f {desk.top}/spec; echo --- > $f ;; 2) sed 's/target: 0/target: 5/' {desk.top}/spec > $f; kill -TERM {me()} ;;"
    )
    desk.agent(f"{desk.call} for f in {spec}; do case $n in {acts} esac; done")
    desk.serve()
    assert "target: 5" in (folder / "autoresearch.md").read_text()
    assert (desk.state(), desk.record().doubt) == (State.PENDING, "metrics in the spec changed while an agent ran")


SCOPED = "scope: [todo.txt, src/**]\nmax_failures: 1\n"
STRAYS = {
    "staged": ("echo x > a.txt; git add a.txt", "a.txt (outside the scope)"),
    "committed and taken back": ("echo x > a.txt; git add a.txt; git commit -qm a; rm a.txt; git checkout -q a.txt", "a.txt"),
    "ignored and added by force": ("echo x > a.ignored; git add -f a.ignored", "a.ignored (outside the scope)"),
    "a link out of the repository": ("mkdir src; ln -s /etc/hostname src/name", "src/name (a link that leads out"),
    "a link above it": ("mkdir src; ln -s ../../else src/name", "src/name (a link that leads out"),
    "a link into its git": ("mkdir src; ln -s ../.git src/name", "src/name (a link that leads out"),
    "a link to what is out of scope": ("mkdir src; ln -s ../other src/name", "src/name (a link to other: outside the scope)"),
    "a link to all of it": ("mkdir src; ln -s .. src/name", "src/name (a link to .: outside the scope)"),
    "through a link that was there": ("echo x > linked/a.txt", "other/a.txt (outside the scope)"),
    "a repository in it": ("git init -q sub; echo s > sub/s; git -C sub add s; git -C sub commit -qm s; git add sub", "sub"),
    "a submodule": (
        "git -c protocol.file.allow=always submodule --quiet add $OLDPWD sub; git submodule absorbgitdirs -q; git commit -qm s",
        ".gitmodules (outside the scope), sub (outside the scope)",
    ),
    "a file that was made executable": ("chmod +x README", "README (outside the scope)"),
}


@pytest.mark.parametrize("stray", STRAYS)
def test_whatever_way_a_file_out_of_scope_takes_it_is_seen_before_anything_is_measured(desk: Desk, stray: str) -> None:
    script, told = STRAYS[stray]
    (desk.repo / "linked").symlink_to("other")
    desk.commit({"other/a.txt": "a\n"})
    desk.drop(front=SCOPED)
    desk.agent(f"cd {desk.repo}; cd $ORCH_WORKTREE; {DONE}; {script}")
    desk.serve()
    state, result, detail = only_result(desk)
    assert (state, result, desk.merges()) == (State.BLOCKED, Result.SCOPE_VIOLATION, 0)
    assert told in detail
    (asked,) = desk.events(event="question")
    assert asked["files"][0] == told.split(" ")[0] or asked["files"][0].startswith("sub")
    assert "widen `scope`" in asked["detail"]
    assert [event["where"] for event in desk.events(event="measured")] == ["baseline"]


def test_what_git_ignores_and_nobody_added_is_no_work_and_never_lands(desk: Desk) -> None:
    desk.drop(front=SCOPED)
    desk.agent(f"{DONE}; touch a.ignored; mkdir src; ln -s ../todo.txt src/link")
    desk.serve()
    assert only_result(desk)[:2] == (State.CONVERGED, Result.CONVERGED)
    assert desk.git("ls-tree", "-r", "--name-only", "main").split() == [".gitignore", "README", "src/link", "todo.txt"]


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_a_scope_that_is_not_enforced_lets_it_land_and_warn_names_it(desk: Desk, mode: str) -> None:
    desk.drop(front=f"files: {{writes: [todo.txt]}}\nenforcement: {mode}")
    desk.agent(f"{DONE}; echo more >> README")
    desk.serve()
    assert only_result(desk)[:2] == (State.CONVERGED, Result.CONVERGED)
    told = [event for event in desk.events(event="verdict") if event["gate"] == "scope"]
    assert [(event["ok"], event["mode"]) for event in told] == ([(False, "warn")] if mode == "warn" else [])
    report = (desk.folder() / ".orch/attempts/0001/report.md").read_text()
    assert ("README: outside the scope" in report) is (mode == "warn")


@pytest.mark.parametrize("mode", ["warn", "off", "block"])
def test_what_no_task_may_change_is_refused_whatever_is_enforced(desk: Desk, mode: str) -> None:
    desk.commit({"bench/count.sh": 'echo "METRIC left=$(grep -c . todo.txt)"\n'})
    (desk.drop(front=f"benchmark: sh bench/count.sh\nmax_failures: 1\nenforcement: {mode}") / "benchmark.sh").unlink()
    desk.agent(f"{SPOIL} bench/count.sh")
    desk.serve()
    assert only_result(desk)[1] is Result.SCOPE_VIOLATION


@pytest.mark.parametrize(
    ("runs", "act", "told"),
    [
        ("sh count", f"{SPOIL} bench/count.sh", "bench/count.sh"),
        ("sh count", f"rm count; {SPOIL} count", "count"),
        ("sh tools/run", f"{SPOIL} bench/count.sh", "bench/count.sh"),
        ("sh tools/run", f"rm tools; mkdir tools; {SPOIL} tools/run", "tools"),
        ("sh tools/run", f"rm bench/run; {SPOIL} bench/run", "bench/run"),
    ],
)
def test_a_script_that_is_run_through_a_link_is_sealed_and_so_is_the_link(desk: Desk, runs: str, act: str, told: str) -> None:
    for link, target in {"count": "bench/count.sh", "tools": "./bench", "bench/run": "../bench/count.sh"}.items():
        (desk.repo / link).parent.mkdir(exist_ok=True)
        (desk.repo / link).symlink_to(target)
    desk.commit({"bench/count.sh": 'echo "METRIC left=$(grep -c . todo.txt)"\n'})
    (desk.drop(front=f"benchmark: {runs}\nmax_failures: 1") / "benchmark.sh").unlink()
    desk.agent(act)
    desk.serve()
    assert only_result(desk)[1] is Result.SCOPE_VIOLATION
    assert f"{told} (the benchmark or a gate runs it: no task may change it)" in only_result(desk)[2]


@pytest.mark.parametrize("target", ["/etc/hostname", "../x.sh", "count", "nowhere"])
def test_a_link_that_leads_to_no_file_of_the_repository_is_run_as_it_is(desk: Desk, target: str) -> None:
    (desk.repo / "count").symlink_to(target)
    desk.commit({})
    (desk.drop(front="benchmark: sh count; echo METRIC left=$(grep -c . todo.txt)") / "benchmark.sh").unlink()
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED


@pytest.mark.parametrize(
    ("act", "refused"),
    [
        ("echo '[gates]' > orchestrator.toml", True),
        ("rm orchestrator.toml", True),
        ("echo ORCH_CONVERGE=1 >> .env", True),
        ("echo export ORCH_VERIFY_CMD=true > .env", True),
        ("echo PORT=81 > .env", False),
        ("ln -sf README .env", True),
        ("printf '[tool.orchestrator]\\nconverge = 1\\n' >> pyproject.toml", True),
        ("printf '[tool.ruff]\\n' >> pyproject.toml", False),
        ("mkdir sub; echo '[gates]' > sub/orchestrator.toml", False),
    ],
)
@pytest.mark.parametrize("mode", ["off", "block"])
def test_no_task_lands_other_settings_for_the_tasks_after_it(desk: Desk, act: str, refused: bool, mode: str) -> None:
    settings = {"orchestrator.toml": "converge = 3\n", ".env": "PORT=80\n", "pyproject.toml": "[project]\nname = 'x'\n"}
    desk.commit(settings)
    desk.drop(front=f"max_failures: 1\nenforcement: {mode}")
    desk.agent(f"{DONE}; {act}")
    desk.serve()
    assert only_result(desk)[1] is (Result.SCOPE_VIOLATION if refused else Result.CONVERGED)
    assert {name: desk.show(name) for name in settings if refused} == {
        name: text.strip() for name, text in settings.items() if refused
    }
