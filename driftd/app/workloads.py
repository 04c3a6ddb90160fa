"""Live workloads wired: what is watched of them, where, and who judges what they mean."""

from collections.abc import Awaitable, Callable

from driftd.cluster import EventRecorder, Mirror, Pace, ReflectorSettings, Session, WorkloadMirror, WorkloadWatchers
from driftd.compile import Compiled
from driftd.engine import Meaning, OpenFindings, Teller, WorkloadDrift
from driftd.telemetry import Metrics
from driftd.values import Finding, Scope


class LiveWorkloads:
    """Pods and services of the namespaces that the model in force speaks of, and what they mean for it."""

    def __init__(
        self,
        *,
        session: Session,
        pace: Pace,
        settings: ReflectorSettings,
        relist_seconds: float,
        namespace_bytes: int,
        mirror: Mirror,
        compiled: Callable[[], Compiled | None],
        meaning: Meaning,
        findings: OpenFindings,
        recorder: EventRecorder,
        changed: Callable[[Scope], None],
        judged: Callable[[Finding], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        self._interest: frozenset[str] = frozenset()
        self._meaning = meaning
        self.mirror = WorkloadMirror(lambda namespace: namespace in self._interest, namespace_bytes)
        self.watchers = WorkloadWatchers(session, self.mirror, pace, settings, relist_seconds)
        self.drift = WorkloadDrift(
            workloads=self.mirror,
            mirror=mirror,
            compiled=compiled,
            judge=meaning,
            findings=findings,
            changed=changed,
            updated=judged,
            opened=Teller(recorder).found,
            pace=pace,
            metrics=metrics,
        )
        meaning.subscribe_losses(self.drift.world_lost)

    def model_changed(self, compiled: Compiled) -> None:
        """Another model is in force: other namespaces may be of interest, and everything means something else."""
        interest = frozenset(compiled.governed) | frozenset(compiled.peers)
        if interest != self._interest:
            self._interest = interest
            self.watchers.relist()
        self.drift.model_changed()
        self._meaning.reconsider()

    @property
    def stuck_seconds(self) -> tuple[float, float]:
        """For how long differences, and live workloads, have waited without a judgement that came to an end."""
        return self._meaning.stuck_seconds, self.drift.stuck_seconds

    def parts(self) -> dict[str, str]:
        """What a person is told of the state of all this."""
        states = {str(resource): state.value for resource, (state, _) in self.mirror.states().items()}
        return {**states, "workloads": "judged" if self.drift.judged else "not judged yet"}
