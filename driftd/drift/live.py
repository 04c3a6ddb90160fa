"""Services and endpoint slices of the live cluster, cut down to what decides whom they let in or lead to."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import islice

from driftd.values import Body


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service. `target` is the pods' port, a number or a name; `node_port` is 0 where there is none."""

    protocol: str
    number: int
    target: str
    node_port: int


@dataclass(frozen=True, slots=True)
class LiveService:
    """A Service. An empty `selector` means that nobody but its EndpointSlices says where it leads.

    `more`: there are ports, addresses or keys of the selector that are not here, so that whom it selects, and where it
    leads them, is not known. A selector that is too long is not here at all.
    """

    namespace: str
    name: str
    type: str
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    external_ips: tuple[str, ...]
    more: bool = False


MOST_ADDRESSES = 1000
"""As many as a slice has endpoints at most, each with the one address that controllers write. The API takes a hundred
times more, which in a few slices of one tenant would be all of driftd's memory."""


_MOST_PARTS = 256
"""Ports and addresses of one Service, and ports of one slice. The first ones show whether it lets somebody in: a node
port stands at each port or at none, and one address is enough."""

_MOST_SELECTED = 4096
"""Characters of a selector. A megabyte of keys is legal, and selects nobody."""

_LONGEST_PORT = 63
"""Characters of a port's name, which a Service may choose as the one it leads to."""


@dataclass(frozen=True, slots=True)
class LiveSlice:
    """An EndpointSlice: where the Service of its label leads. A port number of 0 means every port.

    `addresses` are each in its one spelling. `more`: there are others that are not here, since nobody can read them or
    they are beyond `MOST_ADDRESSES`, or more ports than anybody needs, so that where the slice leads is not known.
    """

    namespace: str
    name: str
    service: str
    addresses: tuple[str, ...]
    ports: tuple[tuple[str, int], ...]
    more: bool = False


def service_from_body(body: Body) -> LiveService:
    """A Service of the API (v1)."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    selector, ports, addresses = spec.get("selector") or {}, spec.get("ports") or (), spec.get("externalIPs") or ()
    wordy = sum(len(key) + len(value) for key, value in selector.items()) > _MOST_SELECTED
    return LiveService(
        namespace=metadata["namespace"],
        name=metadata["name"],
        type=spec.get("type") or "ClusterIP",
        selector={} if wordy else dict(selector),
        ports=tuple(_port(one) for one in ports[:_MOST_PARTS]),
        external_ips=tuple(addresses[:_MOST_PARTS]),
        more=wordy or len(ports) > _MOST_PARTS or len(addresses) > _MOST_PARTS,
    )


def _port(one: Body) -> ServicePort:
    return ServicePort(
        protocol=one.get("protocol") or "TCP",
        number=one.get("port") or 0,
        target=str(one.get("targetPort") or one.get("port") or "")[:_LONGEST_PORT],
        node_port=one.get("nodePort") or 0,
    )


def slice_from_body(body: Body) -> LiveSlice:
    """An EndpointSlice of the API (discovery.k8s.io/v1). Host names lead to no pod and are left out."""
    metadata = body["metadata"]
    endpoints = () if body.get("addressType") == "FQDN" else body.get("endpoints") or ()
    every = (address for one in endpoints for address in one.get("addresses") or ())
    read = [_read(address) for address in islice(every, MOST_ADDRESSES)]
    ports = body.get("ports") or ()
    return LiveSlice(
        namespace=metadata["namespace"],
        name=metadata["name"],
        service=(metadata.get("labels") or {}).get("kubernetes.io/service-name", ""),
        addresses=tuple(address for address in read if address is not None),
        ports=tuple((one.get("protocol") or "TCP", one.get("port") or 0) for one in ports[:_MOST_PARTS]),
        more=None in read or next(every, None) is not None or len(ports) > _MOST_PARTS,
    )


def plain(address: str) -> str:
    """One spelling for an address; what is none stays as it is."""
    return _read(address) or address


def _read(text: str) -> str | None:
    """An address in its one spelling; None for what is none.

    API servers before 1.36 store zeros before a number and IPv4 within IPv6 as they are written, and whoever forwards
    reads them as they do: in tens, and as IPv4 (`ParseIPSloppy`; KEP-4858).
    """
    head, colon, tail = text.rpartition(":")
    if "." in tail:
        tail = ".".join(number.lstrip("0") or number[:1] for number in tail.split("."))
    try:
        found = ip_address(f"{head}{colon}{tail}")
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id else str(found.ipv4_mapped or found)
    return str(found)
