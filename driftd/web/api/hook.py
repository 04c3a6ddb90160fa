"""The git server's webhook: a signed knock on the door, whose words are not read."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import structlog

from driftd.web.api.problems import NotAuthenticated, Unable

_UNSIGNED = "the webhook carries no signature with the secret of this daemon"
_log = structlog.get_logger()


_PROOFS = ("X-Hub-Signature-256", "X-Gitea-Signature", "X-Gitlab-Token")


def must_be_signed(headers: Mapping[str, str]) -> None:
    """Whether a webhook brings any proof at all: without one its body is not even read. Raises NotAuthenticated."""
    if not any(headers.get(name) for name in _PROOFS):
        raise NotAuthenticated(_UNSIGNED)


def check_knock(secret_file: Path, headers: Mapping[str, str], body: bytes) -> None:
    """Whether a webhook knows the secret: by GitHub's or Gitea's signature of the body, or as GitLab's token.

    Raises:
        NotAuthenticated: it does not. Unable: the secret cannot be read, so nobody is believed.
    """
    try:
        secret = secret_file.read_bytes().strip()
    except OSError as error:
        _log.error("hook.secret.unreadable", file=str(secret_file), why=type(error).__name__)
        raise Unable("the webhook's secret cannot be read; the branch is looked at in its time") from None
    if not secret:
        raise Unable("the webhook's secret is empty; the branch is looked at in its time")
    wanted = hmac.new(secret, body, sha256).hexdigest()
    signed = headers.get("X-Hub-Signature-256", "").removeprefix("sha256=") or headers.get("X-Gitea-Signature", "")
    token = headers.get("X-Gitlab-Token", "").encode("utf-8", "surrogateescape")
    if not (
        hmac.compare_digest(signed.encode("utf-8", "surrogateescape"), wanted.encode())
        or hmac.compare_digest(token, secret)
    ):
        raise NotAuthenticated(_UNSIGNED)
