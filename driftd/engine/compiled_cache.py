"""The compiled last good model on disk, so that a restart need not read and compile a thousand environments again.

Only a cache: it counts for exactly one commit and exactly this build of the code that compiles, and anything wrong with
it means that the model is compiled from its files.
"""

import asyncio
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec
import structlog

from driftd.compile import Compiled, Exempt, Workload
from driftd.engine.orphans import Kept, kept_of, restored
from driftd.policy.kinds import Coverage

_log = structlog.get_logger()
_CHECK_BYTES = 16
_ROOMS = ("values", "model", "policy/kinds", "compile")
"""What decides how a model is compiled."""


class _Cached(msgspec.Struct, frozen=True):
    commit: str
    build: str
    cluster: str
    dialect: str
    governed: tuple[Kept, ...]
    coverage: Coverage
    exemptions: tuple[Exempt, ...]
    mass_objects: int
    mass_percent: int
    platform: tuple[str, ...]
    pod_ranges: tuple[str, ...]
    node_ranges: tuple[str, ...]
    peers: dict[str, tuple[Workload, ...]]
    cluster_wide: Kept
    tier: str


class CompiledCache:
    """Keeps one compiled model in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "compiled.cache"

    async def keep(self, commit: str, compiled: Compiled) -> None:
        """Replace what is kept. A failure costs only time at the next start."""
        try:
            await asyncio.to_thread(self._write, commit, compiled)
        except OSError as error:
            _log.warning("model.cache.not_kept", why=str(error))

    async def load(self, commit: str) -> Compiled | None:
        """The compiled model of that commit, None where there is none of use."""
        return await asyncio.to_thread(self._read, commit)

    def _write(self, commit: str, compiled: Compiled) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_bytes(dump(commit, compiled))
        draft.replace(self.path)

    def _read(self, commit: str) -> Compiled | None:
        try:
            return load(self.path.read_bytes(), commit)
        except OSError:
            return None


def dump(commit: str, compiled: Compiled) -> bytes:
    """A compiled model as bytes, with a checksum before them."""
    cached = _Cached(
        commit=commit,
        build=build(),
        cluster=compiled.cluster,
        dialect=compiled.dialect,
        governed=tuple(kept_of(one) for one in compiled.governed.values()),
        coverage=compiled.coverage,
        exemptions=compiled.exemptions,
        mass_objects=compiled.mass_objects,
        mass_percent=compiled.mass_percent,
        platform=compiled.platform,
        pod_ranges=compiled.pod_ranges,
        node_ranges=compiled.node_ranges,
        peers=dict(compiled.peers),
        cluster_wide=kept_of(compiled.cluster_wide),
        tier=compiled.tier,
    )
    data = msgspec.msgpack.encode(cached)
    return _checksum(data) + data


def load(raw: bytes, commit: str) -> Compiled | None:
    """The reverse of `dump`; None for damage, another commit or another build."""
    data = raw[_CHECK_BYTES:]
    if _checksum(data) != raw[:_CHECK_BYTES]:
        return None
    try:
        cached = msgspec.msgpack.decode(data, type=_Cached)
    except msgspec.MsgspecError:
        return None
    if (cached.commit, cached.build) != (commit, build()):
        return None
    return Compiled(
        cluster=cached.cluster,
        dialect=cached.dialect,
        governed={one.name: restored(one) for one in cached.governed},
        coverage=cached.coverage,
        exemptions=cached.exemptions,
        mass_objects=cached.mass_objects,
        mass_percent=cached.mass_percent,
        platform=cached.platform,
        pod_ranges=cached.pod_ranges,
        node_ranges=cached.node_ranges,
        peers=cached.peers,
        cluster_wide=restored(cached.cluster_wide),
        tier=cached.tier,
    )


@cache
def build() -> str:
    """A name for the code that compiles: any change of it, version or not, makes what was kept worthless."""
    root = Path(__file__).resolve().parent.parent
    digest = blake2b(digest_size=16)
    for room in _ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECK_BYTES).digest()
