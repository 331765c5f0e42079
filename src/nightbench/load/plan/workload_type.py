"""What a kind of workload is: where its prompts come from, as one frozen object.

Ours are in `built_in_workloads`; other distributions declare theirs by the entry point
`nightbench.workloads` (docs/adding.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.suite.models import Workload

if TYPE_CHECKING:
    from nightbench.load.plan.tokens import Tokenizer
    from nightbench.load.plan.workloads import Prompts

Read = Callable[[Path, Any], list[str]]  # the workload is of `config`
Make = Callable[[Any, int, int, "Tokenizer | None"], "Prompts"]


def _is_a_path(text: str) -> dict[str, Any]:
    return {"path": text or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadType:
    """A kind of workload. Exactly one of `read` and `make` is given.

    kind: what a suite and `--dataset KIND:…` call it.
    read: every prompt of its file, in the file's order. Raises DataError.
    make: `count` prompts without a file: (workload, count, seed, tokenizer); the same seed makes
        the same prompts.
    source: the file, or its place on a hub, where a suite gives no `path`.
    needs: keys of `workload:` that must be given.
    config: the model of `workload:`, derived from Workload where it has keys beyond those.
    usage: how `--dataset` is given it, for `load --help`.
    argument: what follows the colon of `--dataset`, as keys of `workload:`. Raises BadInput.
    """

    kind: str
    read: Read | None = None
    make: Make | None = None
    source: str | None = None
    needs: tuple[str, ...] = ("path",)
    config: type[Workload] = Workload
    usage: str = ""
    argument: Callable[[str], dict[str, Any]] = _is_a_path

    def __post_init__(self) -> None:
        if (self.read is None) == (self.make is None):
            raise TypeError(f"{self.kind} declares both or neither of read and make")
