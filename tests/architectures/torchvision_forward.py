"""The published networks in evaluation, as functions of a state dict; written from torchvision's
definitions, without any of our modules.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.architectures.torchvision_states import BLOCKS, INCEPTIONS, VGG, deep

State = Mapping[str, Tensor]


def logits(name: str, w: State, images: Tensor) -> Tensor:
    if name == "alexnet_owt":
        return _alexnet(w, images)
    if name.startswith("vgg"):
        return _vgg(name, w, images)
    return _googlenet(w, images) if name == "googlenet_3x3" else _resnet(name, w, images)


def _conv(w: State, key: str, maps: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    return F.conv2d(maps, w[f"{key}.weight"], w.get(f"{key}.bias"), stride, padding)


def _norm(w: State, key: str, maps: Tensor, eps: float = 1e-5) -> Tensor:
    mean, var = w[f"{key}.running_mean"], w[f"{key}.running_var"]
    return F.batch_norm(maps, mean, var, w[f"{key}.weight"], w[f"{key}.bias"], eps=eps)


def _linear(w: State, key: str, features: Tensor) -> Tensor:
    return F.linear(features, w[f"{key}.weight"], w[f"{key}.bias"])


def _alexnet(w: State, images: Tensor) -> Tensor:
    maps = F.relu(_conv(w, "features.0", images, stride=4, padding=2))
    maps = F.max_pool2d(maps, 3, 2)
    maps = F.relu(_conv(w, "features.3", maps, padding=2))
    maps = F.max_pool2d(maps, 3, 2)
    for place in (6, 8, 10):
        maps = F.relu(_conv(w, f"features.{place}", maps, padding=1))
    maps = F.max_pool2d(maps, 3, 2)
    features = F.adaptive_avg_pool2d(maps, 6).flatten(1)
    features = F.relu(_linear(w, "classifier.1", features))
    features = F.relu(_linear(w, "classifier.4", features))
    return _linear(w, "classifier.6", features)


def _vgg(name: str, w: State, images: Tensor) -> Tensor:
    maps, place, norms = images, 0, name.endswith("_bn")
    for item in VGG[name.removesuffix("_bn")].split():
        if item == "M":
            maps, place = F.max_pool2d(maps, 2, 2), place + 1
            continue
        maps = _conv(w, f"features.{place}", maps, padding=1)
        if norms:
            maps, place = _norm(w, f"features.{place + 1}", maps), place + 1
        maps, place = F.relu(maps), place + 2
    features = F.adaptive_avg_pool2d(maps, 7).flatten(1)
    features = F.relu(_linear(w, "classifier.0", features))
    features = F.relu(_linear(w, "classifier.3", features))
    return _linear(w, "classifier.6", features)


def _googlenet(w: State, images: Tensor) -> Tensor:
    def convolution(key: str, maps: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        maps = _conv(w, f"{key}.conv", maps, stride, padding)
        return F.relu(_norm(w, f"{key}.bn", maps, eps=0.001))

    def inception(key: str, maps: Tensor) -> Tensor:
        one = convolution(f"{key}.branch1", maps)
        three = convolution(f"{key}.branch2.1", convolution(f"{key}.branch2.0", maps), padding=1)
        five = convolution(f"{key}.branch3.1", convolution(f"{key}.branch3.0", maps), padding=1)
        pooled = F.max_pool2d(maps, 3, 1, 1, ceil_mode=True)
        return torch.cat([one, three, five, convolution(f"{key}.branch4.1", pooled)], 1)

    maps = F.max_pool2d(convolution("conv1", images, 2, 3), 3, 2, ceil_mode=True)
    maps = convolution("conv3", convolution("conv2", maps), padding=1)
    maps = F.max_pool2d(maps, 3, 2, ceil_mode=True)
    for name in INCEPTIONS:
        if name == "4a":
            maps = F.max_pool2d(maps, 3, 2, ceil_mode=True)
        if name == "5a":
            maps = F.max_pool2d(maps, 2, 2, ceil_mode=True)
        maps = inception(f"inception{name}", maps)
    return _linear(w, "fc", F.adaptive_avg_pool2d(maps, 1).flatten(1))


def _resnet(name: str, w: State, images: Tensor) -> Tensor:
    maps = F.relu(_norm(w, "bn1", _conv(w, "conv1", images, 2, 3)))
    maps = F.max_pool2d(maps, 3, 2, 1)
    for stage, blocks in enumerate(BLOCKS[name], start=1):
        for block in range(blocks):
            key = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            beside = maps
            if f"{key}.downsample.0.weight" in w:
                beside = _conv(w, f"{key}.downsample.0", maps, stride)
                beside = _norm(w, f"{key}.downsample.1", beside)
            if deep(name):
                inner = F.relu(_norm(w, f"{key}.bn1", _conv(w, f"{key}.conv1", maps)))
                inner = _conv(w, f"{key}.conv2", inner, stride, 1)
                inner = F.relu(_norm(w, f"{key}.bn2", inner))
                inner = _norm(w, f"{key}.bn3", _conv(w, f"{key}.conv3", inner))
            else:
                inner = _conv(w, f"{key}.conv1", maps, stride, 1)
                inner = F.relu(_norm(w, f"{key}.bn1", inner))
                inner = _norm(w, f"{key}.bn2", _conv(w, f"{key}.conv2", inner, padding=1))
            maps = F.relu(inner + beside)
    return _linear(w, "fc", F.adaptive_avg_pool2d(maps, 1).flatten(1))
