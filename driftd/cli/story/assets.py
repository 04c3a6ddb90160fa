"""What the story plays with: the example model and driftd's own rights, from a checkout or from the package."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import driftd
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError


@dataclass(frozen=True, slots=True)
class Assets:
    """Where the model's directory and the manifest with the rights lie."""

    models: Path
    rbac: Path

    @property
    def complete(self) -> bool:
        return self.models.is_dir() and self.rbac.is_file()

    def copy_models(self, target: Path) -> Path:
        """The model somewhere else, so that whoever plays with it changes nothing of ours."""
        shutil.copytree(self.models, target)
        return target


def story_assets(package: Path = Path(driftd.__file__).parent) -> Assets:
    """Those of a checkout where there is one, else those that travel in the package.

    Raises:
        CommandError: neither is there (exit code 3).
    """
    checkout = Assets(package.parent / "models", package.parent / "deploy" / "manifests" / "rbac.yaml")
    carried = Assets(package / "_data" / "models", package / "_data" / "rbac.yaml")
    for found in (checkout, carried):
        if found.complete:
            return found
    raise CommandError(
        f"neither {checkout.models.parent} nor {carried.models.parent} holds the example model and driftd's rights; "
        "install driftd again, or run this from a checkout",
        Exit.UNKNOWN,
    )
