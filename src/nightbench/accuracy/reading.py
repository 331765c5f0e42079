"""Where a benchmark's records come from: this package, a local folder or file, or a hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nightbench.accuracy.benchmark import Benchmark, Subset
from nightbench.data import loading
from nightbench.data.loading import HubName, Record
from nightbench.errors import DataError
from nightbench.suite.models import AccuracySpec

BUILTIN_DATA = Path(__file__).parent / "data"
_LOCAL = "Pass a local copy instead: data: FOLDER in the suite, --data FOLDER on the command line."


class RecordReader:
    """Reads one benchmark's records as a suite says. Pooled files are read once."""

    def __init__(self, benchmark: Benchmark, spec: AccuracySpec, base_dir: Path) -> None:
        self._benchmark = benchmark
        self._source = spec.source
        self._folder = _folder(benchmark, spec, base_dir)
        self._pools: dict[str, list[Record]] = {}

    def read(self, subset: Subset, split: str) -> list[Record]:
        """The records of one subset. Raises DataError where there are none."""
        found = self._local(subset, split) if self._folder else self._hub(subset, split)
        if not found:
            raise DataError(
                f"{self._benchmark.name}/{subset.name} has no records in its {split} split",
                hint="Choose other subsets, or check the data.",
            )
        return found

    def shots(self, subset: Subset) -> list[Record]:
        """The examples shown before each question of this subset."""
        benchmark = self._benchmark
        if not benchmark.few_shot:
            return []
        records = self.read(subset, benchmark.shot_split)
        if len(records) < benchmark.few_shot:
            raise DataError(
                f"{benchmark.name}/{subset.name} has {len(records)} examples in its "
                f"{benchmark.shot_split} split, and {benchmark.few_shot} are to be shown"
            )
        return records[: benchmark.few_shot]

    def _local(self, subset: Subset, split: str) -> list[Record]:
        benchmark = self._benchmark
        path = self._folder or Path()
        alone = len(benchmark.subsets) == 1
        if path.is_file() and not alone and benchmark.pool is None and path.stem != subset.name:
            raise DataError(
                f"{path} is one file, and {benchmark.name} has several subsets",
                hint=f"Pass the folder that holds them, or choose one: --subsets {path.stem}.",
            )
        if path.is_dir() and benchmark.pool is not None:
            own = loading.find_split_file(path, subset.config or subset.name, split, alone=False)
            if own:
                return [record for file in own for record in loading.read_records(file)]
        if benchmark.pool is not None:
            return self._of_pool(
                subset, split, lambda config: self._pooled_file(path, config, split)
            )
        return loading.read_local(path, subset.config or subset.name, split, alone=alone)

    def _pooled_file(self, path: Path, config: str, split: str) -> list[Record]:
        alone = len(self._benchmark.pool.configs) == 1 if self._benchmark.pool else True
        return loading.read_local(path, config, split, alone=alone)

    def _hub(self, subset: Subset, split: str) -> list[Record]:
        hub, repository = self._repository()
        pool = self._benchmark.pool

        def read(config: str | None) -> list[Record]:
            return loading.read_hub(hub, repository, config, split, hint=_LOCAL)

        if pool is not None and hub in pool.hubs:
            return self._of_pool(
                subset, split, lambda config: read(None if config == "default" else config)
            )
        return read(subset.config or subset.name)

    def _of_pool(
        self, subset: Subset, split: str, read: Callable[[str], list[Record]]
    ) -> list[Record]:
        pool = self._benchmark.pool
        if pool is None:
            return []
        if split not in self._pools:
            self._pools[split] = [record for config in pool.configs for record in read(config)]
        return [record for record in self._pools[split] if pool.subset_of(record) == subset.name]

    def hub(self) -> tuple[HubName, str] | None:
        """The hub and repository that records come from; None where they are here."""
        return None if self._folder else self._repository()

    def _repository(self) -> tuple[HubName, str]:
        benchmark = self._benchmark
        known: dict[HubName, str | None] = {
            "hf": benchmark.huggingface,
            "modelscope": benchmark.modelscope,
        }
        wanted: Sequence[HubName] = (self._source,) if self._source else ("hf", "modelscope")
        for hub in wanted:
            if repository := known[hub]:
                return hub, repository
        on = f"on {self._source}" if self._source else "of its own"
        raise DataError(f"{benchmark.name} has no records {on}", hint=_LOCAL)


def _folder(benchmark: Benchmark, spec: AccuracySpec, base_dir: Path) -> Path | None:
    if spec.data is not None:
        return base_dir / spec.data
    return BUILTIN_DATA / benchmark.builtin if benchmark.builtin is not None else None
