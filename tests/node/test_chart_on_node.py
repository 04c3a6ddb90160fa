"""The installation as users have it: the image, the chart, a pod on a node, its own ServiceAccount, and what hits it.

Every setting is the chart's default, the lease of 15 s too: what is waited for here is what an operator waits for.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.control_plane import lacking
from tests.support.faulty import EPOCH
from tests.support.git_server import Upstream, ssh_server
from tests.support.hosted import (
    NAMESPACE,
    SCRAPERS,
    Home,
    Hosted,
    git_values,
    hosted,
    installed,
    reinstalled,
    secret,
)
from tests.support.image import image_archive
from tests.support.kube import Body, Kube, KubeError
from tests.support.login import CONDEMNED, FORBIDDEN, RIGHTS, Login
from tests.support.node import connects, pod, running
from tests.support.pod_process import kill_process, memory_of
from tests.support.stage import DRIFTD

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

LIMIT = 256 * 1024 * 1024
LEASE_SECONDS = 15
OPENED: Body = {"spec": {"egress": [{}], "ingress": [{}]}}
LOOK = """
import json, os, resource
def refused(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/1/status") if ":\\t" in line)
limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "written": [refused("/root.txt"), refused("/opt/driftd/x")],
    "limit": int(next(open(path).read() for path in limits if os.path.exists(path))),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16), "seccomp": status["Seccomp"],
    "gains": status["NoNewPrivs"], "account": open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read(),
}))
"""
MODEL = """
import json, urllib.request
print(json.load(urllib.request.urlopen("http://127.0.0.1:8080/readyz"))["parts"]["model"])
"""
DIAL = """
import json, socket, sys
found = []
for host, port in {targets}:
    try:
        socket.create_connection((host, port), timeout=2).close()
        found.append(True)
    except OSError:
        found.append(False)
print(json.dumps(found))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(lab: Lab) -> AsyncIterator[Home]:
    async with installed(lab, image_archive()) as one:
        yield one


@pytest.fixture
async def one(home: Home) -> AsyncIterator[Hosted]:
    async with hosted(home) as found:
        yield found


async def tampered(one: Hosted, namespace: str = "acme-prod") -> float:
    """Open a default-deny to everybody; when that was."""
    await one.kube.merge("NetworkPolicy", namespace, "default-deny", OPENED)
    return time.monotonic()


def repaired(one: Hosted) -> set[str]:
    """The namespaces of the tamperings that driftd's own login undid, by the audit log."""
    assert all(record.user == DRIFTD for record in one.writes())
    return {heal.key.namespace for heal in one.heals() if heal.last is not None}


async def test_a_tampering_is_healed_by_the_charts_own_service_account(one: Hosted) -> None:
    started = await tampered(one)
    await one.canonical()
    print(f"\nhealed {time.monotonic() - started:.2f} s after the tampering")
    await one.sound()
    assert repaired(one) == {"acme-prod"}


async def test_the_pod_runs_as_nobody_on_a_read_only_root_within_its_memory(one: Hosted) -> None:
    found = await one.python(LOOK)
    assert (found["user"], found["group"], found["account"]) == (65532, 65532, NAMESPACE)
    assert found["written"] == ["Read-only file system"] * 2
    assert found["limit"] == LIMIT
    assert (found["capabilities"], found["gains"], found["seccomp"]) == (0, "1", "2")
    body = await one.ready_pod()
    assert body["spec"]["priority"] == 1_000_000
    assert [status["restartCount"] for status in body["status"]["containerStatuses"]] == [0]
    memory = memory_of(body)
    print(f"\n{memory.resident / 1e6:.0f} MB resident, {memory.held / 1e6:.0f} MB held by its cgroup")
    assert 0 < memory.held < LIMIT
    assert memory.kills == 0


async def test_the_doctor_in_the_pod_misses_nobody_but_a_pager(one: Hosted) -> None:
    body = await one.ready_pod()
    done = await one.lab.pods.exec(
        NAMESPACE, body["metadata"]["name"], "/opt/driftd/bin/driftd", "doctor", "-o", "json"
    )
    states = {check["subject"]: check["state"] for check in json.loads(done.out)["checks"]}
    assert states.pop("paging") == "missing"
    assert len(states) >= 7
    assert set(states.values()) == {"ok"}, done.out


async def test_ssh_runs_in_the_pod_for_a_model_read_over_ssh(one: Hosted) -> None:
    """Without a name for its user ssh ends before it looks at anything."""
    command = "import json, subprocess; done = subprocess.run(['ssh', '-G', 'x'], capture_output=True, text=True)"
    found = await one.python(f"{command}; print(json.dumps([done.returncode, done.stdout, done.stderr]))")
    assert found[0] == 0, found
    assert "user driftd" in found[1]


