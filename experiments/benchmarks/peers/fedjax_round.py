"""Worker: federated averaging rounds by FedJAX, float32, with the networks of the other workers in plain JAX."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import importlib.metadata
import itertools
import json
import math
import sys

import fedjax
import jax
import jax.numpy as jnp
import numpy as np
from fedjax.algorithms import fed_avg
from jax import lax
from timing import serve

jax.tree_map = jax.tree.map  # FedJAX 0.0.17 calls it by the name that newer JAX took away


def channels(count: int, width: float) -> int:
    """`count` times `width`, rounded, at least 1, as halo_jax counts."""
    return max(1, round(count * width))


def vgg7_shapes(case: dict) -> list[tuple[int, ...]]:
    """Weights of VGG7, HWIO and [in, out]."""
    height, width, colours = case["image"]
    blocks = [colours, *(channels(count, case["width"]) for count in (128, 128, 256, 256, 512, 512))]
    hidden = channels(256, case["width"])
    flat = (height // 8) * (width // 8) * blocks[-1]
    convolutions = [(3, 3, into, out) for into, out in itertools.pairwise(blocks)]
    return [*convolutions, (flat, hidden), (hidden, case["classes"])]


def two_convolutions_shapes(case: dict) -> list[tuple[int, ...]]:
    """Weights of pfl-research's CNN."""
    one, two, hidden = (channels(count, case["width"]) for count in (32, 64, 128))
    flat = two * math.prod((side - 4) // 2 for side in case["image"][:2])
    return [(3, 3, case["image"][2], one), (3, 3, one, two), (flat, hidden), (hidden, case["classes"])]


# Weights, padding, and after which convolutions there is a pool.
NETWORKS = {
    "vgg7": (vgg7_shapes, "SAME", (1, 3, 5)),
    "two_convolutions": (two_convolutions_shapes, "VALID", (1,)),
}


def logits(params: list[jax.Array], images: jax.Array, padding: str, pools: tuple[int, ...]) -> jax.Array:
    """The network as one writes it in JAX."""
    x = images
    for index, w in enumerate(params):
        if w.ndim == 4:
            x = lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            if index in pools:
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        else:
            x = x.reshape(x.shape[0], -1) @ w
        x = jax.nn.relu(x) if index < len(params) - 1 else x
    return x


def algorithm(case: dict):
    """Federated averaging with SGD, as FedJAX ships it."""
    _, padding, pools = NETWORKS[case["model"]]

    def loss(params, batch, key):
        del key
        images = batch["x"].astype(jnp.float32) / 127.5 - 1
        scores = jax.nn.log_softmax(logits(params, images, padding, pools))
        return -jnp.mean(jnp.take_along_axis(scores, batch["y"][:, None], axis=1))

    return fed_avg.federated_averaging(
        jax.grad(loss),
        client_optimizer=fedjax.optimizers.sgd(0.05, momentum=0.9),
        server_optimizer=fedjax.optimizers.sgd(1.0),
        client_batch_hparams=fedjax.ShuffleRepeatBatchHParams(batch_size=case["batch"], num_epochs=1),
    )


def prepare(case: dict):
    """Each run is a round that goes on from the last; compiling falls into the warm-up."""
    rng = np.random.default_rng(0)
    shapes = NETWORKS[case["model"]][0](case)
    params = [jnp.asarray(rng.normal(0, math.sqrt(2 / math.prod(s[:-1])), s), jnp.float32) for s in shapes]
    keys = jax.random.split(jax.random.PRNGKey(0), len(case["examples"]))
    clients = []
    for index, count in enumerate(case["examples"]):
        images = rng.integers(0, 256, (count, *case["image"]), np.uint8)
        labels = rng.integers(0, case["classes"], count, np.int32)
        clients.append((index, fedjax.ClientDataset({"x": images, "y": labels}), keys[index]))
    rounds = algorithm(case)
    state = rounds.init(params)

    def run() -> None:
        nonlocal state
        state, norms = rounds.apply(state, clients)
        jax.block_until_ready((state.params, norms))

    return {"fedjax": importlib.metadata.version("fedjax"), "jax": jax.__version__}, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
