"""Ways in, and ways to others, that the model does not have."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest

from driftd.compile import Compiled, Exempt, compile_model
from driftd.drift import MOST_OPEN, LiveService, LiveSlice, service_from_body, slice_from_body, unkept
from driftd.drift import exposed as ways_in
from driftd.drift import misdirected as ways_out
from driftd.drift import told as all_told
from driftd.drift.foreign import MOST_TOLD
from driftd.policy.reach import Pod
from driftd.values import CLUSTER, Direction, Finding, FindingType, ObjectRef, Severity
from tests.support.model_texts import environment, model

ATTACHED = """\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: desk}
spec:
  tenant: globex
  plan: shared
  services:
    web: {calls: [{to: cache}]}
  attachments:
    cache: {namespace: redis-globex, labels: {app: redis}, serviceAccount: redis, port: 6379}
"""


@cache
def compiled() -> Compiled:
    return compile_model(model(shop=environment("shop", "acme"), desk=ATTACHED))


def exposed(
    model_: Compiled,
    services: Iterable[LiveService],
    pods: Mapping[tuple[str, str], Pod],
    open_: Iterable[Finding] = (),
) -> Iterator[Finding]:
    """What is told of Services while these findings are open."""
    return all_told(model_, ways_in(model_, services, pods), {one.id: one for one in open_})


def misdirected(
    model_: Compiled, slices: Iterable[LiveSlice], pods: Mapping[tuple[str, str], Pod]
) -> Iterator[Finding]:
    return all_told(model_, ways_out(model_, slices, pods))


def service(namespace: str, selector: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": 8080, **({"nodePort": 30080} if spec.get("type") == "NodePort" else {})}]
    body = {"selector": selector, "ports": ports, **spec}
    return {"metadata": {"namespace": namespace, "name": "door"}, "spec": body}


def found(*bodies: dict[str, Any], pods: Iterable[Pod] = ()) -> list[Finding]:
    known = {(one.namespace, one.name): one for one in pods}
    return list(exposed(compiled(), map(service_from_body, bodies), known))


@pytest.mark.parametrize(
    ("spec", "severity", "says"),
    [
        ({"type": "NodePort"}, Severity.HIGH, "node port 30080"),
        ({"type": "LoadBalancer"}, Severity.HIGH, "a load balancer"),
        ({"externalIPs": ["203.0.113.7"]}, Severity.CRITICAL, "external IP 203.0.113.7"),
    ],
)
def test_a_way_in_beside_the_gateway_is_a_finding(spec: dict[str, Any], severity: Severity, says: str) -> None:
    pod = Pod("shop", "web-1", {"app": "web"}, owner="Deployment/web")
    (one,) = found(service("shop", {"app": "web"}, **spec), pods=[pod])
    assert (one.direction, one.severity, one.tenant) == (Direction.LOOSENS, severity, "acme")
    assert says in one.summary
    assert one.witness is not None
    assert (one.witness.target, one.witness.port) == ("shop/web", "8080")


def test_a_service_inside_the_cluster_is_nobodys_business() -> None:
    assert found(service("shop", {"app": "web"}), service("shop", {"app": "web"}, type="ExternalName")) == []


def test_a_service_without_pods_or_selector_still_opens_the_door() -> None:
    (one,) = found(service("shop", None, type="NodePort"))
    assert one.witness is not None
    assert one.witness.target == "shop/door"


def test_the_load_balancer_before_the_gateway_is_the_models_own_exposure() -> None:
    assert found(service("ingress", {"app": "gateway"}, type="LoadBalancer")) == []


def test_a_load_balancer_before_an_attachment_or_the_name_service_is_none_of_it() -> None:
    (one,) = found(service("redis-globex", {"app": "redis"}, type="LoadBalancer"))
    assert (one.scope, one.tenant) == (CLUSTER, "")
    assert len(found(service("kube-system", {"k8s-app": "kube-dns"}, type="NodePort"))) == 1


def test_what_stands_before_pods_that_the_model_does_not_name_is_its_owners_affair() -> None:
    bodies = [service("redis-globex", {"app": "admin"}, type="NodePort"), service("other", {"a": "b"}, type="NodePort")]
    assert found(*bodies) == []


@pytest.mark.parametrize(("namespace", "count"), [("stranger", 1), ("redis-globex", 1), ("kube-system", 0)])
def test_an_external_ip_is_taken_over_for_the_whole_cluster_and_nobodys_but_the_platforms(
    namespace: str, count: int
) -> None:
    """Seen: in a namespace that nobody governs it was silent, though all tenants' packets to that address go there."""
    told = found(service(namespace, {"app": "thief"}, externalIPs=["203.0.113.8"]))
    assert [(one.severity, one.scope) for one in told] == [(Severity.CRITICAL, CLUSTER)] * count


