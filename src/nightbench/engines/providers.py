"""OpenAI-compatible services by name: where they are, and which variable holds their key.

Addresses as the services' own documentation gives them; a suite's `base_url` and `api_key_env` win.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProviderName = Literal["siliconflow", "dashscope", "modelscope", "xunfei", "internlm"]


@dataclass(frozen=True, slots=True)
class Provider:
    """A service. `api_key_env` is the variable its own examples read."""

    base_url: str
    api_key_env: str


PROVIDERS: dict[ProviderName, Provider] = {
    "siliconflow": Provider("https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY"),
    "dashscope": Provider("https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    "modelscope": Provider("https://api-inference.modelscope.cn/v1", "MODELSCOPE_API_KEY"),
    "xunfei": Provider("https://maas-api.cn-huabei-1.xf-yun.com/v1", "XUNFEI_API_KEY"),
    "internlm": Provider("https://internlm-chat.intern-ai.org.cn/puyu/api/v1", "INTERNLM_API_KEY"),
}
