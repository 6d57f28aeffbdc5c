"""Train, score and compare end-to-end driving planners on the NAVSIM benchmark.

The names in `__all__` are the public API (docs/api.md). Each is imported when it is first used, so that
`import navforge` loads neither torch nor compiled kernels.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from navforge.core.host import complete_environment

if TYPE_CHECKING:
    from navforge.agents.contract import Agent
    from navforge.data.splits import load_split
    from navforge.evaluation.evaluate import evaluate_agent
    from navforge.evaluation.score import open_cache
    from navforge.models.loading import load_planner
    from navforge.scoring import prepare_batch, score
    from navforge.training.recipes.catalog import recipe
    from navforge.training.run import train

    __version__: str

__all__ = [
    "Agent",
    "__version__",
    "evaluate_agent",
    "load_planner",
    "load_split",
    "open_cache",
    "prepare_batch",
    "recipe",
    "score",
    "train",
]

_MODULE_OF = {
    "Agent": "agents.contract",
    "evaluate_agent": "evaluation.evaluate",
    "load_planner": "models.loading",
    "load_split": "data.splits",
    "open_cache": "evaluation.score",
    "prepare_batch": "scoring",
    "recipe": "training.recipes.catalog",
    "score": "scoring",
    "train": "training.run",
}

complete_environment(Path(__file__).parent)


def __getattr__(name: str) -> Any:
    """Import a name of the public API when it is first used."""
    import importlib.metadata  # noqa: PLC0415 (neither is needed to import the package)

    if name == "__version__":
        return importlib.metadata.version("navforge")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"navforge.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'navforge' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public API beside what is imported already."""
    return sorted({*globals(), *__all__})
