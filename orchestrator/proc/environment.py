"""What a child may see of our environment. Whatever it holds, the model can read; so it is an allow-list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

ALLOWED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TERM", "TMPDIR", "XDG_*", "ORCH_*"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE"),
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "PIP_CERT", "CARGO_HTTP_CAINFO"),
)
NAMES = frozenset(name for name in ALLOWED if not name.endswith("*"))
FAMILIES = tuple(name.removesuffix("*") for name in ALLOWED if name.endswith("*"))
# Between the loop and its workers, or for crash tests; a descriptor's number means nothing in a child.
OURS = frozenset({"ORCH_OWNER_FD", "ORCH_FAILPOINT", "ORCH_FAILPOINT_TRACE"})


def allowed(environ: Mapping[str, str], extra_names: Iterable[str] = ()) -> dict[str, str]:
    """The part of `environ` a child gets: the allow-list and `extra_names` (`ANTHROPIC_*` names a family)."""
    extra = tuple(extra_names)
    return {name: value for name, value in environ.items() if name not in OURS and _passes(name, extra)}


def withheld(environ: Mapping[str, str], extra_names: Iterable[str] = ()) -> tuple[str, ...]:
    """The names in `environ` that a child doesn't get, sorted."""
    return tuple(sorted(environ.keys() - allowed(environ, extra_names).keys()))


def compose(base: Mapping[str, str], additions: Mapping[str, str | None]) -> dict[str, str]:
    """`base` with `additions` over it; None takes a name away."""
    merged = {**base, **additions}
    return {name: value for name, value in merged.items() if value is not None}


def _passes(name: str, extra: tuple[str, ...]) -> bool:
    """Names and beginnings first: as patterns they cost a fifth of all that a worker computes for a trivial task."""
    return name in NAMES or name.startswith(FAMILIES) or any(fnmatchcase(name, pattern) for pattern in extra)
