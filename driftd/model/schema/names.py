"""The scalar types of the model: names, labels, networks, ports, paths. Each refusal says the fix.

Sources: Kubernetes `apimachinery/pkg/util/validation` for names and labels, RFC 1123 for host names, RFC 9110 for
methods. Everything is ASCII: look-alike letters in a tenant's name are how one tenant passes for another.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.config import JsonDict, JsonValue
from pydantic_core import PydanticCustomError

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)+")
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()+,;=:@%/]*\*?")
_PATH_TEMPLATE = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()+,;=:@%/]|\{tenant\})*\*?")
_QUANTITY = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")
_FILE = re.compile(r"[A-Za-z0-9_\-.]+(?:/[A-Za-z0-9_\-.]+)*")
_HEADER = re.compile(r"[a-z0-9][a-z0-9\-]{0,62}")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")


def refusal(message: str, remedy: str) -> PydanticCustomError:
    """An error whose remedy survives the way through pydantic; message and remedy are plain text, never templates."""
    return PydanticCustomError("driftd", "{message}", {"message": message, "remedy": remedy})


def is_dns_label(value: str) -> bool:
    """Whether a string is a DNS label as Kubernetes names namespaces (RFC 1123, at most 63 characters)."""
    return _LABEL.fullmatch(value) is not None


def is_subdomain(value: str) -> bool:
    """Whether a string is a DNS subdomain as Kubernetes names most objects (at most 253 characters)."""
    return len(value) <= 253 and _SUBDOMAIN.fullmatch(value) is not None


def _dns_label(value: str) -> str:
    if not is_dns_label(value):
        raise refusal(
            f"{value[:80]!r} is not a DNS label",
            "use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
        )
    return value


def _subdomain(value: str) -> str:
    if not is_subdomain(value):
        raise refusal(
            f"{value[:80]!r} is not an object name",
            "use at most 253 of a-z, 0-9, '-' and '.', each part as a DNS label",
        )
    return value


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if _QUALIFIED.fullmatch(name) is None or (slash and not is_subdomain(prefix)):
        raise refusal(
            f"{value[:80]!r} is not a label key", "write [dns.prefix/]name with at most 63 characters in the name"
        )
    return value


def _label_value(value: str) -> str:
    if value and _QUALIFIED.fullmatch(value) is None:
        raise refusal(
            f"{value[:80]!r} is not a label value",
            "use at most 63 of letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        )
    return value


def _host(value: str) -> str:
    if len(value) > 253 or _HOST.fullmatch(value) is None:
        raise refusal(f"{value[:80]!r} is not a host name", "write a lower-case host such as shop.acme.example")
    return value


@lru_cache(maxsize=4096)
def network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network of a CIDR that the schema has let through."""
    return ipaddress.ip_network(cidr)


def _cidr(value: str) -> str:
    if "/" not in value:
        raise refusal(
            f"{value[:60]!r} has no prefix length", f"write {value[:60]}/32 for one IPv4 address, /128 for one IPv6"
        )
    try:
        loose = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise refusal(f"{value[:60]!r} is not a CIDR", "write it as 203.0.113.8/32 or 2001:db8::/64") from None
    try:
        exact = ipaddress.ip_network(value)
    except ValueError:
        raise refusal(
            f"{value[:60]!r} has bits set beyond its prefix",
            f"write {loose} for the network or the address with its full prefix",
        ) from None
    if "%" in value or "/" in value.split("/", 1)[1] or not value.split("/", 1)[1].isdecimal():
        raise refusal(f"{value[:60]!r} is not in prefix-length form", f"write {exact}")
    if isinstance(exact, ipaddress.IPv6Network) and exact.network_address.ipv4_mapped is not None:
        raise refusal(
            f"{value[:60]!r} is an IPv4-mapped IPv6 network, which the API server refuses",
            "write the IPv4 network itself",
        )
    return str(exact)


def _host_cidr(value: str) -> str:
    """One address; kept as the CIDR that holds just it."""
    if "/" not in value:
        try:
            value = str(ipaddress.ip_network(value))
        except ValueError:
            raise refusal(f"{value[:60]!r} is not an IP address", "write it as 169.254.20.10") from None
    cidr = _cidr(value)
    if network(cidr).num_addresses != 1:
        raise refusal(f"{cidr} is more than one address", "write a single address, such as 169.254.20.10")
    return cidr


