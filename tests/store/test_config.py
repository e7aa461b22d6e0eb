"""Settings: six layers, one precedence, and every bad value told with its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pytest

from orchestrator.core.settings import Settings
from orchestrator.errors import Misuse
from orchestrator.store import config, layers
from orchestrator.store.config import Config
from orchestrator.store.options import OPTIONS, cores


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository's top; HOME and the user's configuration lie beside it."""
    top = tmp_path / "project"
    (top / ".git").mkdir(parents=True)
    (tmp_path / "xdg" / "orchestrator").mkdir(parents=True)
    return top


def load(cwd: Path, environ: Mapping[str, str] | None = None, **flags: object) -> Config:
    home = cwd
    while not (home / "xdg").exists():
        home = home.parent
    return config.load(flags, {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "xdg"), **(environ or {})}, cwd)


def user_file(project: Path, text: str) -> Path:
    path = project.parent / "xdg" / "orchestrator" / "config.toml"
    path.write_text(text)
    return path


def test_with_nothing_given_everything_is_a_default(project: Path) -> None:
    loaded = load(project)
    assert loaded.settings == Settings(tasks=str(project / "tasks"))
    assert set(loaded.sources.values()) == {"default"}
    assert (loaded.warnings, loaded.files) == ((), ())


def test_each_layer_overrules_the_ones_behind_it(project: Path) -> None:
    """flag > environment > .env > project file > user file > default, told one by one with its place."""
    behind = user_file(project, 'model = "user"\n')
    assert load(project).settings.model == "user"
    assert load(project).sources["model"] == f"{behind}:1"

    (project / "orchestrator.toml").write_text('# ours\n\nmodel = "project"\n')
    assert load(project).settings.model == "project"
    assert load(project).sources["model"] == f"{project}/orchestrator.toml:3"

    (project / ".env").write_text("SECRET=1\nORCH_MODEL=dotenv\n")
    assert load(project).settings.model == "dotenv"
    assert load(project).sources["model"] == f"{project}/.env:2"

    environ = {"ORCH_MODEL": "environment"}
    assert load(project, environ).settings.model == "environment"
    assert load(project, environ).sources["model"] == "ORCH_MODEL"

    assert load(project, environ, model="flag").settings.model == "flag"
    assert load(project, environ, model="flag").sources["model"] == "flag --model"
    assert load(project, environ, model="flag").files == (f"{project}/.env", f"{project}/orchestrator.toml", str(behind))


def test_layers_are_merged_setting_by_setting(project: Path) -> None:
    user_file(project, "converge = 7\nparallel = 7\n")
    (project / "orchestrator.toml").write_text("parallel = 4\n")
    settings = load(project, {"ORCH_AGENT": "exec"}).settings
    assert (settings.converge, settings.parallel, settings.agent) == (7, 4, "exec")


def test_flags_that_were_not_given_and_empty_variables_change_nothing(project: Path) -> None:
    (project / ".env").write_text("ORCH_MODEL=dotenv\nORCH_AGENT\n")
    loaded = load(project, {"ORCH_MODEL": " ", "ORCH_EFFORT": ""}, model=None, env_pass=())
    assert (loaded.settings.model, loaded.settings.effort, loaded.settings.agent) == ("dotenv", None, None)


def test_a_flag_that_is_no_setting_is_our_own_mistake(project: Path) -> None:
    with pytest.raises(KeyError):
        load(project, modle="x")


