"""`nightbench judge --series`: files in, verdicts out, and what it says of bad ones."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from nightbench.cli.main import main
from nightbench.errors import DataError
from nightbench.verdicts.replay import judge_series
from nightbench.verdicts.series_file import OUT_COLUMNS, read_series

HEADER = "night,node,target,metric,better,valid,value,se,provenance,accepted"
ROW = "0,a,t1,tpot_ms,lower,1,20.0,0.1,p0,p0"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def nights_file(path: Path, *, better: str = "lower", slow: int = 25, seed: int = 3) -> Path:
    """Four targets over 30 nights; the first is 10 % worse from `slow` on."""
    rng = np.random.default_rng(seed)
    lines = [HEADER + ",rep,fresh1,fresh2,fresh3,fresh4"]
    for night in range(30):
        shared = rng.standard_normal()
        for target in range(4):
            worse = 9.53 if target == 0 and night >= slow else 0.0
            noise = shared + worse + 0.8 * rng.standard_normal(6)
            values = 100 * np.exp((noise if better == "lower" else -noise) / 100)
            cells = ",".join(f"{value:.4f}" for value in values)
            first, rest = cells.split(",", 1)
            lines.append(f"{night},a,t{target},m,{better},1,{first},0.4,p0,p0,{rest}")
    return write(path, *lines)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_a_worse_target_is_regressed_whichever_way_its_metric_runs(
    tmp_path: Path, better: str
) -> None:
    replay = judge_series(read_series(nights_file(tmp_path / "n.csv", better=better)))
    found = [row for row in replay.rows if row.verdict == "regressed"]
    assert {row.target for row in found} == {"t0"}
    assert found[0].night == 25
    assert found[0].lo_pct is not None
    assert found[0].hi_pct is not None
    assert found[0].lo_pct <= 10.0 <= found[0].hi_pct


def test_an_inverted_metric_turns_a_regression_into_an_improvement_and_is_not_guessed(
    tmp_path: Path,
) -> None:
    upright = nights_file(tmp_path / "n.csv").read_text(encoding="utf-8")
    inverted = tmp_path / "i.csv"
    inverted.write_text(upright.replace(",lower,", ",higher,"), encoding="utf-8")
    words = {row.verdict for row in judge_series(read_series(inverted)).rows}
    assert "improved" in words
    assert "regressed" not in words


def test_the_command_writes_a_row_for_every_night_of_every_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "v.csv"
    code = main(["judge", "--series", str(nights_file(tmp_path / "n.csv")), "--out", str(out)])
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert code == 0
    assert tuple(rows[0]) == OUT_COLUMNS
    assert len(rows) == 4 * 30
    assert "t0: regressed" in capsys.readouterr().out


def test_judged_again_a_file_gives_the_same_rows(tmp_path: Path) -> None:
    rows = read_series(nights_file(tmp_path / "n.csv"))
    assert judge_series(rows) == judge_series(rows)


def test_the_order_of_the_lines_says_nothing(tmp_path: Path) -> None:
    rows = read_series(nights_file(tmp_path / "n.csv"))
    assert judge_series(rows).rows == judge_series(rows[::-1]).rows


def test_an_invalid_night_has_a_row_and_shifts_nothing(tmp_path: Path) -> None:
    text = nights_file(tmp_path / "n.csv").read_text(encoding="utf-8").splitlines()
    cells = text[1 + 4 * 10].split(",")
    cells[5:8] = ["0", "", ""]
    text[1 + 4 * 10] = ",".join(cells)
    replay = judge_series(read_series(write(tmp_path / "m.csv", *text)))
    row = next(row for row in replay.rows if (row.night, row.target) == (10, "t0"))
    assert row.verdict == "inconclusive"
    assert next(r.night for r in replay.rows if r.verdict == "regressed") == 25


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "lacks columns"),
        (["night,target"], "lacks columns: 'node'"),
        ([HEADER + ",colour", ROW + ",red"], "unknown columns: 'colour'"),
        ([HEADER + ",night", ROW + ",0"], "repeats columns: 'night'"),
        ([HEADER], "holds no nights"),
        ([HEADER, ROW, ROW], "line 3: a second row of t1 tpot_ms on night 0"),
        ([HEADER, ROW.replace("20.0", "fast")], "line 2: value is 'fast', and a number"),
        ([HEADER, ROW.replace("20.0", "nan")], "line 2: value is nan, and a number above 0"),
        ([HEADER, ROW.replace("20.0", "-1")], "line 2: value is -1, and a number above 0"),
        ([HEADER, ROW.replace("20.0", "")], "line 2: the night is valid and has no value"),
        ([HEADER, ROW.replace("lower", "up")], "line 2: better is 'up'"),
        ([HEADER, ROW.replace(",1,20", ",x,20")], "line 2: valid is 'x'"),
        ([HEADER, ROW.replace("0,a", "-1,a", 1)], "line 2: night is '-1'"),
        ([HEADER, ROW.replace(",t1,", ",,")], "line 2: target is empty"),
        ([HEADER, ROW + ",7"], "line 2: 11 cells for 10 columns"),
        (
            [HEADER, ROW, ROW.replace("tpot_ms", "itl_ms").replace(",p0,p0", ",p1,p0")],
            "line 3: t1 has two values of provenance on night 0",
        ),
        (
            [HEADER, ROW, ROW.replace("0,a", "1,a", 1).replace("lower", "higher")],
            "line 3: t1 tpot_ms was lower-is-better before",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "n.csv", *lines)
    code = main(["judge", "--series", str(path), "--out", str(tmp_path / "v.csv")])
    assert code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "v.csv").exists()


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_series(tmp_path / "none.csv")
    (tmp_path / "n.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="not UTF-8"):
        read_series(tmp_path / "n.csv")
