"""Worlds that questions of reach are asked of: a live cluster, the model, or a folder of anybody's manifests."""

from driftd.cli.worlds.world import ModelService, ServiceFace, ServicePort, Unread, World

__all__ = ["ModelService", "ServiceFace", "ServicePort", "Unread", "World"]
