"""`nightbench import`: import result files of other tools as nights of the history."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.home_argument import home_to_write
from nightbench.errors import BadInput, DataError, HistoryError
from nightbench.home.paths import Home
from nightbench.secrets.redaction import Redactor
from nightbench.terminal_text import safe_line, safe_text

if TYPE_CHECKING:
    from nightbench.history.importers.imported import Imported

_MOST_NAME = 80
_TOOLS = ("vllm-bench", "evalscope", "evalscope-perf")


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench import`."""
    parser = subparsers.add_parser(
        "import", help="import other tools' results as nights of the history", description=__doc__
    )
    parser.add_argument("--from", dest="tool", required=True, choices=_TOOLS)
    parser.add_argument("path", type=Path, help="a result file, or a folder of them")
    parser.add_argument(
        "--target", help="the name of the series (imported-ORG--MODEL unless given)"
    )


def run(args: argparse.Namespace) -> int:
    """Read, spool and land; what was imported before is not imported again."""
    from nightbench.history.importers.importing import read_each
    from nightbench.history.ingest import land
    from nightbench.history.spool.identity import is_name
    from nightbench.history.store import StorageError

    if not args.path.exists():
        raise BadInput(f"{args.path} does not exist")
    if args.target is not None and not is_name(args.target):
        raise BadInput(f"{args.target!r} is not a valid target name")
    home = home_to_write()
    results, problems = read_each(args.tool, args.path)
    if problems and not results:
        _tell(problems[1:])
        raise problems[0]
    if args.target is not None:
        _refuse_several_models(results, args.target)
    taken = 0
    for imported in results:
        try:
            taken += spool(home, args.tool, imported, args.target)
        except StorageError:
            raise
        except (HistoryError, ValueError) as error:  # whatever is wrong with one result
            problems.append(DataError(f"{imported.source} could not be kept: {error}"))
    report = land(home)
    _tell((*problems, *(damaged.reason for damaged in report.damaged)))
    print(
        f"imported {taken} results, marked as imported: they form their own series and are left "
        f"out "
        "of latest, leaderboard and capacity"
    )
    return 1 if report.damaged or problems else 0


def _tell(problems: Iterable[object]) -> None:
    for said in problems:
        print(safe_text(f"not imported: {said}"), file=sys.stderr)


def _refuse_several_models(results: Sequence[Imported], target: str) -> None:
    """A target is one model's series. Raises BadInput where the results are of several."""
    models = sorted({imported.model for imported in results})
    if len(models) > 1:
        raise BadInput(
            f"these are results of {len(models)} models, and {target} is one target: "
            + ", ".join(safe_line(model, max_chars=80) for model in models[:5]),
            hint="Import them one by one, or without --target.",
        )


def spool(home: Home, tool: str, imported: Imported, target: str | None) -> bool:
    """One result as a run of its own; False where it is spooled or landed already."""
    from nightbench.history.open_store import open_store
    from nightbench.history.spool.writer import RUN_FOLDER, Spool, SpoolIdentity

    digest = hashlib.sha256(imported.source.read_bytes()).hexdigest()
    moment = imported.measured_at
    run_id = f"{moment:%Y%m%dT%H%M%SZ}-imported-{tool}-{digest[:8]}"
    name = target or _name(Redactor.from_env()(imported.model))
    night = moment.date()
    if (home.spool / run_id).exists() or open_store(home).holds(night, run_id):
        return False
    identities = [
        SpoolIdentity(run_id=run_id, target=part, night=night) for part in (name, RUN_FOLDER)
    ]
    with Spool.open(home.spool, identities[0]) as spooled:
        for row in (*_target_rows(imported, name), *imported.rows):
            spooled.append(row)
    with Spool.open(home.spool, identities[1]) as own:
        own.append(_run_row(imported, tool, digest))
    return True


def _target_rows(imported: Imported, name: str) -> Sequence[Any]:
    from nightbench.records import ProvenanceRow, TargetRow

    target = TargetRow(
        model=imported.model,
        served_model_name=name,
        engine_kind="imported",
        status="completed",
        started_at=imported.measured_at,
        ended_at=imported.measured_at,
    )
    return target, ProvenanceRow(name="imported_from", value=str(imported.source.absolute()))


def _run_row(imported: Imported, tool: str, digest: str) -> Any:
    from nightbench import __version__
    from nightbench.records import RunRow

    return RunRow(
        suite=f"imported-{tool}",
        suite_digest=digest[:16],
        status="completed",
        trigger="import",
        started_at=imported.measured_at,
        ended_at=imported.measured_at,
        nightbench_version=__version__,
    )


def _name(model: str) -> str:
    """A target's name from a model's, which no other model has: what a folder and a suite can be
    called."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", model.replace("/", "--")).strip("-.")
    name = f"imported-{plain or 'model'}"[:_MOST_NAME]
    if name == f"imported-{model.replace('/', '--')}" and "--" not in model:
        return name
    return f"{name}-{hashlib.sha256(model.encode()).hexdigest()[:6]}"
