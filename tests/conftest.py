"""What holds for every test: examples have no deadline, since time is the benchmarks' business."""

from hypothesis import settings

settings.register_profile("driftd", deadline=None)
settings.load_profile("driftd")
