"""The bench's daemon without metrics: it takes whatever is measured, and keeps the count of cycles alone."""

import subprocess
import sys

_SCRIPT = """
from tests.bench.unmeasured import unmeasured
unmeasured()
from driftd.telemetry import Metrics
one = Metrics()
one.cycles.labels("clean").inc()
one.cycle_seconds.observe(0.1)
one.heal_seconds.labels("NetworkPolicy").observe(0.1, {"trace_id": "t"})
one.findings.clear()
one.tenant_findings.remove("acme", "high")
one.queue.set(3)
print(one.exposition()[0].decode())
"""


def test_a_daemon_without_metrics_counts_its_cycles_and_nothing_else() -> None:
    shown = subprocess.run([sys.executable, "-c", _SCRIPT], check=True, capture_output=True, text=True).stdout
    assert 'driftd_cycles_total{outcome="clean"} 1.0' in shown
    assert {line.split()[2] for line in shown.splitlines() if line.startswith("# TYPE")} == {"driftd_cycles"}
