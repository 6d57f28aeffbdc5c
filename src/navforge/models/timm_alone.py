"""timm without W&B, which timm loads wherever it is installed, for summaries that nobody here writes.

It would take seconds of every process, and leave two folders in the temporary folder for every process that is killed.
Whatever uses timm takes it from here (`tests/test_architecture.py`).
"""

import sys

_LOADED = "wandb" in sys.modules
if not _LOADED:
    sys.modules["wandb"] = None  # type: ignore[assignment]  # to an import it is not installed
try:
    import timm
    import timm.models.vision_transformer
    import timm.models.vovnet
    from timm.layers.create_attn import create_attn
    from timm.layers.norm import LayerNorm2d
finally:
    if not _LOADED:
        del sys.modules["wandb"]

__all__ = ["LayerNorm2d", "create_attn", "timm"]
