"""Findings, intents, outcomes, the hash-chained audit and remembered state: durable before anything is done."""

from driftd.store.archive import Archive, Past, ReadOnly, Settled
from driftd.store.backend import address_of, shown
from driftd.store.chain import AuditRow, Head, Verification
from driftd.store.condition import StoreMode, StoreOptions, StoreState
from driftd.store.continuity import Gap
from driftd.store.entries import Act, Begin, Close, Finish
from driftd.store.errors import (
    EntryRefused,
    SchemaTooNew,
    StoreError,
    StoreGone,
    StoreInUse,
    StoreUnreadable,
    UnsupportedDatabase,
)
from driftd.store.store import Companion, Store
from driftd.store.told import DeliveryRow, PageRow, Told

__all__ = [
    "Act",
    "Archive",
    "AuditRow",
    "Begin",
    "Close",
    "Companion",
    "DeliveryRow",
    "EntryRefused",
    "Finish",
    "Gap",
    "Head",
    "PageRow",
    "Past",
    "ReadOnly",
    "SchemaTooNew",
    "Settled",
    "Store",
    "StoreError",
    "StoreGone",
    "StoreInUse",
    "StoreMode",
    "StoreOptions",
    "StoreState",
    "StoreUnreadable",
    "Told",
    "UnsupportedDatabase",
    "Verification",
    "address_of",
    "shown",
]
