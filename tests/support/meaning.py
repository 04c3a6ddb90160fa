"""A judge at work beside a test, what it tells, and policies of somebody's for it to judge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from driftd.compile import Compiled
from driftd.drift import NO_ADMIN_POLICIES, AdminPolicies, Comparison, Difference, Judgement, LiveScope
from driftd.drift.findings import Teller
from driftd.drift.meaning import UNJUDGED
from driftd.engine import Meaning
from driftd.values import Body, Digest, Finding, FindingType, Live, ObjectRef, Scope
from tests.support.stage import MODELS, compiled_models


def unexpected(body: Body) -> Difference:
    """An object that the model does not have."""
    metadata = body["metadata"]
    ref = ObjectRef(body["apiVersion"].rpartition("/")[0], body["kind"], metadata["namespace"], metadata["name"])
    digest = Digest(orjson.dumps(body["spec"]))
    live = Live(ref, orjson.dumps(body), digest, "u", "1", terminating=False, managers=())
    return Difference(FindingType.UNEXPECTED, ref, None, live)


def own_policy(spec: object, name: str = "own", namespace: str = "acme-prod") -> Difference:
    """A NetworkPolicy of a tenant's own."""
    metadata = {"name": name, "namespace": namespace}
    return unexpected(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    )


def platform(tenant_policies: Literal["never", "inertOrTightening"]) -> Compiled:
    """The example platform, with one rule for what tenants make themselves."""
    compiled = compiled_models(MODELS)
    homes = {name: replace(one, tenant_policies=tenant_policies) for name, one in compiled.governed.items()}
    return replace(compiled, governed=homes)


@dataclass
class Judge:
    """A judge at work, the admin policies of its cluster, what it tells, and the scopes that it has looked at again."""

    meaning: Meaning
    compiled: Compiled
    admins: AdminPolicies = NO_ADMIN_POLICIES
    found: list[Finding] = field(default_factory=list)
    marked: list[Scope] = field(default_factory=list)

    def become(self, admins: AdminPolicies) -> None:
        self.admins = admins
        self.meaning.ask_anew()

    def offer(self, difference: Difference, known: Judgement = UNJUDGED) -> Comparison:
        """What a cycle does with what it finds, knowing this much of it."""
        scope = Scope(difference.ref.namespace)
        finding = Teller(self.compiled, self.compiled.governed[scope.namespace], scope).tell(difference, known)
        if finding.type is not FindingType.TOLERATED:
            self.meaning.offer(finding, difference)
        return Comparison(scope, (finding,), {finding.id: difference})

    def looked(self, difference: Difference) -> Comparison:
        """The same of a cycle that knows what is remembered."""
        governed, scope = self.compiled.governed[difference.ref.namespace], Scope(difference.ref.namespace)
        known = self.meaning.recall(governed, LiveScope(scope, {}), [difference])
        return self.offer(difference, known.get(difference.ref, UNJUDGED))

    async def done(self, found: int = 0) -> None:
        """Nothing waits any more, and so many findings, or more, were told in all."""
        async with asyncio.timeout(60):
            await asyncio.sleep(0.01)
            while len(self.found) < found or not self.meaning.idle:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def judging(compiled: Compiled | None = None) -> AsyncIterator[Judge]:
    """A judge of this model; of the example platform, where tenants may have no policies of their own, without one."""
    model = compiled or platform("never")

    async def take(finding: Finding) -> None:
        judge.found.append(finding)

    def mark(scope: Scope) -> None:
        judge.marked.append(scope)

    meaning = Meaning(compiled=lambda: model, policies=2000, judged=take, decided=mark, admins=lambda: judge.admins)
    judge = Judge(meaning, model)
    running = asyncio.create_task(meaning.run())
    try:
        yield judge
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
