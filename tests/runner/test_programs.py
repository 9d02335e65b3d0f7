"""What is compiled: no slow convolution, no float64, no callback; for a CPU, and lowered for cuda and tpu."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from jax import export, lax

from halo_jax.config import default
from halo_jax.federation import clients
from halo_jax.federation.round import make_run_round
from halo_jax.federation.state import init_state
from halo_jax.numerics import native
from halo_jax.numerics.layers import QuantConv
from halo_jax.runner.build import Federation, assemble
from halo_jax.types import Precision

CLIENTS = 3
KERNELS = ("native", "xla")
CANONICAL = "b01f_01io->b01f"


@pytest.fixture
def use(monkeypatch):
    """`use(kernels)` compiles with the kernels of `native`, or with XLA's own."""

    def use(kernels: str) -> None:
        if kernels == "native" and native.why_not():
            pytest.skip(native.why_not())
        if kernels == "xla":
            monkeypatch.setattr(native, "why_not", lambda: "these tests ask for XLA's forms")
        jax.clear_caches()

    yield use
    jax.clear_caches()


@functools.cache
def federation_of(model: str, clients: int = CLIENTS + 1) -> Federation:
    config = default()
    config.model, config.width, config.batch_size = model, {"vgg7": 1 / 16, "small_cnn": 1 / 4}[model], 16
    config.dataset, config.train_examples = "synthetic", 48
    config.num_clients, config.cohort_size = clients, CLIENTS
    config.demand.energy_clients = config.demand.latency_clients = config.demand.area_clients = 1
    return assemble(config)


def round_and_arguments(executor: str, model: str):
    """`run_round` with its key as plain numbers, which an exported program needs, and one call's arguments."""
    federation = federation_of(model)
    run_round = make_run_round(federation.stages, CLIENTS, executor, chunk_size=2)
    state = init_state(federation.first_model, Precision(8, 8, 8), CLIENTS + 1, federation.stages, executor)

    def with_raw_key(state, data, key, rate):
        return run_round(state, data, jax.random.wrap_key_data(key), rate)

    key = jax.random.key_data(jax.random.key(0))
    return jax.jit(with_raw_key, donate_argnums=0), (state, federation.data, key, jnp.float32(1))


def faults(program: str) -> set[str]:
    """What a compiled CPU program must not hold."""
    found = {f"dim_labels={labels}" for labels in re.findall(r"dim_labels=(\S+?)[,\s]", program)} - {
        f"dim_labels={CANONICAL}"
    }
    found |= {group for group in re.findall(r"(?:feature|batch)_group_count=\d+", program) if not group.endswith("=1")}
    found |= {word for word in ("rhs_reversal", "f64[", "callback", "infeed", "outfeed") if word in program}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "model"), [*((name, "small_cnn") for name in clients.EXECUTORS), ("map", "vgg7")])
@pytest.mark.parametrize("kernels", KERNELS)
def test_a_round_compiles_to_fast_convolutions_and_nothing_that_waits_for_python(use, kernels, executor, model):
    use(kernels)
    run_round, arguments = round_and_arguments(executor, model)
    program = run_round.lower(*arguments).compile().as_text()
    assert (CANONICAL in program, "halo_correlate" in program) == (kernels == "xla", kernels == "native")
    assert faults(program) == set()
    assert "input_output_alias" in program  # the state is donated


@pytest.mark.slow
def test_a_further_client_takes_the_memory_of_its_master_and_little_more():
    def temporary_bytes(clients: int) -> int:
        federation = federation_of("small_cnn", clients)
        run_round = make_run_round(federation.stages, clients, "map")
        state = init_state(federation.first_model, Precision(8, 8, 8), clients, federation.stages)
        lowered = run_round.lower(state, federation.data, jax.random.key(0), jnp.float32(1))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    master = sum(leaf.nbytes for leaf in jax.tree.leaves(federation_of("small_cnn").first_model))
    assert (temporary_bytes(48) - temporary_bytes(8)) / 40 < 1.25 * master


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_users_own_vmap_compiles_to_fast_convolutions(use, kernels):
    use(kernels)
    layer, bits = QuantConv(8), Precision(*jnp.full((3, CLIENTS), 8))
    x, w = jnp.zeros((CLIENTS, 2, 12, 12, 8)), jnp.zeros((CLIENTS, 3, 3, 8, 8))
    loss = lambda w, x, bits: layer.apply({"params": {"kernel": w}}, x, bits).sum()  # noqa: E731
    program = jax.jit(jax.vmap(jax.grad(loss, (0, 1)))).lower(w, x, bits).compile().as_text()
    assert (CANONICAL in program, "halo_correlate" in program) == (kernels == "xla", kernels == "native")
    assert faults(program) == set()


def test_the_check_sees_what_a_plain_convolution_becomes():
    names = ("NHWC", "HWIO", "NHWC")
    loss = lambda w, x: lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=names).max()  # noqa: E731
    x, w = jnp.zeros((CLIENTS, 2, 12, 12, 8)), jnp.zeros((CLIENTS, 3, 3, 8, 8))
    plain = jax.grad(loss, (0, 1))
    assert faults(jax.jit(jax.vmap(plain)).lower(w, x).compile().as_text())
    assert faults(jax.jit(lambda *both: lax.map(lambda one: plain(*one), both)).lower(w, x).compile().as_text())


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(("executor", "model"), [("vmap", "vgg7"), ("chunk", "small_cnn")])
def test_a_round_lowers_to_bfloat16_products_for_an_accelerator(executor, model, platform):
    run_round, arguments = round_and_arguments(executor, model)
    program = export.export(run_round, platforms=[platform])(*arguments).mlir_module()
    products = re.findall(r"stablehlo\.dot_general.*: \((.*)\) -> (\S+)", program)
    assert products
    for operands, result in products:
        assert re.findall(r"x([a-z]+\d+)>", operands) == ["bf16", "bf16"]
        assert re.findall(r"x([a-z]+\d+)>", result) == ["f32"]
        assert operands.startswith(f"tensor<{2 if executor == 'chunk' else CLIENTS}x"), operands  # clients are batched
    assert "stablehlo.convolution" not in program
    assert "f64" not in program
    assert "callback" not in program
