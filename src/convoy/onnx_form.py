"""The graph in ONNX, for runtimes other than PyTorch: the same answers, or it is not kept."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convoy.errors import UsageError

NAME = "model.onnx"
_MEND = "registry.onnx needs packages that are not installed: `pip install 'convoy[onnx]'`"


def export(graph: nn.Module, example: Tensor, path: Path) -> None:
    """Write a graph from images (N, H, W, C) uint8 of any number and size to probabilities.

    `example` holds two images or more: of one, PyTorch makes a graph that takes one.
    Raises `UsageError` where the packages are missing.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise UsageError(f"{_MEND}.") from None
    sizes = {place: torch.export.Dim(name, min=1) for place, name in enumerate(("N", "H", "W"))}
    with torch.no_grad():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            dynamic_shapes={"images": sizes},
            input_names=["images"],
            output_names=["probabilities"],
            verbose=False,
        )
    assert program is not None
    program.save(str(path))


def score(path: Path, images: Tensor, batch_size: int = 256) -> NDArray[np.float32]:
    """Return the probabilities (N, classes) that onnxruntime gives on the processor."""
    try:
        import onnxruntime
    except ImportError:
        raise UsageError(f"{_MEND}.") from None
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batches = torch.split(images, batch_size)
    return np.concatenate([session.run(None, {"images": batch.numpy()})[0] for batch in batches])