async def test_a_model_in_git_is_read_over_ssh_from_the_pod_and_followed(one: Hosted, tmp_path: Path) -> None:
    assert one.home is not None
    if one.home.helm is None:
        lacking("helm", "the plain manifests take their model from a ConfigMap")
    upstream = Upstream(tmp_path / "git")
    first = upstream.commit({file.name: file.read_text() for file in one.home.models.iterdir()})
    machine = one.lab.nodes[0].address.rpartition(".")[0] + ".1"
    with ssh_server(upstream, machine) as server:
        files = {"key": server.key.read_text(), "known_hosts": server.known_hosts.read_text()}
        await one.kube.create(secret("model-key", files))
        try:
            async with reinstalled(one.home, *git_values(server), "secretFiles[0]=model-key"):
                await one.until("the commit is in force", lambda: _has_in_force(one, first), 120.0)
                await tampered(one)
                await one.canonical(60.0)
                second = upstream.commit({"notes.yaml": "# changes no object\n"})
                await one.until("the next commit is in force", lambda: _has_in_force(one, second), 60.0)
                await one.sound()
                assert "acme-prod" in repaired(one)  # helm is an administrator too, in the namespace it installs to
        finally:
            await one.kube.delete("Secret", NAMESPACE, "model-key")
    await one.until("the ConfigMap is in force again", lambda: _has_in_force(one, "dir:"), 120.0)


async def _has_in_force(one: Hosted, revision: str) -> bool:
    """Whether the pod that is to stay says that this model is in force."""
    pod = await one.ready_pod()
    done = await one.lab.pods.exec(NAMESPACE, pod["metadata"]["name"], "/opt/driftd/bin/python", "-c", MODEL)
    return done.code == 0 and revision in done.out  # the pod of before may be on its way out


async def test_only_the_kubelet_and_the_scrapers_reach_it_and_it_reaches_only_what_it_must(one: Hosted) -> None:
    body = await one.ready_pod()
    address = body["status"]["podIP"]
    strangers = [pod("default", "stranger", "pod", "serve", "9999"), pod(SCRAPERS, "scraper", "pod", "pause")]
    for stranger in strangers:
        await one.kube.create(stranger)
    try:
        theirs = (await running(one.kube, "default", "stranger"))["stranger"]
        await running(one.kube, SCRAPERS, "scraper")
        assert not await connects(one.lab, "default", "stranger", f"{address}:8080")
        assert await connects(one.lab, SCRAPERS, "scraper", f"{address}:8080", seconds=5) is (
            one.home is not None and one.home.helm is not None
        )
        targets = [("kubernetes.default.svc.cluster.local", 443), (theirs, 9999)]
        assert await one.python(DIAL.format(targets=targets)) == [True, False]
    finally:
        for stranger in strangers:
            await one.kube.delete("Pod", stranger["metadata"]["namespace"], stranger["metadata"]["name"])


# -- what its login may not ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def its_login(one: Hosted) -> AsyncIterator[Login]:
    """driftd's ServiceAccount with a token of its own, under the epoch of the daemon that runs."""
    fence = await one.kube.get("ConfigMap", NAMESPACE, "driftd-fence")
    config = await one.lab.service_account_kubeconfig(NAMESPACE, "driftd")
    async with Kube.connect(config) as kube:
        yield Login(kube, one.kube, int(fence["data"]["epoch"]))


async def test_each_forbidden_verb_is_refused_by_the_api_server(one: Hosted) -> None:
    async with its_login(one) as login:
        for verb, path in FORBIDDEN:
            assert RIGHTS in await login.refusal(verb, path, None if verb == "GET" else {}), (verb, path)


async def test_what_its_rights_allow_elsewhere_is_refused_where_it_has_no_business(one: Hosted) -> None:
    policies = Kube.path("NetworkPolicy", "kube-system")
    async with its_login(one) as login:
        for namespace in ("kube-system", NAMESPACE):
            stray = login.policy("stray", login.epoch, namespace=namespace)
            assert "driftd-bounds" in await login.refusal("POST", Kube.path("NetworkPolicy", namespace), stray)
            path, body = await login.relabelled(namespace, {"pod-security.kubernetes.io/enforce": "privileged"})
            assert "driftd-bounds" in await login.refusal("PUT", path, body)
        path, body = await login.relabelled("acme-prod", {"team": "red"})
        assert "driftd-bounds" in await login.refusal("PUT", path, body)
    assert [item["metadata"]["name"] for item in (await one.kube.request("GET", policies))["items"]] == []


async def test_a_stale_epoch_neither_writes_nor_deletes(one: Hosted) -> None:
    async with its_login(one) as login:
        stale = login.policy("late", login.epoch - 1)
        assert "driftd-fence" in await login.refusal("POST", Kube.path("NetworkPolicy", "acme-prod"), stale)
        condemned = str(login.epoch - 1)
        mark = {"metadata": {"annotations": {EPOCH: condemned, CONDEMNED: condemned}}}
        await one.kube.create(login.policy("late", None, namespace="default"))
        try:
            path = Kube.path("NetworkPolicy", "default", "late")
            assert "driftd-fence" in await login.refusal("DELETE", path)
            await one.kube.merge("NetworkPolicy", "default", "late", mark)
            assert "driftd-fence" in await login.refusal("DELETE", path)
        finally:
            await one.kube.delete("NetworkPolicy", "default", "late")


