"""A newcomer's first evening in the Prefect UI, from a clean state, with a real vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from evening import (
    Up,
    cancel,
    choose_run,
    choose_suite,
    open_deployment,
    open_tab,
    start_run,
    type_password,
    up,
    wait_until,
)
from playwright.sync_api import Page, expect

from nightbench.home.paths import Home
from nightbench.serving.provision.environments import EngineEnvironment
from tests.browser.conftest import TakePicture

pytestmark = [pytest.mark.browser, pytest.mark.engine, pytest.mark.timeout(1500)]

WHOLE_RUN_S = 900.0
GONE_S = 30.0  # a cancelled run's server is gone within 20 s; Prefect hears of the click in a few

LONG_LOAD = """
name: evening
description: the real model under a load that nobody waits for
targets:
  - name: smollm2
    model: builtin:smollm2-135m-instruct
    engine:
      kind: vllm
      args: {dtype: float32, enforce-eager: true, max-model-len: 4096}
      env: {VLLM_CPU_KVCACHE_SPACE: "2"}
    boot_timeout_s: 600
load:
  - name: long
    workload: {kind: openqa, path: prompts.jsonl}
    max_concurrency: [2]
    num_prompts: 200
    generation: {temperature: 0, max_tokens: 256, ignore_eos: true}
"""


@pytest.fixture(scope="module")
def evening(
    tmp_path_factory: pytest.TempPathFactory,
    engine_home: Home,
    engine_environment: EngineEnvironment,
    builtin_model: Path,
) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("evening")
    suites = folder / "suites"
    suites.mkdir()
    (suites / "evening.yaml").write_text(LONG_LOAD, encoding="utf-8")
    lines = [f'{{"question": "What comes after {number}?"}}\n' for number in range(300)]
    (suites / "prompts.jsonl").write_text("".join(lines), encoding="utf-8")
    with up(folder, engine_home, f"--suites={suites}") as running:
        yield running


def test_a_click_on_smoke_measures_a_real_server_and_tells_how_far_it_is(
    evening: Up, page: Page, take_picture: TakePicture
) -> None:
    open_deployment(page, evening.sign_in_address(), "smoke")
    take_picture("1-deployment")
    start_run(page, lambda: choose_run(page, "Quick run"))
    expect(page.get_by_text("Running", exact=True).first).to_be_visible(timeout=120_000)
    page.goto("about:blank")  # its moving line of time would take a core from the measuring
    wait_until(lambda: evening.has_artifact("load-starter-chat-c1"), WHOLE_RUN_S)
    page.goto(evening.page_of("smollm2-135m"))
    open_tab(page, "Artifacts")
    for phase in ("boot-smollm2-135m", "accuracy-starter", "load-starter-chat-c1"):
        expect(page.get_by_text(phase).first).to_be_visible()
    expect(page.get_by_text("accuracy starter: done")).to_be_visible()
    take_picture("2-under-load")
    target = page.url
    page.goto("about:blank")
    wait_until(lambda: evening.has_artifact("results"), WHOLE_RUN_S)
    page.goto(target)
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=120_000)
    open_tab(page, "Task Runs")
    for task in ("boot", "accuracy starter", "load starter-chat c4", "stop"):
        expect(page.get_by_text(f"smollm2-135m: {task}").first).to_be_visible()
    take_picture("3-target-tasks")
    open_tab(page, "Logs")
    expect(page.get_by_text("vllm 0.").first).to_contain_text("ready after")
    expect(page.get_by_text("accuracy starter: 128 of 128").first).to_be_visible()
    take_picture("4-target-logs")


def test_its_results_are_a_page_with_numbers_and_curves(
    evening: Up, page: Page, take_picture: TakePicture
) -> None:
    type_password(page, evening)
    page.goto(evening.page_of("starter "))
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=120_000)
    open_tab(page, "Artifacts")
    take_picture("5-night-artifacts")
    page.locator("a[href*='/artifacts/']", has_text="results").first.click()
    page.wait_for_url("**/artifacts/**")
    if "/artifacts/key/" in page.url:  # Prefect shows its history first, or the page at once
        page.locator("a[href*='/artifacts/artifact/']").first.click()
    expect(page.get_by_role("heading", name="Load starter-chat")).to_be_visible()
    expect(page.get_by_role("cell", name="c4", exact=True)).to_be_visible()
    curves = page.get_by_role("img", name="level curves of smollm2-135m")
    expect(curves).to_be_visible()
    assert curves.evaluate("image => image.complete && image.naturalWidth > 500")
    take_picture("6-results")
    page.goto(f"{evening.url}/v2/artifacts/key/curves-smollm2-135m")
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    expect(page.locator('img[src^="data:image/svg+xml"]')).to_be_visible()
    take_picture("7-curves")


def test_a_changed_parameter_arrives_and_a_run_cancelled_under_load_leaves_nothing(
    evening: Up, page: Page, take_picture: TakePicture
) -> None:
    open_deployment(page, evening.sign_in_address(), "nightly")
    choose_run(page, "Custom run")
    choose_suite(page, "evening")
    take_picture("8-custom-run")
    start_run(page, page.get_by_role("button", name="Submit").click)
    page.goto("about:blank")
    wait_until(lambda: evening.has_artifact("load-long-c2"), WHOLE_RUN_S)
    page.goto(evening.page_of("evening "))
    open_tab(page, "Parameters")
    expect(page.get_by_text("evening").last).to_be_visible()
    measuring = evening.of_runs()
    assert any("vllm" in " ".join(process.cmdline()) for process in measuring)
    cancel(page)
    wait_until(lambda: not any(process.is_running() for process in measuring), GONE_S)
    expect(page.get_by_text("Cancelled", exact=True).first).to_be_visible(timeout=120_000)
    take_picture("9-cancelled")
    assert evening.of_runs() == []
