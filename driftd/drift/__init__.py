"""Compare desired with live, report, plan writes that never loosen, guard the model, and outlast fights; pure."""

from driftd.drift.state import KindState, LiveScope

__all__ = ["KindState", "LiveScope"]
