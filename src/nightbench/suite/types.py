"""What every model of suite.yaml is made of: strictness, names and positive numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Scalar = str | int | float | bool
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=80)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=31 * 86_400)]  # of one request, or of one level
TimeOfDay = Annotated[str, Field(pattern=r"^([01]?\d|2[0-3]):[0-5]\d$")]


class Strict(BaseModel):
    """Unknown keys are typing errors; values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
