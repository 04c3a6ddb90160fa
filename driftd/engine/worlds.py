"""The judged world of the model in force, and what is left when a judgement goes wrong."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import structlog

from driftd.compile import Compiled
from driftd.drift import NO_ADMIN_POLICIES, Difference, DifferenceKey, Judgement, World, judgeable
from driftd.policy.reach import Dialect
from driftd.values import ObjectRef

_log = structlog.get_logger()
_Answer = TypeVar("_Answer")
_MOST_ODD = 4096


class Worlds:
    """The world of one model. Used in one thread at a time.

    A world in which something went wrong is thrown away. What stood open in it stands in the next one; what lives must
    be told again, and `lost` says so. Whatever it was that went wrong is not tried again under this model.
    """

    def __init__(
        self, standing: Mapping[ObjectRef, Difference] | None = None, make: Callable[[Compiled], World] = World
    ) -> None:
        self._make = make
        self._made: World | None = None
        self._model: Compiled | None = None
        self._odd: set[DifferenceKey] = set()
        self.standing: dict[ObjectRef, Difference] = dict(standing or {})
        self.lost = False
        self.admins = NO_ADMIN_POLICIES
        """Those in whose presence the next question is answered."""

    def of(self, compiled: Compiled) -> World:
        """Made where there is none of this model yet, made anew where its caches have grown."""
        if self._model is not None and self._model is not compiled:
            self._made, self.standing, self._odd = None, {}, set()
        self._model = compiled
        if self._made is None:
            fresh = self._make(compiled)
            fresh.stand(self.standing.values())
            self._made = fresh
        elif self._made.worn:
            self._made = self._made.renewed()
        self._made.admit(self.admins)
        return self._made

    def ask(self, compiled: Compiled, question: Callable[[World], _Answer]) -> _Answer:
        """The answer of the world; whatever the question raises. The asker tells again what lives."""
        try:
            return question(self.of(compiled))
        except Exception:
            self._throw_away()
            raise

    def judge(self, compiled: Compiled, difference: Difference) -> Judgement | None:
        """None where it is too much work, or cannot be done."""
        key, begun = difference.key, False
        if key in self._odd:
            return None
        try:
            if not judgeable(difference, Dialect(compiled.dialect)):
                return None
            begun = True
            judgement = self.of(compiled).judge([difference]).get(difference.ref)
        except Exception:  # noqa: BLE001 - the thread's border: one odd object must not end the term
            _log.exception("meaning.failed", kind=difference.ref.kind, namespace=difference.ref.namespace)
            self.standing.pop(difference.ref, None)
            if len(self._odd) < _MOST_ODD and not (begun and self._made is None):
                self._odd.add(key)
            if begun:
                self._throw_away()
                self.lost = True
            return None
        self.standing[difference.ref] = difference
        return judgement

    def stands(self, difference: Difference) -> bool:
        """Whether this very difference has been judged, and stands in the world since."""
        standing = self.standing.get(difference.ref)
        return standing is not None and standing.key == difference.key

    def settle(self, ref: ObjectRef) -> None:
        """This object is canonical again."""
        self.standing.pop(ref, None)
        if self._made is not None:
            self._made.settle([ref])

    def _throw_away(self) -> None:
        if self._made is None:  # it could not be made: what stood in the one before is not to blame for ever
            self.standing = {}
        self._made = None
