"""What each effort does; effort 1 is greedy and has nothing here."""

from __future__ import annotations

EFFORT_STEPS = {5: 5, 6: 7, 7: 11, 8: 18, 9: 30}
"""Steps of `vqcodec.compress.refine` by effort, before any part b here."""
AFTER_REFINING = (0.1, 0.05)
"""The parts b after `vqcodec.compress.refine`, whose rate is an estimate without class offsets."""
PARTS: dict[int, tuple[float, ...]] = {
    2: (0.25,),
    3: (0.35, 0.2, 0.12),
    4: (0.4, 0.25, 0.15, 0.1, 0.06),
    **dict.fromkeys(EFFORT_STEPS, AFTER_REFINING),
}
"""The parts b by effort; falling ones gain more than constant ones."""
