"""FL-PQSU: pruning, 8-bit weights both ways, and clients that upload only when their loss has fallen.

Quantisation is affine per tensor: s = (max - min) / 255, a whole zero point z = -min / s, q = round(z + w / s) in
0..255, decoded s (q - z), so 0 stays 0. A client uploads where its training loss is below that of its last upload; the
server averages the last uploads of all clients that have ever sent one. Pruning keeps the output filters of a layer
with the largest l1 norms, and drops the inputs of the next layer that come from the others.

# Choice: pruning starts anew, as it raises the loss: everyone uploads its next model, and what was uploaded before
counts no more. The paper prunes a network that has been trained, before the first round; ours is as trained as
`prune_round` rounds make it.

Pruned weights stay 0 in training without biases and weight decay: a filter of zeros gives 0, where the gradient of ReLU
is 0, and the weights behind it see inputs of 0.

Source: Xu, Fang, Ding, Zou, Xiong, IEEE Access 9, 2021 (doi 10.1109/ACCESS.2021.3063291).
"""

import itertools
import math
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Broadcast, Compressor, Server, Upload, peak, positive, rebuild, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.parameters import real, whole


class Last(NamedTuple):
    """What a client keeps of its last upload: its loss, and the stage: 0 none yet, 1 not pruned, 2 pruned."""

    loss: jax.Array
    stage: jax.Array


class Affine(NamedTuple):
    """Tensors on their grids, each entry a list or of one tensor: codes, whole zero points, and scales."""

    codes: Any
    zeros: Any
    scales: Any


class Pruning(NamedTuple):
    """What the server keeps: rounds done, int32 [], and which filters of each tensor stay, bool [outputs] each."""

    round: jax.Array
    kept: list[jax.Array]


