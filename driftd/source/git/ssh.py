"""git-upload-pack through OpenSSH's client, under one deadline and one budget of bytes."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from dulwich.client import SSHGitClient
from dulwich.protocol import Protocol

from driftd.source.errors import SourceError, SourceUnreadable
from driftd.source.git.deadline import Deadline
from driftd.source.git.errors import GitDenied, GitMissing, GitUnreachable, HostKeyUnknown
from driftd.source.git.repository import WAIT_SECONDS, Budget, Repository, printable

_TOLD = 4096
"""Bytes kept of what ssh says on its stderr."""


class SshClient(SSHGitClient):
    """git-upload-pack through OpenSSH's client; no configuration of the machine or its users is read."""

    def __init__(self, repository: Repository, deadline: Deadline, budget: Budget) -> None:
        address = repository.address
        super().__init__(host=address.host, port=address.port, username=address.user or "git", thin_packs=False)
        self._repository, self._deadline, self._budget = repository, deadline, budget
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: threading.Thread | None = None
        self._protocol: Protocol | None = None
        self._said = b""

    def _connect(
        self,
        cmd: bytes,
        path: str | bytes,
        protocol_version: int | None = None,
    ) -> tuple[Protocol, Callable[[], bool], IO[bytes] | None]:
        del protocol_version  # the newest that both speak
        text = path.decode() if isinstance(path, bytes) else path
        quoted = "'" + text.removeprefix("/" if text.startswith("/~") else "").replace("'", "'\\''") + "'"
        command = f"{self._get_cmd_path(cmd).decode()} {quoted}"
        process = subprocess.Popen(  # noqa: S603 - a fixed program; what varies cannot begin with a dash
            [*_ssh_command(self._repository), "--", f"{self.username}@{self.host}", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
        self._process = process
        self._deadline.breaking(process.kill)
        self._listening = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listening.start()
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None  # noqa: S101 - both were asked for
        assert stdout is not None  # noqa: S101

        def read(amount: int) -> bytes:
            data = stdout.read(amount)
            self._budget.spend(len(data))
            return data

        def write(data: bytes) -> int:
            count = stdin.write(data)
            stdin.flush()
            return count

        self._protocol = Protocol(read, write, self._end)
        return self._protocol, lambda: False, None

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Keep the first words of stderr and drop the rest: a full pipe would stop the program."""
        assert process.stderr is not None  # noqa: S101 - it was asked for
        while data := process.stderr.read1(_TOLD):  # type: ignore[attr-defined]
            self._said += data[: _TOLD - len(self._said)]

    def close(self) -> None:
        """End the program, whatever became of the exchange; once or several times."""
        if self._protocol is not None:
            self._protocol.close()  # dulwich closes it only after a greeting

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if self._listening is not None:
            self._listening.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                _closed(pipe)

    def failure(self, why: str) -> SourceError:
        """What the end of the connection means, by ssh's own words."""
        self.close()
        said = self._said.decode(errors="replace")
        address = str(self._repository.address)
        if "Host key verification failed" in said or "HOST IDENTIFICATION HAS CHANGED" in said:
            return HostKeyUnknown(address)
        if "Permission denied" in said:
            return GitDenied(address, "ssh: permission denied")
        if any(words in said for words in ("does not appear to be a git repository", "not found", "does not exist")):
            return GitMissing(address, "repository there, or not for this login")
        lines = [line for line in said.splitlines() if line.strip()]
        return GitUnreachable(address, f"ssh: {printable(lines[-1])}" if lines else why)

    @staticmethod
    def _warn_filter_objects() -> None:
        """A server that cannot filter sends more; the budget bounds it."""


def _closed(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:
        return  # what was still to be written has nobody to read it


def _ssh_command(repository: Repository) -> list[str]:
    program = shutil.which("ssh")
    if program is None:
        raise SourceUnreadable(
            "the program ssh", "it is not on PATH: install OpenSSH's client, or use an https address"
        )
    login = repository.login
    if login.known_hosts_file is None or login.ssh_key_file is None:
        missing = "DRIFTD_MODEL__GIT__" + ("KNOWN_HOSTS_FILE" if login.known_hosts_file is None else "SSH_KEY_FILE")
        raise SourceUnreadable(str(repository.address), f"ssh needs the setting {missing}")
    for file in (login.known_hosts_file, login.ssh_key_file):
        if not os.access(file, os.R_OK):
            raise SourceUnreadable(file, "missing, or not readable for driftd")
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _quoted(login.known_hosts_file),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "IdentityFile": _quoted(login.ssh_key_file),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "ClearAllForwardings": "yes",
        "PermitLocalCommand": "no",
        "ConnectTimeout": f"{WAIT_SECONDS:.0f}",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
        "LogLevel": "ERROR",
        "SetEnv": "GIT_PROTOCOL=version=2",
    }
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return [program, "-F", "none", "-x", "-T", "-a", "-p", str(repository.address.port), *flags]


def _quoted(file: Path) -> str:
    return f'"{file}"'
