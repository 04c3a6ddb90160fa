"""`make manifests`: the plain manifests of deploy/manifests, rendered from the chart, one file a template.

They are kept in git, so that nobody needs Helm. Beside them stands the digest of the chart they were rendered from: a
changed chart is noticed even where there is no helm to render it again.
"""

import re
from hashlib import sha256
from pathlib import Path

from tests.support.helm import CHART, find_helm, template

MANIFESTS = CHART.parent / "manifests"
DIGEST = MANIFESTS / "chart.sha256"
FILES = {"rbac": "rbac.yaml", "admission": "admission.yaml", "deployment": "driftd.yaml"}
"""By template."""
ARGS = ("--set", "namespace.create=true", "--set", "model.configMap=driftd-model")
_HEAD = "# Rendered from deploy/chart by `make manifests`: change the chart, not this file.\n"


def rendered(program: Path | None = None) -> dict[str, str]:
    """The text of each file."""
    parts: dict[str, list[str]] = {name: [] for name in FILES}
    for document in template(*ARGS, program=program).split("---\n"):
        source = re.match(r"# Source: driftd/templates/(\w+)\.yaml\n", document)
        if source:
            text = document[source.end() :].rstrip()
            parts[source[1]].append("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    return {FILES[name]: _HEAD + "---\n".join(documents) for name, documents in parts.items()}


def chart_digest() -> str:
    """SHA-256 over the chart's files, their names and these arguments."""
    total = sha256(" ".join(ARGS).encode())
    for file in sorted(path for path in CHART.rglob("*") if path.is_file()):
        total.update(f"\n{file.relative_to(CHART).as_posix()}\n".encode() + file.read_bytes())
    return total.hexdigest()


def main() -> None:
    for name, text in rendered(find_helm()).items():
        (MANIFESTS / name).write_text(text)
        print(f"wrote manifests/{name}")
    DIGEST.write_text(chart_digest() + "\n")


if __name__ == "__main__":
    main()
