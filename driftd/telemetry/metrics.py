"""Every metric driftd exposes: names, labels and meanings in one place."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Metrics:
    """One registry a process. Labels never carry object names: their number must stay bounded by the kinds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        one = self.registry
        self.cycles = Counter("driftd_cycles", "Scope cycles by outcome.", ["outcome"], registry=one)
        self.cycle_seconds = Histogram(
            "driftd_cycle_seconds", "Duration of one scope cycle.", buckets=_FAST, registry=one
        )
        self.heal_seconds = Histogram(
            "driftd_time_to_heal_seconds",
            "From the moment a change reached driftd to the last answer to the writes planned with its repair.",
            ["kind"],
            buckets=_FAST,
            registry=one,
        )
        self.detect_seconds = Histogram(
            "driftd_time_to_detect_seconds",
            "From the moment a change reached driftd to the finding about it.",
            ["kind"],
            buckets=_FAST,
            registry=one,
        )
        self.findings = Gauge(
            "driftd_findings_open", "Open findings.", ["kind", "type", "direction", "severity"], registry=one
        )
        self.tenant_findings = Gauge(
            "driftd_tenant_findings_open",
            "Open findings of a tenant; tenants without any are not listed, and the platform's own have no name.",
            ["tenant", "severity"],
            registry=one,
        )
        self.writes = Counter("driftd_writes", "Writes to the API server.", ["kind", "verb", "result"], registry=one)
        self.queue = Gauge("driftd_dirty_scopes", "Scopes waiting to be judged.", registry=one)
        self.kind_state = Gauge(
            "driftd_kind_state",
            "1 for the state a kind is in: absent, syncing, ready, blind.",
            ["kind", "state"],
            registry=one,
        )
        self.kind_stopped = Gauge(
            "driftd_kind_stopped",
            "1 while objects of a kind are not written, because the API server adds fields that nobody sent.",
            ["kind"],
            registry=one,
        )
        self.objects = Gauge("driftd_mirror_objects", "Objects held in the mirror.", ["kind"], registry=one)
        self.divergence = Counter(
            "driftd_mirror_divergence", "Objects whose mirror differed from a fresh read.", ["kind"], registry=one
        )
        self.workloads_judged = Gauge(
            "driftd_workloads_judged_timestamp_seconds",
            "When live pods, services and slices were last held against the model.",
            registry=one,
        )
        self.model_accepted = Gauge(
            "driftd_model_accepted_timestamp_seconds", "When the model in force was accepted.", registry=one
        )
        self.model_problems = Gauge(
            "driftd_model_problems", "Problems of the newest model.", ["severity"], registry=one
        )
        self.model_held = Gauge("driftd_model_held", "1 while a newer model is held back.", registry=one)
        self.model_quarantined = Gauge(
            "driftd_model_quarantined", "Tenants that are kept at their last good version.", registry=one
        )
        self.paused = Gauge("driftd_paused_namespaces", "Namespaces whose repairs somebody has paused.", registry=one)
        self.leading = Gauge("driftd_leading", "1 while this replica leads.", registry=one)
        self.epoch = Gauge("driftd_epoch", "Leadership epoch of this replica's newest term.", registry=one)
        self.store_ok = Gauge(
            "driftd_store_ok", "1 while the store takes writes; 0 while the journal does, or nobody.", registry=one
        )
        self.records_lost = Counter(
            "driftd_records_lost", "Records that neither database nor journal took.", registry=one
        )
        self.fights = Gauge("driftd_fights_open", "Objects somebody else keeps changing back.", registry=one)
        self.fight_open = Gauge(
            "driftd_fight_open_ratio",
            "Share of its time, 0 to 1, that the most open object of the fights under way stood open.",
            registry=one,
        )
        self.last_pass = Gauge(
            "driftd_last_pass_timestamp_seconds",
            "When every scope had been judged since the last sweep, with all kinds readable.",
            registry=one,
        )
        self.spans = Counter(
            "driftd_spans",
            "Spans made, sent to the collector, and lost: not taken there, or no room in the queue; the rest waits.",
            ["result"],
            registry=one,
        )
        self.pages_open = Gauge(
            "driftd_pages_open", "Pages that are told and not over.", ["class", "urgency"], registry=one
        )
        self.deliveries = Counter(
            "driftd_page_deliveries",
            "Tries to tell a destination of a page: accepted, failed (tried again) or refused (never taken).",
            ["destination", "action", "result"],
            registry=one,
        )
        self.outbox_depth = Gauge(
            "driftd_outbox_depth", "Pages a destination has yet to be told something of.", ["destination"], registry=one
        )
        self.page_seconds = Histogram(
            "driftd_time_to_page_seconds",
            "From the drift's opening to a destination's accepting the first page of it; each destination counts.",
            ["class"],
            buckets=(0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 30.0, 60.0, 62.0, 120.0, 600.0, 3600.0),
            registry=one,
        )
        self.loop_lag = Gauge("driftd_loop_lag_seconds", "Newest measured delay of the event loop.", registry=one)

    def exposition(self) -> tuple[bytes, str]:
        """The OpenMetrics text and its content type (exemplars exist in no other format)."""
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return text, CONTENT_TYPE_LATEST
