"""How driftd logs in: a kubeconfig (tokens, certificates, exec plugins) or the service account of its own pod.

kubernetes-asyncio reads the formats; what is ours is when they are read again. Bound tokens are rotated on disk
before they expire (KEP-1205), client certificates and the CA bundle change too, and a rejected token must be read
afresh once before anybody is told that access is gone.
"""

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import yaml

from driftd.cluster.errors import CredentialsUnusable, clean
from driftd.cluster.library import library

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LOAD_SECONDS: Final = 30.0
_LOADING: Final = (
    *(OSError, ValueError, TimeoutError, yaml.YAMLError, aiohttp.ClientError),
    *(TypeError, AttributeError, KeyError, AssertionError),  # how the library meets a file that is no mapping
)


class Credentials(Protocol):
    """A way to log in."""

    async def load(self, *, afresh: bool) -> Any:
        """A configuration of the library, filled in; `afresh` distrusts everything remembered.

        Raises:
            CredentialsUnusable: there is nothing usable.
        """
        ...


@dataclass(slots=True)
class Kubeconfig:
    """The credentials of one context of a kubeconfig file; never written back to."""

    path: str
    context: str | None = None
    _loader: Any = field(default=None, init=False)
    _configuration: Any = field(default=None, init=False)

    def __str__(self) -> str:
        return f"kubeconfig {self.path}" + (f", context {self.context}" if self.context else "")

    async def load(self, *, afresh: bool) -> Any:
        """Reads the file again; between that, an exec plugin runs only when the expiry it named has come."""
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                if afresh or self._loader is None:
                    configuration = library().Configuration()
                    self._loader = await library().load_kube_config(
                        config_file=self.path,
                        context=self.context,
                        client_configuration=configuration,
                        persist_config=False,
                    )
                    self._configuration = configuration
                elif hasattr(self._loader, "exec_plugin_expiry"):
                    await self._loader.load_and_set(self._configuration)
        except (library().ConfigException, *_LOADING) as error:
            raise self._unusable(error) from error
        return self._configuration

    def _unusable(self, error: Exception) -> CredentialsUnusable:
        if not any(Path(one).exists() for one in self.path.split(os.pathsep)):
            return CredentialsUnusable(f"kubeconfig {self.path}: there is no such file; name one that is there")
        return CredentialsUnusable(
            f"kubeconfig {self.path}: {type(error).__name__}: {clean(str(error))}; "
            "check the file, its current-context and the user it names"
        )


@dataclass(slots=True)
class InCluster:
    """The credentials that kubelet mounts into a pod. Every load reads the token file: kubelet rotates it."""

    folder: Path = SERVICE_ACCOUNT

    def __str__(self) -> str:
        return "of this pod"

    async def load(self, *, afresh: bool) -> Any:  # noqa: ARG002 (nothing is remembered)
        configuration = library().Configuration()
        try:
            library().load_incluster_config(
                client_configuration=configuration,
                try_refresh_token=False,
                token_filename=str(self.folder / "token"),
                cert_filename=str(self.folder / "ca.crt"),
            )
        except (library().ConfigException, OSError, ValueError) as error:
            raise CredentialsUnusable(
                f"in-cluster credentials in {self.folder}: {clean(str(error))}; "
                "run driftd in a pod with a service account token, or name a kubeconfig"
            ) from error
        configuration.api_key["BearerToken"] = configuration.api_key["BearerToken"].strip()
        return configuration


def in_a_pod() -> bool:
    """Whether this process runs in a pod whose account may log in to its cluster."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").exists()


def default_credentials(kubeconfig: str | None, context: str | None = None) -> Credentials:
    """The kubeconfig that is named, else the pod's own account inside a cluster, else the user's default file."""
    if kubeconfig:
        return Kubeconfig(kubeconfig, context)
    if in_a_pod():
        return InCluster()
    return Kubeconfig(os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config"), context)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files a session's TLS context was made from, as they were then."""

    stamps: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, configuration: Any) -> "TlsFiles":
        names = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
        return cls(tuple(_stamp(name) for name in names if name))


def _stamp(name: str) -> tuple[str, int, int]:
    try:
        stat = os.stat(name)  # noqa: PTH116 (a Path would be made only to be thrown away)
    except OSError:
        return name, 0, 0
    return name, stat.st_mtime_ns, stat.st_size
