"""Why a branch gives no model now; each says what, where, what was expected and what to do. None names a credential."""

from driftd.source.errors import SourceError


class GitUnreachable(SourceError):
    """No usable answer of the git server."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address} gives no usable answer ({why}); it is asked again, the model in force stays")


class GitTooSlow(SourceError):
    """The server did not finish in the time one reading may take."""

    def __init__(self, address: str, seconds: float) -> None:
        super().__init__(
            f"{address} did not finish within {seconds:g} s and was cut off; if the repository is that big or far, "
            "raise DRIFTD_MODEL__GIT__TIMEOUT_SECONDS"
        )


class GitDenied(SourceError):
    """The server does not accept the login."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(
            f"{address} refuses this login ({why}); renew the password file or the ssh key, and its right to read"
        )


class HostKeyUnknown(SourceError):
    """The ssh server's key is not the one that is pinned: somebody else may be answering."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} shows a host key that the known-hosts file does not pin; nothing was asked of it. If the "
            "server has a new key, put it into DRIFTD_MODEL__GIT__KNOWN_HOSTS_FILE after checking it by another way"
        )


class GitMissing(SourceError):
    """The repository, the branch or the folder is not there."""

    def __init__(self, address: str, what: str) -> None:
        super().__init__(
            f"{address} has no {what}; check the address, the branch and the folder in DRIFTD_MODEL__GIT__*"
        )


class TooMuchToFetch(SourceError):
    """The repository is bigger than driftd is willing to take in."""

    def __init__(self, what: str, found: str, limit: str, setting: str) -> None:
        super().__init__(
            f"{what}: {found}, the limit is {limit}; keep the model in a repository of its own, or raise {setting}"
        )


class PackBroken(SourceError):
    """What was sent is no whole pack: cut off on the way, damaged, or made to do harm."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address} sent a pack that is not whole ({why}); nothing of it is used, it is fetched again")


class HistoryRewritten(SourceError):
    """The branch does not lead on from the commit in force: it was forced, reset, or replayed from an older state."""

    approvable = True

    def __init__(self, address: str, commit: str, of: str) -> None:
        self.commit = commit
        super().__init__(
            f"{commit} on {address} does not descend from {of}, the commit in force: the branch was rewritten or set "
            f"back; put {of[:12]} back below it, or accept the new history with `driftd approve {commit}`"
        )


class CommitNotSigned(SourceError):
    """The newest commit carries no signature of an allowed key."""

    def __init__(self, commit: str, why: str) -> None:
        self.commit = commit
        super().__init__(
            f"commit {commit} is not accepted: {why}; sign it with an ssh key of the allowed-signers file "
            "(git config gpg.format ssh, git commit -S), or put its signer there"
        )


class SignersUnusable(SourceError):
    """The allowed-signers file cannot be read: with nobody known to be allowed, nobody is."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"allowed-signers file {path}: {why}; expected lines like `who@example.com ssh-ed25519 AAAA...`"
        )


class SubmoduleInModel(SourceError):
    """A folder of the model lies in another repository, which nobody has verified."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is a submodule; put its files into the model's own repository")


class LargeFileElsewhere(SourceError):
    """A file of the model is only a pointer into a large-file store."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is a Git LFS pointer and not the file itself; take *.yaml out of .gitattributes")
