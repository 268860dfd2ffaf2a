"""What the gate asks of a version before it becomes the current one.

A margin is a share of the error that a version is compared with: 0.05 are 5 % of it.
"""

BASELINE = 0.01
"""By how much it must be better than the best constant,"""
LINEAR = 0.0
"""and than a linear model of the same columns, as long as there is no doubt which is better."""
CURRENT = 0.0
"""By how much it may be worse than the current version at the unfavourable end of a 95 % interval.
0 asks for evidence that it is better, or predicts the very same: what is as good is no reason for a
change."""
CONTRACT = 0.05
"""The same where the current version was trained for another contract, and is to be replaced."""
SLICE = 0.05
"""By how much it may be worse where a feature has one value, at the favourable end: more is worse
beyond doubt,"""
SLICE_ROWS = 50
"""and fewer rows than these tell nothing."""
LATENCY, LATENCY_MS = 2.0, 0.5
"""How many times as long as the current version's its answers may take; and what is always free."""
MEMORY, MEMORY_MB = 1.5, 32
"""The same for the memory of its server."""