def test_an_external_ip_before_the_gateway_is_the_models_own_exposure() -> None:
    assert found(service("ingress", {"app": "gateway"}, externalIPs=["203.0.113.8"])) == []


def doors(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Services with a node port."""
    made = [service("shop", None, type="NodePort") for _ in range(count)]
    for number, door in enumerate(made, first):
        door["metadata"]["name"] = f"door-{number:03}"
    return made


def names(findings: Iterable[Finding]) -> set[str]:
    return {one.ref.name for one in findings if one.ref.kind != "Namespace"}


def test_of_thousands_in_one_namespace_some_of_each_rank_are_told_and_how_many_more_there_are() -> None:
    many = doors(200)
    many[150]["spec"]["externalIPs"] = ["203.0.113.7"]
    told = found(*many, service("desk", None, type="NodePort"))
    assert names(told) == {f"door-{number:03}" for number in (*range(MOST_TOLD), 150)} | {"door"}
    (more,) = (one for one in told if one.ref.kind == "Namespace")
    assert (more.ref.name, more.severity, more.scope.namespace, more.tenant) == ("shop", Severity.HIGH, "shop", "acme")
    assert "more than 100 Services" in more.summary
    for door in many[160:190]:
        door["spec"]["externalIPs"] = ["203.0.113.7"]
    (more,) = (one for one in found(*many) if one.ref.kind == "Namespace")
    assert (more.severity, "more than 100 Services" in more.summary, "up to 20 of them critical" in more.summary) == (
        Severity.CRITICAL,
        True,
        True,
    )
    assert not [one for one in found(*doors(MOST_TOLD)) if one.ref.kind == "Namespace"]


def test_one_object_more_seldom_changes_what_is_said_of_the_others() -> None:
    """Seen: each Service that somebody added was a log line and a transaction of the store."""
    said = [next(one for one in found(*doors(count)) if one.ref.kind == "Namespace") for count in range(21, 140)]
    assert len(set(said)) == 4


def test_what_the_model_spares_hides_none_and_is_not_counted() -> None:
    many = doors(MOST_TOLD + 5)
    spared = {one.ref for one in found(*many) if one.ref.kind == "Service"}
    exemptions = tuple(Exempt(ref, date(2027, 1, 1), "me", "why") for ref in spared)
    again = exposed(replace(compiled(), exemptions=exemptions), map(service_from_body, many), {})
    assert len({one.ref for one in again} - spared) == 5


def test_what_is_open_is_told_for_as_long_as_it_stands_whatever_else_there_is() -> None:
    """Seen: twenty Services with earlier names ended the finding of one that stood, and resolved its page."""
    hole, decoys = doors(1, first=500), doors(MOST_TOLD)
    (open_,) = found(*hole)
    told = list(exposed(compiled(), map(service_from_body, [*decoys, *hole]), {}, [open_]))
    assert names(told) == {"door-500", *(f"door-{number:03}" for number in range(MOST_TOLD - 1))}
    (more,) = (one for one in told if one.ref.kind == "Namespace")
    assert "up to 20 Services" in more.summary
    now_open = told
    later = list(exposed(compiled(), map(service_from_body, [*doors(90, first=100), *decoys, *hole]), {}, now_open))
    assert names(later) == names(told)
    assert names(exposed(compiled(), map(service_from_body, decoys), {}, now_open)) == names(found(*decoys))


def test_findings_that_change_their_rank_make_no_room_for_more() -> None:
    """Seen: ten rounds of twenty node ports, each given an external IP once it was told, and 200 findings were open."""
    made: list[dict[str, Any]] = []
    open_: list[Finding] = []
    for batch in range(10):
        made += doors(MOST_TOLD, first=100 * batch)
        for addresses in ([], ["203.0.113.7"], []):
            for door in made[-MOST_TOLD:]:
                door["spec"]["externalIPs"] = addresses
            before, open_ = open_, list(exposed(compiled(), map(service_from_body, made), {}, open_))
            assert names(before) <= names(open_), "none that stands is over"
    assert len(names(open_)) == MOST_OPEN


def test_what_is_not_told_costs_no_look_at_the_pods() -> None:
    """Seen: seconds of the judge's thread for 2,500 Services before 1,300 pods, of which twenty were told."""
    looked = Counter[str]()

    class Labels(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            looked[key] += 1
            return super().get(key, default)

    many = doors(300)
    for door in many:
        door["spec"]["selector"] = {"app": "web"}
    pods = {("shop", f"p{number}"): Pod("shop", f"p{number}", Labels(app="web")) for number in range(10)}
    told = list(exposed(compiled(), map(service_from_body, many), pods))
    assert looked["app"] == MOST_TOLD * len(pods)
    assert {one.witness.target for one in told if one.witness} == {"shop/p0"}


@pytest.mark.parametrize("owner", ["X/evil\n\x1b[2Jpaid", "X/\x1b]0;x\x07\n2026 drift.healed \u202e"])
def test_what_an_owner_reference_says_is_shown_on_one_line(owner: str) -> None:
    """Seen: it came into witness, effect, store and traces as it was."""
    (door,) = found(
        service("shop", {"app": "web"}, type="NodePort"), pods=[Pod("shop", "w", {"app": "web"}, owner=owner)]
    )
    (way,) = led("shop", "10.244.2.6", pods=[replace(REDIS, owner=owner)])
    for one in (door, way):
        assert (one.summary + one.effect + str(one.witness)).isprintable()


# -- slices ----------------------------------------------------------------------------------------------------------

DB = Pod("shop", "db-0", {"app": "db"}, ips=("10.244.1.5",), owner="StatefulSet/db")
V6 = Pod("shop", "six", {}, ips=("fd00::1",))
REDIS = Pod("redis-globex", "redis-0", {"app": "redis"}, ips=("10.244.2.6",))


def led(namespace: str, *addresses: str, kind: str = "IPv4", pods: Iterable[Pod] = (DB, V6, REDIS)) -> list[Finding]:
    body = {
        "metadata": {"namespace": namespace, "name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": kind,
        "endpoints": [{"addresses": list(addresses)}],
        "ports": [{"port": 5432, "protocol": "TCP"}],
    }
    return list(misdirected(compiled(), [slice_from_body(body)], {(one.namespace, one.name): one for one in pods}))


def test_a_slice_to_another_tenants_pod_crosses_the_border() -> None:
    (one,) = led("desk", "10.244.9.9", "10.244.1.5")
    assert (one.severity, one.tenant, one.scope.namespace) == (Severity.CRITICAL, "globex", "desk")
    assert one.witness is not None
    assert str(one.witness) == "callers of Service desk/s -> shop/db TCP/5432"


def test_a_strangers_slice_is_told_in_the_clusters_scope() -> None:
    (one,) = led("stranger", "10.244.1.5")
    assert (one.severity, one.scope) == (Severity.CRITICAL, CLUSTER)


def test_an_attachment_belongs_to_the_tenant_that_attaches_it() -> None:
    assert [one.severity for one in led("shop", "10.244.2.6")] == [Severity.CRITICAL]
    assert [one.severity for one in led("desk", "10.244.2.6")] == [Severity.HIGH]


def test_an_address_may_be_spelled_as_its_author_likes() -> None:
    assert len(led("desk", "FD00:0:0::0001", kind="IPv6")) == 1


@pytest.mark.parametrize("namespace", ["shop", "kube-system"])
def test_ones_own_pods_and_the_platforms_slices_are_fine(namespace: str) -> None:
    assert led(namespace, "10.244.1.5") == []


def test_a_slice_that_no_controller_would_write_is_told_and_takes_no_more_memory_than_another() -> None:
    many = [f"10.{n >> 8 & 255}.{n & 255}.7" for n in range(1500)]
    (one,) = led("desk", *many)
    assert (one.severity, one.scope.namespace) == (Severity.CRITICAL, "desk")
    assert "more than 1000 addresses" in one.summary
    assert led("desk", *many[:1000]) == []
    body = {"metadata": {"namespace": "desk", "name": "s-1"}, "endpoints": [{"addresses": many}]}
    assert len(slice_from_body(body).addresses) == 1000


def test_slices_that_may_lead_anywhere_hide_none_that_leads_to_another_tenants_pod() -> None:
    """Seen: twenty slices of too many ports with earlier names hid a proven way to another tenant's database."""
    way = LiveSlice("desk", "zzz", "s", ("10.244.1.5",), (("TCP", 5432),))
    decoys = [LiveSlice("desk", f"a{number:02}", "s", (), (), more=True) for number in range(MOST_TOLD + 1)]
    told = list(misdirected(compiled(), [*decoys, way], {("shop", "db-0"): DB}))
    assert names(told) == {"zzz", *(one.name for one in decoys[:MOST_TOLD])}
    (more,) = (one for one in told if one.ref.kind == "Namespace")
    assert (more.type, more.severity) == (FindingType.MISDIRECTED, Severity.CRITICAL)
    assert "up to 20 EndpointSlices" in more.summary


def test_a_slice_of_which_nobody_knows_where_it_leads_is_told_wherever_it_is() -> None:
    """Its callers come from everywhere, and it may lead to a tenant's pods."""
    (one,) = led("stranger", *(f"10.{n >> 8 & 255}.{n & 255}.7" for n in range(1500)))
    assert (one.severity, one.scope) == (Severity.CRITICAL, CLUSTER)
    assert led("kube-system", "10.244.1.0x5") == []


def test_an_address_that_cannot_be_read_may_lead_anywhere() -> None:
    """Seen: with zeros before its numbers, which older API servers take, an address was nobody's."""
    assert len(led("desk", "010.244.001.005")) == len(led("desk", "::ffff:10.244.1.5", kind="IPv6")) == 1
    (one,) = led("desk", "10.244.9.9", "10.244.1.0x5")
    assert (one.severity, one.scope.namespace) == (Severity.CRITICAL, "desk")
    assert "cannot be read" in one.summary


@pytest.mark.parametrize("last", ["10.244.1.5", "10.244.1.0x5"])
def test_an_address_of_ones_own_tenant_makes_no_milder_what_may_lead_anywhere(last: str) -> None:
    """Seen: a slice that began with such an address was HIGH, though its thousand and first was another tenant's."""
    many = [f"10.9.{n >> 8 & 255}.{n & 255}" for n in range(999)]
    (one,) = led("desk", "10.244.2.6", *many, last)
    assert one.severity is Severity.CRITICAL
    (one,) = led("desk", "10.244.2.6", "10.244.1.5", *many, last)
    assert (one.severity, one.witness and one.witness.target) == (Severity.CRITICAL, "shop/db")


def test_host_names_finished_pods_and_nodes_lead_to_nobody() -> None:
    assert led("desk", "10.244.1.5", kind="FQDN") == []
    over = Pod("shop", "job", {}, ips=("10.244.1.9",), finished=True)
    host = Pod("shop", "agent", {}, ips=("10.99.0.1",), host_network=True)
    assert led("desk", "10.244.1.9", "10.99.0.1", pods=[over, host]) == []


def test_a_service_of_a_thousand_ports_and_addresses_is_kept_small_and_found_all_the_same() -> None:
    ports = [{"port": number, "nodePort": 30_000 + number} for number in range(1000)]
    huge = service(
        "shop", {"app": "web"}, type="NodePort", externalIPs=[f"10.0.{n // 250}.{n % 250}" for n in range(900)]
    )
    huge["spec"]["ports"] = ports
    kept = service_from_body(huge)
    assert len(kept.ports) == len(kept.external_ips) == 256
    (finding,) = found(huge)
    assert "node ports" in finding.summary
    assert "external IP" in finding.summary


def test_a_selector_of_a_megabyte_is_not_kept_and_may_select_anybody() -> None:
    """Seen: Services of 256 keys with a prefix of 253 characters each took 150 KB, as many as a tenant liked."""
    wordy = {f"{'k' * 200}/{number}": "v" * 63 for number in range(256)} | {"app": "redis"}
    kept = service_from_body(service("redis-globex", wordy, type="LoadBalancer"))
    assert (kept.selector, kept.more) == ({}, True)
    (one,) = found(service("redis-globex", wordy, type="LoadBalancer"))
    assert one.scope == CLUSTER
    assert not service_from_body(service("shop", {"app": "web"})).more


def test_a_slice_of_thousands_of_ports_is_kept_small_and_told() -> None:
    """Seen: twenty slices of 15,000 ports took 60 MB."""
    metadata = {"namespace": "desk", "name": "s-1"}
    body = {"metadata": metadata, "endpoints": [], "ports": [{"port": one} for one in range(1, 15_001)]}
    kept = slice_from_body(body)
    assert (len(kept.ports), kept.more) == (256, True)
    (one,) = misdirected(compiled(), [kept], {})
    assert (one.severity, "hundreds of ports" in one.summary) == (Severity.CRITICAL, True)


def test_a_governed_namespace_of_which_not_all_is_kept_is_unknown_by_kind_and_no_other_is_told() -> None:
    beyond = [(kind, name) for kind in ("Pod", "Service", "EndpointSlice") for name in ("shop", "strangers")]
    told = list(unkept(compiled(), beyond))
    assert len({one.id for one in told}) == 3
    assert {(one.ref, one.direction, one.severity, one.tenant, one.scope.namespace) for one in told} == {
        (ObjectRef("", "Namespace", "", "shop"), Direction.UNKNOWN, Severity.CRITICAL, "acme", "shop")
    }
