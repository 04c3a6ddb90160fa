"""How fast one address may ask: a bucket of tokens for each, and a bound on how many buckets there are."""

from collections import OrderedDict
from collections.abc import Callable


class RateLimit:
    """At most `burst` requests at once and `rate` a second from one address; the oldest of many addresses is forgotten.

    Where everybody comes through one port-forward they share a bucket: people are slower than this.
    """

    def __init__(
        self, monotonic: Callable[[], float], *, rate: float = 5.0, burst: int = 20, addresses: int = 1024
    ) -> None:
        self._monotonic = monotonic
        self._rate = rate
        self._burst = burst
        self._addresses = addresses
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def permit(self, address: str) -> bool:
        """Whether a request of this address may go on; it is counted."""
        now = self._monotonic()
        left, since = self._buckets.pop(address, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._rate)
        permitted = left >= 1.0
        self._buckets[address] = (left - 1.0 if permitted else left, now)
        if len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)
        return permitted
