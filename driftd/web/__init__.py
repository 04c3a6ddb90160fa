"""What driftd serves over HTTP."""

from driftd.web.health import Health, HealthServer

__all__ = ["Health", "HealthServer"]
