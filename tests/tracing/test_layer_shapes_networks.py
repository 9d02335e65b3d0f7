"""Whole networks that are not ours: layers as typed by hand, and multiply-adds counted by hand."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

from halo_jax.models import trace_layers
from halo_jax.types import LayerShape


def macs(layers):
    """repeats * positions * kernel * inputs of a group * outputs."""
    return [x.repeats * math.prod(x.out_hw) * math.prod(x.kernel) * (x.c_in // x.groups) * x.c_out for x in layers]


def skipped_macs(traced):
    return {row.operation: (row.reason, row.times, row.macs) for row in traced.skipped if row.macs}


class Block(nn.Module):
    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x, train):
        size = (self.stride, self.stride)
        y = nn.Conv(self.features, (3, 3), strides=size, use_bias=False)(x)
        y = nn.relu(nn.BatchNorm(use_running_average=not train)(y))
        y = nn.Conv(self.features, (3, 3), use_bias=False)(y)
        y = nn.BatchNorm(use_running_average=not train)(y)
        if self.stride != 1:
            x = nn.Conv(self.features, (1, 1), strides=size, name="shortcut")(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.relu(nn.Conv(16, (3, 3))(x))
        for block in (Block(16), Block(32, 2)):
            x = block(x, train)
        x = nn.Dropout(0.5, deterministic=not train)(x.mean((1, 2)))
        return nn.Dense(10)(x)


RESNET = (
    LayerShape((3, 3), 3, 16, (32, 32)),
    LayerShape((3, 3), 16, 16, (32, 32)),
    LayerShape((3, 3), 16, 16, (32, 32)),
    LayerShape((3, 3), 16, 32, (16, 16), (2, 2)),
    LayerShape((3, 3), 32, 32, (16, 16)),
    LayerShape((1, 1), 16, 32, (16, 16), (2, 2)),
    LayerShape((1, 1), 32, 10, (1, 1)),
)
RESNET_MACS = [
    442_368,  # 32*32 * 3*3*3 * 16
    2_359_296,  # 32*32 * 3*3*16 * 16
    2_359_296,
    1_179_648,  # 16*16 * 3*3*16 * 32
    2_359_296,  # 16*16 * 3*3*32 * 32
    131_072,  # 16*16 * 16 * 32
    320,  # 32 * 10
]


def test_resnet_with_batch_norm_and_dropout():
    for train in (False, True):
        traced = trace_layers(ResNet(), (32, 32, 3), train=train)
        assert traced.layers == RESNET
        assert macs(traced.layers) == RESNET_MACS
        assert traced.names == (
            "Conv_0", "Block_0/Conv_0", "Block_0/Conv_1",
            "Block_1/Conv_0", "Block_1/Conv_1", "Block_1/shortcut", "Dense_0",
        )  # fmt: skip
        assert not skipped_macs(traced)
        assert {row.reason for row in traced.skipped} == {"not a MAC"}


class NnxBlock(nnx.Module):
    def __init__(self, c_in, features, stride=1, *, rngs):
        conv = lambda c_in, kernel, stride: nnx.Conv(c_in, features, kernel, strides=(stride, stride), rngs=rngs)  # noqa: E731
        self.first, self.second = conv(c_in, (3, 3), stride), conv(features, (3, 3), 1)
        self.norms = nnx.List([nnx.BatchNorm(features, rngs=rngs) for _ in range(2)])
        self.shortcut = conv(c_in, (1, 1), stride) if stride != 1 else None

    def __call__(self, x):
        y = nnx.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        return nnx.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class NnxResNet(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 16, (3, 3), rngs=rngs)
        self.blocks = nnx.List([NnxBlock(16, 16, rngs=rngs), NnxBlock(16, 32, 2, rngs=rngs)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(self.dropout(x.mean((1, 2))))


def test_nnx_resnet_with_weights_or_without():
    for module in (NnxResNet(nnx.Rngs(0)), nnx.eval_shape(lambda: NnxResNet(nnx.Rngs(0)))):
        traced = trace_layers(module, (32, 32, 3))
        assert traced.layers == RESNET
        assert traced.names == (
            "stem", "blocks/0/first", "blocks/0/second",
            "blocks/1/first", "blocks/1/second", "blocks/1/shortcut", "head",
        )  # fmt: skip
    module = NnxResNet(nnx.Rngs(0))
    module.eval()
    assert trace_layers(module, (32, 32, 3)).layers == RESNET


class MobileNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu6(nn.Conv(8, (3, 3), strides=2)(x))
        for features, stride in ((16, 1), (32, 2)):
            x = nn.relu6(nn.Conv(x.shape[-1], (3, 3), strides=stride, feature_group_count=x.shape[-1])(x))
            x = nn.relu6(nn.Conv(features, (1, 1))(x))
        return nn.Dense(5)(nn.avg_pool(x, (4, 4)).reshape(1, -1))


def test_depthwise_separable_network():
    traced = trace_layers(MobileNet(), (16, 16, 3))
    assert traced.layers == (
        LayerShape((3, 3), 3, 8, (8, 8), (2, 2)),
        LayerShape((3, 3), 8, 8, (8, 8), groups=8),
        LayerShape((1, 1), 8, 16, (8, 8)),
        LayerShape((3, 3), 16, 16, (4, 4), (2, 2), groups=16),
        LayerShape((1, 1), 16, 32, (4, 4)),
        LayerShape((1, 1), 32, 5, (1, 1)),
    )
    assert macs(traced.layers) == [
        13_824,  # 8*8 * 3*3*3 * 8
        4_608,  # 8*8 * 3*3*1 * 8
        8_192,  # 8*8 * 8 * 16
        2_304,  # 4*4 * 3*3*1 * 16
        8_192,  # 4*4 * 16 * 32
        160,  # 32 * 5
    ]
    pooling = [row for row in traced.skipped if row.operation.startswith("reduce_window")]
    assert [(row.reason, row.times, row.macs, row.elements) for row in pooling] == [("not a MAC", 1, 0, 32)]


VOCABULARY, POSITIONS, WIDTH, HEADS, HIDDEN = 50, 12, 16, 4, 64
ATTENTION = (LayerShape((1, 1), 16, 16, (12, 1)),) * 4
MLP = (LayerShape((1, 1), 16, 64, (12, 1)), LayerShape((1, 1), 64, 16, (12, 1)))
LOGITS = LayerShape((1, 1), 16, 50, (12, 1))
TRANSFORMER_MACS = 83_328  # 2 blocks * (4 * 12*16*16 + 2 * 12*16*64) + 12*16*50
PRODUCTS_OF_ACTIVATIONS = 9_216  # 2 blocks * 2 products * 4 heads * 12*12 * 4 channels of a head


class Transformer(nn.Module):
    """Pre-norm, learned positions; the embedding's table makes the logits as well."""

    @nn.compact
    def __call__(self, tokens, train=False):
        embed = nn.Embed(VOCABULARY, WIDTH)
        x = embed(tokens) + self.param("positions", nn.initializers.normal(), (POSITIONS, WIDTH))
        for _ in range(2):
            y = nn.LayerNorm()(x)
            x += nn.MultiHeadDotProductAttention(HEADS, dropout_rate=0.1, deterministic=not train)(
                y, mask=nn.make_causal_mask(tokens)
            )
            y = nn.gelu(nn.Dense(HIDDEN)(nn.LayerNorm()(x)))
            x += nn.Dense(WIDTH)(y)
        return embed.attend(x)


