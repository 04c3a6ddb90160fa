"""A first start reads its model in a process of its own: there are two processors, and this one lists the cluster.

The process is a copy of this one, made before there is a loop or a thread, so that every module is loaded already and
no lock is held. It answers one question and ends. If it cannot (it was killed, say), the model is read here, as every
later one is: nothing depends on it but time.
"""

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import date

import structlog

from driftd.engine import Candidate, ReadModel, candidate_of, read_here
from driftd.model import SourceFile
from driftd.settings import Settings
from driftd.source import LastGood, Revision

_PATIENCE_SECONDS = 120.0
_log = structlog.get_logger()


@contextlib.contextmanager
def first_reading(settings: Settings) -> Iterator[ReadModel]:
    """Who reads revisions: for the first one a process of its own, where there is no last good model to start from.

    Enter it before anything starts a thread. At the end the process is gone.
    """
    reader = None if LastGood(settings.data_dir).path.exists() else _reader()
    if reader is None:
        yield read_here
        return
    try:
        yield reader.read_model
    finally:
        reader.end()


def _reader() -> "_Reader | None":
    """None where there is one processor, or no process to be had: a pod may be at its limit of them."""
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return None
    try:
        return _Reader()
    except OSError as error:
        _log.warning("model.first_reading.failed", why=f"{type(error).__name__} {error}")
        return None


class _Reader:
    """This process's end of the line to its copy."""

    def __init__(self) -> None:
        gc.freeze()  # a collection would write to every object, and so copy the memory that both share
        self._line, theirs = socket.socketpair()
        try:
            self._child = os.fork()
        except OSError:
            self._line.close()
            theirs.close()
            raise
        if not self._child:
            _be_the_copy(self._line, theirs)
        theirs.close()
        self._line.settimeout(_PATIENCE_SECONDS)

    async def read_model(self, revision: Revision, last_good: tuple[SourceFile, ...] | None, today: date) -> Candidate:
        """The candidate of a revision; the first one's, if there is nothing before it, comes from the copy."""
        if last_good is None and self._child:
            found = await asyncio.to_thread(self._ask, revision, today)
            if found is not None:
                return found
        return await read_here(revision, last_good, today)

    def _ask(self, revision: Revision, today: date) -> Candidate | None:
        try:
            with self._line.makefile("rwb") as wire:
                pickle.dump((revision, today), wire)
                wire.flush()
                found = pickle.load(wire)  # noqa: S301 - what a copy of this very process made of our own question
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            _log.warning("model.first_reading.failed", why=f"{type(error).__name__} {error}")
            return None
        finally:
            self.end()
        return found if isinstance(found, Candidate) else None

    def end(self) -> None:
        """The copy is gone after this, whatever it was doing."""
        child, self._child = self._child, 0
        self._line.close()
        if child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _be_the_copy(ours: socket.socket, line: socket.socket) -> None:
    """Answer one question and end without a word: nothing that was copied is the copy's to clean up."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for whoever asks
        ours.close()
        with line.makefile("rwb") as wire:
            revision, today = pickle.load(wire)  # noqa: S301 - as above
            pickle.dump(candidate_of(revision, None, today), wire)
        status = 0
    finally:
        os._exit(status)
