"""Makes qtorch_vectors.npz: the quantisers, one layer and one training step of WAGE by qtorch and torch.

Nothing is shared with the package or with the NumPy twin. README.md beside this file lists the keys and the
command; it needs torch, qtorch, ninja and g++.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import qtorch
import torch
from qtorch.quant import fixed_point_quantize, quantizer
from torch.nn import functional
from torch_network import LAYERS, SHAPES, nearest, network, shift

SEED = 20182586  # one at which clip mask, Q_E and ReLU' do not commute, at each precision
PRECISIONS = ((8, 8, 8), (6, 4, 6), (2, 4, 4))
ETAS = {"eta8": 8, "eta1": 1, "eta0125": 0.125}
DIVISOR = 64  # alpha S_bw of the single layer


def whole(x, dtype):
    """x as integers, after checking that it holds nothing else."""
    array = x.detach().numpy()
    assert np.array_equal(array, array.astype(dtype))
    return array.astype(dtype)


def nearest_vectors(k):
    """Random values and every tie of two codes with its float32 neighbours, but one point (README)."""
    ties = ((np.arange(-(2 ** (k - 1)), 2 ** (k - 1)) + 0.5) * 2.0 ** (1 - k)).astype(np.float32)
    below, above = (np.nextafter(ties, np.float32(side)) for side in (-9, 9))
    anywhere = np.random.default_rng([SEED, k]).uniform(-1.3, 1.3, 600)
    x = np.concatenate([ties, below, above, anywhere], dtype=np.float32)
    x = x[x != np.nextafter(np.float32(0.5), np.float32(1)) * np.float32(2.0 ** (1 - k))]
    codes = nearest(torch.from_numpy(x), k) * 2 ** (k - 1)
    return {f"nearest_{k}_x": x, f"nearest_{k}_code": whole(codes, np.int8)}


def stochastic(x, seed):
    """qtorch's stochastic rounding of float32 x to the 8-bit grid, unclipped, as codes, and the u it drew."""
    torch.manual_seed(seed)
    n = 128 * fixed_point_quantize(x, 8, 7, clamp=False, rounding="stochastic")
    torch.manual_seed(seed)
    return n, torch.rand_like(x)


def stochastic_vectors():
    """n = floor(128 x + u), a fifth of the x being codes."""
    rng = np.random.default_rng(SEED)
    x = rng.integers(-(2**24), 2**24, 3000) / 2**24
    x[::5] = rng.integers(-128, 129, 600) / 128
    n, u = stochastic(torch.from_numpy(x).float(), SEED)
    assert np.array_equal(n.numpy(), np.floor(128 * x + u.double().numpy()))  # float32 lost nothing
    return {
        "stochastic_x": x.astype(np.float32),
        "stochastic_u": u.numpy(),
        "stochastic_n": whole(n, np.int16),
    }


