"""The benchmarks' networks in PyTorch, float32 and without biases, and the random images that peers train on."""

# pyright: reportMissingImports=false

import functools
import math

import torch
from torch import nn


def channels(count: int, width: float) -> int:
    """`count` times `width`, rounded, at least 1, as halo_jax counts."""
    return max(1, round(count * width))


def vgg7_shapes(width: float, image: list[int], classes: int) -> list[tuple[int, ...]]:
    """Weight shapes of VGG7: six convolutions [out, in, 3, 3], two dense layers [out, in]."""
    blocks = [channels(count, width) for count in (128, 128, 256, 256, 512, 512)]
    convolutions = [(out, into, 3, 3) for into, out in zip([image[2], *blocks], blocks, strict=False)]
    hidden = channels(256, width)
    flat = blocks[-1] * (image[0] // 8) * (image[1] // 8)
    return [*convolutions, (hidden, flat), (classes, hidden)]


def vgg7(width: float, image: list[int], classes: int) -> nn.Sequential:
    """2x128C3 - MP2 - 2x256C3 - MP2 - 2x512C3 - MP2 - 256FC - classes, pooled before ReLU as in halo_jax."""
    *convolutions, hidden, head = vgg7_shapes(width, image, classes)
    layers: list[nn.Module] = []
    for index, (out, into, *_) in enumerate(convolutions):
        pool = [nn.MaxPool2d(2)] if index % 2 else []
        layers += [nn.Conv2d(into, out, 3, padding=1, bias=False), *pool, nn.ReLU()]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(*hidden[::-1], bias=False), nn.ReLU(), nn.Linear(*head[::-1], bias=False)
    )


def two_convolutions(width: float, image: list[int], classes: int) -> nn.Sequential:
    """32C3 - 64C3 - MP2 - 128FC - classes without padding: the CNN of pfl-research's benchmarks, less its dropout."""
    one, two, hidden = (channels(count, width) for count in (32, 64, 128))
    flat = two * math.prod((side - 4) // 2 for side in image[:2])
    return nn.Sequential(
        nn.Conv2d(image[2], one, 3, bias=False),
        nn.ReLU(),
        nn.Conv2d(one, two, 3, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(flat, hidden, bias=False),
        nn.ReLU(),
        nn.Linear(hidden, classes, bias=False),
    )


NETWORKS = {"vgg7": vgg7, "two_convolutions": two_convolutions}


def network(case: dict) -> nn.Sequential:
    """The network of a case."""
    return NETWORKS[case["model"]](case["width"], case["image"], case["classes"])


@functools.lru_cache(maxsize=256)
def client_data(seed: int, count: int, image: tuple[int, ...], classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One client's images, uint8 [count, C, H, W], and labels; made once in a process."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, image[2], image[0], image[1]), generator=draw, dtype=torch.uint8)
    return images, torch.randint(0, classes, (count,), generator=draw)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """uint8 pixels -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def train_epoch(model: nn.Module, optimizer, images: torch.Tensor, labels: torch.Tensor, batch: int) -> None:
    """One shuffled epoch of cross-entropy; the last batch may be smaller."""
    for chosen in torch.randperm(len(labels)).split(batch):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(normalise(images[chosen])), labels[chosen])
        loss.backward()
        optimizer.step()
