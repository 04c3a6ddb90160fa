"""Real git servers on loopback: git's own HTTP backend behind TLS, and OpenSSH's sshd; and a repository to serve."""

import asyncio
import base64
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import web

from driftd.lab.authority import Authority, write_key_pair
from driftd.source.git import Address, Login, Repository
from tests.support.debian import library, program
from tests.support.loopback import free_ports

USER, PASSWORD = "reader", "p@ss/word:1"


class Upstream:
    """A bare repository with a branch `main`, and a work tree that pushes to it; driven by git itself."""

    def __init__(self, folder: Path) -> None:
        self.git_program = program("git", "git")
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.bare = folder / "serve" / "model.git"
        self.work = folder / "work"
        self.run("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare), cwd=folder)
        self.run("init", "--quiet", "--initial-branch=main", str(self.work), cwd=folder)
        self.run("remote", "add", "origin", str(self.bare))

    def run(self, *args: str, cwd: Path | None = None, stdin: bytes = b"") -> str:
        env = {
            **os.environ,
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.com",
        }
        done = subprocess.run(
            [str(self.git_program), *args], cwd=cwd or self.work, env=env, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, (args, done.stderr.decode(errors="replace"))
        return done.stdout.decode().strip()

    def commit(
        self, texts: Mapping[str, str | bytes | None], message: str = "change", *, key: Path | None = None
    ) -> str:
        """Write (None: remove) files, commit, push; the commit's name."""
        for path, text in texts.items():
            file = self.work / path
            if text is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.record(message, key=key)

    def record(self, message: str = "change", *, key: Path | None = None) -> str:
        """Commit the work tree as it is and push it by force."""
        self.run("add", "--all")
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}") if key else ()
        self.run(*signing, "commit", "--quiet", "--allow-empty", "-m", message, *(("-S",) if key else ()))
        return self.push()

    def push(self) -> str:
        self.run("push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
        return self.run("rev-parse", "HEAD")

    def reset(self, commit: str) -> None:
        self.run("reset", "--quiet", "--hard", commit)


def signing_key(folder: Path, name: str, kind: str = "ed25519", *more: str) -> Path:
    """A new key pair of ssh-keygen's; the path of the private half."""
    file = folder / name
    keygen = program("openssh-client", "ssh-keygen")
    subprocess.run([str(keygen), "-q", "-t", kind, *more, "-N", "", "-C", name, "-f", str(file)], check=True)
    return file


def allowed(folder: Path, lines: str) -> Path:
    file = folder / "allowed-signers"
    file.write_text(lines)
    return file


def public(key: Path) -> str:
    kind, blob, *_ = key.with_suffix(".pub").read_text().split()
    return f"{kind} {blob}"


# -- https ------------------------------------------------------------------------------------------------------------


@dataclass
class Misconduct:
    """How the server misbehaves, for answers that carry a pack."""

    cut_after: int | None = None
    silent: bool = False
    drip_seconds: float = 0.0
    redirect: str = ""
    requests: list[str] = field(default_factory=list)


@dataclass
class HttpsServer:
    """A server that runs, and what it does wrong."""

    port: int
    ca_file: Path
    password_file: Path
    misconduct: Misconduct

    def repository(self, folder: str = "", path: str = "/model.git") -> Repository:
        return Repository(
            Address("https", "127.0.0.1", self.port, path),
            "main",
            folder,
            Login(username=USER, password_file=self.password_file, ca_file=self.ca_file),
        )

    def cut(self, after: int | None) -> None:
        """Break answers off so many bytes after their pack began; None: no longer."""
        self.misconduct.cut_after = after


@asynccontextmanager
async def https_server(upstream: Upstream) -> AsyncIterator[HttpsServer]:
    """git http-backend with a password, behind TLS with an authority of its own."""
    backend = Path(upstream.run("--exec-path")) / "git-http-backend"
    (upstream.folder / "tls").mkdir()
    authority = Authority.open(upstream.folder / "tls", "git")
    pair = write_key_pair(upstream.folder / "tls", "server", authority.server("git server", ("127.0.0.1",)))
    misconduct = Misconduct()

    async def serve(request: web.Request) -> web.StreamResponse:
        misconduct.requests.append(f"{request.method} {request.path_qs}")
        if misconduct.redirect:
            raise web.HTTPFound(misconduct.redirect)
        wanted = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if request.headers.get("Authorization") != wanted:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Basic"})
        return await _answer(request, backend, upstream.bare.parent, misconduct)

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", serve)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    password = upstream.folder / "password"
    password.write_text(PASSWORD + "\n")
    try:
        yield HttpsServer(int(runner.addresses[0][1]), upstream.folder / "tls" / "ca.crt", password, misconduct)
    finally:
        await runner.cleanup()


async def _answer(request: web.Request, backend: Path, root: Path, misconduct: Misconduct) -> web.StreamResponse:
    body = await request.read()
    if misconduct.silent and body:
        await asyncio.sleep(3600)
    env = {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_USER": USER,
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_KEY_1": "uploadpack.allowFilter",
        "GIT_CONFIG_VALUE_1": "true",
    }
    process = await asyncio.create_subprocess_exec(
        str(backend), env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(body)
    head, _, rest = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200 OK").split()[0])
    answer = web.StreamResponse(status=status, headers=headers)
    await answer.prepare(request)
    if misconduct.cut_after is not None and b"PACK" in rest:
        rest = rest[: rest.index(b"PACK") + misconduct.cut_after]
    if misconduct.drip_seconds and b"PACK" in rest:
        for number in range(len(rest)):
            await answer.write(rest[number : number + 1])
            await asyncio.sleep(misconduct.drip_seconds)
    else:
        await answer.write(rest)
    await answer.write_eof()
    return answer


# -- ssh --------------------------------------------------------------------------------------------------------------


@dataclass
class SshServer:
    """An sshd that runs, and the files a client needs."""

    host: str
    port: int
    key: Path
    known_hosts: Path
    user: str
    root: Path

    def repository(self, folder: str = "", **changed: Path) -> Repository:
        login = replace(Login(ssh_key_file=self.key, known_hosts_file=self.known_hosts), **changed)  # type: ignore[arg-type]
        address = Address("ssh", self.host, self.port, str(self.root / "model.git"), self.user)
        return Repository(address, "main", folder, login)

    def answer_by(self, script: str | None) -> None:
        """Run this in place of whatever a client asks for; None: no longer."""
        folder = self.key.parent
        forced = ""
        if script is not None:
            file = folder / "forced"
            file.write_text(script)
            file.chmod(0o755)
            forced = f'command="{file}" '
        (folder / "authorized").write_text(forced + self.key.with_suffix(".pub").read_text())

    def cut(self, after: int | None) -> None:
        """Break answers off so many bytes after their pack began; None: no longer."""
        script = f"#!{sys.executable} -I\n{_CUT}cut({str(self.root / 'model.git')!r}, {after})\n"
        self.answer_by(None if after is None else script)


GitServer = HttpsServer | SshServer

_CUT = """
import subprocess, sys

def cut(repository, after):
    said, sent, end = b"", 0, None
    with subprocess.Popen(["git", "upload-pack", repository], stdout=subprocess.PIPE) as server:
        while end is None or sent < end:
            part = server.stdout.read1()
            if not part:
                return
            said += part
            if end is None and b"PACK" in said:
                end = said.index(b"PACK") + after
            sys.stdout.buffer.write(said[sent:end])
            sys.stdout.buffer.flush()
            sent = len(said) if end is None else min(end, len(said))
        server.kill()

"""
"""An upload-pack that hangs up in the middle of a pack."""

_OWN_PASSWD = """
mount --make-rprivate /
mount --bind "$0" /etc/passwd
mount -t tmpfs none /run
mkdir -m 0755 /run/sshd
exec "$@"
"""


@contextmanager
def ssh_server(upstream: Upstream, host: str = "127.0.0.1") -> Iterator[SshServer]:
    """sshd for one key, on one address of this machine.

    As root it gets a passwd of its own, for it insists on a user `sshd` that need not exist.
    """
    sshd = program("openssh-server", "sshd")
    folder = upstream.folder / "ssh"
    folder.mkdir()
    host_key, key = signing_key(folder, "host"), signing_key(folder, "client")
    (port,) = free_ports(1, host)
    (folder / "known_hosts").write_text(f"[{host}]:{port} {public(host_key)}\n")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress {host}\nHostKey {host_key}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nAcceptEnv GIT_PROTOCOL\n"
        f"SetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=* PATH={os.environ['PATH']}\n"
    )
    server = SshServer(host, port, key, folder / "known_hosts", _own_name(), upstream.bare.parent)
    server.answer_by(None)
    command = [str(sshd), "-D", "-e", "-f", str(folder / "config")]
    if os.geteuid() == 0:
        passwd = folder / "passwd"
        passwd.write_text(Path("/etc/passwd").read_text() + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
        command = ["unshare", "--mount", "sh", "-c", _OWN_PASSWD, str(passwd), *command]
    env = {**os.environ, "LD_LIBRARY_PATH": str(library("libwrap0", "libwrap.so").parent)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
    try:
        _listening((host, port), process, folder / "log")
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _own_name() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _listening(where: tuple[str, int], process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")
        with socket.socket() as asked:
            if asked.connect_ex(where) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not listen: {log.read_text(errors='replace')}")
