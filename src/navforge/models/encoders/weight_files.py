"""Files of an image network's weights: where they lie, what they say of the network, and their fingerprint.

Three kinds are known: a folder in the Hugging Face layout (`config.json` and `model.safetensors`), the name of one on
the Hub, which lies in the cache of `huggingface_hub`, and a file of a timm network (.pth or .safetensors).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from navforge.core.errors import ConfigError, DataError
from navforge.core.files import file_fingerprint, fingerprint
from navforge.core.outside.text import read_json

KEY = "planner.encoder.weights"
CONFIG = "config.json"
PIXELS = ("preprocessor_config.json", "video_preprocessor_config.json")
"""Where a folder says how pixels are scaled; the first that is there counts."""
_TENSORS = "*.safetensors"
_HUB_FILES = (CONFIG, *PIXELS, _TENSORS, "model.safetensors.index.json")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_MEANINGLESS = ("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version")
"""Keys of a `config.json` that do not decide the network."""


@dataclass(frozen=True)
class Weights:
    """A network's files on this machine."""

    path: Path
    """A folder in the Hugging Face layout, or a file of a timm network."""

    @property
    def is_folder(self) -> bool:
        """Whether it has the Hugging Face layout."""
        return self.path.is_dir()

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that hold tensors."""
        return tuple(sorted(self.path.glob(_TENSORS))) if self.is_folder else (self.path,)

    @property
    def size(self) -> int:
        """Bytes of the tensors."""
        return sum(file.stat().st_size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Of the bytes of every file that decides what the network computes."""
        told = [self.path / name for name in (CONFIG, *PIXELS)] if self.is_folder else []
        names = [path for path in (*told, *self.files) if path.is_file()]
        return fingerprint([_fingerprint(path, path.stat().st_mtime_ns, path.stat().st_size) for path in names])

    def architecture(self) -> dict[str, Any]:
        """What `config.json` says of the network; that of the image tower, where a text tower is beside it."""
        content = read_json(self.path / CONFIG, f"{KEY}: config")
        tower = content.get("vision_config", {})
        found = {**tower, "model_type": tower.get("model_type", content.get("model_type"))} if tower else content
        return {name: value for name, value in found.items() if name not in _MEANINGLESS}

    def pixel_scale(self) -> tuple[list[float], list[float]] | None:
        """Mean and deviation by which pixels in [0, 1] are scaled; None where the folder does not say."""
        for name in PIXELS if self.is_folder else ():
            if (self.path / name).is_file():
                content = read_json(self.path / name, f"{KEY}: preprocessing")
                if "image_mean" in content and "image_std" in content:
                    return content["image_mean"], content["image_std"]
        return None


def find_weights(named: str) -> Weights:
    """The files of weights given by path or by their name on the Hub, on this machine; nothing is downloaded.

    Raises:
        DataError: they are not here, or are no weights; says how to get them.
    """
    path = Path(named).expanduser()
    if not path.exists():
        path = _cached(named)
    if path.is_dir():
        for wanted in (CONFIG, _TENSORS):
            if not any(path.glob(wanted)):
                raise DataError(
                    f"{KEY}: {path} holds no {wanted}; expected a folder as save_pretrained of transformers writes it"
                )
    return Weights(path)


def download(named: str) -> None:
    """Bring weights that are named by the Hub's name into its cache, with a progress bar, unless they are here.

    Raises:
        DataError: the Hub has no such name or cannot be reached.
    """
    if Path(named).expanduser().exists() or not _HUB_NAME.fullmatch(named):
        return
    from huggingface_hub import constants, snapshot_download  # noqa: PLC0415 (slow to load)

    if constants.HF_HUB_OFFLINE:
        return
    try:
        snapshot_download(named, allow_patterns=list(_HUB_FILES))
    except Exception as error:  # whatever the network stumbles over
        try:
            find_weights(named)  # an earlier download will do
        except DataError:
            raise DataError(
                f"{KEY}: {named} cannot be downloaded ({type(error).__name__}: {str(error)[:200]}); "
                f"where the Hub can be reached, run {_command(named)}, and copy its cache to this machine"
            ) from error


def read_architecture(text: str | None) -> dict[str, Any]:
    """The mapping that `planner.encoder.architecture` holds as JSON.

    Raises:
        ConfigError: it is no such mapping.
    """
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigError(f"planner.encoder.architecture: expected a JSON mapping, got {text!r} ({error})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"planner.encoder.architecture: expected a JSON mapping, got {text!r}")
    return content


def _cached(named: str) -> Path:
    if not _HUB_NAME.fullmatch(named):
        raise DataError(f"{KEY}: {named} does not exist; give a folder, a file, or a name of the Hugging Face Hub")
    from huggingface_hub import constants, snapshot_download  # noqa: PLC0415 (slow to load)
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(named, allow_patterns=list(_HUB_FILES), local_files_only=True))
    except LocalEntryNotFoundError as error:
        offline = " and HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
        raise DataError(
            f"{KEY}: {named} is no folder or file, and is not in the cache of the Hugging Face Hub "
            f"({constants.HF_HUB_CACHE}){offline}; run {_command(named)} where the Hub can be reached"
        ) from error


def _command(named: str) -> str:
    home = f"HF_HOME={os.environ['HF_HOME']} " if "HF_HOME" in os.environ else ""
    return f"{home}hf download {named}"


@lru_cache(maxsize=64)
def _fingerprint(path: Path, _changed: int, _size: int) -> str:
    return file_fingerprint(path)
