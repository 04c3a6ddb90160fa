"""`python -m tests.campaign.search.mutants`: plants mistakes in a copy of the engine; the search must find each.

A mistake that survives is a gap in what the search draws or asks. One that only large clusters show names the test that
must find it instead. Each runs in a process of its own, on a copy of the package with one line changed. Exits 1 if one
survives, or if a line to change is not there any more.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REACH = Path("driftd/policy/reach")


@dataclass(frozen=True)
class Mutant:
    """One planted mistake: a text of a module, and what stands there instead. `test` finds what no small case shows."""

    name: str
    module: str
    text: str
    instead: str
    test: str = ""


MUTANTS = (
    Mutant(
        "host bits of a CIDR count",
        "addresses.py",
        "    base = V6_BASE if network.version == 6 else 0\n    return",
        "    base = V6_BASE if network.version == 6 else 0\n    if has_host_bits(cidr):\n"
        "        first = address(cidr.partition('/')[0])\n"
        "        return Ranges(((first, base + int(network.broadcast_address)),))\n    return",
    ),
    Mutant(
        "the selectors of one peer are alternatives",
        "network_policy.py",
        "else Pods(namespaces=where_from, labels=labels)",
        "else either((Pods(namespaces=where_from), Pods(labels=labels))) if pods else Pods(namespaces=where_from)",
    ),
    Mutant("an exception is left out", "network_policy.py", "ranges = reduce(sub, parts)", "ranges = parts[0]"),
    Mutant(
        "endPort is not part of its range",
        "network_policy.py",
        "numbers = ports(protocol_name, port, end)",
        "numbers = ports(protocol_name, port, max(port, end - 1) if end else end)",
    ),
    Mutant(
        "everybody reads endPort",
        "rules.py",
        "return NONE if self._reading.port_ranges is Answer.YES else match.ranged",
        "return NONE",
    ),
    Mutant(
        "host endpoints close nothing",
        "draft.py",
        "        self.put_policy(host_plane())\n",
        "        pass\n",
    ),
    Mutant(
        "the two names of a policy are one",
        "calico_objects.py",
        "return ObjectRef(GROUP, kind, namespace, name)",
        "return ObjectRef(GROUP, kind, namespace, name.removeprefix('default.'))",
    ),
    Mutant(
        "a port name of any protocol will do",
        "rules.py",
        "numbers = have.get(name, ())",
        "numbers = next((have[key] for key in have if key[1] == name[1]), ())",
    ),
    Mutant(
        "a protocol without a port means every protocol",
        "network_policy.py",
        "return PortMatch(protocol(protocol_name))",
        "return PortMatch(protocol('TCP') | protocol('UDP') | protocol('SCTP'))",
    ),
    Mutant(
        "egress rules alone do not isolate",
        "network_policy.py",
        '["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]',
        '["Ingress"]',
    ),
    Mutant(
        "NotIn needs the key",
        "selectors.py",
        'return In(key, values) if operator == "In" else Not(In(key, values))',
        'return In(key, values) if operator == "In" else And((Has(key), Not(In(key, values))))',
    ),
    Mutant(
        "the end of a tier always denies",
        "walk.py",
        "self.settle(tier.default, self.here)",
        "self.settle(Action.DENY, self.here)",
    ),
    Mutant(
        "Pass is Allow", "walk.py", "self.onward = join(self.onward, hit)", "self.allowed = join(self.allowed, hit)"
    ),
    Mutant(
        "policies of one tier go by name alone",
        "planning.py",
        "return tier.order, tier.name, policy.rank",
        "return tier.order, tier.name, (0.0, policy.rank[1])",
    ),
    Mutant(
        "notSelector takes in only pods",
        "calico_entity.py",
        "parts.append(Unless(self._known(Pods(labels=unwanted, calico=True), unwanted)))",
        "parts.append(both((Pods(), Unless(self._known(Pods(labels=unwanted, calico=True), unwanted)))))",
    ),
    Mutant("a code of ICMP is every code", "calico_ports.py", "None if code is None else int(code)", "None"),
    Mutant(
        "network sets count for nobody",
        "calico_entity.py",
        "return either((pods, Block(ranges, pods=True))) if ranges else pods",
        "return pods",
    ),
    Mutant(
        "a verdict outlives a class that its rules match",
        "snapshot.py",
        "                plan.forget()\n",
        "                pass\n",
    ),
    Mutant(
        "of two moved ends only the first is compared",
        "delta.py",
        "for target in cells.moved:",
        "for target in cells.moved[:1]:",
    ),
    Mutant("what closes is left out", "delta.py", "self._split(self.removed, traffic,", "self._split([], traffic,"),
    Mutant(
        "traffic without ports is never faced",
        "cells.py",
        "(self.traffic[1] and peers[1] & self.bits)",
        "False",
        test="tests/policy/reach/test_wide_changes.py::"
        "test_traffic_without_ports_alone_is_seen_to_close_for_everybody_whom_nothing_else_concerns",
    ),
)


def survives(mutant: Mutant, cases: int, folder: Path) -> bool:
    """Whether the search goes through so many cases of a mistaken engine without noticing, or the test does."""
    for name in ("driftd", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "lab"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    module = folder / REACH / mutant.module
    source = module.read_text()
    if source.count(mutant.text) < 1:
        raise SystemExit(f"{mutant.name}: {mutant.module} does not hold {mutant.text!r}: bring the mutant up to date")
    module.write_text(source.replace(mutant.text, mutant.instead))
    search = ["tests.campaign.search", "--seed", "mutants", "--cases", str(cases), "--plain"]
    command = ["pytest", "-q", "-p", "no:cacheprovider", mutant.test] if mutant.test else search
    found = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    if found.returncode not in (0, 1) or "Traceback" in found.stderr:
        raise SystemExit(f"{mutant.name}: {command[0]} itself broke\n{(found.stdout + found.stderr)[-2000:]}")
    return found.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.search.mutants", description=__doc__)
    parser.add_argument("--cases", type=int, default=5_000, help="how many cases each mistake may survive")
    parser.add_argument("--only", help="a word of the names of those to plant")
    arguments = parser.parse_args()
    alive = 0
    for mutant in MUTANTS:
        if arguments.only and arguments.only not in mutant.name:
            continue
        with tempfile.TemporaryDirectory(prefix="driftd-mutant-") as scratch:
            lives = survives(mutant, arguments.cases, Path(scratch))
        alive += lives
        print(f"{'SURVIVES' if lives else 'found':9} {mutant.name}", flush=True)
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
