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
    ),
    WorkloadType(kind="longalpaca", read=prompt_files.instructions),
    WorkloadType(kind="sharegpt", read=prompt_files.first_turns),
    WorkloadType(kind="line_by_line", read=prompt_files.lines),
    WorkloadType(kind="custom", read=prompt_files.column, needs=("path", "column")),
    WorkloadType(kind="python", read=prompt_files.of_function, needs=("path", "function")),
    WorkloadType(kind="prompt", make=made_prompts.one_prompt, needs=("prompt",)),
    WorkloadType(
        kind="random",
        make=made_prompts.random_words,
        needs=("random_input_len",),
        argument=made_prompts.random_argument,
    ),
)
OURS = {workload.kind: workload for workload in _TYPES}