@pytest.mark.parametrize(
    ("name", "text", "field", "expected"),
    [
        ("ORCH_AGENT_CMD", ' ./agent "$ORCH_PROMPT_FILE" ', "agent_cmd", './agent "$ORCH_PROMPT_FILE"'),
        ("ORCH_MODEL", "m", "model", "m"),
        ("ORCH_EFFORT", "high", "effort", "high"),
        ("ORCH_FALLBACK", "codex, opencode codex", "fallback", ("codex", "opencode")),
        ("ORCH_PHASES", "do-task,review-task", "phases", ("do-task", "review-task")),
        ("ORCH_LIMIT_WAIT", "3d", "limit_wait", 259_200.0),
        ("ORCH_LIMIT_WAIT", "0", "limit_wait", 0.0),
        ("ORCH_BUDGET_USD_DAY", "7.50", "budget_usd_day", 7.5),
        ("ORCH_BUDGET_TOKENS_DAY", "2M", "budget_tokens_day", 2_000_000),
        ("ORCH_BUDGET_MINUTES_DAY", "480", "budget_minutes_day", 480.0),
        ("ORCH_BUDGET_ATTEMPTS_DAY", "50", "budget_attempts_day", 50),
        ("ORCH_RECORD", "/tmp/cassettes", "record", "/tmp/cassettes"),
        ("ORCH_BASE", "develop", "base", "develop"),
        ("ORCH_VERIFY_CMD", "make test", "verify_cmd", "make test"),
        ("ORCH_INTEGRATION_CMD", "make e2e", "integration_cmd", "make e2e"),
        ("ORCH_CONVERGE", "10", "converge", 10),
        ("ORCH_ALPHA", "0.05", "alpha", 0.05),
        ("ORCH_MIN_EFFECT", "0", "min_effect", 0.0),
        ("ORCH_PLATEAU", "3", "plateau", 3),
        ("ORCH_MAX_FAILURES", "2", "max_failures", 2),
        ("ORCH_MAX_FAILURES", "Infinite", "max_failures", None),
        ("ORCH_PARALLEL", "3", "parallel", 3),
        ("ORCH_PARALLEL", "0", "parallel", cores()),
        ("ORCH_HEARTBEAT_MS", "300000", "heartbeat", 300.0),
        ("ORCH_BENCHMARK_TIMEOUT", "120000", "benchmark_timeout", 120.0),
        ("ORCH_BENCHMARK_TIMEOUT", "4s", "benchmark_timeout", 4.0),
        ("ORCH_PROGRESS_TIMEOUT", "2m", "progress_timeout", 120.0),
        ("ORCH_TIMEOUT", "1h", "timeout", 3600.0),
        ("ORCH_TIMEOUT", "60000", "timeout", 60.0),
        ("ORCH_SETUP_TIMEOUT", "9000", "setup_timeout", 9.0),
        ("ORCH_STOP_GRACE", "0.5", "stop_grace", 0.5),
        ("ORCH_STOP_GRACE", "0", "stop_grace", 0.0),
        ("ORCH_BACKOFF", "250ms", "backoff", 0.25),
        ("ORCH_BACKOFF_MAX", "90", "backoff_max", 90.0),
        ("ORCH_SETTLE", "2", "settle", 2.0),
        ("ORCH_KEEP_CONVERGED", "0", "keep_converged", 0),
        ("ORCH_AGENT_LOG_MAX_BYTES", "65536", "agent_log_max_bytes", 65536),
        ("ORCH_AGENT_LOG_MAX_BYTES", "2 MiB", "agent_log_max_bytes", 2 * 1024**2),
        ("ORCH_AGENT_LOG_RAW", "Yes", "agent_log_raw", True),
        ("ORCH_AGENT_LOG_RAW", "0", "agent_log_raw", False),
        ("ORCH_LOG_LEVEL", "DEBUG", "log_level", "verbose"),
        ("ORCH_LOG_LEVEL", "quiet", "log_level", "quiet"),
        ("ORCH_ENV_PASS", "AWS_PROFILE, KUBECONFIG AWS_PROFILE", "env_pass", ("AWS_PROFILE", "KUBECONFIG")),
    ],
)
def test_every_variable_is_read_in_its_own_form(project: Path, name: str, text: str, field: str, expected: object) -> None:
    loaded = load(project, {name: text})
    assert getattr(loaded.settings, field) == expected
    assert (loaded.sources[field], loaded.warnings) == (name, ())


