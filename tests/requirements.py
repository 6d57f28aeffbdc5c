"""What tests may lack on a machine, and how a run says that this machine must have it.

A test that lacks something is skipped with a reason. `pytest --require=slurm,data` turns skips for these reasons into
failures, so that a machine that should run those tests cannot leave them out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest

REASONS = {
    "data": r"not found beside the checkout",
    "slurm": r"the test Slurm cluster",
    "gpu": r"no CUDA device",
    "nvvm": r"NVVM|libnvvm",
    "browser": r"no chromium",
    "wandb": r"wandb is an optional package",
    "ray": r"Ray is not installed",
    "root": r"\broot\b",
}
"""What can be required, and the reason that a test without it gives."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default="",
        help=f"comma-separated list of what this machine must have ({', '.join(REASONS)}): tests that lack it fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    unknown = [name for name in _required(config) if name not in REASONS]
    if unknown:
        raise pytest.UsageError(f"--require={','.join(unknown)}: expected some of {', '.join(REASONS)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
        lacking = [name for name in _required(item.config) if re.search(REASONS[name], reason)]
        if lacking:
            report.outcome = "failed"
            report.longrepr = f"--require={lacking[0]}: {reason}"
    return report


def _required(config: pytest.Config) -> list[str]:
    return [name for name in config.getoption("--require").split(",") if name]
