"""What the story plays with: the example model and what holds driftd, from a checkout or from the package."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import driftd
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError


@dataclass(frozen=True, slots=True)
class Assets:
    """Where the model's directory lies, and that of the manifests: driftd's rights, and the policies that hold it."""

    models: Path
    manifests: Path

    @property
    def complete(self) -> bool:
        return self.models.is_dir() and all(file.is_file() for file in self.installed)

    @property
    def installed(self) -> tuple[Path, Path]:
        """The manifests in the order of their installation."""
        return self.manifests / "rbac.yaml", self.manifests / "admission.yaml"

    def copy_models(self, target: Path) -> Path:
        """The model somewhere else, so that whoever plays with it changes nothing of ours."""
        shutil.copytree(self.models, target)
        return target


def story_assets(package: Path = Path(driftd.__file__).parent) -> Assets:
    """Those of a checkout where there is one, else those that travel in the package.

    Raises:
        CommandError: neither is there (exit code 3).
    """
    checkout = Assets(package.parent / "models", package.parent / "deploy" / "manifests")
    carried = Assets(package / "_data" / "models", package / "_data" / "manifests")
    for found in (checkout, carried):
        if found.complete:
            return found
    raise CommandError(
        f"neither {checkout.models.parent} nor {carried.models.parent} holds the example model and driftd's rights; "
        "install driftd again, or run this from a checkout",
        Exit.UNKNOWN,
    )