def test_toml_values_keep_their_types_and_bare_times_are_seconds(project: Path) -> None:
    (project / "orchestrator.toml").write_text(
        'parallel = 2\nmax-failures = "infinite"\nbenchmark_timeout = 90\ntimeout = "15m"\nsettle = 0.5\n'
        'agent_log_raw = true\nenv_pass = ["A", "B"]\nagent_log_max_bytes = 4096\n'
    )
    settings = load(project).settings
    assert (settings.parallel, settings.max_failures, settings.benchmark_timeout, settings.timeout) == (2, None, 90.0, 900.0)
    assert (settings.settle, settings.agent_log_raw, settings.env_pass, settings.agent_log_max_bytes) == (
        0.5,
        True,
        ("A", "B"),
        4096,
    )


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("ORCH_PARALLEL", "two", "a whole number from 0 to 1000"),
        ("ORCH_PARALLEL", "-1", "a whole number from 0 to 1000"),
        ("ORCH_CONVERGE", "0", "a whole number from 1"),
        ("ORCH_CONVERGE", "2.5", "a whole number from 1"),
        ("ORCH_MAX_FAILURES", "0", "from 1, or 'infinite'"),
        ("ORCH_MAX_FAILURES", "never", "from 1, or 'infinite'"),
        ("ORCH_BENCHMARK_TIMEOUT", "1:30", "a bare number is milliseconds"),
        ("ORCH_BENCHMARK_TIMEOUT", "0", "more than 0"),
        ("ORCH_SETTLE", "soon", "a bare number is seconds"),
        ("ORCH_AGENT_LOG_RAW", "maybe", "true or false"),
        ("ORCH_AGENT_LOG_MAX_BYTES", "10", "1024 or more"),
        ("ORCH_AGENT_LOG_MAX_BYTES", "big", "1024 or more"),
        ("ORCH_LOG_LEVEL", "loud", "quiet, normal or verbose"),
        ("ORCH_ENV_PASS", "A=B", "names of environment variables"),
        ("ORCH_BUDGET_USD_DAY", "0", "above 0"),
        ("ORCH_BUDGET_USD_DAY", "nan", "above 0"),
        ("ORCH_BUDGET_MINUTES_DAY", "0", "a number of minutes above 0"),
        ("ORCH_BUDGET_ATTEMPTS_DAY", "0", "from 1"),
        ("ORCH_ALPHA", "0", "a share from 0.0001 to 0.5"),
        ("ORCH_ALPHA", "0.00001", "a share from 0.0001 to 0.5"),
        ("ORCH_ALPHA", "0.6", "a share from 0.0001 to 0.5"),
        ("ORCH_ALPHA", "1 %", "a share from 0.0001 to 0.5"),
        ("ORCH_MIN_EFFECT", "nan", "a share from 0 to 1"),
        ("ORCH_MIN_EFFECT", "-0.1", "a share from 0 to 1"),
        ("ORCH_PLATEAU", "0", "a whole number from 1"),
        ("ORCH_BUDGET_TOKENS_DAY", "many", "a number of tokens"),
        ("ORCH_LIMIT_WAIT", "long", "a bare number is seconds"),
        ("ORCH_TASKS", "a\0b", "a path"),
        ("ORCH_MODEL", "a\0b", "a text that isn't empty"),
    ],
)
def test_a_bad_value_is_refused_with_its_source_and_what_is_allowed(project: Path, name: str, text: str, allowed: str) -> None:
    with pytest.raises(Misuse) as caught:
        load(project, {name: text})
    assert f"(from {name})" in caught.value.message
    assert allowed in caught.value.message
    assert name in caught.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "parallel = true",
        "parallel = 2.5",
        "agent = 3",
        'agent = ""',
        "tasks = 3",
        'tasks = ""',
        "timeout = true",
        "timeout = -1",
        "timeout = [1]",
        "env_pass = [1]",
        "env_pass = 7",
        "log_level = 3",
        "agent_log_raw = 2",
        "agent_log_max_bytes = true",
        "max_failures = true",
        "fallback = 3",
        'fallback = ["a b"]',
        "budget_usd_day = true",
        "alpha = true",
        "min_effect = [1]",
        "budget_tokens_day = 1.5",
    ],
)
def test_a_toml_value_of_the_wrong_type_is_refused_with_its_line(project: Path, line: str) -> None:
    (project / "orchestrator.toml").write_text(f"# ours\n{line}\n")
    with pytest.raises(Misuse, match=r"orchestrator\.toml:2"):
        load(project)


