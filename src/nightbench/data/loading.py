"""Records of data sets: from a hub or from disk, always as a list of mappings and its digest.

The only importer of `datasets`, and only where a hub is read: JSONL, JSON, CSV, TSV and Parquet on
disk are read without it. A folder may be a copy of the hub's repository or of the data set's own
archive: `find_split_file` knows the ways they name a subset and a split.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nightbench.data import hub_files
from nightbench.errors import DataError
from nightbench.secrets.redaction import Redactor
from nightbench.terminal_text import safe_line

Record = Mapping[str, Any]
HubName = Literal["hf", "modelscope"]

SUFFIXES = (".jsonl", ".parquet", ".json", ".csv", ".tsv")
DIGEST_CHARS = 16


def records_digest(records: Iterable[Record]) -> str:
    """A name for exactly these records in this order."""
    digest = hashlib.sha256()
    for record in records:
        text = json.dumps(record, ensure_ascii=True, sort_keys=True, default=str)
        digest.update(text.encode())
        digest.update(b"\n")
    return digest.hexdigest()[:DIGEST_CHARS]


def read_records(path: Path) -> list[Record]:
    """Read one file of records by its suffix. Raises DataError that names the file and line."""
    readers = {
        ".jsonl": _read_jsonl,
        ".json": _read_json,
        ".csv": _read_delimited,
        ".tsv": _read_delimited,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path} is not a supported data file",
            hint=f"Use one of {', '.join(SUFFIXES)}.",
        )
    try:
        return reader(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})") from error


def find_split_file(
    folder: Path, subset: str, split: str, *, alone: bool = True
) -> tuple[Path, ...]:
    """The files in `folder` that hold `split` of `subset`, or none.

    Knows `subset/split-*.parquet` (hubs), `split/subset_split.csv` and `split/subset.csv` (the
    archives of C-Eval and CMMLU), `subset.jsonl`; and, where a data set has this subset `alone`,
    files that are named after the split only.
    """
    stems = [
        (f"{subset}", f"{split}"),
        (f"{subset}", f"{split}-*"),
        (f"{split}", f"{subset}_{split}"),
        (f"{split}", f"{subset}"),
        ("", f"{subset}_{split}"),
        ("", f"{subset}-{split}"),
        ("", f"{subset}"),
    ]
    if alone:
        stems += [("", f"{split}"), ("", f"{split}-*"), ("", f"*_{split}"), ("*", f"{split}-*")]
    for base in (folder, folder / "data"):
        for place, stem in stems:
            files = [
                file
                for suffix in SUFFIXES
                for file in sorted(base.glob(str(Path(place) / f"{stem}{suffix}")))
                if file.is_file()
            ]
            if files:
                # Parquet splits into shards; anything else is one file.
                shards = [file for file in files if file.suffix == files[0].suffix]
                return tuple(shards) if "*" in stem else (files[0],)
    return ()


def read_local(
    path: Path, subset: str, split: str, *, alone: bool = True, hint: str = ""
) -> list[Record]:
    """`split` of `subset` from a file, or from a folder in the hub's or the archive's layout."""
    if path.is_file():
        return read_records(path)
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}", hint=hint)
    files = find_split_file(path, subset, split, alone=alone)
    if not files:
        raise DataError(
            f"{path} has no records for the subset {subset!r} (split {split!r})",
            hint=hint
            or f"Expected, for example, {subset}.jsonl or {subset}/{split}.parquet there.",
        )
    return [record for file in files for record in read_records(file)]


def read_hub(
    hub: HubName, repository: str, config: str | None, split: str, *, hint: str
) -> list[Record]:
    """`split` of one configuration of a data set on a hub, through the hub's own cache.

    Raises DataError with `hint` (which names the local option) when the hub is not reached or
    does not have it.
    """
    try:
        if hub == "modelscope":
            return _read_modelscope(repository, config, split)
        return _read_huggingface(repository, config, split)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - hubs raise dozens of kinds, all mean the same here
        said = Redactor.from_env()(str(error) or type(error).__name__)
        reason = safe_line(said.splitlines()[0], max_chars=200)
        raise DataError(f"{repository} could not be read from {hub}: {reason}", hint=hint) from None


def _read_huggingface(repository: str, config: str | None, split: str) -> list[Record]:
    if not hub_files.reachable("hf"):
        # Without this the client retries for 40 s; with it, it takes what it has cached, or fails.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(repository, config, split=split)
    return [dict(record) for record in loaded]


def _read_modelscope(repository: str, config: str | None, split: str) -> list[Record]:
    from modelscope_hub import compat

    # Without a hub its client retries for half a minute; so it takes what it has cached, or fails.
    offline = not hub_files.reachable("modelscope")
    folder = compat.snapshot_download(repository, repo_type="dataset", local_files_only=offline)
    return read_local(Path(folder), config or "default", split)


def is_cached(hub: HubName, repository: str) -> bool:
    """Whether a data set was fetched before; the hub is not asked. Of Hugging Face's, one that was
    fetched in part counts."""
    if hub == "hf":
        from huggingface_hub import constants

        snapshots = Path(constants.HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}"
        return (snapshots / "snapshots").is_dir()
    from modelscope_hub import compat

    try:
        compat.snapshot_download(repository, repo_type="dataset", local_files_only=True)
    except Exception:  # noqa: BLE001 - the client's ways to say that it is not here
        return False
    return True


def _read_jsonl(path: Path) -> list[Record]:
    records: list[Record] = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                records.append(_as_record(_parse_json(line, path, number), path, number))
    return records


def _read_json(path: Path) -> list[Record]:
    text = path.read_text(encoding="utf-8-sig")
    value = _parse_json(text, path, 1)
    rows: Sequence[Any] = value if isinstance(value, list) else [value]
    return [_as_record(row, path, number) for number, row in enumerate(rows, start=1)]


def _parse_json(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise DataError(f"{path}, line {line}: not valid JSON ({reason})") from None


def _as_record(value: Any, path: Path, line: int) -> Record:
    if not isinstance(value, dict):
        raise DataError(
            f"{path}, line {line}: expected a JSON object, found {type(value).__name__}"
        )
    return value


def _read_delimited(path: Path) -> list[Record]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(_rows(csv.DictReader(file, delimiter=delimiter)))


def _rows(reader: csv.DictReader[str]) -> Iterator[Record]:
    for row in reader:
        # An index column that pandas wrote has no name; surplus cells have no column.
        yield {key: value for key, value in row.items() if key}


def _read_parquet(path: Path) -> list[Record]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[Record] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from None
    return rows
