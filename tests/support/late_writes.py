"""What a leader sent before it stood still, and what the next model, which its successor follows, makes of it."""

import asyncio
from pathlib import Path

from tests.support.proxy import Fate, Request

WORKER = ("acme-prod", "worker-egress")
"""What the new model drops."""
MAILER = ("initech-prod", "mailer-egress")
"""What it adds."""
MAILER_SERVICE = """
    mailer:
      serviceAccount: mailer
      calls:
        - {to: shared/logs}
"""


def change_model(models: Path) -> None:
    """Drop one service of one tenant, add one of another."""
    acme, initech = (models / "environments" / f"{name}.yaml" for name in ("acme-prod", "initech-prod"))
    before, found, rest = acme.read_text().partition("    worker:\n")
    assert found
    acme.write_text(before + rest[rest.index("  attachments:") :])
    initech.write_text(initech.read_text().rstrip() + MAILER_SERVICE)


class Held:
    """A write of the daemon's that the proxy keeps until it is let go, which is then to end so."""

    def __init__(self, end: Fate = Fate.PASS) -> None:
        self.here, self.released = asyncio.Event(), asyncio.Event()
        self._end = end

    async def __call__(self, _request: Request) -> Fate:
        self.here.set()
        await self.released.wait()
        return self._end
