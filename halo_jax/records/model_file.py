"""An exported model, one `.safetensors` file: its tensors, and in the metadata all that makes a network of them again.

Tensors are the codes that travel, int8 or int16, where the recipe has codes, and float32 weights elsewhere. Metadata
are texts, most of them JSON:

    format        "halo_jax model", in the version that `version` says
    recipe        the training recipe
    grids         tensor -> bits and scale: its weights are code * scale
    precision     the bits at which its run evaluated it, "bw-ba-be"
    image_shape   [height, width, channels] of its images, uint8; the network takes pixel / 127.5 - 1
    num_classes   the number of its logits
    round         after which round it is the server's
    config        of the arm that trained it, as in `config.json`
    sha256        of all metadata before and all tensors
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from halo_jax.config import show
from halo_jax.parameters import is_round
from halo_jax.records import files, model_record
from halo_jax.records.checks import check_nesting
from halo_jax.records.digest import tree_sha256
from halo_jax.records.model_record import ModelRecord
from halo_jax.runtime import safe_files

_FORMAT, _VERSION = "halo_jax model", "1"
_MOST_BYTES = 2**29 + 2**24  # a message of a model has at most 2^31 bits, two bytes hold 9 of them; and its header
_WHOLE = "put a good copy back, or save the model again"


class ModelFile(NamedTuple):
    """What an exported model's file holds.

    Attributes:
      tensors: by name, such as "QuantConv_0.kernel": int8, int16 or float32.
      grids: of each tensor of codes, {"bits": 8, "scale": 0.0078125}; a recipe of another grid has no scale.
      config: of the arm that trained it.
      record: what the network takes and gives.
      round: after which round it is the server's.
    """

    tensors: dict[str, np.ndarray]
    grids: dict[str, dict[str, Any]]
    config: dict[str, Any]
    record: ModelRecord
    round: int


def write(path: Path, model: ModelFile) -> None:
    """Write a model in one step. Raises RecordError; then the file holds what it held before."""
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in model.tensors.items()}
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "recipe": model.config["recipe"]["name"],
        "grids": json.dumps(model.grids),
        "precision": model.record.precision,
        "image_shape": json.dumps(model.record.image_shape),
        "num_classes": json.dumps(model.record.num_classes),
        "round": json.dumps(model.round),
        "config": json.dumps(model.config),
    }
    metadata["sha256"] = _digest(metadata, tensors)
    files.write(path, safetensors.numpy.save(tensors, metadata))


def read(path: Path) -> ModelFile:
    """Read a model as `write` wrote it. Raises RecordError, one line, for any other file and for a damaged one."""
    with files.errors_of(path, _WHOLE):
        content = safe_files.read_bytes(path, _MOST_BYTES)
        tensors, metadata = _tensors(content), _metadata(content)
        if metadata.get("format") != _FORMAT:
            right = "a file that hj.load(...).save has written"
            raise ValueError(f"format is {show(metadata.get('format'))} in its metadata; right: {right}")
        if metadata.get("version") != _VERSION:
            raise ValueError(f"version {show(metadata.get('version'))} of the format; this program reads {_VERSION}")
        if metadata.pop("sha256", None) != _digest(metadata, tensors):
            raise ValueError("its content is not what was written")
        fields = {name: _parsed(metadata, name) for name in ("grids", "image_shape", "num_classes", "round", "config")}
        record = model_record.checked({**fields, "precision": metadata.get("precision")})
        return ModelFile(tensors, fields["grids"], fields["config"], record, fields["round"])


def _tensors(content: bytes) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load(content)
    except Exception as error:  # of Rust, or of a type that NumPy lacks
        raise ValueError(f"no whole safetensors file ({error})") from error


def _metadata(content: bytes) -> dict[str, str]:
    """The texts in the header: JSON after its length in eight bytes. Of a file that safetensors has read."""
    length = int.from_bytes(content[:8], "little")
    found = json.loads(content[8 : 8 + length]).get("__metadata__")
    return found if isinstance(found, dict) else {}


def _parsed(metadata: Mapping[str, str], name: str) -> Any:
    try:
        value = json.loads(metadata[name])
        check_nesting(value)
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} is missing or no JSON of a few levels") from error
    if not (is_round(value) if name == "round" else name not in ("grids", "config") or isinstance(value, dict)):
        raise ValueError(f"{name} is {show(value)}; right: as it was written")
    return value


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    text = json.dumps(metadata, sort_keys=True) + tree_sha256(dict(tensors))
    return hashlib.sha256(text.encode()).hexdigest()
