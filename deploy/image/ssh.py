"""OpenSSH's client for the final stage: the program, the libraries it loads, and a name for the user that runs it.

Run in the build stage with a folder that is copied over the final stage's root, and the file that tells `finish.py` which
Debian packages these files are of. Standard library only.

The libraries go to /usr/lib, where the loader looks last: whatever the base has of its own is taken first.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

USER = "driftd:x:65532:65532:driftd:/tmp:/usr/sbin/nologin\n"
"""ssh refuses to run for a user without a name."""
_PASSWD = Path("/etc/passwd")
_OF_THE_BASE = re.compile(r"(ld-linux|libc|libm|libresolv|libdl|libpthread|librt)\b")
"""The C library comes with the base's Python, and only with its own loader."""


def said(*command: str) -> str:
    """What a program prints; its failure ends the build."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(program: Path) -> list[Path]:
    """The shared libraries that a program loads, by the paths the loader finds them at."""
    found = re.findall(r"=> (/\S+)", said("ldd", str(program)))
    return [Path(path) for path in found if not _OF_THE_BASE.match(Path(path).name)]


def owner(file: Path) -> str:
    """The Debian package that a file is of. /lib and /usr/lib are one folder, and dpkg knows a file by either."""
    for path in (str(file), f"/usr{file}"):
        done = subprocess.run(["dpkg-query", "--search", path], check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    sys.exit(f"{file} is of no Debian package, so nobody could say what is in the image")


def packages(files: list[Path]) -> list[dict[str, str]]:
    """Name and version of the Debian packages that own these files."""
    owners = sorted({owner(file) for file in files})
    shown = said("dpkg-query", "--show", "--showformat=${Package} ${Version}\\n", *owners)
    return [dict(zip(("name", "version"), line.split(), strict=True)) for line in shown.splitlines()]


def main(root: Path, listed: Path) -> None:
    """Fill the folder."""
    place = shutil.which("ssh")
    if place is None:
        sys.exit("BUILD_BASE has no ssh: choose one with Debian's openssh-client, such as python:3.11-bookworm")
    needed = libraries(Path(place))
    for source, folder in ((Path(place), "usr/bin"), *((library, "usr/lib") for library in needed)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / folder / source.name)
    (root / "etc").mkdir()
    others = [line for line in _PASSWD.read_text().splitlines(keepends=True) if line.split(":")[2] != "65532"]
    (root / "etc" / "passwd").write_text("".join([*others, USER]))
    listed.write_text(json.dumps(packages([Path(place), *needed])))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
