# SPDX-License-Identifier: Apache-2.0
"""Where weights come from, and on what they run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.backends.protocols import MissingDevice, MissingWeights
from models.miniature import WEIGHTS

if TYPE_CHECKING:
    import torch

_SHIPPED = "miniature:"
_HASHED_WHOLE = 64 * 2**20
_SAMPLES, _SAMPLE = 64, 2**16
_ONE_FILE = (
    "it is one file: `subjectforge convert` makes a folder of an original checkpoint, and the backends "
    "groundingdino_py and segment_anything take it as it is"
)


def located(model: str) -> str:
    """The folder or hub name to load from; `miniature:captioner` is a folder in this repository.

    Raises:
        MissingWeights: if a path was given and nothing is there.
    """
    if model.startswith(_SHIPPED):
        folder = WEIGHTS / model.removeprefix(_SHIPPED)
    elif model.startswith((".", "/", "~")):
        folder = Path(model).expanduser()
    else:
        return model
    if not folder.is_dir():
        original = folder.is_file() and folder.suffix.lower() in (".pth", ".pt", ".safetensors")
        how = _ONE_FILE if original else "give another `model:`"
        raise MissingWeights(f"no weights for '{model}': {folder} is not a folder; {how}")
    return str(folder)


def weights_digest(model: str) -> str | None:
    """A digest of local weights, a folder or a single file; None for a hub name.

    It is of all bytes of small files, and of the size and some bytes from all over of large ones: two
    trainings of one model differ everywhere.
    """
    if not model:
        return None
    place = Path(model).expanduser()
    if not place.is_file() and not (place := Path(located(model))).is_dir():
        return None
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.relative_to(place)} {size}".encode())
        for part in (file.read_bytes(),) if size <= _HASHED_WHOLE else _samples(file, size):
            digest.update(part)
    return digest.hexdigest()


def _samples(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        for place in range(_SAMPLES):
            stream.seek((size - _SAMPLE) * place // (_SAMPLES - 1))
            yield stream.read(_SAMPLE)


def hub_commit(model: str, revision: str | None) -> str | None:
    """The commit of a hub model that lies in this machine's cache; None of others and of local weights."""
    if Path(place := located(model)).is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(place, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(found).parent.name if isinstance(found, str) else None


def check_on_hub(model: str, revision: str | None) -> None:
    """See that a hub model can be had, from the cache or the network, by its smallest file.

    Raises:
        MissingWeights: if it cannot, or if a given folder is not there.
    """
    place = located(model)
    if Path(place).is_dir():
        return
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # It tells of every attempt; what came of them all is the exception.
    getLogger("huggingface_hub").setLevel(CRITICAL)
    try:
        hf_hub_download(place, "config.json", revision=revision)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise MissingWeights(
            f"no weights for '{model}': neither in the cache nor to be had from the hub "
            f"({type(error).__name__}); check the name and the network, or give `model:` a local folder"
        ) from error


def device_and_dtype(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Resolve `auto`: the GPU with bfloat16 if there is one, else the CPU with float32.

    Raises:
        MissingDevice: if there is no such GPU here.
    """
    import torch

    chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if chosen.type == "cuda" and (chosen.index or 0) >= (count := torch.cuda.device_count()):
        raise MissingDevice(f"no device '{device}': this process sees {count} GPUs; use another, or `cpu`")
    if dtype == "auto":
        dtype = "bfloat16" if chosen.type == "cuda" else "float32"
    return chosen, getattr(torch, dtype)


def pretrained(loader: Any, model: str, revision: str | None, **options: Any) -> Any:
    """`loader.from_pretrained` of a processor, with one clear line when it cannot be had.

    Raises:
        MissingWeights: if neither a folder nor the hub has it.
    """
    try:
        with _quiet():
            return loader.from_pretrained(located(model), revision=revision, **options)
    except MissingWeights:
        raise
    except Exception as error:  # damaged checkpoints raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeights(f"cannot load {loader.__name__} from '{model}': {first}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without bars and pages of parts that do not fit: those are an exception here."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    loggers = [getLogger("transformers"), getLogger("diffusers")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def pretrained_model(
    loader: Any, model: str, revision: str | None, dtype: torch.dtype, **options: Any
) -> Any:
    """The same for a model. A checkpoint that lacks a part of it would leave that part random.

    Raises:
        MissingWeights: if neither a folder nor the hub has them, or if they are not all there.
    """
    found, report = pretrained(loader, model, revision, dtype=dtype, output_loading_info=True, **options)
    if missing := sorted(report["missing_keys"]):
        raise MissingWeights(
            f"the weights of '{model}' lack {len(missing)} parts of a {loader.__name__}, such as {missing[0]}"
            "; give another `model:`"
        )
    return found
