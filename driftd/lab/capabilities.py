"""What the kernel lets this process do, of the rights that root may lack inside a container."""

from pathlib import Path

NET_ADMIN, SYS_ADMIN, SYS_RESOURCE = 12, 21, 24


def has_capability(number: int) -> bool:
    """Whether this process holds a capability (`capabilities(7)`), from its effective set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
