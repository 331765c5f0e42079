"""Where a benchmark's records come from: this package, a local folder or file, or a hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nightbench.accuracy.benchmark import Benchmark, RecordPool, Subset
from nightbench.data import loading
from nightbench.data.loading import HubName, Record
from nightbench.errors import DataError
from nightbench.suite.models import AccuracySpec

BUILTIN_DATA = Path(__file__).parent / "data"
_LOCAL = "Pass a local copy instead: data: FOLDER in the suite, --data FOLDER on the command line."


UNPLACED = Subset(name="other")  # records of a pool that do not say which subset they are of

_ASKED = frozenset({"question", "query", "problem", "prompt", "choices", "options"})


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

    def shots(self, subset: Subset, asked: Sequence[Record]) -> list[Record]:
        """The examples shown before each question of this subset: the first of their split that
        are none of `asked`, the subset's questions. Raises DataError where there are too few."""
        benchmark = self._benchmark
        wanted = benchmark.few_shot
        if not wanted:
            return []
        if self._folder is not None and self._folder.is_file():
            raise DataError(
                f"{self._folder} holds only questions, and {benchmark.name} needs {wanted} "
                f"examples",
                hint=self._where_examples_go(subset),
            )
        questions = {_fingerprint(record) for record in asked}
        records = self.read(subset, benchmark.shot_split)
        others = [record for record in records if _fingerprint(record) not in questions]
        if len(others) < wanted:
            asked_too = len(records) - len(others)
            raise DataError(
                f"{benchmark.name}/{subset.name} has {len(records)} examples in its "
                f"{benchmark.shot_split} split, {wanted} are needed"
                + (f": {asked_too} of them are also asked" if asked_too else ""),
                hint=self._where_examples_go(subset),
            )
        return others[:wanted]

    def _where_examples_go(self, subset: Subset) -> str:
        benchmark, name = self._benchmark, subset.config or subset.name
        return (
            f"Pass a folder with {name}_{benchmark.split}.jsonl (asked) and "
            f"{name}_{benchmark.shot_split}.jsonl (shown), fewer examples (few_shot: N, "
            f"--few-shot N), or none (few_shot: 0)."
        )

    def has_unplaced(self, split: str) -> bool:
        """Whether people's own data has records that do not say which subset they are of."""
        pool = self._benchmark.pool
        if pool is None or self._folder is None:
            return False
        try:
            return any(_subset_of(pool, record) is None for record in self._pooled(split))
        except DataError:
            return False  # a folder with a file for each subset

    def places(self, split: str) -> set[str | None]:
        """The subsets that a file of people's own has records of."""
        pool = self._benchmark.pool
        return {_subset_of(pool, record) for record in self._pooled(split)} if pool else set()

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
            is_file = self._folder is not None and self._folder.is_file()
            configs = pool.configs[:1] if is_file else pool.configs  # one file is read once
            self._pools[split] = [record for config in configs for record in read(config)]
        wanted = None if subset is UNPLACED else subset.name
        return [record for record in self._pools[split] if _subset_of(pool, record) == wanted]

    def _pooled(self, split: str) -> list[Record]:
        """All records of people's own file."""
        self._local(UNPLACED, split)
        return self._pools[split]

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


def _subset_of(pool: RecordPool, record: Record) -> str | None:
    """The subset a record says it is of; None where it has no such field."""
    try:
        return pool.subset_of(record)
    except KeyError:
        return None


def _fingerprint(record: Record) -> str:
    """What is asked by a record, wherever it lies and whatever else it says."""
    fields = {str(key).lower(): value for key, value in record.items()}
    asked = [
        " ".join(str(value).casefold().split())
        for name, value in sorted(fields.items())
        if name in _ASKED or (len(name) == 1 and value is not None)
    ]
    return "\n".join(asked)
