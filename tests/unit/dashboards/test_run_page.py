"""A run as a page: what a person opens in the morning."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from a_run import ACCURACY, RUN_ID, level, run, target
from markdown_it import MarkdownIt

from nightbench.dashboards.pointers import pointers
from nightbench.dashboards.run_page import Pointer, duration, failure_page, run_page
from nightbench.dashboards.sentences import accuracy_sentence, boot_sentence, level_sentence
from nightbench.history.run_results import Skipped
from nightbench.suite.models import SwanlabSettings

HOSTILE = '<img src=x onerror="x"> [a](javascript:b) | `c`'
POINTERS = (Pointer("Curves", url="http://h/x"), Pointer("Terminal", typed="nightbench show X"))


def html(page: str) -> str:
    """As a browser gets it; data: addresses of pictures are let through, as the UI does."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    renderer.validateLink = lambda url: not url.startswith("javascript:")  # type: ignore[method-assign]
    return str(renderer.render(page))


def test_it_has_every_number_a_picture_and_where_to_look_further() -> None:
    page = html(run_page(run(target("a"), target("b")), POINTERS))
    assert f"<h1>{RUN_ID}</h1>" in page
    assert "completed in 1 h 12 min on node1" in page
    assert page.count("<table>") == 4
    assert page.count('<img src="data:image/svg+xml;base64,') == 2
    assert f"<strong>{ACCURACY.accuracy:.1%}</strong>" in page
    assert "<code>/srv/logs/server.log</code>" in page
    assert '<a href="http://h/x">Curves</a>' in page
    assert "<code>nightbench show X</code>" in page


def test_a_target_that_failed_says_why_and_the_others_stand_beside_it() -> None:
    failed = target("bad", status="failed", error="exited\n  | no such knob")
    page = html(run_page(run(failed, target("good"), status="failed"), ()))
    assert "✗ bad" in page
    assert "no such knob" in page
    assert "✓ good" in page


def test_what_was_skipped_is_listed() -> None:
    left_out = Skipped(target="late", stage="load chat", reason="5 h are over")
    page = html(run_page(replace(run(target("a")), skipped=(left_out,)), ()))
    assert "<li>late: load chat was skipped: 5 h are over</li>" in page


def test_a_level_that_is_not_valid_says_so() -> None:
    spoilt = level(2, valid=False, invalid_reasons=["client_lag"])
    page = html(run_page(run(replace(target("a"), levels=(spoilt,))), ()))
    assert "<strong>client_lag</strong>" in page


def test_what_others_wrote_is_text() -> None:
    hostile = target(HOSTILE, served_model_name=HOSTILE, status="failed", error=f"```\n{HOSTILE}")
    page = html(run_page(run(hostile), ()))
    page += html(failure_page(HOSTILE, HOSTILE, f"```\n{HOSTILE}", HOSTILE))
    allowed = {"h1", "h2", "p", "strong", "br", "pre", "code", "ul", "li", "table"}
    assert set(re.findall(r"<([a-z0-9]+)", page)) <= allowed


def test_the_swanlab_link_is_the_one_that_is_set() -> None:
    settings = SwanlabSettings(project="glm")
    *_, local = pointers(RUN_ID, settings, {})
    assert local.typed == "nightbench watch --project glm"
    *_, shared = pointers(RUN_ID, settings, {"NIGHTBENCH_SWANLAB_URL": "http://lab:5092"})
    assert shared.url == "http://lab:5092"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(42, "42 s"), (720, "12 min"), (11_100, "3 h 05 min")]
)
def test_a_span_reads_as_people_say_it(seconds: int, shown: str) -> None:
    assert duration(timedelta(seconds=seconds)) == shown


def test_the_log_says_what_was_just_measured() -> None:
    spoilt = level(4, valid=False, invalid_reasons=["failures"], failed=2, mean_ttft_ms=None)
    assert "chat c4: " in level_sentence(spoilt).replace(spoilt.workload, "chat")
    assert "TTFT – ms" in level_sentence(spoilt)
    assert level_sentence(spoilt).endswith("2 failed - NOT VALID: failures")
    assert f"{ACCURACY.accuracy * 100:.1f} % correct" in accuracy_sentence(ACCURACY)
    [server] = target().servers
    assert boot_sentence(server, "H200 x4").startswith("vllm 0.32.0 ready after 35 s on H200 x4")
