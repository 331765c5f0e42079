from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from nightbench.data import loading
from nightbench.errors import DataError

ROWS = [{"question": "1?", "answer": "A"}, {"question": "二？", "answer": "B"}]


def write(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        sign = "\t" if path.suffix == ".tsv" else ","
        lines = [sign.join(rows[0]), *(sign.join(row.values()) for row in rows)]
        path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", loading.SUFFIXES)
def test_every_format_gives_the_same_records_and_the_same_digest(
    tmp_path: Path, suffix: str
) -> None:
    records = loading.read_records(write(tmp_path / f"x{suffix}"))

    assert records == ROWS
    assert loading.records_digest(records) == loading.records_digest(ROWS)


def test_a_digest_names_the_records_and_their_order() -> None:
    assert loading.records_digest(ROWS) != loading.records_digest(ROWS[::-1])
    assert loading.records_digest(ROWS) != loading.records_digest(ROWS[:1])


def test_the_index_column_that_pandas_wrote_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(",Question,Answer\n0,Why?,A\n")

    assert loading.read_records(path) == [{"Question": "Why?", "Answer": "A"}]


@pytest.mark.parametrize(
    "layout",
    [
        "logic.jsonl",
        "logic/test.jsonl",
        "logic/test-00000-of-00001.parquet",
        "test/logic.csv",
        "test/logic_test.csv",
        "logic_test.csv",
        "data/logic/test.json",
        "test.jsonl",
        "data/test-00000-of-00001.parquet",
    ],
)
def test_a_folder_in_a_hubs_or_an_archives_layout_is_found(tmp_path: Path, layout: str) -> None:
    write(tmp_path / layout)

    assert loading.read_local(tmp_path, "logic", "test") == ROWS


def test_a_subset_s_own_file_goes_before_one_for_all(tmp_path: Path) -> None:
    write(tmp_path / "test" / "logic.csv", ROWS[:1])
    write(tmp_path / "test.jsonl", ROWS)

    assert loading.read_local(tmp_path, "logic", "test") == ROWS[:1]


def test_shards_are_read_in_order(tmp_path: Path) -> None:
    write(tmp_path / "main" / "test-00000-of-00002.parquet", ROWS[:1])
    write(tmp_path / "main" / "test-00001-of-00002.parquet", ROWS[1:])

    assert loading.read_local(tmp_path, "main", "test") == ROWS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n{broken\n', "line 2: not valid JSON"),
        ('{"a": 1}\n[1]\n', "line 2: expected a JSON object, found list"),
        ("[" * 100_000 + "\n", "line 1: not valid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)

    with pytest.raises(DataError, match=said):
        loading.read_records(path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        loading.read_local(tmp_path / "gone", "a", "test")
    with pytest.raises(DataError, match="no records for the subset 'a'"):
        loading.read_local(tmp_path, "a", "test")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        loading.read_records(tmp_path / "b.jsonl")
