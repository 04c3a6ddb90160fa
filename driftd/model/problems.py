"""What a reader of the model is told: file, line, column, field, what is wrong and how to put it right."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from driftd.values import Body, ObjectRef, Origin

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file below the model root: its path relative to the root, "/"-separated, and its bytes as found."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of the model at one place.

    Lines and columns count from 1; an empty `file` (with line 0) means the model as a whole. `others` names further
    files that take part in the contradiction: admission asks them which tenant brought it in.
    """

    severity: Severity
    file: str
    line: int
    column: int
    field: str
    message: str
    remedy: str
    others: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.file else "model"
        field = f" {self.field}:" if self.field else ""
        remedy = f" Fix: {self.remedy}" if self.remedy else ""
        return f"{where}: {self.severity}:{field} {self.message}{remedy}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A plain Kubernetes object of a governed kind: canonical word for word. Readers must not change `body`."""

    body: Body
    ref: ObjectRef
    origin: Origin