def layer_inputs(ba, be):
    """Integers z (a pre-activation) and d (the error of its activation), with ties and bounds of both."""
    rng, top = np.random.default_rng([SEED, ba, be]), (2 ** (ba - 1) - 1) * DIVISOR
    z = rng.integers(-top // 4, 5 * top // 4, 400)
    z[:40] = rng.integers(0, 2 ** (ba - 1) - 1, 40) * DIVISOR + DIVISOR // 2
    z[40:50] = [top, top + DIVISOR // 2] * 5  # equality passes, half a code above it does not
    z[(z > top) & (z < top + DIVISOR // 2)] = top  # qtorch compares after rounding
    d = rng.integers(-30000, 30000, 400)  # Shift(max|d|) = 2^15
    d[100:140] = (rng.integers(-(2 ** (be - 1)), 2 ** (be - 1), 40) + 0.5) * 2 ** (16 - be)
    z[-1], d[-1] = 0, 32767  # max|d| passes, as qtorch masks after Q_E
    return z, np.clip(d, -32767, 32767)


def layer_vectors(ba, be):
    """Q_A forward, its clip mask and Q_E backward through qtorch's own quantizer."""
    z, d = layer_inputs(ba, be)
    grid_a, grid_e = (qtorch.FixedPoint(k, k - 1, clamp=True, symmetric=True) for k in (ba, be))
    hooks = [lambda grad: grad / shift(grad).float()]
    quantise = quantizer(grid_a, grid_e, "nearest", "nearest", clamping_grad_zero=True, backward_hooks=hooks)
    x = torch.from_numpy(np.maximum(z, 0) / (DIVISOR * 2 ** (ba - 1))).float().requires_grad_()
    a = quantise(x)
    a.backward(torch.from_numpy(d).float())
    found = {"z": z.astype(np.int32), "d": d.astype(np.int32)}
    found |= {"a": whole(a * 2 ** (ba - 1), np.int8), "e": whole(x.grad * 2 ** (be - 1), np.int8)}
    return {f"layer_{ba}{be}_{name}": value for name, value in found.items()}


def problem():
    """Five images of 10 x 9 x 3, the third one padding, and every layer's master codes."""
    rng = np.random.default_rng(SEED)
    found = {
        "images": rng.integers(0, 256, (5, 10, 9, 3), dtype=np.uint8),
        "labels": rng.integers(0, SHAPES[-1][-1], 5).astype(np.int32),
        "mask": np.array([1, 1, 0, 1, 1], np.int32),
    }
    return found | {f"m{i}": rng.integers(-127, 128, shape, dtype=np.int8) for i, shape in enumerate(SHAPES)}


def nhwc(x):
    """Images with the channels last; anything else as it is."""
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def step(given, bits):
    """Forward and backward at one precision: the logits and the codes w, a, e, g of every layer."""
    bw, ba, be = bits
    pixels = (torch.from_numpy(given["images"]).double() / 127.5 - 1).float()
    images = nearest(pixels, ba).double().permute(0, 3, 1, 2)
    weights = [torch.from_numpy(given[f"m{i}"]) / 128.0 for i in range(len(SHAPES))]
    weights = [w.double().requires_grad_() for w in weights]
    logits, seen = network(images, weights, bw, ba, be)
    onehot = functional.one_hot(torch.from_numpy(given["labels"]).long(), SHAPES[-1][-1])
    mask = torch.from_numpy(given["mask"])[:, None]
    (0.5 * mask * (logits - onehot) ** 2).sum().backward()
    found = {"logits": logits.detach().numpy()}
    for i, (w, (wq, a, z)) in enumerate(zip(weights, seen, strict=True)):
        found[f"w{i}"] = whole(wq * 2 ** (bw - 1), np.int8)
        found[f"a{i}"] = whole(nhwc(a) * 2 ** (ba - 1), np.int8)
        found[f"e{i}"] = whole(nhwc(z.grad) * 2 ** (be - 1), np.int8)
        found[f"g{i}"] = whole(w.grad * 2 ** (ba - 1) * 2 ** (be - 1), np.int32)
    return found


def updates(m, g, seed):
    """The master after n = SR(eta g / Shift(max|g|)) for each eta, and the u that all of them drew."""
    found, m, g = {}, torch.from_numpy(m).double(), torch.from_numpy(g).double()
    for name, eta in ETAS.items():
        x = eta * g / shift(g)
        n, u = stochastic((x / 128).float(), seed)
        assert torch.equal(n.double(), torch.floor(x + u.double()))  # float32 lost nothing
        found[name] = whole(torch.clamp(m - n, -127, 127), np.int8)
    return found, u.numpy()


def step_vectors():
    """One problem and one noise, a step at each precision."""
    given = problem()
    found = {"step_layers": np.array(LAYERS)} | {f"step_{name}": value for name, value in given.items()}
    for bits in PRECISIONS:
        tag = "step_{}{}{}".format(*bits)
        codes = step(given, bits)
        found |= {f"{tag}_{name}": value for name, value in codes.items()}
        for i in range(len(SHAPES)):
            masters, found[f"step_u{i}"] = updates(given[f"m{i}"], codes[f"g{i}"], SEED + i)
            found |= {f"{tag}_m{i}_{name}": value for name, value in masters.items()}
    return found


def main():
    torch.set_num_threads(1)
    versions = [f"{name} {version(name)}" for name in ("torch", "qtorch", "numpy")]
    vectors = {"versions": np.array(versions), "seed": np.array(SEED), "layer_divisor": np.array(DIVISOR)}
    for k in range(2, 9):
        vectors |= nearest_vectors(k)
    vectors |= stochastic_vectors()
    for ba, be in np.ndindex(3, 3):
        vectors |= layer_vectors(8 - 2 * ba, 8 - 2 * be)
    np.savez_compressed(Path(__file__).with_name("qtorch_vectors.npz"), **vectors | step_vectors())


if __name__ == "__main__":
    main()
