"""Where this daemon's model comes from: a directory, or a git branch if one is named."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driftd.settings import GitSettings, Settings
from driftd.source import DirectorySource, Source
from driftd.values import Clock

if TYPE_CHECKING:
    from driftd.source.git import Repository


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A source, and what only some can do: be told to look, and know which commit comes after which."""

    source: Source
    poke: Callable[[], None] | None = None
    descends: Callable[[str, str], Awaitable[bool]] | None = None


def model_source(
    settings: Settings, clock: Clock, in_force: Callable[[], str], approved: Callable[[], str]
) -> ModelSource:
    """The source that the settings name. Raises `SourceError` for an address that is of no use."""
    git = settings.model.git
    if not git.url.get_secret_value():
        return ModelSource(DirectorySource(settings.model.path, poll_seconds=settings.model.poll_seconds))
    from driftd.source.git import Caps, GitSource  # noqa: PLC0415 - 5 MB that a directory needs none of

    source = GitSource(
        _repository(git),
        clock=clock,
        scratch=settings.data_dir,
        in_force=in_force,
        approved=approved,
        signers_file=git.allowed_signers_file,
        poll_seconds=git.poll_seconds,
        timeout_seconds=git.timeout_seconds,
        caps=Caps(
            pack_bytes=git.pack_bytes,
            objects=git.objects,
            object_bytes=git.object_bytes,
            unpacked_bytes=git.unpacked_bytes,
        ),
    )
    return ModelSource(source, source.poke, source.is_descendant)


def _repository(git: GitSettings) -> "Repository":
    from driftd.source.git import Address, Login, Repository  # noqa: PLC0415

    login = Login(
        username=git.username,
        password_file=git.password_file,
        ca_file=git.ca_file,
        ssh_key_file=git.ssh_key_file,
        known_hosts_file=git.known_hosts_file,
    )
    return Repository(Address.parse(git.url.get_secret_value()), git.branch, git.folder.strip("/"), login)
