"""Any server by its argv, with the places of host, port and model filled in."""

from __future__ import annotations

from nightbench.suite.engines import CommandEngine


def argv(
    engine: CommandEngine,
    model_path: str | None,
    served_model_name: str | None,
    host: str,
    port: int | str,
) -> tuple[str, ...]:
    """The argv with `{host}`, `{port}`, `{model}` and `{served_model_name}` filled in.

    Other braces (JSON in an argument) stay as they are, so this is no `str.format`.
    """
    places = {
        "{host}": host,
        "{port}": str(port),
        "{model}": model_path or "",
        "{served_model_name}": served_model_name or "",
    }
    filled = []
    for part in engine.argv:
        whole = part
        for place, value in places.items():
            whole = whole.replace(place, value)
        filled.append(whole)
    return tuple(filled)


def env(engine: CommandEngine) -> dict[str, str]:
    """The suite's variables."""
    return dict(engine.env)
