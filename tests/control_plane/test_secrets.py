"""No secret that driftd holds shows anywhere: planted all at once, used, refused and broken, and then looked for."""

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import aiohttp
import orjson
import pytest
import yaml

from driftd.lab import Lab
from driftd.lab.authority import Authority, write_key_pair
from tests.support.cli import Ran, driftd
from tests.support.collector import Collector
from tests.support.daemon import Daemon
from tests.support.faulty import OPEN, STEADY_LEASE, allow_all
from tests.support.git_server import PASSWORD, USER, HttpsServer, Upstream, https_server, ssh_server
from tests.support.leaks import Planted
from tests.support.pagerduty import StandIn
from tests.support.people import account, run_as
from tests.support.postgres import PASSWORD as DATABASE_PASSWORD
from tests.support.postgres import Server
from tests.support.stage import MODELS, Stage, stage

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(240)]

KEY = "r0uting-key-planted"
ROUTE = "key-of-a-route-planted"
ROUTE_FILE = "key-in-a-file-of-a-route-planted"
HOOK = "hook-secret-planted"
COLLECTOR = "collector-password-planted"
HEADER = "collector-token-planted"
ALERTS = "alertmanager-password-planted"
DATABASE = "database-password-planted"
STRANGER = "token-of-nobody-planted"
PAGED = frozenset({KEY, ROUTE, ROUTE_FILE})


def token_of(kubeconfig: Path) -> str:
    (user,) = yaml.safe_load(kubeconfig.read_text())["users"]
    return str(user["user"]["token"])


@dataclass
class Scene:
    """A daemon with every secret it may hold."""

    stage: Stage
    env: dict[str, str]
    data: Path
    git: HttpsServer
    upstream: Upstream
    collector: Collector
    pagerduty: StandIn
    operator: Path
    planted: Planted


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path) -> AsyncIterator[Scene]:
    upstream = Upstream(tmp_path / "git")
    shutil.copytree(MODELS, upstream.work / "models")
    upstream.record("first")
    (tmp_path / "hook").write_text(HOOK)
    (tmp_path / "route").write_text(ROUTE_FILE)
    data = tmp_path / "data"
    async with (
        https_server(upstream) as git,
        Collector() as collector,
        StandIn(tmp_path, keys=PAGED) as pagerduty,
    ):
        env = {
            **STEADY_LEASE,
            "DRIFTD_MODEL__GIT__URL": f"https://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{git.port}/model.git",
            "DRIFTD_MODEL__GIT__FOLDER": "models",
            "DRIFTD_MODEL__GIT__CA_FILE": str(git.ca_file),
            "DRIFTD_WEB__HOOK_SECRET_FILE": str(tmp_path / "hook"),
            "DRIFTD_TELEMETRY__OTLP_ENDPOINT": collector.endpoint.replace("http://", f"http://otel:{COLLECTOR}@"),
            "DRIFTD_TELEMETRY__UNEVENTFUL_PERCENT": "100",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-token={HEADER},x-not-quoted {HEADER}",
            "DRIFTD_PAGING__PAGERDUTY_KEY": KEY,
            "DRIFTD_PAGING__ROUTES": json.dumps(
                [
                    {"name": "acme", "tenants": ["acme"], "pagerduty_key": ROUTE},
                    {"name": "initech", "tenants": ["initech"], "pagerduty_key_file": str(tmp_path / "route")},
                ]
            ),
            "DRIFTD_PAGING__PAGERDUTY_URL": pagerduty.url,
            "DRIFTD_PAGING__CA_FILE": str(pagerduty.ca_file),
            "DRIFTD_PAGING__ALERTMANAGER_URLS": f'["http://alerts:{ALERTS}@127.0.0.1:9"]',
            "DRIFTD_LOG__LEVEL": "debug",
        }
        async with stage(lab, data, models=upstream.work / "models", env=env) as one:
            operator = await account(lab, "operator", "driftd-operator")
            own = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
            secrets = {
                "the git password": PASSWORD,
                "the routing key": KEY,
                "a route's key": ROUTE,
                "a route's key in a file": ROUTE_FILE,
                "the webhook's secret": HOOK,
                "the collector's password": COLLECTOR,
                "the collector's header": HEADER,
                "the Alertmanager's password": ALERTS,
                "the database's password": DATABASE,
                "an unknown token": STRANGER,
                "a person's token": token_of(operator),
                "driftd's own token": token_of(own),
            }
            yield Scene(one, env, data, git, upstream, collector, pagerduty, operator, Planted(secrets))


