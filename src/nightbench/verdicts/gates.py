"""Gates: what a suite demands of a run, whatever the history says."""

from __future__ import annotations

from collections.abc import Sequence

from nightbench.suite.models import Gates


def failed_gates(gates: Gates, accuracy: Sequence[tuple[str, str, float]]) -> list[str]:
    """A line for each gate that does not hold.

    `accuracy` is (target, benchmark, accuracy over all of it). A benchmark that a gate names and
    nobody measured does not pass.
    """
    lines = []
    for benchmark, minimum in gates.min_accuracy.items():
        measured = [(target, value) for target, name, value in accuracy if name == benchmark]
        if not measured:
            lines.append(f"gate min_accuracy.{benchmark}: it was not measured")
        lines += [
            f"gate min_accuracy.{benchmark}: {target} reached {value:.1%}, {minimum:.1%} is asked"
            for target, value in measured
            if value < minimum
        ]
    return lines
