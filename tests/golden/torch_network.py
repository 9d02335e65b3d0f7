"""WAGE's network in torch: qtorch's grid, torch's float64 contractions, pooling and chain rule around it.

At this size float64 sums are exact, so every code that comes out is a whole number and the only right one.
"""

import torch
from qtorch.quant import fixed_point_quantize
from torch.nn import functional

LAYERS = ("conv", "conv pool", "conv", "conv pool", "conv", "dense", "dense")  # VGG7 cut short
SHAPES = ((3, 3, 3, 4), (3, 3, 4, 4), (3, 3, 4, 6), (3, 3, 6, 6), (3, 3, 6, 8), (32, 12), (12, 5))
# 0.75 / sqrt(3 / n_in) is 2.25, 2.60, 2.60, 3.18, 3.18, 2.45, 1.50
ALPHAS = (2, 2, 2, 4, 4, 2, 2)


def nearest(x, k):
    """Q(x, k) by qtorch, which reads float32 only; x must survive the cast."""
    narrow = x.float()
    assert torch.equal(narrow.to(x.dtype), x)
    return fixed_point_quantize(narrow, k, k - 1, clamp=True, symmetric=True, rounding="nearest").to(x.dtype)


def shift(x):
    """Shift(max|x|) = 2^round(log2 max|x|), 1 for zeros."""
    top = x.double().abs().max()
    return 2.0 ** torch.round(torch.log2(top)) if top > 0 else torch.ones_like(top)


class Weight(torch.autograd.Function):
    """Q(W, bw), straight through."""

    @staticmethod
    def forward(ctx, w, bw):
        return nearest(w, bw)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class Activation(torch.autograd.Function):
    """Q(x / alpha, ba); backward: the clip mask of the unrounded value, then Q_E."""

    @staticmethod
    def forward(ctx, x, alpha, ba, be):
        ctx.be, ctx.passed = be, x / alpha <= 1 - 2.0 ** (1 - ba)
        return nearest(x / alpha, ba)

    @staticmethod
    def backward(ctx, grad):
        grad = ctx.passed * grad
        return nearest(grad / shift(grad), ctx.be), None, None, None


class Output(torch.autograd.Function):
    """The logits x / alpha; backward: Q_E."""

    @staticmethod
    def forward(ctx, x, alpha, be):
        ctx.be = be
        return x / alpha

    @staticmethod
    def backward(ctx, grad):
        return nearest(grad / shift(grad), ctx.be), None, None


def network(x, weights, bw, ba, be):
    """conv -> [pool] -> ReLU -> Q_A, NCHW inside; returns the logits and every layer's (w, a, z)."""
    seen = []
    for layer, w, alpha in zip(LAYERS, weights, ALPHAS, strict=True):
        wq = Weight.apply(w, bw)
        if layer == "dense":
            x = x if x.dim() == 2 else x.permute(0, 2, 3, 1).flatten(1)
            z = x @ wq
        else:
            z = functional.conv2d(x, wq.permute(3, 2, 0, 1), padding=1)
        z.retain_grad()
        seen.append((wq, x, z))
        pooled = functional.max_pool2d(z, 2) if "pool" in layer else z
        x = Activation.apply(torch.relu(pooled), alpha, ba, be)
    return Output.apply(z, ALPHAS[-1], be), seen
