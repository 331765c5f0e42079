"""The parameters that flows share, as the Prefect UI's form shows them.

What there is to choose from is read when a deployment is registered: `nightbench up` again offers
suites that have been added since. The command line gives a file's path and is not bound by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

from nightbench.suite import catalogue


class OneOf:
    """A text that the form, and Prefect's API with it, takes only from a list."""

    def __init__(self, choices: Callable[[], list[str]]) -> None:
        self._choices = choices

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(core_schema) | {"enum": self._choices()}


SuiteName = Annotated[str, OneOf(catalogue.suite_names)]
TargetName = Annotated[str, OneOf(catalogue.target_names)]
