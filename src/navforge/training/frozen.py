"""The promise that what is frozen stays: bit by bit, from the first step to the last."""

from __future__ import annotations

from torch import Tensor

from navforge.core.files import fingerprint
from navforge.models.planner import Planner
from navforge.training.ranks.failures import TrainingError


class FrozenState:
    """Fingerprints of what of a planner training must not change; under FSDP of this rank's shards."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self._before = self._fingerprints()

    def error(self) -> TrainingError | None:
        """An error that names the first value which is another than at the start; None where all are the same."""
        now = self._fingerprints()
        changed = [name for name, value in self._before.items() if now.get(name) != value]
        if not changed:
            return None
        return TrainingError(
            f"{changed[0]} is frozen and changed during training ({len(changed)} of {len(now)} frozen values did): "
            "the planner's code writes to it; its checkpoints are not what the config says",
            cause="user_error",
        )

    def _fingerprints(self) -> dict[str, str]:
        frozen = self.planner.encoder.frozen_names()
        state = self.planner.encoder.state_dict()
        return {f"encoder.{name}": _fingerprint(state[name]) for name in sorted(frozen)}


def _fingerprint(value: Tensor) -> str:
    local: Tensor = getattr(value, "to_local", lambda: value)()
    return fingerprint(local.detach().cpu().numpy())
