"""That a cost has the same bits however it is computed; also run as a program, where XLA optimises."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from halo_jax.hardware import Chip
from halo_jax.types import LayerShape, Precision
from tests.hardware.chips import ALL_BITS, CHIPS, SMALL

UNIFORM = np.concatenate([ALL_BITS[:, ::37], np.array([[1, 16], [1, 16], [1, 16]])], axis=1)


def bits_for(layers: tuple[LayerShape, ...]) -> np.ndarray:
    """Precisions [3, number, L]: first those of all layers alike, then as many with bits of each layer's own."""
    alike = np.repeat(UNIFORM[..., None], len(layers), axis=-1)
    return np.concatenate([alike, np.random.default_rng(0).integers(1, 17, alike.shape)], axis=1)


def both_ways(chip: Chip, layers: tuple[LayerShape, ...], **how: Any) -> Callable[[Precision], dict[str, Any]]:
    """The cost of bits [..., L], and of those of the first layer for all."""

    def price(bits: Precision) -> dict[str, Any]:
        first = Precision(*(field[..., 0] for field in bits))
        uniform = chip.evaluate(layers, first, **how)
        return {"uniform": uniform, "per layer": chip.evaluate_per_layer(layers, bits, **how)}

    return price


def assert_same(one: Any, other: Any) -> None:
    """Agree to the last bit; jit may sort the parts of a breakdown."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        other = {key: other[key] for key in one}
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def head(cost: Any, number: int) -> Any:
    return jax.tree.map(lambda value: value[:number], cost)


def check_exact(chip: Chip, layers: tuple[LayerShape, ...]) -> dict[str, Any]:
    """One program for many precisions, and one for each."""
    price, bits = both_ways(chip, layers), Precision(*bits_for(layers))
    jitted = jax.jit(price)(bits)
    assert_same(jitted, jax.jit(jax.vmap(price))(bits))
    alike = len(UNIFORM[0])
    assert_same(head(jitted["uniform"], alike), head(jitted["per layer"], alike))
    return jitted


def check_relaxed(chip: Chip, layers: tuple[LayerShape, ...], exact: dict[str, Any]) -> None:
    """At whole bits the relaxed cost is the exact one, and stays it next to bits that are not whole."""
    whole = bits_for(layers)
    real = Precision(*np.concatenate([whole, np.minimum(whole + 0.3, 16)], axis=1).astype(np.float32))
    price = jax.jit(lambda bits: chip.evaluate_per_layer(layers, bits, relaxed=True))
    assert_same(exact["per layer"], head(price(real), len(whole[0])))


def check_eager(chip: Chip, layers: tuple[LayerShape, ...], exact: dict[str, Any]) -> None:
    bits = Precision(*bits_for(layers))
    assert_same(exact, both_ways(chip, layers)(bits))
    assert_same(exact, both_ways(chip, layers, relaxed=True)(bits))
    breakdown = lambda bits: chip.breakdown(layers, bits)  # noqa: E731
    assert_same(breakdown(bits), jax.jit(breakdown)(bits))
    assert_same(breakdown(bits), jax.jit(jax.vmap(breakdown))(bits))


def check_chip(chip: Chip, layers: tuple[LayerShape, ...]) -> None:
    exact = check_exact(chip, layers)
    check_relaxed(chip, layers, exact)
    check_eager(chip, layers, exact)


def check_optimised(layers: tuple[LayerShape, ...]) -> None:
    """Where sums could be reordered, and where a product could be fused with a sum: XLA does both, if it may."""
    exact = check_exact(CHIPS["both"], layers)
    check_relaxed(CHIPS["both"], layers, exact)
    price, bits = both_ways(CHIPS["both"], layers), Precision(*bits_for(layers))
    known = jax.jit(lambda activations: price(bits._replace(activations=activations)))  # known when it is compiled
    assert_same(exact, known(bits.activations))
    bits, price = Precision(*ALL_BITS[:, ::5]), partial(CHIPS["stripes_45nm"].evaluate, layers)
    assert_same(price(bits), jax.jit(price)(bits))


if __name__ == "__main__":
    check_optimised(SMALL[:3])
    print("the same bits")
