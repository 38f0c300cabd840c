"""The state dicts that PyTorch publishes, in the networks that have their names and shapes.

Nothing of a file is run: `.pth` is read with `weights_only=True`, `.safetensors` cannot hold code.
"""

import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from convoy.architectures import describe, names
from convoy.architectures.architecture import Weights
from convoy.errors import UsageError, nearest

BATCHES = "num_batches_tracked"
"""What older files do not have: it counts batches and decides nothing in a network of ours."""


class Loaded(NamedTuple):
    """What of a network did not come from the file."""

    replaced: tuple[str, ...]
    """Heads that stay fresh, because the file's tell another number of classes apart."""
    kept: tuple[str, ...]
    """Parts that stay fresh, because the file lacks them and an evaluation does not need them."""
    ignored: tuple[str, ...]
    """Parts of the file that the network was built without."""


def published(name: str) -> Weights:
    """Return what is published for the network called `name`; `UsageError` where nothing is."""
    weights = describe(name).weights
    if weights is None:
        known = [other for other in names() if describe(other).weights]
        raise UsageError(f"no weights are published for {name}: {nearest(name, known)}")
    return weights


def load(network: nn.Module, name: str, weights: Path | Mapping[str, Any]) -> Loaded:
    """Put published weights, a file or a state dict, into the network called `name`.

    Returns, and logs as warnings, which parts of the network stay as they were.
    Raises `UsageError` with the file, the key and the mend where something does not fit; the
    network is then as it was.
    """
    of = published(name)
    label = str(weights) if isinstance(weights, Path) else "the state dict"
    given = dict(read(weights) if isinstance(weights, Path) else weights)
    own = network.state_dict()
    fit = _Fit(label, name, of, own, given)
    loaded = fit.parts()
    network.load_state_dict({**own, **{key: fit.checked(key) for key in fit.taken}})
    for said in _sentences(name, label, loaded):
        logging.getLogger(__name__).warning(said)
    return loaded


def read(file: Path) -> Mapping[str, Any]:
    """Return the state dict in a file, on the processor.

    Raises `UsageError` for a file that is none, or that holds more than tensors.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on old formats: its readers cannot change them
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}.") from None
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error).lower():
            raise _damaged(file) from None
        raise UsageError(
            f"{file} holds more than tensors, which could run code: save the state_dict() of its "
            f"network alone."
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, SafetensorError):
        # A torn file raises whatever its bytes happen to mean.
        raise _damaged(file) from None
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise UsageError(
            f"{file} holds a {type(content).__name__} that is no state dict: save the state_dict() "
            f"of its network."
        )
    return content


def _damaged(file: Path) -> UsageError:
    return UsageError(f"{file} is damaged or no file of weights: bring it again.")


class _Fit:
    """How a state dict and a network of the same architecture go together, key by key."""

    def __init__(
        self,
        label: str,
        name: str,
        of: Weights,
        own: Mapping[str, Tensor],
        given: Mapping[str, Any],
    ) -> None:
        self.label, self.name, self.own, self.given = label, name, own, given
        self.training_only = of.training_only
        self.replaced = tuple(head for head in of.heads if self._other_classes(head))
        self.kept = self._whole_parts(own, given)
        self.ignored = self._whole_parts(given, own)
        self.taken = [
            key
            for key in own
            if not _below(key, (*self.replaced, *self.kept))
            and (key in given or not key.endswith(BATCHES))
        ]

    def parts(self) -> Loaded:
        """Refuse keys that the network does not have; say what is not taken from the file."""
        for key in self.given:
            if key not in self.own and not _below(key, self.ignored):
                raise UsageError(
                    f"{self.label}: {key!r} is no weight of {self.name}: "
                    f"{nearest(key, self.own)} {self._mend()}"
                )
        return Loaded(self.replaced, self.kept, self.ignored)

    def checked(self, key: str) -> Tensor:
        """Return the tensor for a weight of the network."""
        value, own = self.given.get(key), self.own[key]
        if key not in self.given:
            raise UsageError(f"{self.label} lacks {key!r} of {self.name}. {self._mend()}")
        if not isinstance(value, Tensor):
            raise UsageError(
                f"{self.label}: {key!r} is a {type(value).__name__}, not a tensor. {self._mend()}"
            )
        if value.shape != own.shape:
            raise UsageError(
                f"{self.label}: {key!r} is {_sides(value)}, but {_sides(own)} in {self.name} as it "
                f"was built. {self._mend()}"
            )
        if value.is_floating_point() != own.is_floating_point():
            raise UsageError(
                f"{self.label}: {key!r} holds {value.dtype}, not {own.dtype}. {self._mend()}"
            )
        return value

    def _mend(self) -> str:
        return (
            f"The published weights of {self.name} fit the network for 3 channels and 64 pixels "
            f"or more, without options that change its shape."
        )

    def _other_classes(self, head: str) -> bool:
        """Tell whether a head differs in its rows, the classes, and in nothing else."""
        key = f"{head}.weight"
        value, own = self.given.get(key), self.own.get(key)
        return (
            isinstance(value, Tensor)
            and own is not None
            and value.ndim == own.ndim == 2
            and value.shape[0] != own.shape[0]
            and value.shape[1] == own.shape[1]
        )

    def _whole_parts(self, here: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the parts for training alone that are here and not there."""
        return tuple(
            part
            for part in self.training_only
            if any(_below(key, (part,)) for key in here)
            and not any(_below(key, (part,)) for key in there)
        )


def _sentences(name: str, label: str, loaded: Loaded) -> list[str]:
    said = {
        f"{name}: {{}} stays fresh, because {label} tells another number of classes apart: train "
        f"it before it is used.": loaded.replaced,
        f"{name}: {{}} stays fresh, because {label} lacks it; only training uses it.": loaded.kept,
        f"{name}: {{}} of {label} is left out, as the network has none.": loaded.ignored,
    }
    return [sentence.format(part) for sentence, parts in said.items() for part in parts]


def _below(key: str, parts: tuple[str, ...]) -> bool:
    return any(key.startswith(f"{part}.") for part in parts)


def _sides(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single value"
