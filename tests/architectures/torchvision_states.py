"""The state dicts that torchvision publishes, written down by hand: keys, shapes, random values.

Nothing here knows our networks. The order of the keys is that of the published files.
"""

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

VGG = {
    "vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
INCEPTIONS = {  # inputs, 1x1, 3x3 reduced, 3x3, "5x5" reduced, "5x5", pooled
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


NAMES = ("alexnet_owt", *VGG, *(f"{name}_bn" for name in VGG), "googlenet_3x3", *BLOCKS)


def deep(name: str) -> bool:
    """Whether a ResNet is made of bottlenecks."""
    return name in ("resnet50", "resnet101", "resnet152")


def shapes(name: str) -> Shapes:
    if name == "alexnet_owt":
        return _alexnet()
    if name.startswith("vgg"):
        return _vgg(name)
    return _googlenet() if name == "googlenet_3x3" else _resnet(name)


def state(name: str, seed: int = 0) -> dict[str, Tensor]:
    """Random values under which a signal neither vanishes nor explodes."""
    generator = torch.Generator().manual_seed(seed)
    return {key: _values(key, shape, generator) for key, shape in shapes(name).items()}


def _values(key: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if len(shape) > 1:
        inputs = torch.Size(shape[1:]).numel()
        return torch.empty(shape).normal_(0, (2 / inputs) ** 0.5, generator=generator)
    if key.endswith(("running_var", "weight")):  # a batch norm's
        return torch.empty(shape).uniform_(0.5, 1.5, generator=generator)
    return torch.empty(shape).normal_(0, 0.1, generator=generator)


def _layer(key: str, *shape: int) -> Shapes:
    return {f"{key}.weight": shape, f"{key}.bias": shape[:1]}


def _norm(key: str, channels: int) -> Shapes:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{key}.{k}": (channels,) for k in kinds}, f"{key}.num_batches_tracked": ()}


def _classifier(*places: int, inputs: int) -> Shapes:
    first, second, last = places
    return {
        **_layer(f"classifier.{first}", 4096, inputs),
        **_layer(f"classifier.{second}", 4096, 4096),
        **_layer(f"classifier.{last}", 1000, 4096),
    }


def _alexnet() -> Shapes:
    return {
        **_layer("features.0", 64, 3, 11, 11),
        **_layer("features.3", 192, 64, 5, 5),
        **_layer("features.6", 384, 192, 3, 3),
        **_layer("features.8", 256, 384, 3, 3),
        **_layer("features.10", 256, 256, 3, 3),
        **_classifier(1, 4, 6, inputs=9216),
    }


def _vgg(name: str) -> Shapes:
    found: Shapes = {}
    place, inputs = 0, 3
    for item in VGG[name.removesuffix("_bn")].split():
        if item == "M":
            place += 1
            continue
        channels = int(item)
        found |= _layer(f"features.{place}", channels, inputs, 3, 3)
        if name.endswith("_bn"):
            found |= _norm(f"features.{place + 1}", channels)
            place += 1
        place, inputs = place + 2, channels
    return found | _classifier(0, 3, 6, inputs=25088)


def _convolution(key: str, channels: int, inputs: int, kernel: int) -> Shapes:
    weight = {f"{key}.conv.weight": (channels, inputs, kernel, kernel)}
    return weight | _norm(f"{key}.bn", channels)


def _googlenet() -> Shapes:
    found = {
        **_convolution("conv1", 64, 3, 7),
        **_convolution("conv2", 64, 64, 1),
        **_convolution("conv3", 192, 64, 3),
    }
    for name, (inputs, one, three_reduced, three, five_reduced, five, pooled) in INCEPTIONS.items():
        key = f"inception{name}"
        found |= _convolution(f"{key}.branch1", one, inputs, 1)
        found |= _convolution(f"{key}.branch2.0", three_reduced, inputs, 1)
        found |= _convolution(f"{key}.branch2.1", three, three_reduced, 3)
        found |= _convolution(f"{key}.branch3.0", five_reduced, inputs, 1)
        found |= _convolution(f"{key}.branch3.1", five, five_reduced, 3)
        found |= _convolution(f"{key}.branch4.1", pooled, inputs, 1)
    for key, inputs in (("aux1", 512), ("aux2", 528)):
        found |= _convolution(f"{key}.conv", 128, inputs, 1)
        found |= _layer(f"{key}.fc1", 1024, 2048) | _layer(f"{key}.fc2", 1000, 1024)
    return found | _layer("fc", 1000, 1024)


def _resnet(name: str) -> Shapes:
    found: Shapes = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    inputs, wide = 64, 4 if deep(name) else 1
    for stage, blocks in enumerate(BLOCKS[name], start=1):
        channels = 64 * 2 ** (stage - 1)
        for block in range(blocks):
            key = f"layer{stage}.{block}"
            kernels = (1, 3, 1) if deep(name) else (3, 3)
            outputs = (channels, channels, wide * channels)[: len(kernels)]
            flow = (inputs, *outputs)
            for i, kernel in enumerate(kernels):
                found[f"{key}.conv{i + 1}.weight"] = (flow[i + 1], flow[i], kernel, kernel)
                found |= _norm(f"{key}.bn{i + 1}", flow[i + 1])
            if block == 0 and (stage > 1 or deep(name)):
                found[f"{key}.downsample.0.weight"] = (wide * channels, inputs, 1, 1)
                found |= _norm(f"{key}.downsample.1", wide * channels)
            inputs = wide * channels
    return found | _layer("fc", 1000, inputs)
