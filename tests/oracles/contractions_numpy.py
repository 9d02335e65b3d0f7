"""Convolution and 2x2 max-pooling of int64 arrays, each with its transposes, as plain loops over offsets.

Images [B, H, W, C], kernels [kh, kw, c_in, c_out] of odd sides; the convolution has stride 1 and SAME
padding, the pool stride 2 and VALID. No sum is rounded, so the order of summation does not matter.
"""

import numpy as np

WINDOW = ((0, 0), (0, 1), (1, 0), (1, 1))  # the 2x2 pooling window in row-major order


def max_pool(z):
    """The maximum of each 2x2 window, stride 2, VALID: an odd last row or column is dropped."""
    h, w = z.shape[1] // 2, z.shape[2] // 2
    return np.max([z[:, i : 2 * h : 2, j : 2 * w : 2] for i, j in WINDOW], axis=0)


def route_pool(e, z):
    """The transpose of max_pool at z: an error goes to the first maximum of its window, row-major."""
    h, w = e.shape[1:3]
    out, pooled, waiting = np.zeros_like(z), max_pool(z), np.ones(e.shape, bool)
    for i, j in WINDOW:
        first = waiting & (z[:, i : 2 * h : 2, j : 2 * w : 2] == pooled)
        out[:, i : 2 * h : 2, j : 2 * w : 2] = np.where(first, e, 0)
        waiting &= ~first
    return out


def pad(a, kernel):
    """Zeros around H and W such that an odd kernel at stride 1 keeps the size (SAME)."""
    kh, kw = kernel
    return np.pad(a, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))


def conv2d(a, w):
    """z[b, y, x, o] = sum over i, j, c of a[b, y + i - kh // 2, x + j - kw // 2, c] w[i, j, c, o]."""
    h, wd = a.shape[1:3]
    padded = pad(a, w.shape[:2])
    return sum(padded[:, i : i + h, j : j + wd] @ w[i, j] for i, j in np.ndindex(*w.shape[:2]))


def conv2d_error(e, w):
    """d_in: every product of conv2d sends its error back to the activation it read."""
    (h, wd), (kh, kw) = e.shape[1:3], w.shape[:2]
    d = pad(np.zeros((*e.shape[:3], w.shape[2]), np.int64), (kh, kw))
    for i, j in np.ndindex(kh, kw):
        d[:, i : i + h, j : j + wd] += e @ w[i, j].T
    return d[:, kh // 2 : kh // 2 + h, kw // 2 : kw // 2 + wd]


def conv2d_gradient(a, e, kernel):
    """g[i, j, c, o] = sum over b, y, x of a[b, y + i - kh // 2, x + j - kw // 2, c] e[b, y, x, o]."""
    h, wd = a.shape[1:3]
    padded = pad(a, kernel)
    g = [np.tensordot(padded[:, i : i + h, j : j + wd], e, ([0, 1, 2],) * 2) for i, j in np.ndindex(*kernel)]
    return np.reshape(g, (*kernel, a.shape[3], e.shape[3]))
