"""driftd keeps what may talk on a Kubernetes cluster equal to what its model says."""

__version__ = "0.1.0"
