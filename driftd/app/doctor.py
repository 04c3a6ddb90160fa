"""What driftd needs and lacks here: each thing looked at as this process and this login see it, with its remedy.

Nothing is stored anywhere by looking: rights are asked about, admission policies are tried by dry runs that they must
refuse, the model is read and compiled, the database is read, and whoever is told of pages and traces is connected to
and told nothing.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from driftd.app.connections import Peer, collector, dial, pagers
from driftd.app.rights import RBAC, kept_out_of, needed_rights
from driftd.app.source import model_source
from driftd.app.system import SystemClock
from driftd.cluster import (
    ClusterError,
    Discovery,
    Interest,
    Pace,
    Rights,
    Session,
    default_credentials,
    guards,
)
from driftd.compile import CompileError, compile_model
from driftd.model import load
from driftd.policy.kinds import ALIASES, KINDS
from driftd.settings import PagingSettings, RouteSettings, Settings
from driftd.source import SourceError
from driftd.store import ReadOnly, StoreError, address_of, shown

_UNDEFINED_TABLE = "42P01"
"""PostgreSQL's word for a database that driftd has never used."""


class State(StrEnum):
    """What came of one look. UNKNOWN: it could not be told, which is neither good nor bad news.

    WARNING: something is not there that driftd does all of its work without.
    """

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that driftd needs: `seen` says what is there, `remedy` what to do where it is not OK."""

    subject: str
    state: State
    seen: str
    remedy: str = ""


async def examine(settings: Settings) -> tuple[Check, ...]:
    """Everything, in the order in which lacks explain each other. Never raises for what the outside may do."""
    model, told = await _model(settings)
    checks = [told, *await _cluster(settings, model)]
    checks.append(await _database(settings))
    checks.append(_paging(settings))
    checks += await _connections(settings)
    return tuple(checks)


# -- the model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the model, as far as it can be read, asks of a cluster: a dialect, and namespaces never to be written."""

    dialect: str = ""
    platform: tuple[str, ...] = ()


async def _model(settings: Settings) -> tuple[_Asked, Check]:
    git = settings.model.git
    where = "the git branch" if git.url.get_secret_value() else str(settings.model.path)
    try:
        source = model_source(settings, SystemClock(), lambda: "", lambda: "").source
        revision = await source.read()
    except SourceError as error:
        remedy = "mend the source, or DRIFTD_MODEL__PATH or DRIFTD_MODEL__GIT__URL"
        return _Asked(), Check("model", State.MISSING, str(error), remedy)
    loaded = load(revision.files)
    asked = _Asked(loaded.model.cluster.spec.cni.dialect if loaded.model is not None else "")
    errors = [problem for problem in loaded.problems if problem.is_error]
    if loaded.model is None or errors:
        seen = f"{where}: {len(errors)} errors, the first: {errors[0]}" if errors else f"{where}: no model in it"
        return asked, Check("model", State.MISSING, seen, "driftd lint names each with file and line")
    try:
        compiled = await asyncio.to_thread(compile_model, loaded.model)
    except CompileError as error:
        return asked, Check("model", State.MISSING, f"{where}: {error}", "driftd compile says where")
    asked = replace(asked, platform=kept_out_of(compiled, settings.namespace))
    return asked, Check("model", State.OK, f"{revision.commit}: {len(compiled.governed)} governed namespaces")


# -- the cluster ------------------------------------------------------------------------------------------------------


class _Version(msgspec.Struct, rename={"git_version": "gitVersion"}):
    git_version: str = "?"


async def _cluster(settings: Settings, asked: _Asked) -> list[Check]:
    pace = Pace(SystemClock(), asyncio.sleep, random.random)
    api = settings.api
    reach = "see DRIFTD_API__KUBECONFIG, the ServiceAccount's token, and the network policy of this pod"
    async with contextlib.AsyncExitStack() as stack:
        try:
            credentials = default_credentials(str(api.kubeconfig) if api.kubeconfig else None, api.context)
            session = await stack.enter_async_context(Session(credentials, pace))
            answer = await session.request("GET", "/version")
        except ClusterError as error:
            return [Check("API server", State.UNKNOWN, str(error), reach)]
        version = msgspec.json.decode(answer.body, type=_Version).git_version
        checks = [Check("API server", State.OK, version)]
        for look in (_rights, _kinds, _guards):
            checks += await _told(look, session, settings, asked)
        return checks


_Look = Callable[[Session, Settings, _Asked], Awaitable[list[Check]]]


async def _told(look: _Look, session: Session, settings: Settings, asked: _Asked) -> list[Check]:
    try:
        return await look(session, settings, asked)
    except ClusterError as error:
        return [Check(look.__name__.strip("_"), State.UNKNOWN, str(error), "run it again when the API server answers")]


async def _rights(session: Session, settings: Settings, asked: _Asked) -> list[Check]:
    rights = Rights(session)
    needed = needed_rights(settings.namespace, settings.lease.name, asked.dialect)
    missing = await rights.missing(needed)
    checks = [Check("right", State.MISSING, str(right), f"apply {RBAC}") for right in missing]
    if not missing:
        checks.append(Check("rights", State.OK, f"all {len(needed)} that are needed"))
    excess = await rights.excess()
    if excess:
        named = ", ".join(map(str, excess[:4])) + (f" and {len(excess) - 4} more" if len(excess) > 4 else "")
        checks.append(Check("too many rights", State.MISSING, named, "run driftd as its own ServiceAccount, no other"))
    return checks


