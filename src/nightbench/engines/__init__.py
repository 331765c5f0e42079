"""The engines there are: one file each, that declares `ENGINE`; and what several of them share.

To add one: write its file beside these and name it here. `infra/engines` has its recipe.
"""

_MODULES = ("vllm", "lmdeploy", "sglang", "ollama", "command", "remote")
OURS = {name: f"{__name__}.{name}:ENGINE" for name in _MODULES}