def test_a_bad_value_that_is_overruled_harms_nobody(project: Path) -> None:
    (project / "orchestrator.toml").write_text('parallel = "many"\n')
    assert load(project, {"ORCH_PARALLEL": "2"}).settings.parallel == 2


def test_a_long_bad_value_is_shown_shortened(project: Path) -> None:
    with pytest.raises(Misuse) as caught:
        load(project, {"ORCH_PARALLEL": "x" * 9999})
    assert len(caught.value.message) < 250


def test_bare_milliseconds_that_look_like_seconds_are_doubted(project: Path) -> None:
    (warning,) = load(project, {"ORCH_BENCHMARK_TIMEOUT": "120"}).warnings
    assert "is 120 milliseconds; for seconds write 120s" in warning
    assert load(project, {"ORCH_BENCHMARK_TIMEOUT": "120ms"}).warnings == ()
    assert load(project, benchmark_timeout="120").warnings == ()


def test_unknown_names_are_warnings_with_a_guess(project: Path) -> None:
    toml = project / "orchestrator.toml"
    toml.write_text('paralel = 2\nzzz = 1\n[hooks]\nafter_rnu = "x"\n')
    (project / ".env").write_text("ORCH_AGNET=exec\nUNRELATED=1\n")
    warnings = load(
        project,
        {
            "ORCH_MODLE": "x",
            "ORCH_TASK": "a",
            "ORCH_TASK_DIR": "/x",
            "ORCH_FAILPOINT": "x",
            "ORCH_REPLAY_SPEED": "10",
            "OTHER": "1",
        },
    ).warnings
    assert warnings == (
        "ORCH_MODLE is not a setting; did you mean 'ORCH_MODEL'?",
        f"{project}/.env:1: ORCH_AGNET is not a setting; did you mean 'ORCH_AGENT'?",
        f"{toml}:1: 'paralel' is not a setting; did you mean 'parallel'?",
        f"{toml}:2: 'zzz' is not a setting",
        f"{toml}:4: there is no hook 'after_rnu'; did you mean 'after_run'?",
    )


def test_a_relative_path_starts_from_where_it_was_written(project: Path) -> None:
    below = project / "a" / "b"
    below.mkdir(parents=True)
    (project / "orchestrator.toml").write_text('worktrees = "wt"\nrepo = "../other"\n')
    (project / ".env").write_text("ORCH_TASKS=queue\n")
    settings = load(below).settings
    assert settings.worktrees == str(project / "wt")
    assert settings.repo == str(project.parent / "other")
    assert settings.tasks == str(project / "queue")
    assert load(below, {"ORCH_TASKS": "queue"}).settings.tasks == str(below / "queue")
    assert load(below, tasks=Path("queue")).settings.tasks == str(below / "queue")
    assert load(below, tasks="/srv/q").settings.tasks == "/srv/q"


def test_home_and_variables_in_a_path_are_expanded_where_no_shell_has_done_it(project: Path) -> None:
    home = str(project.parent)
    (project / "orchestrator.toml").write_text('tasks = "${WHERE}/q"\nworktrees = "~/wt"\nrepo = "$WHERE"\n')
    settings = load(project, {"WHERE": "/srv"}).settings
    assert (settings.tasks, settings.worktrees, settings.repo) == ("/srv/q", f"{home}/wt", "/srv")
    assert load(project, {"WHERE": "/srv"}, tasks="~").settings.tasks == home
    assert load(project, {"WHERE": "/srv", "ORCH_TASKS": "/odd/$name"}).settings.tasks == "/odd/$name"
    with pytest.raises(Misuse, match="the variable WHERE in it is not set"):
        load(project)


def test_a_path_that_is_no_text_is_refused(project: Path) -> None:
    with pytest.raises(Misuse, match="expected a path"):
        load(project, tasks=b"/srv")


def test_a_command_in_dotenv_keeps_its_variables_for_the_shell(project: Path) -> None:
    (project / ".env").write_text("export ORCH_AGENT_CMD='run \"${ORCH_PROMPT_FILE}\"'\n")
    assert load(project).settings.agent_cmd == 'run "${ORCH_PROMPT_FILE}"'