# -- what may hit it --------------------------------------------------------------------------------------------------


async def test_a_process_killed_outright_comes_back_and_heals_what_happened_meanwhile(one: Hosted) -> None:
    body = await one.ready_pod()
    kill_process(body)
    started = await tampered(one)
    await one.canonical(90.0)
    print(f"\nhealed {time.monotonic() - started:.1f} s after kill -9")
    await one.sound()
    assert repaired(one) == {"acme-prod"}
    again = await one.ready_pod()
    assert again["metadata"]["uid"] == body["metadata"]["uid"]


async def test_a_pod_deleted_outright_is_replaced_within_its_lease_and_heals(one: Hosted) -> None:
    body = await one.ready_pod()
    await one.kube.request(
        "DELETE", Kube.path("Pod", NAMESPACE, body["metadata"]["name"]), body={"gracePeriodSeconds": 0}
    )
    started = await tampered(one)
    await one.canonical(120.0)
    print(f"\nhealed {time.monotonic() - started:.1f} s after the pod was deleted by force")
    await one.ready_pod(unlike=body["metadata"]["uid"])  # its process may have lived long enough to heal
    await one.sound()
    assert repaired(one) == {"acme-prod"}


async def test_a_pod_that_is_told_to_end_while_somebody_tampers_leaves_no_write_unfinished(one: Hosted) -> None:
    namespaces = ("acme-prod", "acme-stage", "globex-prod", "initech-prod")
    body = await one.ready_pod()
    over = asyncio.Event()

    async def tamper() -> int:
        count = 0
        while not over.is_set():
            for namespace in namespaces:
                await tampered(one, namespace)
                count += 1
                await asyncio.sleep(0.1)
        return count

    async with asyncio.TaskGroup() as group:
        tampering = group.create_task(tamper())
        await asyncio.sleep(1.0)
        await one.kube.delete("Pod", NAMESPACE, body["metadata"]["name"])
        started = time.monotonic()
        await one.ready_pod(unlike=body["metadata"]["uid"])
        print(f"\nReady again {time.monotonic() - started:.1f} s after SIGTERM")
        over.set()
    print(f"{tampering.result()} tamperings")
    await one.sound(120.0)
    assert repaired(one) == set(namespaces)


async def test_a_lease_that_is_deleted_or_taken_comes_back_and_nothing_is_written_without_it(one: Hosted) -> None:
    await one.kube.delete("Lease", NAMESPACE, "driftd")
    await tampered(one)
    await one.canonical(60.0)

    async def leads() -> bool:
        lease = await one.kube.find("Lease", NAMESPACE, "driftd")
        return lease is not None and EPOCH in lease["metadata"].get("annotations", {})

    await one.until("somebody leads again", leads, 60.0)

    thief = {"holderIdentity": "thief", "leaseDurationSeconds": LEASE_SECONDS, "renewTime": _now()}
    taken = await _taken(one, thief)
    epoch = int(taken["metadata"]["annotations"][EPOCH])
    started = time.monotonic()
    await asyncio.sleep(3.0)  # it looks each 2 s
    await one.mark()
    await tampered(one)
    await one.canonical(90.0)
    waited = time.monotonic() - started
    print(f"\nhealed {waited:.1f} s after the lease was taken")
    assert waited > LEASE_SECONDS - 5.0
    await one.sound()
    lease = await one.kube.get("Lease", NAMESPACE, "driftd")
    assert lease["spec"]["holderIdentity"] != "thief"
    assert int(lease["metadata"]["annotations"][EPOCH]) > epoch


async def test_an_api_server_that_hangs_twice_and_is_then_gone_is_outlived(one: Hosted) -> None:
    body = await one.ready_pod()
    server = one.lab.apiserver
    for namespace in ("acme-prod", "globex-prod"):
        await tampered(one, namespace)
        await server.freeze()
        await asyncio.sleep(5.0)
        await server.thaw()
    await one.canonical(60.0)
    await server.kill()
    await asyncio.sleep(12.0)  # longer than a leader may write without renewal
    await server.start()
    started = await tampered(one, "initech-prod")
    await one.canonical(90.0)
    print(f"\nhealed {time.monotonic() - started:.1f} s after the API server was back")
    await one.sound()
    # A write that was under way when the server stood still may have come about although its answer says it did not.
    assert "initech-prod" in repaired(one)
    again = await one.ready_pod()
    assert again["metadata"]["uid"] == body["metadata"]["uid"]
    counts = [[status["restartCount"] for status in one_["status"]["containerStatuses"]] for one_ in (body, again)]
    assert counts[0] == counts[1], "it need not restart for that"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def _taken(one: Hosted, spec: Body) -> Body:
    """Write oneself into the lease, which its holder renews every 2 s."""
    async with asyncio.timeout(10):
        while True:
            lease = await one.kube.get("Lease", NAMESPACE, "driftd")
            lease["spec"] |= spec
            try:
                return await one.kube.replace(lease)
            except KubeError as error:
                if error.status != 409:
                    raise
