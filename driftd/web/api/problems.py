"""Why the API does not do what it is asked; each condition has its status, and none repeats a token."""


class ApiProblem(Exception):
    """Base: the request was not done. `status` is HTTP's, `retry_after` in seconds where waiting helps."""

    status = 500
    retry_after: int | None = None


class NotAuthenticated(ApiProblem):
    """Nobody knows who is asking."""

    status = 401

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; expected `Authorization: Bearer TOKEN` with a token that the API server knows")


class NotAllowed(ApiProblem):
    """Who is asking may not do that."""

    status = 403

    def __init__(self, who: str, what: str) -> None:
        super().__init__(
            f"{who} may not {what}; the right comes from RBAC: see the ClusterRoles driftd-viewer and driftd-operator"
        )


class NotKnown(ApiProblem):
    """There is no such thing to act on."""

    status = 404


class NoSuchEndpoint(ApiProblem):
    """The API has no such path, or not for this method."""

    def __init__(self, method: str, path: str, status: int) -> None:
        super().__init__(f"there is no {method} {path}; the endpoints stand in docs/api.md")
        self.status = status


class NotNow(ApiProblem):
    """The state of things does not allow it."""

    status = 409


class Malformed(ApiProblem):
    """The request is not what the schema says."""

    status = 400


class TooLarge(ApiProblem):
    """The request is bigger than any that means something."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request's body is over {limit} bytes; no request of this API needs as much")


class TooFast(ApiProblem):
    """More requests than one person makes."""

    status = 429
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("too many requests from this address; wait a second")


class Elsewhere(ApiProblem):
    """Another replica leads: only the leader changes anything."""

    status = 503
    retry_after = 2

    def __init__(self, holder: str) -> None:
        who = f"{holder} leads" if holder else "nobody leads just now"
        super().__init__(
            f"this replica does not lead, {who}; ask that one: kubectl port-forward pod/{holder or '...'} 8081"
        )


class Unable(ApiProblem):
    """Something this needs is away: the store, or the API server that says who somebody is."""

    status = 503
    retry_after = 5
