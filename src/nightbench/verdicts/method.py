"""The numbers of the method: every threshold and prior that a verdict depends on, in one place.

They were set with simulated nights (tests/benchmarks/verdict_calibration.py, tuning seeds only)
and are not meant to be turned by a suite, but for the minimum effect. Variances are in squared
log per cent.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How verdicts are reached. `*_p` are one-sided probabilities for one series on one night."""

    min_effect_pct: float = 2.0

    # The baseline (baseline.py) and the windows held against it (windows.py).
    baseline_nights: int = 60
    fewest_nights: int = 3
    clip_sd: float = 3.0
    window_clip_sd: float = 2.5
    windows: tuple[int, ...] = (1, 2, 3, 5, 8, 13, 21)

    # From which look a target is measured again, and from which it has changed. A single night
    # is replaced by fresh values before it is judged; of a long window only its newest night is,
    # so that its look has to be nearly as strict as its judgement.
    screen_p: tuple[float, ...] = (7e-3, 3e-3, 2e-3, 1.5e-3, 1e-3, 1e-3, 1e-3)
    screen_effect: float = 0.6  # of the minimum effect
    repeat_ratio: float = 0.75  # of the screen, for the repeat on the same boot
    alarm_p: float = 8e-5
    improved_p: float = 8e-5
    futile_t: float = 1.5
    without_worst: float = 0.65
    boot_clip_sd: float = 2.0

    # A new provenance (changed.py).
    first_look_t: float = 0.95
    first_look_fast_t: float = 1.6
    later_look_t: float = 1.9
    changed_alarm_p: float = 3e-4
    pairs_first: int = 2
    pairs_night: int = 3
    pairs_most: int = 9
    equivalent_nights: int = 3
    unknown_env_sd: float = 4.0

    # A series with fewer nights than `fewest_nights` to be held against: what its level may be off
    # by. Only what no machine does by itself is seen then.
    young_sd: float = 2.5

    # What variance is like before anything was measured (variance.py).
    prior_sd: float = 1.0
    prior_alone_sd: float = 1.5
    prior_df: float = 8.0
    prior_weight: float = 30.0
    boot_sd: float = 0.9
    boot_df: float = 20.0
    boot_outlier_sd: float = 2.5
    correlation: float = 0.0
    correlation_alone: float = 0.3
    correlation_weight: float = 60.0
    skew: float = 0.5
    skew_weight: float = 200.0

    # Splitting the night (node_split.py) and the node's own events (node_events.py).
    split_clip_sd: float = 2.5
    node_p: float = 3e-5
    node_min_effect_pct: float = 3.0
    node_shared_by: float = 0.6
    node_uneven: float = 0.15
    unruly: float = 1.6  # neighbours that lie this much further apart than usual say less

    # Leaving an event (events.py).
    recovered_at: float = 8.0
    recovered_night_most: float = 5.0


FRESH_BOOTS = 4

# Intervals are wider by this than the variances say, which are themselves estimates: simulated
# worlds showed (estimate − truth) / se to spread by 1.14.
INTERVAL_SLACK = 1.12
