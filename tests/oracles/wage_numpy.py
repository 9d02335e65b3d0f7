"""WAGE on whole numbers: a slow and plain twin of one local step and of the server, in NumPy int64 alone.

A k-bit number is its code n, an integer in ±M_k, M_k = 2^(k-1) - 1, of value n / S_k, S_k = 2^(k-1). The
scales of WAGE (S_k, alpha, Shift, the learning rates 8, 1, 1/8) are powers of two and every quantiser divides
them away, so a step is a program on integers: it rounds only where WAGE rounds, with one right answer.

Arrays: images [B, H, W, C], kernels [kh, kw, c_in, c_out], dense weights [n_in, n_out], labels and mask [B];
a dense layer reads its input flattened in H, W, C order. m is a master code, w a weight, a an activation,
z a layer's sum of w a, e an error, g a gradient (sum of a e), n an update in units of the master's last bit.
"""

from fractions import Fraction

import numpy as np

from tests.oracles.contractions_numpy import conv2d, conv2d_error, conv2d_gradient, max_pool, route_pool


def largest(k):
    """M_k = 2^(k-1) - 1, the largest k-bit code."""
    return 2 ** (k - 1) - 1


def clip(n, k):
    """n clipped to the k-bit codes, ±M_k."""
    return np.clip(n, -largest(k), largest(k))


def divide(num, den):
    """RHE(num / den): the nearest integer, the even one of two at a tie."""
    q, r = np.divmod(num, den)
    return q + ((2 * r > den) | ((2 * r == den) & (q % 2 == 1)))


def shift(x):
    """Shift(x) = 2^round(log2 x) as a Fraction: the power p with p^2 / 2 < x^2 < 2 p^2; Shift(0) = 1.

    x is rational and sqrt(2) is not, so there is never a tie.
    """
    x = Fraction(x)
    if x == 0:
        return Fraction(1)
    p = Fraction(2) ** (x.numerator.bit_length() - x.denominator.bit_length())
    while x * x > 2 * p * p:
        p *= 2
    while 2 * x * x < p * p:
        p /= 2
    return p


def alpha(n_in):
    """The layer scale max(Shift(0.75 / sqrt(3 / n_in)), 1), whose inside squared is 3 n_in / 16."""
    p = 1
    while 3 * n_in > 16 * 2 * p * p:
        p *= 2
    return p


def fan_in(m):
    """kh kw c_in of a kernel, n_in of a dense layer: all axes but the last."""
    return int(np.prod(m.shape[:-1]))


def grid_codes(x, k):
    """Q(x, k) of real numbers, as codes: clip(RHE(x S_k), ±M_k), by Fraction, which rounds half to even."""
    codes = [round(Fraction(float(v)) * 2 ** (k - 1)) for v in np.ravel(x)]
    return clip(np.array(codes, np.int64), k).reshape(np.shape(x))


def weight_codes(m, bw, kg=8):
    """w = clip(RHE(m / 2^(kg - bw)), ±M_bw)."""
    return clip(divide(np.asarray(m, np.int64), 2 ** (kg - bw)), bw)


def input_codes(x, ba):
    """a0 = clip(RHE((x / 127.5 - 1) S_ba), ±M_ba) of uint8 pixels x, as (2 x - 255) S_ba / 255."""
    return clip(divide((2 * np.asarray(x, np.int64) - 255) * 2 ** (ba - 1), 255), ba)


def activation(z, alpha_l, bw, ba):
    """Of r = relu(z) / (alpha S_bw): the codes min(RHE(r), M_ba) and pass = (r <= M_ba), before rounding."""
    r, den = np.maximum(z, 0), alpha_l * 2 ** (bw - 1)
    return np.minimum(divide(r, den), largest(ba)), r <= largest(ba) * den


def error_codes(d, be):
    """Q_E(d) = clip(RHE(d S_be / Shift(max|d|)), ±M_be), the maximum of the whole tensor, batch included."""
    return clip(divide(d * 2 ** (be - 1), int(shift(int(np.abs(d).max())))), be)


