from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from navforge.core import device
from navforge.core.device import pick_device
from navforge.core.errors import ConfigError


def test_torch_says_whether_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="sees no GPU"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == "cuda"
    assert pick_device("cpu") == "cpu"


def test_cuda_is_refused_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "may_have_gpu", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="sees no GPU"):
        pick_device("cuda")


def test_torch_is_not_loaded_without_a_driver() -> None:
    """`navforge teach` scores on the CPU without the seconds that torch takes to load."""
    program = (
        "import sys; from navforge.core import device; device.may_have_gpu = lambda: False; "
        "import navforge.cli.teach; print(device.pick_device('auto'), 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.split() == ["cpu", "False"]
