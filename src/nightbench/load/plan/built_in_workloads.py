"""The kinds of workloads that ship with nightbench, one entry each."""

from __future__ import annotations

from nightbench.load.plan import made_prompts, prompt_files
from nightbench.load.plan.workload_type import WorkloadType

_TYPES = (
    WorkloadType(
        kind="openqa",
        read=prompt_files.openqa,
        # Where EvalScope takes it from.
        source="modelscope:AI-ModelScope/HC3-Chinese/open_qa.jsonl",
        needs=(),
        usage="openqa (EvalScope's, from ModelScope), openqa:FILE.jsonl (field question)",
    ),
    WorkloadType(
        kind="longalpaca",
        read=prompt_files.instructions,
        usage="longalpaca:FILE.json (field instruction)",
    ),
    WorkloadType(
        kind="sharegpt",
        read=prompt_files.first_turns,
        usage="sharegpt:FILE.json (the first human turn)",
    ),
    WorkloadType(kind="line_by_line", read=prompt_files.lines, usage="line_by_line:FILE"),
    WorkloadType(
        kind="custom",
        read=prompt_files.column,
        needs=("path", "column"),
        usage="custom:FILE (see --column)",
    ),
    WorkloadType(
        kind="python",
        read=prompt_files.of_function,
        needs=("path", "function"),
        usage="MODULE.py:FUNCTION (returns the prompts)",
    ),
    WorkloadType(kind="prompt", make=made_prompts.one_prompt, needs=("prompt",)),  # --prompt
    WorkloadType(
        kind="random",
        make=made_prompts.random_words,
        needs=("random_input_len",),
        argument=made_prompts.random_argument,
        usage="random:TOKENS (default random:128)",
    ),
)
OURS = {workload.kind: workload for workload in _TYPES}