async def _kinds(session: Session, settings: Settings, asked: _Asked) -> list[Check]:
    del settings

    def interest(group: str, kind: str) -> Interest:
        return Interest.FULL if (group, kind) in KINDS else Interest.NONE

    served = await Discovery(session, interest, aliases=ALIASES).look()
    wanted = [kind for kind in KINDS.values() if kind.dialect in ("", asked.dialect)]
    absent = [kind for kind in wanted if (kind.resource.group, kind.resource.kind) not in served.kinds]
    if not absent:
        return [Check("kinds", State.OK, f"all {len(wanted)} are served")]
    return [
        Check("kind", State.MISSING, str(kind.resource), _how_served(kind.resource.group, kind.dialect, served.stale))
        for kind in absent
    ]


def _how_served(group: str, dialect: str, silent: Iterable[str]) -> str:
    if group in silent:
        return f"the API group {group} does not answer: see its APIService"
    if dialect:
        return f"install {dialect}'s CRDs or API server, or set cni.dialect of the Cluster document to another"
    return "this API server does not serve a kind that Kubernetes has: see its --runtime-config"


async def _guards(session: Session, settings: Settings, asked: _Asked) -> list[Check]:
    states = {True: State.OK, False: State.MISSING, None: State.UNKNOWN}
    return [
        Check(guard.policy, states[guard.holds], guard.why, guard.remedy)
        for guard in await guards(session, settings.namespace, platform=asked.platform)
    ]


# -- what else is outside ---------------------------------------------------------------------------------------------


async def _database(settings: Settings) -> Check:
    address = settings.store.address(settings.data_dir)
    if isinstance(address, Path) and not address.exists():
        parent = next(folder for folder in (settings.data_dir, *settings.data_dir.parents) if folder.exists())
        if os.access(parent, os.W_OK):
            return Check("database", State.OK, f"{address} will be made at the first start")
        remedy = "mount a volume there that this user may write"
        return Check("database", State.MISSING, f"{parent} cannot be written", remedy)
    try:
        archive = await asyncio.to_thread(ReadOnly.at, address, SystemClock())
        try:
            head = await archive.head()
        finally:
            await archive.close()
    except StoreError as error:
        if isinstance(address, str) and _UNDEFINED_TABLE in str(error):
            return Check("database", State.OK, f"{shown(address_of(address))}: its tables will be made")
        return Check("database", State.UNKNOWN, str(error), "see DRIFTD_STORE__URL, the volume, and the network policy")
    return Check("database", State.OK, f"{head.seq} rows of evidence")


def _paging(settings: Settings) -> Check:
    paging = settings.paging
    keyrings: tuple[PagingSettings | RouteSettings, ...] = (paging, *paging.routes)
    files = dict.fromkeys(one.pagerduty_key_file for one in keyrings if one.pagerduty_key_file)
    closed = [str(file) for file in files if not (file.is_file() and os.access(file, os.R_OK))]
    if closed:
        what = "the key file" if len(closed) == 1 else "the key files"
        return Check("paging", State.MISSING, f"{what} {', '.join(closed)} cannot be read", "mount the Secret there")
    empty = [str(file) for file in files if not file.read_bytes().strip()]
    if empty:
        return Check("paging", State.MISSING, f"there is no key in {', '.join(empty)}", "put it into the Secret there")
    ways = ["a PagerDuty key"] if _has_key(paging) else []
    ways += [f"Alertmanager at {len(paging.alertmanager_urls)} addresses"] if paging.alertmanager_urls else []
    keyed = ", ".join(route.name for route in paging.routes if _has_key(route))
    keyless = ", ".join(route.name for route in paging.routes if not _has_key(route))
    if ways:
        seen = [" and ".join(ways)]
        seen += [f"a key of its own for {keyed}"] if keyed else []
        seen += [f"no key for {keyless}, whose pages take the general way"] if keyless else []
        return Check("paging", State.OK, "; ".join(seen))
    nobody = "pages are recorded, and nobody is woken"
    seen_here = f"no destination: {nobody}"
    if keyed:
        rest = f"for all others ({keyless} among them)" if keyless else "for all others"
        seen_here = f"a PagerDuty key for {keyed}; no destination {rest} and for driftd itself: {nobody}"
    remedy = "set DRIFTD_PAGING__PAGERDUTY_KEY_FILE or DRIFTD_PAGING__ALERTMANAGER_URLS"
    return Check("paging", State.MISSING, seen_here, remedy)


def _has_key(one: PagingSettings | RouteSettings) -> bool:
    return one.pagerduty_key_file is not None or bool(one.pagerduty_key.get_secret_value())


async def _connections(settings: Settings) -> list[Check]:
    """A destination of pages that cannot be reached wakes nobody; without its collector driftd only loses spans."""
    traces = collector(settings)
    wanted = [(peer, State.MISSING) for peer in pagers(settings)]
    if traces is not None:
        wanted.append((traces, State.WARNING))

    async def one(peer: Peer, closed: State) -> Check:
        line = await dial(peer)
        return Check(peer.name, closed if line.remedy else State.OK, line.seen, line.remedy)

    return list(await asyncio.gather(*(one(peer, closed) for peer, closed in wanted)))