def stochastic_round(num, den, u):
    """floor(num / den + u) in unbounded integers; u in [0, 1) is given, in whole multiples of 2^-32."""
    draws = np.asarray(u, np.float64) * 2**32
    whole = draws.astype(np.int64)
    if np.any(whole != draws) or np.any(whole < 0) or np.any(whole >= 2**32):
        raise ValueError("noise must lie in [0, 1) in whole multiples of 2^-32")
    n = (np.asarray(num).astype(object) * 2**32 + whole.astype(object) * den) // (den * 2**32)
    return np.asarray(n).astype(np.int64)


def update(m, g, eta, u, kg=8):
    """n = floor(eta g / Shift(max|g|) + u); returns clip(m - n, ±M_kg) and n."""
    eta, normal = Fraction(eta), int(shift(int(np.abs(g).max())))
    n = stochastic_round(g * eta.numerator, normal * eta.denominator, u)
    return clip(m - n, kg), n


def forward(layers, w, images, bw, ba):
    """Runs codes through conv -> [pool] -> ReLU and Q_A; the last layer stops at z.

    layers lists ("conv", pool_after) and ("dense",). Returns, per layer, a (what the layer reads), z, pooled
    (z after the pool, or z itself) and passed (the clip mask, not used at the last layer).
    """
    tape = {"a": [], "z": [], "pooled": [], "passed": []}
    x = input_codes(images, ba)
    for (kind, *pool), w_l in zip(layers, w, strict=True):
        a = x if kind == "conv" else x.reshape(len(x), -1)
        z = conv2d(a, w_l) if kind == "conv" else a @ w_l
        pooled = max_pool(z) if any(pool) else z
        x, passed = activation(pooled, alpha(fan_in(w_l)), bw, ba)
        for name, value in zip(tape, (a, z, pooled, passed), strict=True):
            tape[name].append(value)
    return tape


def backward(layers, w, tape, e_top, be):
    """e' = route_pool([pooled > 0] Q_E(passed d_in)) from the top down; returns e (at z) and g per layer."""
    e, g = [e_top], []
    for i in reversed(range(len(layers))):
        conv = layers[i][0] == "conv"
        g.insert(0, conv2d_gradient(tape["a"][i], e[0], w[i].shape[:2]) if conv else tape["a"][i].T @ e[0])
        if i > 0:
            d = conv2d_error(e[0], w[i]) if conv else e[0] @ w[i].T
            pooled = tape["pooled"][i - 1]
            below = error_codes(tape["passed"][i - 1] * d.reshape(pooled.shape), be) * (pooled > 0)
            e.insert(0, route_pool(below, tape["z"][i - 1]) if any(layers[i - 1][1:]) else below)
    return e, g


def step(layers, masters, images, labels, mask, bits, eta, noise, kg=8):
    """One local step: returns the new masters and everything in between, lists having one entry per layer.

    bits = (bw, ba, be); mask is 1 for a real example and 0 for padding, which has no error; noise holds one u
    per weight. The logits are z / scale with scale = S_bw S_ba alpha; the top error, logits - onehot, times
    scale is an integer, and Q_E does not see the factor.
    """
    bw, ba, be = bits
    w = [weight_codes(m, bw, kg) for m in masters]
    tape = forward(layers, w, images, bw, ba)
    top = tape["z"][-1]
    scale = 2 ** (bw - 1) * 2 ** (ba - 1) * alpha(fan_in(masters[-1]))
    onehot = np.asarray(labels)[:, None] == np.arange(top.shape[1])
    residual = np.asarray(mask, np.int64)[:, None] * (top - scale * onehot)
    e, g = backward(layers, w, tape, error_codes(residual, be), be)
    masters = [np.asarray(m, np.int64) for m in masters]
    moved, n = zip(*map(update, masters, g, [eta] * len(g), noise, [kg] * len(g)), strict=True)
    return list(moved), {**tape, "w": w, "e": e, "g": g, "n": list(n), "scale": scale, "logits": top / scale}


def aggregate(masters, counts, draws=None, kg=8):
    """The server: clip(round(sum n_c m_c / sum n_c), ±M_kg) of masters [N, ...] and example counts [N].

    Nearest (half to even), or stochastic given integer draws r in [0, den): floor((num + r) / den).
    """
    counts = np.asarray(counts, np.int64)
    num, den = np.tensordot(counts, np.asarray(masters, np.int64), 1), int(counts.sum())
    mean = divide(num, den) if draws is None else (num + np.asarray(draws, np.int64)) // den
    return clip(mean, kg)
