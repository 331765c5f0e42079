"""`nightbench load`: put any OpenAI-compatible endpoint under load and measure it.

Nothing heavy is imported before the first request is sent.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.endpoint_argument import endpoint_of
from nightbench.cli.load_arguments import (
    add_arguments,
    limits_of,
    prompts_of,
    refuse_missing_parser,
    spec_of,
)
from nightbench.cli.output_paths import cannot_be_written, make_room_for, temporary_folder
from nightbench.errors import EndpointError
from nightbench.progress import OnProgress, Progress
from nightbench.proxies import proxies_of
from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    from nightbench.endpoint import Endpoint
    from nightbench.load.measure import MeasuredLevel
    from nightbench.load.plan.levels import Level
    from nightbench.load.plan.workloads import Prompts

EXIT_INVALID = 4
_UNREACHABLE = {"connect_refused", "connect_failed", "timeout_connect", "tls"}


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench load`."""
    parser = subparsers.add_parser(
        "load",
        help="put any OpenAI-compatible endpoint under load and measure it",
        description="Put any OpenAI-compatible endpoint under load and measure it. The metrics are "
        "explained in docs/metrics.md.",
    )
    add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure every level, then show and write them. Returns 0, or 4 under --strict."""
    from nightbench.load.plan.levels import plan_levels

    # For numpy, later: no metric is worth a thread a core, and starting them costs more than most.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    make_room_for(args.json, args.requests)
    spec, endpoint = spec_of(args), endpoint_of(args)
    refuse_missing_parser(args)
    levels = plan_levels(
        spec,
        stream=not args.no_stream,
        query_template=args.query_template,
        path=args.endpoint,
        response_parser=args.response_parser,
    )
    prompts = prompts_of(args, spec, levels[-1].prompts_needed)
    measured: list[MeasuredLevel] = []
    with temporary_folder() as work_dir:
        try:
            # What came before an error stays in the list.
            measured.extend(_measured(args, levels, prompts, endpoint, work_dir))
        except BaseException:
            if measured:  # what was measured is not lost with what was not
                _conclude(args, endpoint, measured)
            raise
        return _conclude(args, endpoint, measured)


def _measured(
    args: argparse.Namespace,
    levels: Sequence[Level],
    prompts: Prompts,
    endpoint: Endpoint,
    work_dir: Path,
) -> Iterator[MeasuredLevel]:
    """Level after level. Raises EndpointError where nobody answers at all."""
    from nightbench.load.drive.jobs import GeneratorOptions
    from nightbench.load.measure import measure_level

    show = _progress_line()
    for level in levels:
        result = measure_level(
            level,
            prompts,
            endpoint,
            work_dir=work_dir,
            on_progress=show,
            limits=limits_of(args),
            options=GeneratorOptions(keep_requests=args.requests is not None),
        )
        _refuse_unreachable(result, endpoint)
        yield result


def _refuse_unreachable(measured: MeasuredLevel, endpoint: Endpoint) -> None:
    """Where nobody answers at all there is nothing to measure; say so instead of a table."""
    if measured.level.completed:
        return
    errors = measured.errors
    if errors and errors.keys() <= _UNREACHABLE:
        kind, error = next(iter(errors.items()))
        proxied = " (load bypasses proxies)" if proxies_of(os.environ) else ""
        raise EndpointError(
            f"no response from {endpoint.base_url}: {error or kind}{proxied}",
            hint=f"check the URL and that the server is up: curl {endpoint.url_of('/models')}; "
            "--wait-s waits for one that is starting",
        )


def _write(args: argparse.Namespace, measured: list[MeasuredLevel]) -> None:
    from nightbench.load.report import write_json, write_requests

    for path, write in ((args.json, write_json), (args.requests, write_requests)):
        try:
            if path is not None:
                write(measured, path)
        except OSError as error:
            raise cannot_be_written(path, error) from None


def _conclude(args: argparse.Namespace, endpoint: Endpoint, measured: list[MeasuredLevel]) -> int:
    """The table first: no file that cannot be written takes it away."""
    from nightbench.load.summarize.level_table import levels_text, verdict_of

    rows = [result.level for result in measured]
    title = f"{endpoint.model} at {endpoint.base_url}"
    print(levels_text(rows, title, colours=sys.stdout.isatty()))
    invalid = [row for row in rows if not row.valid]
    for row in invalid:
        print(f"nightbench: level {row.level} is {verdict_of(row)}", file=sys.stderr)
    for line in _failures(measured, endpoint.redact(endpoint.url_of(args.endpoint))):
        print(f"nightbench: {line}", file=sys.stderr)
    _write(args, measured)
    return EXIT_INVALID if invalid and args.strict else 0


def _failures(measured: list[MeasuredLevel], url: str) -> list[str]:
    """Each kind of failure of each level, with what the first of it said; then what else is to be
    known of the server."""
    failures = [
        f"level {result.level.level}: {kind}: {url}: {safe_line(said, max_chars=300)}"
        for result in measured
        for kind, said in result.errors.items()
    ]
    notes = [
        f"level {result.level.level}: {safe_line(note, max_chars=300)}"
        for result in measured
        for note in result.notes
    ]
    return failures + notes


def _progress_line() -> OnProgress:
    """A line on the terminal that rewrites itself; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        return lambda _: None

    def show(progress: Progress) -> None:
        end = "\n" if progress.done == progress.total else ""
        counts = f"{progress.done}/{progress.total}"
        line = f"\r\x1b[K{safe_line(progress.subject)}  {counts}  {safe_line(progress.detail)}"
        print(line, end=end, file=sys.stderr, flush=True)

    return show
