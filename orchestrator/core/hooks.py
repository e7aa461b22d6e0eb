"""Who may knock: whether a webhook's request was made by somebody who knows the secret, and whether it came before. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum

GITHUB, GITLAB = "/webhooks/github", "/webhooks/gitlab"
SIGNATURE, TOKEN = "x-hub-signature-256", "x-gitlab-token"
REMEMBERED = 4096


class Answer(Enum):
    """The HTTP status that a request gets."""

    TAKEN = 202
    AGAIN = 200  # a replay: known already, nothing is done for it
    REFUSED = 401
    UNKNOWN = 404


class Door:
    """`secrets` by path. A path without a secret takes nothing: what anybody may send is worth nothing."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._seen: OrderedDict[str, None] = OrderedDict()

    def knock(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What to answer to this request. `headers` by lower-case name, `body` as it came, byte for byte."""
        if path not in (GITHUB, GITLAB):
            return Answer.UNKNOWN
        secret = self._secrets.get(path, "")
        if not secret or not (signed if path == GITHUB else named)(secret, headers, body):
            return Answer.REFUSED
        return Answer.AGAIN if self._again(path, body) else Answer.TAKEN

    def _again(self, path: str, body: bytes) -> bool:
        """By what it says and not by its id, which nothing signs. The oldest are forgotten: a look too many does no harm."""
        key = f"{path}:{hashlib.sha256(body).hexdigest()}"
        if key in self._seen:
            return True
        self._seen[key] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False


def signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """GitHub's way: HMAC-SHA256 over the raw body, compared in constant time."""
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), headers.get(SIGNATURE, "").encode(errors="replace"))


def named(secret: str, headers: Mapping[str, str], _body: bytes) -> bool:
    """GitLab's way: the secret itself, compared in constant time."""
    return hmac.compare_digest(secret.encode(), headers.get(TOKEN, "").encode(errors="replace"))