def test_the_nearest_project_file_is_found_upward_but_not_above_the_repository(project: Path) -> None:
    below = project / "a" / "b"
    below.mkdir(parents=True)
    (project.parent / "orchestrator.toml").write_text("converge = 9\n")
    assert load(below).settings.converge == 3
    (project / "orchestrator.toml").write_text("converge = 8\n")
    assert load(below).settings.converge == 8
    (project / "a" / "orchestrator.toml").write_text("converge = 7\n")
    assert load(below).settings.converge == 7


def test_outside_a_repository_only_the_folder_itself_is_searched(project: Path) -> None:
    outside = project.parent / "plain" / "below"
    outside.mkdir(parents=True)
    (outside.parent / "orchestrator.toml").write_text("converge = 9\n")
    assert load(outside).settings.converge == 3
    assert load(outside.parent).settings.converge == 9


def test_the_table_in_pyproject_serves_unless_there_is_a_file_of_its_own(project: Path) -> None:
    (project / "pyproject.toml").write_text(
        '[project]\nname = "x"\n\n[tool.orchestrator]\nconverge = 4\n[tool.orchestrator.hooks]\nafter_run = "x"\n'
    )
    loaded = load(project)
    assert (loaded.settings.converge, loaded.sources["converge"]) == (4, f"{project}/pyproject.toml:5")
    assert loaded.sources["hooks.after_run"] == f"{project}/pyproject.toml:7"
    (project / "orchestrator.toml").write_text("converge = 5\n")
    assert load(project).settings.converge == 5


@pytest.mark.parametrize(
    "text",
    ['[project]\nname = "orchestrator"\n', "not toml at all ===", '[tool]\nx = "orchestrator"\n', 'tool = "orchestrator"\n'],
)
def test_a_pyproject_that_says_nothing_of_us_is_passed_over(project: Path, text: str) -> None:
    below = project / "below"
    below.mkdir()
    (below / "pyproject.toml").write_text(text)
    (project / "orchestrator.toml").write_text("converge = 6\n")
    assert load(below).settings.converge == 6


def test_keys_written_with_dots_count_and_have_their_line(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool]\norchestrator.converge = 4\n"orchestrator".model = "m"\n')
    loaded = load(project)
    assert (loaded.settings.converge, loaded.settings.model) == (4, "m")
    assert (loaded.sources["converge"], loaded.sources["model"]) == (f"{project}/pyproject.toml:2", f"{project}/pyproject.toml:3")


def test_a_key_whose_line_cannot_be_told_is_shown_with_its_file(project: Path) -> None:
    (project / "pyproject.toml").write_text("tool = {orchestrator = {converge = 4}}\n")
    assert load(project).sources["converge"] == f"{project}/pyproject.toml"


def test_gates_are_read_from_their_table_and_travel_to_the_worker(project: Path) -> None:
    (project / "orchestrator.toml").write_text(
        '[gates]\ntest = "pytest -rA"\nlint = {command = "ruff check", mode = "warn"}\nchecks = "off"\n'
    )
    loaded = load(project)
    assert loaded.settings.gates == {
        "test": {"name": "test", "command": "pytest -rA"},
        "lint": {"name": "lint", "command": "ruff check", "mode": "warn"},
        "checks": {"name": "checks", "mode": "off"},
    }
    assert loaded.sources["gates.lint"] == f"{project}/orchestrator.toml:3"
    assert config.from_json(json.loads(json.dumps(config.to_json(loaded.settings)))) == loaded.settings
    assert [row.name for row in config.rows(loaded) if row.name.startswith("gates.")] == [
        "gates.test",
        "gates.lint",
        "gates.checks",
    ]


