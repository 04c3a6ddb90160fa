"""What the probes of the kubelet, and people, are told of the daemon's state."""

from dataclasses import dataclass

from driftd.app.workloads import LiveWorkloads
from driftd.cluster import Elector, Mirror
from driftd.engine import ModelLoop, Observer, Pauses, ScopeLoop, StoppedKinds
from driftd.store import Store
from driftd.web import Health


@dataclass(frozen=True, slots=True)
class Readiness:
    """Alive while the loop turns; ready when this replica leads and has judged every scope, or another one leads."""

    identity: str
    mirror: Mirror
    observer: Observer
    models: ModelLoop
    loop: ScopeLoop
    stopped: StoppedKinds
    pauses: Pauses
    elector: Elector
    store: Store
    workloads: LiveWorkloads

    def live(self) -> Health:
        """Answering at all is what is asked."""
        return Health(ok=True, parts={"store": self.store.state.mode.value})

    def ready(self) -> Health:
        """Whether what the metrics say can be believed, part by part.

        Anybody may ask: kinds and counts, and no tenant, namespace or file. Who has a token is told more by the API.
        """
        states = {str(resource): state.value for resource, (state, _) in self.mirror.states().items()}
        model = self.models.in_force
        holder = self.elector.holder
        stands_by = self.elector.led_by_other
        parts = {
            **states,
            **self.workloads.parts(),
            "model": model.commit if model else "none",
            "model_held": "yes" if self.models.status.held else "no",
            "leading": "yes" if self.elector.leading else f"no, {holder if stands_by else 'nobody'} does",
            "kinds_stopped": ", ".join(one.ref.kind for one in self.stopped.all()) or "none",
            "paused": str(len(self.pauses.all())),
            "judged": "all" if self.loop.swept else "not yet",
            "store": self.store.state.mode.value,
        }
        unready = self.observer.unready_under(model.compiled.dialect) if model else ()
        if unready:
            parts["kinds_not_ready"] = ", ".join(unready)
        judged = self.elector.leading and self.loop.swept
        ok = model is not None and not unready and (judged or stands_by)
        return Health(ok=ok, parts=parts)
