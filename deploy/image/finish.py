"""The last step of the image's build: pip goes, the list of what is inside is written, driftd is compiled.

Run by the virtual environment's own Python with that environment's folder and the list of `ssh.py`. Standard library only.
"""

import compileall
import json
import re
import shutil
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from py_compile import PycInvalidationMode
from urllib.parse import quote


def component(found: Distribution) -> dict[str, object]:
    """One package as CycloneDX has it."""
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
    entry: dict[str, object] = {
        "type": "library",
        "name": name,
        "version": found.version,
        "purl": f"pkg:pypi/{name}@{found.version}",
        "bom-ref": f"pkg:pypi/{name}@{found.version}",
    }
    licence = found.metadata.get("License-Expression") or (found.metadata.get("License") or "").split("\n", 1)[0]
    if licence:
        entry["licenses"] = [{"license": {"name": licence[:200]}}]
    return entry


def debian_component(name: str, version: str) -> dict[str, object]:
    """One Debian package as CycloneDX has it."""
    purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}"
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def bill_of_materials(site: Path, debian: list[dict[str, str]]) -> dict[str, object]:
    """Every package below `site` and those of Debian; driftd itself is what the list is about."""
    found = sorted((component(one) for one in distributions(path=[str(site)])), key=lambda entry: str(entry["name"]))
    own = [entry for entry in found if entry["name"] == "driftd"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**own[0], "type": "application"}},
        "components": [
            *(entry for entry in found if entry["name"] != "driftd"),
            *(debian_component(one["name"], one["version"]) for one in debian),
        ],
    }


def main(environment: Path, debian: Path) -> None:
    """Finish the environment in this folder."""
    (site,) = environment.glob("lib/python3*/site-packages")
    for name in ("pip", "setuptools"):
        for folder in site.glob(f"{name}*"):
            shutil.rmtree(folder)
    for script in (*environment.glob("bin/pip*"), *environment.glob("bin/[Aa]ctivate*")):
        script.unlink()
    bill = bill_of_materials(site, json.loads(debian.read_text()))
    (environment / "sbom.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
    own = site / "driftd"
    if not compileall.compile_dir(own, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH, workers=0):
        sys.exit("not everything could be compiled")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
