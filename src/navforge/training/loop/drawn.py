"""Which scenes a run drew, by its own batches: the proof that a label subset was kept to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from navforge.training.ranks.failures import TrainingError
from navforge.training.ranks.messages import Ranks


class Drawn:
    """Scenes that this rank drew of those that may be drawn. Tokens are those that came with the batches."""

    def __init__(self, tokens: Sequence[str], drawn: Tensor | None = None) -> None:
        """Start with nothing drawn.

        Args:
            tokens: all that may be drawn.
            drawn: (len(tokens),) bool, of an earlier start of the run.
        """
        self._places = {token: place for place, token in enumerate(tokens)}
        self.mask = torch.zeros(len(tokens), dtype=torch.bool) if drawn is None else drawn.clone()

    def add(self, tokens: Iterable[str]) -> TrainingError | None:
        """Note the scenes of a batch; an error if one may not be drawn, which all ranks have to hear of."""
        for token in tokens:
            place = self._places.get(token)
            if place is None:
                return TrainingError(
                    f"scene {token} was drawn, which is not in the label subset (labels.json); training stops",
                    cause="error",
                    tokens=(token,),
                )
            self.mask[place] = True
        return None

    def of_all(self, ranks: Ranks) -> Tensor:
        """(token,) bool, drawn by any rank; called by all ranks."""
        return torch.stack(ranks.gather(self.mask)).any(dim=0)

    def facts(self, ranks: Ranks) -> dict[str, Any]:
        """Scenes that may be drawn and that were; called by all ranks. `add` ends a run that draws any other."""
        return {"scenes": len(self._places), "drawn": int(self.of_all(ranks).sum())}
