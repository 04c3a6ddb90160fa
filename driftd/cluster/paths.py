"""URL paths of the API: where a kind and an object live."""

from urllib.parse import quote

from driftd.values import ObjectRef, Resource


def group_path(resource: Resource) -> str:
    """`/api/v1` or `/apis/<group>/<version>`."""
    return f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"


def collection_path(resource: Resource, namespace: str = "") -> str:
    """Where the kind is listed, and created: in one namespace, or without one in all of them."""
    middle = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{group_path(resource)}{middle}/{resource.plural}"


def object_path(resource: Resource, ref: ObjectRef) -> str:
    """Where one object lives.

    Raises:
        ValueError: the ref is of another kind, or has a namespace where the kind has none, or the other way round;
            a path made from it would name something else.
    """
    if (ref.group, ref.kind) != resource.key:
        raise ValueError(f"{ref} is not a {resource.kind} of group {resource.key[0]!r}")
    if bool(ref.namespace) != resource.namespaced or not ref.name or ref.name in {".", ".."}:
        raise ValueError(f"{ref}: a {resource.kind} needs {'a' if resource.namespaced else 'no'} namespace, and a name")
    return f"{collection_path(resource, ref.namespace)}/{quote(ref.name, safe='')}"
