"""The agents' real programs, where they are installed, and how each is pointed at a model server on loopback.

Looked for below $ORCH_TEST_CLIS (`<name>/node_modules/.bin/<name>`, `<name>/bin/<name>`, as npm and venv put them), or where
`support.install` puts some of them, then on PATH.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support import install

NAMES = ("claude", "codex", "opencode", "pi", "copilot", "gemini", "qwen", "aider", "mini", "openhands")
PROMPT = '"$(cat "$ORCH_PROMPT_FILE")"'  # in a command line for the shell
SLOW = frozenset({"aider", "mini", "openhands", "opencode", "qwen"})  # take many seconds to start


@dataclass(frozen=True)
class Setting:
    """How to run one program without questions against the server: its words, where `PROMPT` stands for the prompt, the variables
    it needs, and files below its HOME."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


FOLDER = install.folder()  # read at import: no test sees ORCH_ variables of the machine


def find(name: str) -> Path | None:
    """The program of that agent; None where it isn't installed."""
    places = [FOLDER / name / "node_modules/.bin" / name, FOLDER / name / "bin" / name]
    found = next((place for place in places if os.access(place, os.X_OK)), None)
    on_path = shutil.which(name)
    return found or (Path(on_path) if on_path else None)


def needed(name: str) -> Path:
    """The same, where the test is skipped without it; in CI some must be there."""
    found = find(name)
    if found is None and install.IN_CI and name in install.PINNED:
        pytest.fail(f"CI tests with {name}, and it is not installed: see what npm said at the start of this run")
    if found is None:
        pytest.skip(f"{name} is not installed: put it on PATH or below $ORCH_TEST_CLIS, or use --install-agents (claude, codex)")
    return found


def search_path() -> str:
    """PATH for these programs: some need a newer node than the machine's."""
    node = FOLDER / "node22/node_modules/node/bin"
    return f"{node}:{os.environ['PATH']}" if node.is_dir() else os.environ["PATH"]


def setting(name: str, url: str, home: Path) -> Setting:
    """How `name` runs against the server at `url`, with `home` as its HOME."""
    openai = {"OPENAI_API_KEY": "dummy", "OPENAI_BASE_URL": f"{url}/v1"}
    litellm = {"OPENAI_API_KEY": "dummy", "OPENAI_API_BASE": f"{url}/v1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    match name:
        case "claude":
            return Setting(
                ("claude", "-p", PROMPT, "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"),
                {
                    "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "dummy", "IS_SANDBOX": "1",
                    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                },
            )  # fmt: skip
        case "codex":
            provider = f'{{name="fake",base_url="{url}/v1",env_key="FAKE_KEY",wire_api="responses"}}'
            return Setting(
                (
                    *("codex", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check"),
                    *("-m", "gpt-5.5", "-c", 'model_provider="fake"', "-c", f"model_providers.fake={provider}", PROMPT),
                ),
                {"FAKE_KEY": "dummy"},
            )
        case "opencode":
            options = {"baseURL": f"{url}/v1", "apiKey": "dummy"}
            models = {"fake-model": {"name": "fake", "limit": {"context": 200_000, "output": 8000}}}
            provider = {"fake": {"npm": "@ai-sdk/openai-compatible", "options": options, "models": models}}
            config = json.dumps({"provider": provider, "permission": {"*": "allow"}})
            return Setting(
                ("opencode", "run", "--format", "json", "-m", "fake/fake-model", PROMPT),
                {"OPENCODE_CONFIG_CONTENT": config, "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"},
            )
        case "pi":
            fake = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": "dummy", "models": [{"id": "fake-model"}]}
            return Setting(
                ("pi", "-p", "--mode", "json", "--model", "fake/fake-model", PROMPT),
                {"PI_OFFLINE": "1", "PI_TELEMETRY": "0"},
                {".pi/agent/models.json": json.dumps({"providers": {"fake": fake}})},
            )
        case "copilot":
            cache = FOLDER / "copilot-cache" if FOLDER.is_dir() else home / ".cache"  # it unpacks 235 MB there
            return Setting(
                ("copilot", "-p", PROMPT, "--allow-all", "--no-ask-user", "--output-format", "json"),
                {
                    "COPILOT_PROVIDER_BASE_URL": f"{url}/v1", "COPILOT_PROVIDER_API_KEY": "dummy", "COPILOT_MODEL": "gpt-4.1",
                    "COPILOT_OFFLINE": "true", "COPILOT_AUTO_UPDATE": "false", "XDG_CACHE_HOME": str(cache),
                },
            )  # fmt: skip
        case "gemini":
            return Setting(
                ("gemini", "-p", PROMPT, "--yolo", "--skip-trust", "-m", "gemini-2.5-pro", "--output-format", "stream-json"),
                {"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": url},
                {".gemini/settings.json": json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}})},
            )
        case "qwen":
            argv = ("qwen", "-p", PROMPT, "--yolo", "--auth-type", "openai", "-m", "fake-model", "--output-format", "stream-json")
            return Setting(argv, openai)
        case "aider":
            return Setting(
                (
                    *("aider", "--model", "openai/fake-model", "--edit-format", "diff", "--yes-always", "--no-pretty"),
                    *("--no-stream", "--no-check-update", "--no-show-release-notes", "--analytics-disable"),
                    *("--no-show-model-warnings", "--no-gitignore", "--no-detect-urls", "--map-tokens", "0", "--no-auto-commits"),
                    *("--message", PROMPT),
                ),
                litellm,
            )
        case "mini":
            return Setting(
                ("mini", "-m", "openai/fake-model", "-t", PROMPT, "-y", "--exit-immediately", "-l", "0", "-o", f"{home}/traj.json"),
                {
                    **litellm, "MSWEA_CONFIGURED": "true", "MSWEA_COST_TRACKING": "ignore_errors",
                    "MSWEA_GLOBAL_CONFIG_DIR": f"{home}/mswea",
                },
            )  # fmt: skip
        case "openhands":
            return Setting(
                ("openhands", "--headless", "--json", "--override-with-envs", "-t", PROMPT),
                {
                    "LLM_API_KEY": "dummy", "LLM_BASE_URL": f"{url}/v1", "LLM_MODEL": "openai/fake-model",
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                },
            )  # fmt: skip
    raise ValueError(name)


def script(name: str, url: str, home: Path) -> str:
    """A shell script that runs the installed program `name` with everything it needs, as the `exec` agent does."""
    program, how = needed(name), setting(name, url, home)
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    for path, text in how.files.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    env = {"HOME": str(home), "TMPDIR": str(temporary), "PATH": search_path(), "TERM": "dumb", "LANG": "C.UTF-8", **how.env}
    exports = "\n".join(f"export {variable}={shlex.quote(value)}" for variable, value in env.items())
    words = " ".join(word if word == PROMPT else shlex.quote(word) for word in (str(program), *how.argv[1:]))
    return f"{exports}\nexec {words} </dev/null\n"