async def test_no_planted_secret_shows_anywhere(scene: Scene, tmp_path: Path) -> None:
    for name, secret in scene.planted.secrets.items():
        assert scene.planted.in_(f'{{"x": "{quote(secret)}"}}') == [name], "the search finds what it looks for"
    answers = await everything_is_used_and_refused(scene)
    await everything_breaks(scene)
    said = await commands(scene)
    without_database = await a_database_that_is_away(scene, tmp_path)
    places: list[tuple[str, str | bytes]] = [
        *answers,
        *said,
        *without_database,
        ("metrics", await scene.stage.daemon.metrics()),
        ("traces", repr(scene.collector.spans)),
        *(("a page", paged(one)) for one in (*scene.pagerduty.events, *scene.pagerduty.changes)),
    ]
    for kind in ("Event", "Lease", "ConfigMap", "NetworkPolicy", "Namespace"):
        places += [(kind, orjson.dumps(body)) for body in await scene.stage.kube.list(kind)]
    assert await scene.stage.daemon.stop() == 0
    places += [(str(file), file.read_bytes()) for file in scene.data.rglob("*") if file.is_file()]
    assert scene.collector.spans
    assert scene.collector.headers["x-token"] == HEADER
    assert scene.pagerduty.events
    assert {"driftd.sqlite", "one.log"} <= {Path(name).name for name, _ in places}
    assert scene.planted.leaks(places) == []


def paged(event: dict[str, object]) -> bytes:
    """A page as its destination got it, without the key that it takes to send one."""
    return orjson.dumps({key: value for key, value in event.items() if key != "routing_key"})


async def everything_is_used_and_refused(scene: Scene) -> list[tuple[str, str | bytes]]:
    """Drift, pages, every question to the API with a good token and a bad one, a knock with the secret and without."""
    one, api = scene.stage, scene.stage.daemon.api
    for namespace in ("acme-prod", "globex-prod", "initech-prod"):
        await one.kube.create(allow_all(namespace, "planted"))
    await one.kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)
    await one.canonical(60.0)

    def used() -> set[str]:
        return {event["routing_key"] for event in scene.pagerduty.events}

    await one.until("somebody was paged with each key", lambda: _true(used() == PAGED), 60.0)
    paths = ["model", "findings", "pages", "pauses", "nothing"]
    found: list[tuple[str, str | bytes]] = []
    async with aiohttp.ClientSession() as http:
        for token in (token_of(scene.operator), STRANGER):
            for path in paths:
                headers = {"Authorization": f"Bearer {token}"}
                async with http.get(f"{api}/api/{path}", headers=headers) as answer:
                    found.append((f"/api/{path} {answer.status}", await answer.read()))
            await asyncio.sleep(1.0)  # the pace of one address
        for token in (HOOK, STRANGER):
            async with http.post(f"{api}/hooks/model", data=b"{}", headers={"X-Gitlab-Token": token}) as answer:
                found.append((f"/hooks/model {answer.status}", await answer.read()))
        for path in ("healthz", "readyz"):
            async with http.get(f"http://127.0.0.1:{one.daemon.port}/{path}") as answer:
                found.append((path, await answer.read()))
    said = {name.rpartition(" ")[2] for name, _ in found}
    assert {"200", "401", "404", "202"} <= said, found
    return found


async def everything_breaks(scene: Scene) -> None:
    """The git server leads elsewhere with its own login, the pager refuses the key, the collector is gone."""
    one = scene.stage
    scene.git.misconduct.redirect = f"https://{USER}:{quote(PASSWORD, safe='')}@elsewhere.example/"
    scene.pagerduty.keys = frozenset()
    scene.collector.status = 500
    scene.upstream.commit({"models/extra.yaml": "# more\n"})
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            await http.post(f"{one.daemon.api}/hooks/model", data=b"{}", headers={"X-Gitlab-Token": HOOK})
            await asyncio.sleep(1.0)
    await one.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await one.canonical(60.0)

    async def told() -> bool:
        return any("it has moved" in str(event.get("why")) for event in one.daemon.events())

    await one.until("the git server's answer is refused", told, 30.0)


async def commands(scene: Scene) -> list[tuple[str, str | bytes]]:
    """What people's commands print with the daemon's settings."""
    own = await scene.stage.lab.service_account_kubeconfig("driftd", "driftd")
    env = {**scene.env, "DRIFTD_DATA_DIR": str(scene.data), "DRIFTD_API__KUBECONFIG": str(own)}
    away = {**env, "DRIFTD_STORE__URL": f"postgresql://driftd:{DATABASE}@127.0.0.1:9/driftd"}
    wrong = {**env, "DRIFTD_STORE__URL": f"postgres:/driftd:{DATABASE}@127.0.0.1/driftd"}
    ran: list[tuple[str, Ran]] = [
        ("history", await asyncio.to_thread(driftd, "history", "-o", "json", env=env)),
        ("history --evidence", await asyncio.to_thread(driftd, "history", "--evidence", "--ndjson", env=env)),
        ("history without its database", await asyncio.to_thread(driftd, "history", env=away)),
        ("history with a wrong address", await asyncio.to_thread(driftd, "history", env=wrong)),
        ("page", await asyncio.to_thread(driftd, "page", env=env)),
        ("page --test", await asyncio.to_thread(driftd, "page", "--test", env=env)),
        ("doctor", await asyncio.to_thread(driftd, "doctor", env=away)),
        ("approve", await run_as(scene.stage, scene.operator, "approve")),
    ]
    return [(f"driftd {name}", f"{one.out}\n{one.err}") for name, one in ran]