def _path(value: str) -> str:
    if _PATH.fullmatch(value) is None or _dotted(value):
        raise refusal(
            f"{value[:80]!r} is not a path pattern",
            "start with '/', keep to URL path characters, and use '*' only as the last one",
        )
    return value


def _path_template(value: str) -> str:
    if _PATH_TEMPLATE.fullmatch(value) is None or _dotted(value):
        raise refusal(
            f"{value[:80]!r} is not a path pattern",
            "start with '/', use '*' only as the last character; {tenant} stands for the caller's tenant",
        )
    return value


def _dotted(path: str) -> bool:
    return any(part in {".", ".."} for part in path.split("/")) or "//" in path


def _quantity(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _quantity_form(value: str) -> str:
    if len(value) > 40 or _QUANTITY.fullmatch(value) is None:
        raise refusal(f"{value[:60]!r} is not a quantity", "write it as Kubernetes does: 4, 500m, 8Gi")
    return value


def _file(value: str) -> str:
    if len(value) > 255 or _FILE.fullmatch(value) is None or any(part in {".", ".."} for part in value.split("/")):
        raise refusal(
            f"{value[:80]!r} is not a path below the model root", "write a relative path such as falco/rules.yaml"
        )
    return value


def _header(value: str) -> str:
    if _HEADER.fullmatch(value) is None:
        raise refusal(f"{value[:80]!r} is not a header name", "write it in lower case, such as x-tenant-identity")
    return value


def _kind(value: str) -> str:
    if _KIND.fullmatch(value) is None:
        raise refusal(
            f"{value[:80]!r} is not a kind", "write the kind exactly, such as NetworkPolicy; patterns are not taken"
        )
    return value


def _group(value: str) -> str:
    if value and not is_subdomain(value):
        raise refusal(
            f"{value[:80]!r} is not an API group", 'write it such as networking.k8s.io, or "" for the core group'
        )
    return value


def _documented(name: str, pattern: re.Pattern[str] | None = None, **more: JsonValue) -> JsonDict:
    """JSON Schema keywords of a scalar type: its name for readers, its pattern for editors."""
    return {"$comment": name, **({"pattern": f"^{pattern.pattern}$"} if pattern else {}), **more}


DnsLabel = Annotated[str, AfterValidator(_dns_label), Field(json_schema_extra=_documented("DNS label", _LABEL))]
Subdomain = Annotated[
    str, AfterValidator(_subdomain), Field(json_schema_extra=_documented("object name", _SUBDOMAIN, maxLength=253))
]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value), Field(json_schema_extra=_documented("label value"))]
Host = Annotated[str, AfterValidator(_host), Field(json_schema_extra=_documented("host name", _HOST))]
Cidr = Annotated[
    str,
    AfterValidator(_cidr),
    Field(json_schema_extra=_documented("CIDR", examples=["203.0.113.8/32", "2001:db8::/64"])),
]
HostCidr = Annotated[
    str, AfterValidator(_host_cidr), Field(json_schema_extra=_documented("IP address", examples=["169.254.20.10"]))
]
PathPattern = Annotated[str, AfterValidator(_path), Field(json_schema_extra=_documented("path pattern", _PATH))]
PathTemplate = Annotated[
    str, AfterValidator(_path_template), Field(json_schema_extra=_documented("path pattern", _PATH_TEMPLATE))
]
Quantity = Annotated[
    str,
    BeforeValidator(_quantity, json_schema_input_type=str | int),
    AfterValidator(_quantity_form),
    Field(json_schema_extra=_documented("quantity")),
]
FilePath = Annotated[str, AfterValidator(_file), Field(json_schema_extra=_documented("path", _FILE))]
HeaderName = Annotated[str, AfterValidator(_header), Field(json_schema_extra=_documented("header name", _HEADER))]
KindName = Annotated[str, AfterValidator(_kind), Field(json_schema_extra=_documented("kind", _KIND))]
GroupName = Annotated[str, AfterValidator(_group), Field(json_schema_extra=_documented("API group"))]
PortNumber = Annotated[int, Field(ge=1, le=65535)]

RemediationMode: TypeAlias = Literal["report", "enforce"]
Protocol: TypeAlias = Literal["TCP", "UDP", "SCTP"]
AppProtocol: TypeAlias = Literal["http", "grpc", "tcp"]
Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]
