"""Kubernetes quantities by value: `1000m` is `1`, `1Gi` is `1073741824`, `12e6` is `12M`.

Source: apimachinery `api/resource/quantity.go` for the grammar; `core/v1/defaults.go` (`SetDefaults_ResourceList`) for
the rounding: the API server stores resource lists rounded up to a thousandth.
"""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from driftd.policy.kinds.canonical import MalformedObjectError, mapping

_GRAMMAR = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII)
_LONGEST = 64
_EXPONENT = 40
_SUFFIX: dict[str, Fraction] = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000 ** (power + 1)) for power, suffix in enumerate("kMGTPE")},
    **{f"{suffix}i": Fraction(1024 ** (power + 1)) for power, suffix in enumerate("KMGTPE")},
}
_BINARY = [(suffix, int(_SUFFIX[suffix])) for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi")]


def parse(value: object, where: str) -> Fraction:
    """The exact value of a quantity written as a string or a JSON number.

    Raises:
        MalformedObjectError: not a quantity, longer than 64 characters, or with an exponent beyond 40.
    """
    text = str(value) if type(value) in (str, int, float) else ""
    found = _GRAMMAR.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise MalformedObjectError(where, "a quantity such as 500m, 2 or 8Gi", value)
    sign, digits, exponent, suffix = found.groups()
    amount = Fraction(Decimal(digits))
    if exponent:
        power = int(exponent[1:])
        if abs(power) > _EXPONENT:
            raise MalformedObjectError(where, f"an exponent of at most {_EXPONENT}", value)
        amount *= Fraction(10) ** power
    else:
        amount *= _SUFFIX[suffix or ""]
    return -amount if sign == "-" else amount


@lru_cache(maxsize=4096)
def _normal(text: str, where: str) -> str:
    amount = parse(text, where)
    size = abs(amount) * 1000
    milli = -(-size.numerator // size.denominator)  # away from zero, as Quantity.RoundUp does
    sign = "-" if amount < 0 and milli else ""
    if milli % 1000:
        return f"{sign}{milli}m"
    whole = milli // 1000
    for suffix, unit in _BINARY:
        if whole and whole % unit == 0:
            return f"{sign}{whole // unit}{suffix}"
    return f"{sign}{whole}"


def quantity(value: object, where: str) -> str:
    """The one spelling of a quantity's value: a whole number, thousandths (`500m`), or binary units from `Mi` on."""
    if type(value) is str:
        return _normal(value, where)
    if type(value) in (int, float):
        return _normal(str(value), where)
    raise MalformedObjectError(where, "a quantity such as 500m, 2 or 8Gi", value)


def resource_list(value: object, where: str) -> dict[str, str]:
    """A map from resource name to quantity, each in its one spelling."""
    return {name: quantity(amount, f"{where}.{name}") for name, amount in mapping(value, where).items()}
