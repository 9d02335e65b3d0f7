"""Block floating point: a slow and plain twin of a network's forward pass, errors and weight gradients, in NumPy.

A block of numbers has the exponent E = floor(log2 max|x|) and the codes n of k bits, n = clip(RHE(x / 2^(E + 2 - k)));
its numbers are n 2^(E + 2 - k). Codes are int64 and exponents integers that broadcast over them, so sums of products of
codes are exact. Real numbers are float64, and exact too: whole numbers below 2^53 times powers of two.

Arrays: images [B, H, W, C], kernels [kh, kw, c_in, c_out], dense weights [n_in, n_out]. x is what a layer reads, y what
it gives, e the error at y, d what crossbars see of it, g a weight gradient. A dense layer reads its input flattened.
"""

import numpy as np

from tests.oracles.contractions_numpy import conv2d, conv2d_error, conv2d_gradient, max_pool, route_pool
from tests.oracles.wage_numpy import alpha, fan_in

SMALLEST_NORMAL = 2.0**-126  # of float32; what is smaller counts as zero


def exponent(x, axes):
    """E of the blocks that cover `axes`, which stay with length 1; 0 for a block of zeros."""
    peak = np.max(np.abs(x), axis=axes, keepdims=True)
    _, above = np.frexp(peak)  # peak = m 2^above with m in [1/2, 1)
    return np.where(peak < SMALLEST_NORMAL, 0, above - 1)


def encode(x, k, axes):
    """(codes, E) of real numbers: to nearest, ties to even, and within ±(2^(k-1) - 1)."""
    x, e = np.asarray(x, np.float64), exponent(x, axes)
    largest = 2 ** (k - 1) - 1
    return np.clip(np.rint(np.ldexp(x, k - 2 - e)), -largest, largest).astype(np.int64), e


def one_block(x):
    """All axes: the block is the whole tensor."""
    return tuple(range(np.ndim(x)))


def forward(layers, weights, images, bw, ba):
    """The logits, and what each layer leaves for `backward`, a list of dicts.

    layers lists ("conv", pool_after) and ("dense",), with ReLU between any two; weights are real numbers.
    """
    tape, x = [], np.asarray(images, np.float64)
    for i, ((kind, *pool), w) in enumerate(zip(layers, weights, strict=True)):
        x = x if kind == "conv" else x.reshape(len(x), -1)
        na, ea = encode(x, ba, one_block(x)[1:])  # a block for each example
        nw, ew = encode(w, bw, one_block(w)[:-1])  # and for each output channel
        z = conv2d(na, nw) if kind == "conv" else na @ nw
        y = np.ldexp(z.astype(np.float64), ea + 2 - ba + ew + 2 - bw) / alpha(fan_in(w))
        pooled = max_pool(y) if any(pool) else y
        tape.append({"na": na, "ea": ea, "nw": nw, "ew": ew, "y": y, "pooled": pooled})
        x = y if i == len(layers) - 1 else np.maximum(pooled, 0)
    return x, tape


def backward(layers, tape, e_top, bits):
    """Per layer the errors e at y and the weight gradients g, and the error at the images; from the logits' errors."""
    bw, ba, be = bits
    errors, gradients, e = [], [], np.asarray(e_top, np.float64)
    for i in reversed(range(len(layers))):
        (kind, *pool), of = layers[i], tape[i]
        if i < len(layers) - 1:
            e = e.reshape(of["pooled"].shape) * (of["pooled"] > 0)
            e = route_pool(e, of["y"]) if any(pool) else e
        errors.insert(0, e)
        scaled = np.ldexp(e, of["ea"] + 1 + of["ew"] + 1) / alpha(fan_in(of["nw"]))
        nd, ed = encode(scaled, be, one_block(e))
        ed = int(ed.item()) + 2 - be  # d = nd 2^ed
        if kind == "conv":
            below, g = conv2d_error(nd, of["nw"]), conv2d_gradient(of["na"], nd, of["nw"].shape[:2])
        else:
            below, g = nd @ of["nw"].T, of["na"].T @ nd
        gradients.insert(0, np.ldexp(g.astype(np.float64), 1 - ba + ed - (of["ew"] + 1)))
        e = np.ldexp(below.astype(np.float64), 1 - bw + ed - (of["ea"] + 1))
    return errors, gradients, e
