"""Process settings: one tree of frozen models. Nothing about tenants lives here; that is the model's."""

import os
import secrets
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiSettings(_Part):
    """How driftd talks to the Kubernetes API server."""

    kubeconfig: Path | None = Field(
        None, description="Kubeconfig file; in a cluster leave it out: the pod's own credentials are used."
    )
    context: str | None = Field(None, description="Context of that kubeconfig; its current context unless said.")
    connect_timeout_seconds: Seconds = Field(5.0, description="Bound on opening a connection.")
    read_timeout_seconds: Seconds = Field(15.0, description="Bound on one answer, watches aside.")


class WatchSettings(_Part):
    """How the live cluster is watched (D6): the watch is a hint, the list is the truth."""

    page_size: int = Field(500, ge=10, le=5000, description="Objects a page of a list.")
    server_timeout_min_seconds: Seconds = Field(300.0, description="Shortest server-side life of one watch.")
    server_timeout_max_seconds: Seconds = Field(
        600.0, description="Longest server-side life of one watch; each takes a random one."
    )
    silence_seconds: Seconds = Field(
        90.0,
        description="A watch that brings neither event nor bookmark for so long is taken for dead and opened again.",
    )
    blind_seconds: Seconds = Field(
        45.0, description="Cut off for so long, a kind is blind: nothing is said of it any more."
    )
    discovery_seconds: Seconds = Field(30.0, description="How often the served kinds are asked for.")

    namespace_bytes: int = Field(
        1024 * 1024,
        ge=0,
        description="Bytes of one kind in one namespace that are kept in memory, a KiB for each object beside its "
        "content. Of what is beyond, driftd keeps whether it differs, and reads it again for a repair; ServiceAccounts "
        "that the model does not name are not known at all. Either is a page. 0: without end.",
    )
    namespace_workload_bytes: int = Field(
        8 * 1024 * 1024,
        ge=0,
        description="Bytes of pods, services and endpoint slices of one namespace that are kept in memory, as driftd "
        "reckons them: some 2,500 usual pods. What is beyond is not known, which is a finding and a page. 0: without "
        "end.",
    )
    workloads_relist_seconds: Seconds = Field(
        1800.0, description="How often pods, services and endpoint slices are listed anew beside their watch."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "WatchSettings":
        if self.server_timeout_min_seconds > self.server_timeout_max_seconds:
            raise ValueError("server_timeout_min_seconds must not exceed server_timeout_max_seconds")
        return self


class AuditSettings(_Part):
    """How often the mirror is held against the truth."""

    relist_seconds: Seconds = Field(300.0, description="Full re-list of every governed kind.")
    rolling_gets_per_second: float = Field(
        5.0, ge=0, le=500, description="Expected objects read one by one from etcd, beside the watch; 0 turns it off."
    )
    heartbeat_seconds: Seconds = Field(30.0, description="How often the canary object is changed.")
    heartbeat_bound_seconds: Seconds = Field(10.0, description="How soon its watch event must be here.")


_LONGEST_PAUSE = 1.2
"""The longest pause between two renewals, as a multiple of `retry_seconds`: replicas do not all ask at once."""
_DEADLINE_SHARE = 2 / 3
"""Of the lease: a longer lease that kept a short deadline would bear no slower answers than before."""


class LeaseSettings(_Part):
    """Leader election (D10)."""

    name: str = Field("driftd", min_length=1, max_length=63, description="Name of the Lease in driftd's namespace.")
    duration_seconds: Seconds = Field(
        15.0,
        description="How long a lease holds without renewal: six times the slowest answers of the API server, or more.",
    )
    renew_deadline_seconds: Seconds = Field(
        default_factory=lambda said: said["duration_seconds"] * _DEADLINE_SHARE,
        description="A leader that could not renew for so long stops writing, and one answer is waited for a third of "
        "it; two thirds of `duration_seconds` unless set.",
    )
    retry_seconds: Seconds = Field(
        2.0, description="Pause between two renewals; a standby looks at the lease eight times as often."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "LeaseSettings":
        if not self.retry_seconds * _LONGEST_PAUSE < self.renew_deadline_seconds < self.duration_seconds:
            raise ValueError(
                f"retry_seconds * {_LONGEST_PAUSE} < renew_deadline_seconds < duration_seconds must hold "
                "(a pause between renewals may take a fifth longer)"
            )
        return self


class EngineSettings(_Part):
    """The scope loop."""

    workers: int = Field(8, ge=1, le=64, description="Scopes judged side by side.")
    retry_min_seconds: Seconds = Field(0.5, description="First pause after a write that failed; doubled each time.")
    retry_max_seconds: Seconds = Field(30.0, description="Longest such pause.")
    relearn_seconds: Seconds = Field(
        60.0,
        description=(
            "Pause before the API server is asked again, by a dry run, about a kind that is not written because it "
            "adds fields to it; doubled each time the kind has to be stopped anew."
        ),
    )
    stop_seconds: Seconds = Field(20.0, description="How long a stop waits for writes under way.")
    judged_policies: int = Field(
        20_000,
        ge=0,
        description="With more policies than this in the model, the direction of drift stays unknown; 10,000 take "
        "67 MB once something is to be judged.",
    )


class GitSettings(_Part):
    """A git branch as the model's source. Files are read anew each time: mounted Secrets may change."""

    url: SecretStr = Field(
        SecretStr(""),
        description="`https://host/path` or `ssh://git@host/path`; empty reads `model.path`. Never logged whole.",
    )
    branch: str = Field("main", min_length=1, max_length=200, description="Branch, followed forward only.")
    folder: str = Field("", max_length=80, description="Folder of the repository that is the model's root.")
    username: str = Field("", description="For https, beside a password; tokens mostly want any name.")
    password_file: Path | None = Field(None, description="File with the password or token for https.")
    ca_file: Path | None = Field(None, description="Authorities to trust for https, instead of the usual ones.")
    ssh_key_file: Path | None = Field(None, description="Private key for ssh, without a passphrase.")
    known_hosts_file: Path | None = Field(None, description="The ssh server's key: no other is believed.")
    allowed_signers_file: Path | None = Field(
        None,
        description="OpenSSH allowed-signers file. With it, only commits whose newest is signed by one of these ssh "
        "keys are read.",
    )
    poll_seconds: Seconds = Field(30.0, description="How often the branch is asked for; a webhook makes it quicker.")
    timeout_seconds: Seconds = Field(60.0, description="Bound on one reading as a whole.")
    pack_bytes: int = Field(32 * 1024 * 1024, ge=4096, description="Most bytes that one fetch may bring.")
    objects: int = Field(100_000, ge=10, description="Most files, folders and commits that one fetch may bring.")
    object_bytes: int = Field(8 * 1024 * 1024, ge=4096, description="Biggest file on the branch, model or not.")
    unpacked_bytes: int = Field(96 * 1024 * 1024, ge=4096, description="Most bytes of all of them unpacked: memory.")


class ModelSettings(_Part):
    """Where the canonical model comes from."""

    path: Path = Field(Path("models"), description="Directory with the model's documents.")
    poll_seconds: Seconds = Field(0.25, description="How often that directory is looked at.")
    git: GitSettings = GitSettings()
    settle_seconds: Seconds = Field(
        10.0,
        description=(
            "How long a new leader that never had the model in force that the lease names waits for its source to "
            "bring it, before it enforces what it has."
        ),
    )


class StoreSettings(_Part):
    """Where findings, intents and the audit chain live."""

    url: SecretStr = Field(
        SecretStr(""),
        description="`postgresql://user@host/database` for several replicas; empty means SQLite in `data_dir`. Never "
        "logged whole.",
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Evidence, closed findings and settled pages older than this are taken away; 0 keeps all. "
        "Export them first: `driftd history --evidence --ndjson`.",
    )
    journal_mebibytes: int = Field(
        256,
        ge=1,
        le=1024,
        description="Size of the journal in `data_dir`, where records wait while the database is away; its space is "
        "reserved beforehand. A repair in a fight takes some 15 KB of it, so 256 MiB last for two hours at two "
        "repairs a second. What does not fit is lost, and counted (`driftd_records_lost_total`).",
    )

    def address(self, data_dir: Path) -> str | Path:
        """Where the database is: as it is written, with its password."""
        return self.url.get_secret_value() or data_dir / "driftd.sqlite"


class WebSettings(_Part):
    """Health and metrics on one port for everybody, the API on another for whoever has a token."""

    host: str = Field("0.0.0.0", description="Address of the health and metrics server.")  # noqa: S104 - a pod's probes come from outside
    port: int = Field(8080, ge=0, le=65_535, description="Its port; 0 takes a free one and logs it.")
    api_host: str = Field(
        "127.0.0.1",
        description="Address of the API. Without a certificate only loopback: `kubectl port-forward` ends there.",
    )
    api_port: int = Field(8081, ge=0, le=65_535, description="Its port; 0 takes a free one and logs it.")
    api_certificate_file: Path | None = Field(None, description="Its certificate chain; read again when it changes.")
    api_key_file: Path | None = Field(None, description="The certificate's private key.")
    api_audience: str = Field(
        "", description="Audience that tokens must be made for; empty takes those that the API server itself takes."
    )
    hook_secret_file: Path | None = Field(
        None, description="Secret of the git server's webhook (`POST /hooks/model`); without it there is none."
    )

    @model_validator(mode="after")
    def _tokens_are_sealed(self) -> "WebSettings":
        if (self.api_certificate_file is None) != (self.api_key_file is None):
            raise ValueError("api_certificate_file and api_key_file belong together")
        if self.api_certificate_file is None and self.api_host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("an api_host other than loopback needs api_certificate_file: tokens must not travel bare")
        return self


class LogSettings(_Part):
    """Structured logs on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    json_lines: bool = Field(default=True, description="One JSON object a line; false prints for people.")


class TelemetrySettings(_Part):
    """Traces, sent to an OpenTelemetry collector over OTLP/HTTP."""

    otlp_endpoint: str = Field(
        "",
        description="Traces address of the collector, such as `http://collector:4318/v1/traces`. Empty: none are sent, "
        "unless the standard `OTEL_EXPORTER_OTLP_ENDPOINT` (or its `TRACES` variant) is set, which also brings headers "
        "and certificates.",
    )
    uneventful_percent: float = Field(
        1.0, ge=0, le=100, description="Share of cycles in which nothing happened that are traced too."
    )
    timeout_seconds: Seconds = Field(5.0, description="Bound on sending one batch, and on sending the rest at the end.")
    queue_spans: int = Field(
        4096,
        ge=64,
        le=1_000_000,
        description="Spans held while the collector is away; more are dropped, and counted as lost.",
    )


class RouteSettings(_Part):
    """Who is paged about certain tenants."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", description="Name of the route.")
    tenants: frozenset[str] = Field(frozenset(), description="Tenants it is for; they count before plans.")
    plans: frozenset[str] = Field(frozenset(), description="Plans whose tenants it is for.")
    pagerduty_key: SecretStr = Field(SecretStr(""), description="Its routing key.")
    pagerduty_key_file: Path | None = Field(None, description="File with its routing key.")


class PagingSettings(_Part):
    """Who is woken, when and how. Without a destination pages are recorded and served all the same."""

    pagerduty_key: SecretStr = Field(
        SecretStr(""), description="Routing key of a PagerDuty Events API v2 integration. Never logged."
    )
    pagerduty_key_file: Path | None = Field(
        None, description="File with that key, read at each use: a mounted Secret may change without a restart."
    )
    pagerduty_url: str = Field(
        "https://events.pagerduty.com",
        description="Service region; the European one is https://events.eu.pagerduty.com.",
    )
    alertmanager_urls: tuple[str, ...] = Field(
        (), description="Alertmanagers; of a cluster of them, every member. A JSON list."
    )
    ca_file: Path | None = Field(
        None, description="Certificates to trust for destinations, instead of the usual authorities."
    )
    routes: tuple[RouteSettings, ...] = Field(
        (),
        description="Other routing keys for some tenants or plans: a JSON list of "
        '`{"name": "gold", "tenants": ["acme"], "plans": ["dedicated"], "pagerduty_key_file": "..."}`, where `tenants` '
        "count before `plans`; a `pagerduty_key` may stand in place of the file.",
    )
    maintenance_file: Path | None = Field(
        None, description="JSON file of maintenance windows, read again when it changes (docs/operations.md)."
    )
    timeout_seconds: Seconds = Field(5.0, description="Bound on connecting to a destination, and on its answer.")
    crossing_seconds: Seconds = Field(1.0, description="Drift across tenants: open for so long, somebody is woken.")
    loosening_seconds: Seconds = Field(5.0, description="Drift that opens something else: open for so long.")
    tightening_seconds: Seconds = Field(60.0, description="Drift that breaks something: open for so long.")
    condition_seconds: Seconds = Field(
        2.0, description="A blind kind, a held model, a fight, a pause, a store that is away: true for so long."
    )
    resolve_seconds: Seconds = Field(60.0, description="All well for so long, a page is resolved.")
    storm_pages: int = Field(10, ge=1, le=1000, description="More pages than this at once are told as one.")
    storm_seconds: Seconds = Field(60.0, description="At once means within so many seconds.")
    runbooks_url: str = Field(
        "", description="Where docs/runbooks is served to people; empty leaves the link out, not the page's name."
    )
    trace_url: str = Field(
        "", description="Address of a trace with `{trace_id}` in it; empty leaves the link out of pages."
    )

    @field_validator("pagerduty_url")
    @classmethod
    def _only_tls(cls, url: str) -> str:
        if not url.startswith("https://"):
            raise ValueError("must start with https://: the routing key travels with every event")
        return url

    @field_validator("alertmanager_urls")
    @classmethod
    def _only_http(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not all(url.startswith(("http://", "https://")) for url in urls):
            raise ValueError("each must start with http:// or https://")
        return urls

    @model_validator(mode="after")
    def _routes_apart(self) -> "PagingSettings":
        names = [route.name for route in self.routes]
        if len({*names, "default"}) != len(names) + 1:
            raise ValueError("routes need names of their own, and none of them `default`")
        return self


class Settings(BaseSettings):
    """All of it. Each field is also an environment variable: `DRIFTD_WATCH__PAGE_SIZE=100`."""

    model_config = SettingsConfigDict(
        env_prefix="DRIFTD_", env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    namespace: str = Field(
        default_factory=lambda: os.environ.get("POD_NAMESPACE", "driftd"),
        description="driftd's own namespace: lease, fence and canary live there.",
    )
    identity: str = Field(
        default_factory=lambda: os.environ.get("POD_NAME") or f"{socket.gethostname()}-{secrets.token_hex(4)}",
        description=(
            "Who holds the lease. Two processes of one identity take each other for themselves; left out, it is the "
            "pod's name, else the host's with a suffix that is new at each start."
        ),
    )
    data_dir: Path = Field(Path("/var/lib/driftd"), description="Database, journal and last good model.")
    api: ApiSettings = ApiSettings()
    watch: WatchSettings = WatchSettings()
    audit: AuditSettings = AuditSettings()
    lease: LeaseSettings = LeaseSettings()
    engine: EngineSettings = EngineSettings()
    model: ModelSettings = ModelSettings()
    store: StoreSettings = StoreSettings()
    web: WebSettings = WebSettings()
    paging: PagingSettings = PagingSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    log: LogSettings = LogSettings()
