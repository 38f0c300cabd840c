"""The memory that a prediction takes: of all tensors that are there at once, the most."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def prediction_bytes(network: nn.Module, images: Tensor) -> int:
    """Return the bytes at the peak of predicting `images` (N, ...): the weights, what is computed.

    On a GPU it is what the allocator gave out. Elsewhere the tensors are counted as they come and
    go, the images among them, so that the number is the same each time; what a library needs inside
    an operation is not in it.
    """
    device = next((p.device for p in network.parameters()), images.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        with torch.no_grad():
            network(images.to(device))
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    alive = _Alive()
    for tensor in (*network.parameters(), *network.buffers(), images):
        alive.see(tensor)
    with torch.no_grad(), alive:
        network(images)
    return alive.most


class _Alive(TorchDispatchMode):
    """The bytes of the storages that are alive, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return

        def gone(_: object) -> None:
            del self._seen[key]
            self.now -= size

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if isinstance(one, Tensor):
                self.see(one)
        return found
