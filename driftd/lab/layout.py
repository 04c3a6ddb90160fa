"""Where everything of one lab lies in its data folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder and the names in it. The folder is its owner's alone: it holds the keys to the lab."""

    root: Path

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def kubeconfigs(self) -> Path:
        """Kubeconfig files of others than the administrator."""
        return self.root / "kubeconfigs"

    @property
    def audit_policy(self) -> Path:
        return self.root / "audit-policy.yaml"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "logs" / "supervisor.log"

    def log(self, part: str) -> Path:
        """What a part prints, over all its starts."""
        return self.root / "logs" / f"{part}.log"

    def audit_log(self, part: str) -> Path:
        """Each API server has an audit log of its own."""
        return self.root / "audit" / f"{part}.log"

    def create(self) -> None:
        """Make the folders, private; those that are there already stay."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for folder in (self.pki, self.etcd, self.kubeconfigs, self.root / "logs", self.root / "audit"):
            folder.mkdir(mode=0o700, exist_ok=True)
