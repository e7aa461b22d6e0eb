"""How each agent's program is pointed at a model server on loopback: the variables it reads, files of its home, a model's name.

For the demo and the tests. The key is none: no program starts without one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

KEY = "no-key"
FAKE = "fake-model"
OPENAI = f"openai/{FAKE}"
PRICES = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else it asks the net for them


@dataclass(frozen=True, slots=True)
class Client:
    """What one program needs: `model` to ask for, `env` to see, `files` (by their paths) to find in its HOME."""

    model: str
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)


def client(agent: str, url: str) -> Client | None:
    """What the program of the agent called `agent` needs to talk to the server at `url`; None for one that isn't known here."""
    make = CLIENTS.get(agent)
    return make(url) if make else None


def names() -> tuple[str, ...]:
    """The agents that can be pointed at a server of ours."""
    return tuple(CLIENTS)


def _claude(url: str) -> Client:
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    return Client("claude-sonnet-4-5", {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, **quiet})


def _codex(url: str) -> Client:
    return Client("gpt-5.5", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{url}/v1"})


def _opencode(url: str) -> Client:
    models = {FAKE: {"name": "fake", "limit": {"context": 200_000, "output": 8000}}}
    options = {"baseURL": f"{url}/v1", "apiKey": KEY}
    config = {"provider": {"fake": {"npm": "@ai-sdk/openai-compatible", "options": options, "models": models}}}
    env = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    return Client(f"fake/{FAKE}", env, {".config/opencode/opencode.json": json.dumps(config)})


def _pi(url: str) -> Client:
    fake = {"baseUrl": f"{url}/v1", "api": "openai-completions", "apiKey": KEY, "models": [{"id": FAKE}]}
    env = {"PI_OFFLINE": "1", "PI_TELEMETRY": "0"}
    return Client(f"fake/{FAKE}", env, {".pi/agent/models.json": json.dumps({"providers": {"fake": fake}})})


def _copilot(url: str) -> Client:
    model = "gpt-4.1"
    provider = {"COPILOT_PROVIDER_BASE_URL": f"{url}/v1", "COPILOT_PROVIDER_API_KEY": KEY, "COPILOT_MODEL": model}
    return Client(model, {**provider, "COPILOT_OFFLINE": "true", "COPILOT_AUTO_UPDATE": "false"})


def _gemini(url: str) -> Client:
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}}  # else the address makes it choose another one
    env = {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": url}
    return Client("gemini-2.5-pro", env, {".gemini/settings.json": json.dumps(settings)})


def _qwen(url: str) -> Client:
    return Client(FAKE, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{url}/v1"})


def _aider(url: str) -> Client:
    env = {"AIDER_EDIT_FORMAT": "diff", "AIDER_MAP_TOKENS": "0", **PRICES}  # of an unknown model it wants whole files
    known = {".aider/caches/model_prices_and_context_window.json": json.dumps({OPENAI: {}})}  # else it asks the net for them
    return Client(OPENAI, {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": f"{url}/v1", **env}, known)


def _mini(url: str) -> Client:
    env = {"MSWEA_CONFIGURED": "true", "MSWEA_COST_TRACKING": "ignore_errors"}  # an unknown model's price is an error otherwise
    return Client(OPENAI, {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": f"{url}/v1", **env, **PRICES})


def _openhands(url: str) -> Client:
    return Client(OPENAI, {"LLM_API_KEY": KEY, "LLM_BASE_URL": f"{url}/v1", "LLM_MODEL": OPENAI, **PRICES})


CLIENTS: Mapping[str, Callable[[str], Client]] = MappingProxyType(
    {
        "claude": _claude,
        "codex": _codex,
        "opencode": _opencode,
        "pi": _pi,
        "copilot": _copilot,
        "gemini": _gemini,
        "qwen": _qwen,
        "aider": _aider,
        "mini": _mini,
        "openhands": _openhands,
    }
)
