"""What can go wrong between driftd and its records, each condition under its own name."""

from pathlib import Path


class StoreError(Exception):
    """Base of every error this room raises."""


class StoreGone(StoreError):
    """Neither database nor journal took the record, or not yet (see `Scribe.submit`).

    Repairs that restore the canonical state may go on; final deletes and writes that come from a changed model
    must wait (D9).
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what} was not recorded: {reason}; free space or repair the volume of the store, "
            "driftd tries again by itself"
        )
        self.reason = reason


class StoreUnreadable(StoreError):
    """The database cannot answer a question right now; what waits in the journal is safe."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database cannot be read: {reason}; ask again once the store is back")
        self.reason = reason


class StoreInUse(StoreError):
    """Another process owns this journal, and with it this database."""

    def __init__(self, journal: Path) -> None:
        super().__init__(
            f"{journal} is locked by another driftd: one SQLite store has one owner; "
            "stop the other process, or give this one its own directory"
        )


class SchemaTooNew(StoreError):
    """The database was written by a newer driftd; migrations only go forward."""

    def __init__(self, database: str, found: str, known: str) -> None:
        super().__init__(
            f"{database} has schema {found}, this driftd knows up to {known}: run the newer driftd, "
            "or put back the copy made before the migration"
        )


class UnsupportedDatabase(StoreError):
    """The address names a database this version cannot open."""

    def __init__(self, address: str) -> None:
        scheme, colon, _ = address.partition(":")
        known = repr(scheme) if colon and scheme.isidentifier() else "that cannot be told"
        super().__init__(
            f"store address of scheme {known}: expected a file path, sqlite:///path, or postgresql://user@host/database"
        )


class EntryRefused(StoreError):
    """The database is well but will not take this one record: a fault of the record, not of the store."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} was refused by the database: {reason}; this is a defect, please report it")
        self.reason = reason

    def about(self, what: str) -> "EntryRefused":
        """The same refusal, naming the entry it is about."""
        return EntryRefused(what, self.reason)


class DatabaseUnavailable(StoreError):
    """A transaction failed for reasons of the database (locked, full, read-only, I/O, gone, corrupt).

    Whether its commit landed is unknown. `corrupt` says that the file itself cannot be trusted any more, `suspect`
    that it should be checked before it is used again.
    """

    def __init__(self, reason: str, *, corrupt: bool = False, suspect: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.corrupt = corrupt
        self.suspect = suspect


class Overtaken(StoreError):
    """A transaction was rolled back: the newest row of the chain is not the one that was known.

    Another replica has appended, or the database has lost what was there (a failover, a backup put back).
    """

    def __init__(self) -> None:
        super().__init__("the newest row of the evidence is not the one that was written last; read it again")