def test_hooks_are_merged_by_name_and_the_nearest_wins(project: Path) -> None:
    user_file(project, '[hooks]\nafter_create = "user"\nafter_run = "user"\n')
    (project / "orchestrator.toml").write_text('[hooks]\nafter_run = "project"\n')
    loaded = load(project)
    assert loaded.settings.hooks == {"after_create": "user", "after_run": "project"}
    assert loaded.sources["hooks.after_run"] == f"{project}/orchestrator.toml:2"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hooks = 3\n", "hooks must be a table"),
        ("gates = 3\n", "gates must be a table"),
        ("[gates]\nlint = 3\n", "the gate lint"),
        ("[hooks]\nafter_run = 3\n", "hook after_run"),
        ('[hooks]\nafter_run = " "\n', "hook after_run"),
        ("converge = = 3\n", "is not valid TOML"),
        ("converge = 1\nconverge = 2\n", "is not valid TOML"),
        pytest.param(f"converge = {'9' * 5000}\n", "is not valid TOML", id="more digits than Python reads"),
        pytest.param(f"converge = {'[' * 5000}{']' * 5000}\n", "is not valid TOML", id="deeper than Python reads"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(project: Path, text: str, told: str) -> None:
    (project / "orchestrator.toml").write_text(text)
    with pytest.raises(Misuse, match=told) as caught:
        load(project)
    assert "orchestrator.toml" in caught.value.message
    assert caught.value.hint


def test_an_agents_table_is_kept_and_its_args_may_come_from_anywhere(project: Path) -> None:
    user_file(project, '[agents.claude]\nargs = "--user"\n[agents.codex]\nargs = ["--of", "the user"]\n')
    (project / "orchestrator.toml").write_text(
        '[agents.my-own]\ncommand = ["own", "-p"]\nargs = []\n[agents.claude]\nargs = "-a \'b c\'"\n'
    )
    (project / ".env").write_text("ORCH_MY_OWN_ARGS=--fast\n")
    loaded = load(project)
    assert loaded.settings.agents == {"my-own": {"command": ["own", "-p"]}}
    assert loaded.settings.args_of("my-own") == ("--fast",)
    assert loaded.settings.args_of("claude") == ("-a", "b c")
    assert loaded.settings.args_of("codex") == ("--of", "the user")
    assert loaded.settings.args_of("gemini") == ()
    assert loaded.sources["agents.my-own"] == f"{project}/orchestrator.toml:2"
    assert loaded.sources["agents.my_own.args"] == f"{project}/.env:1"
    assert loaded.warnings == ()
    shown = {row.name: row.value for row in config.rows(loaded)}
    assert (shown["agents.my-own"], shown["agents.claude.args"]) == ({"command": ["own", "-p"]}, ["-a", "b c"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agents = 3\n", "agents must be tables"),
        ("[agents]\nclaude = 3\n", "agents must be tables"),
        ("[agents.x]\nargs = 3\n", "arguments of x"),
    ],
)
def test_an_agents_table_that_is_none_is_refused(project: Path, text: str, told: str) -> None:
    (project / "orchestrator.toml").write_text(text)
    with pytest.raises(Misuse, match=told):
        load(project)


def test_arguments_that_no_shell_could_split_are_refused(project: Path) -> None:
    with pytest.raises(Misuse, match="arguments of claude"):
        load(project, {"ORCH_CLAUDE_ARGS": "a 'b"})


def test_a_tool_table_that_is_none_is_refused(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool]\norchestrator = 3\n")
    with pytest.raises(Misuse, match=r"\[tool.orchestrator\] must be a table"):
        load(project)


def test_a_broken_pyproject_that_mentions_us_is_an_error(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.orchestrator]\nconverge = = 3\n")
    with pytest.raises(Misuse, match="is not valid TOML"):
        load(project)


def test_a_project_file_that_is_not_text_is_refused(project: Path) -> None:
    (project / "orchestrator.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Misuse, match="it is not UTF-8"):
        load(project)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_project_file_that_may_not_be_read_is_refused(project: Path) -> None:
    path = project / "orchestrator.toml"
    path.touch(mode=0o000)
    with pytest.raises(Misuse, match="Permission denied"):
        load(project)


def test_a_folder_named_like_a_file_of_ours_is_not_one(project: Path) -> None:
    for name in (".env", "orchestrator.toml", "pyproject.toml"):
        (project / name).mkdir()
    assert load(project).files == ()


def test_a_dotenv_that_is_not_text_is_left_out_with_a_warning(project: Path) -> None:
    (project / ".env").write_bytes(b"ORCH_MODEL=\xff\n")
    loaded = load(project)
    assert loaded.settings.model is None
    assert loaded.warnings == (f"{project}/.env can't be read and is left out: it is not UTF-8",)


def test_a_broken_line_of_ours_in_dotenv_is_a_warning_and_others_are_not_our_concern(project: Path) -> None:
    (project / ".env").write_text("OTHER 'x\nORCH_MODEL 'x\nORCH_AGENT=exec\n# a comment\n")
    loaded = load(project)
    assert loaded.settings.agent == "exec"
    assert loaded.warnings == (f"{project}/.env:2: this line can't be read and is left out",)


def test_a_folder_of_ones_own_can_hold_the_user_configuration(project: Path) -> None:
    own = project.parent / "own"
    own.mkdir()
    (own / "config.toml").write_text("converge = 5\n")
    assert load(project, {"ORCH_CONFIG_DIR": str(own)}).settings.converge == 5


def test_without_xdg_the_user_configuration_is_where_the_platform_keeps_it(project: Path) -> None:
    path = Path(os.environ["HOME"]) / ".config" / "orchestrator" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("converge = 5\n")
    loaded = config.load({}, {}, project)
    if sys.platform == "linux":
        assert (loaded.settings.converge, loaded.files) == (5, (str(path),))


@pytest.mark.parametrize("xdg", [None, "", "relative/x", "/somewhere"])
def test_the_user_s_folder_is_the_one_that_platformdirs_names(monkeypatch: pytest.MonkeyPatch, xdg: str | None) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if xdg is not None:
        monkeypatch.setenv("XDG_CONFIG_HOME", xdg)
    assert layers.user_folder(os.environ) == platformdirs.user_config_path("orchestrator")


def test_the_rows_of_config_name_every_setting_with_value_and_source(project: Path) -> None:
    (project / "orchestrator.toml").write_text('[hooks]\nafter_run = "x"\n')
    rows = config.rows(load(project, {"ORCH_ENV_PASS": "A"}))
    assert [row.name for row in rows] == [*(option.field for option in OPTIONS), "hooks.after_run"]
    by_name = {row.name: row for row in rows}
    assert (by_name["env_pass"].value, by_name["env_pass"].source, by_name["env_pass"].env) == (
        ["A"],
        "ORCH_ENV_PASS",
        "ORCH_ENV_PASS",
    )
    assert (by_name["hooks.after_run"].value, by_name["converge"].source) == ("x", "default")
    assert all(row.help for row in rows)
    json.dumps([row.value for row in rows])


def test_every_setting_can_be_given_from_outside() -> None:
    assert {option.field for option in OPTIONS} | {"hooks", "gates", "agents", "agent_args"} == set(config.to_json(Settings()))
    assert len({option.env for option in OPTIONS}) == len(OPTIONS)


def test_settings_survive_the_lease(project: Path) -> None:
    settings = Settings(
        tasks="/q", max_failures=None, env_pass=("A", "B"), hooks={"after_run": "x"}, timeout=1.5, fallback=("a",),
        phases=("b",), agents={"mine": {"command": ["mine"]}}, agent_args={"mine": ("--x",)},
    )  # fmt: skip
    assert config.from_json(json.loads(json.dumps(config.to_json(settings)))) == settings


def test_settings_of_a_newer_or_an_older_version_load() -> None:
    assert config.from_json({"parallel": 3, "colour": "blue"}) == Settings(parallel=3)


HEAVY = set("click rich pydantic yaml dotenv tomllib platformdirs pathspec logging tempfile difflib asyncio".split())  # noqa: SIM905


def test_a_lease_reader_pays_for_no_parser_it_does_not_need() -> None:
    script = "import sys, orchestrator.store.config, orchestrator.core.scope, orchestrator.core.drain; print(*sys.modules)"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # coverage imports some itself
    shown = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert not HEAVY & set(shown.stdout.split())