def fl_pqsu(
    *, keep: Annotated[float, real(0, 1, above=True)] = 1.0, prune_round: Annotated[int, whole(0)] = 0
) -> Compressor:
    """Keep the share `keep` of filters (0 < keep <= 1; 1: no pruning) from the broadcast of round `prune_round` on.

    Pruning needs tensors that are, in their order, the layers of a chain: kernels `[..., inputs, outputs]`, and behind
    a flattening `[positions * inputs, outputs]`. All outputs of the last are kept.

    Args:
      keep: share of filters that stay.
      prune_round: rounds before it prunes.

    Bits: 8 per weight that is kept + 64 per tensor, each way; nothing but a flag where no upload takes place.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"fl_pqsu: keep={keep}; allowed: 0 < keep <= 1")
    if prune_round < 0:
        raise ValueError(f"fl_pqsu: prune_round={prune_round}; allowed: 0 or more")

    def compress(x, state, context, key):
        del key
        # Paper: its code takes the loss of the last minibatch. Choice: the mean over the round, which is less noisy.
        stage = jnp.where((keep < 1) & (context.round >= prune_round), 2, 1)
        sent = (stage > state.stage) | (context.loss < state.loss)
        now = Last(context.loss, stage)
        message, nominal = _encode(x, context.plan)
        return Upload(message, jax.tree.map(lambda new, old: jnp.where(sent, new, old), now, state), nominal, sent)

    def start(weights):
        return Pruning(jnp.int32(0), _all_kept(tensors_of(weights), keep)) if keep < 1 else ()

    def broadcast(weights, state, key):
        del key
        kept = ()
        if keep < 1:
            round, kept = state
            strongest = [_strongest(tensor, keep) for tensor in tensors_of(weights)[:-1]] + kept[-1:]
            kept = [jnp.where(round == prune_round, new, old) for new, old in zip(strongest, kept, strict=True)]
            state = Pruning(round + 1, kept)
        message, nominal = _encode(weights, kept)
        return Broadcast(_decompress(message, weights, ()), message, nominal, state, kept)

    def weigh(examples, last):
        return examples * (last.stage == jnp.max(last.stage))

    def init(weights):
        # Paper: its code has a first threshold of 100. Choice: none, so that a task with large losses starts as well.
        del weights
        return Last(jnp.float32(jnp.inf), jnp.int32(0))

    server = Server(init=start, broadcast=broadcast, weigh=weigh)
    return Compressor(compress, _decompress, init, carries="weights", remembers=True, server=server)


def _encode(x: Any, kept: Any) -> tuple[Any, Any]:
    """The message of the weights that stay, and its bits; `kept` has the filters of each tensor, or is empty."""
    tensors = tensors_of(x)
    masks = _masks(tensors, kept) if kept else [jnp.ones((), bool) for _ in tensors]
    each = [_affine(jnp.where(mask, tensor, 0.0)) for tensor, mask in zip(tensors, masks, strict=True)]
    codes, zeros, scales = map(list, zip(*each, strict=True))
    # Paper: pruned tensors are smaller. Choice: shapes stay, and Huffman's code makes the zeros short.
    message = Affine(Codes(codes, 256, coding="huffman" if kept else "fixed"), Codes(zeros, 256), scales)
    staying = sum(tensor.size // mask.size * jnp.sum(mask) for tensor, mask in zip(tensors, masks, strict=True))
    return message, 8 * staying + 64 * len(tensors)


def _decompress(message: Any, like: Any, context: Any) -> Any:
    del context
    coded = zip(message.codes.values, message.zeros.values, message.scales, strict=True)
    return rebuild([scale * (((code + zero) & 255) - zero) for code, zero, scale in coded], like)


def _affine(tensor: jax.Array) -> Affine:
    """A tensor on its grid. Codes are counted from the zero point (mod 256): that of 0 is 0."""
    # Choice: the range always holds 0, which the paper's zero point, clipped to 0..255, presumes; and the zero point is
    # rounded to nearest, not cut off, which would put the ends of the range off by up to a whole step.
    least, most = jnp.min(tensor, initial=0.0), jnp.max(tensor, initial=0.0)
    scale = positive((most - least) / 255) + 0 * peak(tensor)  # NaN stays NaN
    zero = jnp.round(-least / scale)
    code = jnp.round(jnp.clip(zero + tensor / scale, 0, 255))
    return Affine((code - zero).astype(jnp.int32) & 255, zero.astype(jnp.int32), scale)


def _strongest(tensor: jax.Array, keep: float) -> jax.Array:
    """Which output filters stay, bool `[outputs]`: the ceil(keep * outputs) with the largest l1 norms."""
    norms = jnp.sum(jnp.abs(tensor.reshape(-1, tensor.shape[-1])), axis=0)
    count = math.ceil(keep * len(norms) - 1e-6)  # 0.1 * 30 is above 3 in floats
    return jnp.zeros(len(norms), bool).at[jnp.argsort(-norms)[:count]].set(True)


def _masks(tensors: list[jax.Array], kept: Any) -> list[jax.Array]:
    """Which weights stay, bool `[inputs, outputs]` of each tensor: those between inputs and outputs that stay."""
    inputs = [jnp.ones(tensors[0].shape[-2], bool)]
    # Behind a flattening, the channels repeat for every position.
    inputs += [
        jnp.tile(outputs, tensor.shape[-2] // len(outputs))
        for outputs, tensor in zip(kept[:-1], tensors[1:], strict=True)
    ]
    return [before[:, None] & outputs for before, outputs in zip(inputs, kept, strict=True)]


def _all_kept(tensors: list[jax.Array], keep: float) -> list[jax.Array]:
    """All filters of all layers. Raises ValueError for tensors that are no chain of layers."""
    shapes = [tensor.shape for tensor in tensors]
    chained = all(len(shape) > 1 for shape in shapes) and all(
        after[-2] == before[-1] or (len(after) == 2 < len(before) and after[0] % before[-1] == 0)
        for before, after in itertools.pairwise(shapes)
    )
    if not chained:
        raise ValueError(f"fl_pqsu: keep={keep}; allowed: 1, since these tensors are no chain of layers: {shapes}")
    return [jnp.ones(shape[-1], bool) for shape in shapes]