async def a_database_that_is_away(scene: Scene, tmp_path: Path) -> list[tuple[str, str | bytes]]:
    """A second daemon whose PostgreSQL does not answer: what it logs and journals."""
    own = Path(await scene.stage.lab.service_account_kubeconfig("driftd", "driftd"))
    env = {**scene.env, "DRIFTD_STORE__URL": f"postgresql://driftd:{DATABASE}@127.0.0.1:9/driftd"}
    other = Daemon(kubeconfig=own, models=scene.stage.models, data=tmp_path / "other", identity="other", env=env)
    await other.start(ready=False)
    try:
        async with asyncio.timeout(40):
            while not any(str(event.get("event", "")).startswith("store.") for event in other.events()):
                await asyncio.sleep(0.1)
    finally:
        await other.kill()
    return [(str(file), file.read_bytes()) for file in (tmp_path / "other").rglob("*") if file.is_file()]


async def _true(value: bool) -> bool:
    return value


def line_of(key: Path) -> str:
    """A line of a key's file, which is found wherever the key stands, however its lines are joined."""
    return key.read_text().splitlines()[2]


async def test_no_private_key_and_no_password_of_a_database_that_works_shows_anywhere(
    lab: Lab, tmp_path: Path, server: Server
) -> None:
    """The model over ssh, the API over TLS, the records in PostgreSQL: in use, then each of them taken away."""
    upstream = Upstream(tmp_path / "git")
    shutil.copytree(MODELS, upstream.work / "models")
    upstream.record("first")
    authority = Authority.open(tmp_path, "authority")
    tls = write_key_pair(tmp_path, "api", authority.server("api", ("127.0.0.1",)))
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    url, data = server.new_database(), tmp_path / "data"
    with ssh_server(upstream) as git:
        planted = Planted(
            {
                "the ssh key": line_of(git.key),
                "the API's key": line_of(tls.key),
                "the database's password": DATABASE_PASSWORD,
                "an unknown token": STRANGER,
            }
        )
        assert [planted.in_(one) for one in planted.secrets.values()] == [[name] for name in planted.secrets]
        env = {
            **STEADY_LEASE,
            "DRIFTD_MODEL__GIT__URL": f"ssh://{git.user}@127.0.0.1:{git.port}{git.root}/model.git",
            "DRIFTD_MODEL__GIT__FOLDER": "models",
            "DRIFTD_MODEL__GIT__SSH_KEY_FILE": str(git.key),
            "DRIFTD_MODEL__GIT__KNOWN_HOSTS_FILE": str(git.known_hosts),
            "DRIFTD_MODEL__GIT__POLL_SECONDS": "0.5",
            "DRIFTD_WEB__API_CERTIFICATE_FILE": str(tls.certificate),
            "DRIFTD_WEB__API_KEY_FILE": str(tls.key),
            "DRIFTD_STORE__URL": url,
            "DRIFTD_LOG__LEVEL": "debug",
        }
        async with stage(lab, data, models=upstream.work / "models", env=env) as one:
            await one.kube.create(allow_all("acme-prod", "planted"))
            await one.canonical(60.0)
            answers = await asked_over_tls(one, tmp_path / "ca.crt")
            tls.key.write_text("-----BEGIN PRIVATE KEY-----\nnone\n-----END PRIVATE KEY-----\n")
            (git.key.parent / "authorized").write_text("")
            await one.until("the git server's refusal is told", lambda: _said(one, "model.held"), 60.0)
            answers += await asked_over_tls(one, tmp_path / "ca.crt")
            own = str(await lab.service_account_kubeconfig("driftd", "driftd"))
            commands = {**env, "DRIFTD_DATA_DIR": str(data), "DRIFTD_API__KUBECONFIG": own}
            for command in (("history", "-o", "json"), ("history", "--verify"), ("doctor",), ("page",)):
                ran = await asyncio.to_thread(driftd, *command, env=commands)
                answers.append((f"driftd {command[0]}", f"{ran.out}\n{ran.err}"))
            places = [*answers, ("metrics", await one.daemon.metrics())]
            assert await one.daemon.stop() == 0
    tables = server.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url.rpartition("/")[2])
    places += [(name, server.sql(f'SELECT * FROM "{name}"', url.rpartition("/")[2])) for name in tables.splitlines()]
    places += [(str(file), file.read_bytes()) for file in data.rglob("*") if file.is_file()]
    assert {"findings", "audit"} <= {name for name, text in places if text}
    assert planted.leaks(places) == []


async def asked_over_tls(one: Stage, trusted: Path) -> list[tuple[str, str | bytes]]:
    """What the API says to nobody in particular."""
    context = ssl.create_default_context(cafile=str(trusted))
    address = one.daemon.api.replace("http://", "https://")
    headers = {"Authorization": f"Bearer {STRANGER}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{address}/api/model", headers=headers, ssl=context) as answer,
    ):
        assert answer.status == 401
        return [("/api/model", await answer.read())]


async def _said(one: Stage, event: str) -> bool:
    return any(known.get("event") == event for known in one.daemon.events())
