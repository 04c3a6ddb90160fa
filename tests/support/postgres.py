"""A real PostgreSQL for tests: a server of its own on an address of this machine, and a database for each test.

Its programs come from the machine (Debian package `postgresql-15`). A test skips where they are absent and says so;
`DRIFTD_REQUIRE=postgres` turns the skip into a failure.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.control_plane import lacking
from tests.support.loopback import free_ports

PASSWORD = "not-for-anybodys-eyes"
_NOBODY = 65534
_NUMBERS = count()


def programs() -> Path:
    """The folder with initdb and postgres."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "initdb")]
    folder = found[-1].parent
    if not all((folder / name).exists() for name in ("initdb", "postgres", "psql")):
        lacking("postgres", "initdb and postgres are not on this machine (Debian package postgresql-15)")
    return folder


@dataclass
class Server:
    """One server; `stop`, `start`, `freeze` and `thaw` are what may happen to it."""

    bin: Path
    home: Path
    host: str
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        command: list[str] = [
            str(self.bin / "postgres"), "-D", str(self.home / "data"), "-p", str(self.port), "-h", self.host,
            "-k", "",
            "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=50",
        ]  # fmt: skip
        with (self.home / "log").open("ab") as log:
            started: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.home, **_other_user()
            )
        self._process = started
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._answers():
                return
            assert started.poll() is None, (self.home / "log").read_text()
            time.sleep(0.05)
        raise AssertionError((self.home / "log").read_text())

    def _answers(self) -> bool:
        return self.sql("SELECT 1", check=False) == "1"

    def stop(self) -> None:
        """At once: every client is cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Every process of it stands still: connections stay open, and nothing answers."""
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        self._tell(signal.SIGCONT)

    def _tell(self, number: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def sql(self, statement: str, database: str = "postgres", *, check: bool = True) -> str:
        """What psql answers."""
        done = subprocess.run(
            [self.bin / "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database)],
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def url(self, database: str) -> str:
        return f"postgresql://driftd:{PASSWORD}@{self.host}:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"t{next(_NUMBERS)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)


@contextmanager
def postgres(host: str = "127.0.0.1", port: int | None = None) -> Iterator[Server]:
    """A server of its own until the block ends, for whoever reaches that address; on a free port unless told."""
    folder = programs()
    home = Path(tempfile.mkdtemp(prefix="driftd-postgres-"))
    try:
        (home / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (home, home / "password"):
                os.chown(path, _NOBODY, _NOBODY)
        made = subprocess.run(
            [folder / "initdb", "-D", home / "data", "-U", "driftd", "--auth=scram-sha-256", "--no-sync",
             f"--pwfile={home / 'password'}", "--encoding=UTF8", "--locale=C.UTF-8"],
            capture_output=True, text=True, timeout=120, check=False, cwd=home, **_other_user(),
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with (home / "data" / "pg_hba.conf").open("a") as allowed:
            allowed.write("host all all all scram-sha-256\n")
        server = Server(folder, home, host, port or free_ports(1, host)[0])
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _other_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": _NOBODY, "group": _NOBODY} if os.geteuid() == 0 else {}