def test_transformer_of_linens_attention():
    for train in (False, True):
        traced = trace_layers(Transformer(), (POSITIONS,), dtype=jnp.int32, train=train)
        assert traced.layers == (*ATTENTION, *MLP, *ATTENTION, *MLP, LOGITS)
        assert sum(macs(traced.layers)) == TRANSFORMER_MACS
        assert skipped_macs(traced) == {"dot_general": ("product of two activations", 4, PRODUCTS_OF_ACTIVATIONS)}
        attention = ("query", "key", "value", "out")
        assert traced.names[:4] == tuple(f"MultiHeadDotProductAttention_0/{name}" for name in attention)
        assert traced.names[4:6] == ("Dense_0", "Dense_1")
        assert traced.names[-1] == "Embed_0"
        table = [row for row in traced.skipped if row.operation == "gather"]
        assert [(row.reason, row.times, row.elements) for row in table] == [
            ("lookup in a trained table, not a MAC", 1, POSITIONS * WIDTH)
        ]


class WrittenOut(nn.Module):
    """The same network of nothing but einsum; its four attention weights are parameters of one module."""

    @nn.compact
    def __call__(self, tokens):
        weight = lambda name, *shape: self.param(name, nn.initializers.normal(), shape)  # noqa: E731
        table = weight("table", VOCABULARY, WIDTH)
        x = table[tokens] + weight("positions", POSITIONS, WIDTH)
        for block in range(2):
            q, k, v = (
                jnp.einsum("btd,dhf->bhtf", x, weight(f"{name}_{block}", WIDTH, HEADS, WIDTH // HEADS))
                for name in "qkv"
            )
            scores = jax.nn.softmax(jnp.einsum("bhtf,bhsf->bhts", q, k))
            mixed = jnp.einsum("bhts,bhsf->bthf", scores, v)
            x += jnp.einsum("hfd,bthf->btd", weight(f"o_{block}", HEADS, WIDTH // HEADS, WIDTH), mixed)  # weight left
            x += jax.nn.gelu(x @ weight(f"up_{block}", WIDTH, HIDDEN)) @ weight(f"down_{block}", HIDDEN, WIDTH)
        return x @ table.T


def test_transformer_of_einsums():
    traced = trace_layers(WrittenOut(), (POSITIONS,), dtype=jnp.int32)
    assert traced.layers == (*ATTENTION, *MLP, *ATTENTION, *MLP, LOGITS)
    assert traced.names == (
        "q_0", "k_0", "v_0", "o_0", "up_0", "down_0", "q_1", "k_1", "v_1", "o_1", "up_1", "down_1", "table",
    )  # fmt: skip
    assert sum(macs(traced.layers)) == TRANSFORMER_MACS
    assert skipped_macs(traced) == {"dot_general": ("product of two activations", 4, PRODUCTS_OF_ACTIVATIONS)}
