"""Worker: one local step of every client, one client after the other, by PyTorch in float or by QPyTorch quantised.

`eager`, `channels_last` and `bf16` (channels_last with autocast) are float training with SGD. `qtorch` is the network
that halo_jax trains: the same grids, scales, shifts, loss and update, with QPyTorch's quantiser.
"""

# pyright: reportMissingImports=false

import json
import math
import sys

import torch
import torch_networks
from timing import serve
from torch.nn import functional

CLASSES = 10


def float_clients(case: dict):
    """A float network and its optimizer for each client; returns the step of one client."""
    layout = torch.contiguous_format if case["form"] == "eager" else torch.channels_last
    make = {**case, "model": "vgg7", "classes": CLASSES}
    models = [torch_networks.network(make).to(memory_format=layout) for _ in range(case["clients"])]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9) for model in models]
    lowered = torch.autocast("cpu", dtype=torch.bfloat16, enabled=case["form"] == "bf16")

    def step(index: int, images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizers[index].zero_grad()
        with lowered:
            logits = models[index](images.to(memory_format=layout))
            loss = functional.cross_entropy(logits, labels)
        loss.backward()
        optimizers[index].step()

    return step


def nearest(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Q(x, k) by QPyTorch."""
    from qtorch.quant import fixed_point_quantize

    return fixed_point_quantize(x, bits, bits - 1, clamp=True, symmetric=True, rounding="nearest")


def shift(x: torch.Tensor) -> float:
    """2^round(log2 max|x|), 1 for zeros."""
    top = float(x.abs().max())
    return 2.0 ** round(math.log2(top)) if top > 0 else 1.0


class Weight(torch.autograd.Function):
    """Q(W, bw), straight through."""

    @staticmethod
    def forward(ctx, w, bw):
        """Round to the grid."""
        return nearest(w, bw)

    @staticmethod
    def backward(ctx, grad):
        """Pass the gradient on."""
        return grad, None


class Activation(torch.autograd.Function):
    """Q(x, ba); backward: the clip mask of the unrounded value, then Q_E."""

    @staticmethod
    def forward(ctx, x, ba, be):
        """Round to the grid."""
        ctx.be, ctx.passed = be, x.abs() <= 1 - 2.0 ** (1 - ba)
        return nearest(x, ba)

    @staticmethod
    def backward(ctx, grad):
        """Mask, scale and round the errors."""
        grad = ctx.passed * grad
        return nearest(grad / shift(grad), ctx.be), None, None


class Output(torch.autograd.Function):
    """The logits; backward: Q_E."""

    @staticmethod
    def forward(ctx, x, be):
        """Leave the logits as they are."""
        ctx.be = be
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        """Scale and round the loss's errors."""
        return nearest(grad / shift(grad), ctx.be), None


def quantised_logits(x: torch.Tensor, weights: list[torch.Tensor], precision: list[int]) -> torch.Tensor:
    """halo_jax's VGG7 in WAGE's order, NCHW."""
    bw, ba, be = precision
    x = nearest(x, ba)  # the image has no errors
    for index, w in enumerate(weights):
        x = x if index == 0 else Activation.apply(x, ba, be)
        quantised = Weight.apply(w, bw)
        alpha = max(2.0 ** round(math.log2(0.75 / math.sqrt(3 / w[0].numel()))), 1.0)
        dense = w.dim() == 2
        x = x.flatten(1) @ quantised.T / alpha if dense else functional.conv2d(x, quantised, padding=1) / alpha
        if not dense and index % 2:
            x = functional.max_pool2d(x, 2)
        x = torch.relu(x) if index < len(weights) - 1 else x
    return Output.apply(x, be)


def wage_update(w: torch.Tensor, rate: float = 8.0) -> torch.Tensor:
    """clip(W - SR(rate * g / Shift(max|g|)) / 128), as halo_jax steps."""
    scaled = rate * w.grad / shift(w.grad)
    return (w - torch.floor(scaled + torch.rand_like(w)) / 128).clamp_(-127 / 128, 127 / 128)


def quantised_clients(case: dict):
    """Weights on the 8-bit grid for each client; returns the step of one client."""
    shapes = torch_networks.vgg7_shapes(case["width"], case["image"], CLASSES)

    def start(shape: tuple[int, ...]) -> torch.Tensor:
        limit = max(math.sqrt(3 / math.prod(shape[1:])), 0.75)
        return nearest(torch.empty(shape).uniform_(-limit, limit), 8).requires_grad_()

    clients = [[start(shape) for shape in shapes] for _ in range(case["clients"])]

    def step(index: int, images: torch.Tensor, labels: torch.Tensor) -> None:
        weights = clients[index]
        logits = quantised_logits(images, weights, case["precisions"][index])
        (0.5 * (logits - functional.one_hot(labels, CLASSES)) ** 2).sum().backward()
        with torch.no_grad():
            clients[index] = [wage_update(w).requires_grad_() for w in weights]

    return step


def prepare(case: dict):
    """The step of all clients, sequential."""
    torch.manual_seed(0)
    count, image = case["clients"] * case["batch"], tuple(case["image"])
    images, labels = torch_networks.client_data(0, count, image, CLASSES)
    step = quantised_clients(case) if case["form"] == "qtorch" else float_clients(case)

    def run() -> None:
        for index in range(case["clients"]):
            own = torch.arange(index * case["batch"], (index + 1) * case["batch"])
            step(index, torch_networks.normalise(images[own]), labels[own])

    return {"torch": torch.__version__, "threads": torch.get_num_threads()}, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
