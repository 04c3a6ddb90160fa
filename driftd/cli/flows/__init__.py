"""Who can reach whom, for people: explanations, matrices and the impact of edits, told and drawn."""

__all__: list[str] = []
