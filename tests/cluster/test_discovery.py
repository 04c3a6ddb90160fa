"""Which kinds are served is read in both forms the API has, and silence is not absence."""

import pytest

from driftd.cluster import ClusterError, Discovery, Interest, Session
from driftd.values import Resource
from tests.support.api_server import ApiServer, answer, status
from tests.support.discovery import CORE, VERBS, aggregated, found, serve


def interest(group: str, kind: str) -> Interest:
    if kind in {"NetworkPolicy", "Namespace"}:
        return Interest.FULL
    if group == "cilium.io":
        return Interest.METADATA if kind == "CiliumNetworkPolicy" else Interest.NONE
    return Interest.NONE


CILIUM = [
    {
        "version": "v2",
        "resources": [found("ciliumnetworkpolicies", "CiliumNetworkPolicy"), found("ciliumthings", "CiliumThing")],
    }
]
NETWORKING = [
    {"version": "v1", "resources": [found("networkpolicies", "NetworkPolicy"), found("ingresses", "Ingress")]},
    {"version": "v1beta1", "resources": [found("networkpolicies", "NetworkPolicy")]},
]


async def test_aggregated_discovery_names_what_to_watch(server: ApiServer, session: Session) -> None:
    serve(server, CORE, aggregated(("networking.k8s.io", NETWORKING), ("cilium.io", CILIUM)))
    served = await Discovery(session, interest).look()
    assert served.watched() == {
        Resource("", "v1", "Namespace", "namespaces", namespaced=False): False,
        Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"): False,
        Resource("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies"): True,
    }


async def test_a_pinned_kind_in_other_versions_only_is_not_served(server: ApiServer, session: Session) -> None:
    serve(server, CORE, aggregated(("networking.k8s.io", NETWORKING[1:])))
    served = await Discovery(session, interest, {("networking.k8s.io", "NetworkPolicy"): "v1"}).look()
    assert ("networking.k8s.io", "NetworkPolicy") not in served.kinds


async def test_a_kind_is_taken_in_the_version_that_is_read_and_else_in_the_one_the_server_prefers(
    server: ApiServer, session: Session
) -> None:
    wanted = {("networking.k8s.io", "NetworkPolicy"): "v1beta1"}
    for versions, taken in ((NETWORKING, "v1beta1"), (NETWORKING[:1], "v1")):
        serve(server, CORE, aggregated(("networking.k8s.io", versions)))
        served = await Discovery(session, interest, preferred=wanted).look()
        assert served.kinds["networking.k8s.io", "NetworkPolicy"][0].version == taken


@pytest.mark.parametrize("groups", [("projectcalico.org", "crd.projectcalico.org"), ("crd.projectcalico.org",)])
async def test_of_two_groups_that_serve_one_kind_one_is_read(
    server: ApiServer, session: Session, groups: tuple[str, ...]
) -> None:
    """Checklist 1.3: read one API group, never both"""
    policies = {
        group: [{"version": version, "resources": [found("networkpolicies", "NetworkPolicy")]}]
        for group, version in (("projectcalico.org", "v3"), ("crd.projectcalico.org", "v1"))
    }
    serve(server, CORE, aggregated(*((group, policies[group]) for group in reversed(groups))))
    aliases = {"crd.projectcalico.org": "projectcalico.org"}
    served = await Discovery(session, interest, aliases=aliases).look()
    assert [one.group for one in served.watched() if one.kind == "NetworkPolicy"] == [groups[0]]
    assert ("projectcalico.org", "NetworkPolicy") in served.kinds


async def test_a_kind_that_cannot_be_watched_is_left_out(server: ApiServer, session: Session) -> None:
    only_get = [{"version": "v1", "resources": [found("networkpolicies", "NetworkPolicy", verbs=["get"])]}]
    serve(server, CORE, aggregated(("networking.k8s.io", only_get)))
    served = await Discovery(session, interest).look()
    assert {key[1] for key in served.kinds} == {"Namespace"}


async def test_a_group_whose_server_is_silent_is_remembered(server: ApiServer, session: Session) -> None:
    serve(server, CORE, aggregated(("cilium.io", CILIUM)))
    discovery = Discovery(session, interest)
    before = await discovery.look()
    serve(server, CORE, aggregated(("cilium.io", [{"version": "v2", "freshness": "Stale"}])))
    after = await discovery.look()
    assert after.kinds == before.kinds
    assert after.stale == {"cilium.io"}
    serve(server, CORE, aggregated())
    assert "cilium.io" not in {key[0] for key in (await discovery.look()).kinds}


def classic(server: ApiServer) -> None:
    server.routes["GET", "/api"] = answer(200, {"kind": "APIVersions", "versions": ["v1"]})
    groups = [
        {
            "name": "networking.k8s.io",
            "versions": [{"version": "v1beta1"}, {"version": "v1"}],
            "preferredVersion": {"version": "v1"},
        }
    ]
    server.routes["GET", "/apis"] = answer(200, {"kind": "APIGroupList", "groups": groups})
    core = [{"name": "namespaces", "kind": "Namespace", "namespaced": False, "verbs": VERBS}]
    server.routes["GET", "/api/v1"] = answer(200, {"kind": "APIResourceList", "resources": core})
    policies = [
        {"name": "networkpolicies", "kind": "NetworkPolicy", "namespaced": True, "verbs": VERBS},
        {"name": "networkpolicies/status", "kind": "NetworkPolicy", "namespaced": True, "verbs": VERBS},
    ]
    for version in ("v1", "v1beta1"):
        path = f"/apis/networking.k8s.io/{version}"
        server.routes["GET", path] = answer(200, {"kind": "APIResourceList", "resources": policies})


async def test_the_classic_form_is_read_too_in_the_preferred_version(server: ApiServer, session: Session) -> None:
    classic(server)
    served = await Discovery(session, interest).look()
    assert served.kinds["networking.k8s.io", "NetworkPolicy"][0] == Resource(
        "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"
    )
    assert ("", "Namespace") in served.kinds


async def test_a_silent_group_of_the_classic_form_is_remembered(server: ApiServer, session: Session) -> None:
    classic(server)
    discovery = Discovery(session, interest)
    before = await discovery.look()
    server.routes["GET", "/apis/networking.k8s.io/v1"] = answer(503, status(503, "ServiceUnavailable"))
    after = await discovery.look()
    assert after.kinds == before.kinds
    assert after.stale == {"networking.k8s.io"}


async def test_a_server_that_does_not_say_what_it_serves_is_an_error(server: ApiServer, session: Session) -> None:
    server.routes["GET", "/api"] = answer(200, {"kind": "APIGroupDiscoveryList", "items": 7})
    with pytest.raises(ClusterError, match="unusable answer"):
        await Discovery(session, interest).look()
