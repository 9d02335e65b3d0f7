"""A checkpoint comes back bit for bit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.checkpoint import Checkpoints
from halo_jax.federation import FederationState
from halo_jax.types import Precision

MODEL = {"dense": {"kernel": jnp.array([[-128, 127], [0, 1]], jnp.int8)}, "wide": jnp.array([2047, -5], jnp.int16)}


def state_of(round: int) -> FederationState:
    return FederationState(
        round=jnp.int32(round),
        model=jax.tree.map(lambda leaf: leaf ^ jnp.asarray(round, leaf.dtype), MODEL),
        precision=Precision(*(jnp.full(3, bits, jnp.int32) for bits in (8, 6, 4))),
        losses=jnp.array([jnp.inf, 0.1 * round, 1e-45], jnp.float32),
        selector=(),
        compressor={"error": jnp.full((3, 2), 1 / 3, jnp.float32)},
    )


def folders(path) -> list[str]:
    return sorted(entry.name for entry in (path / "checkpoints").iterdir())


def test_nothing_saved_is_round_zero_and_the_state_given(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        like = state_of(0)
        assert checkpoints.restore(like) == (0, like)


def test_the_last_of_several_comes_back_bit_for_bit_and_two_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for round in (1, 2, 7):
            checkpoints.save(round, state_of(round))
        checkpoints.save(7, state_of(0))  # is there: not written again
    assert folders(tmp_path) == ["2", "7"]
    with Checkpoints(tmp_path) as checkpoints:
        rounds_done, state = checkpoints.restore(state_of(0))
    assert rounds_done == 7
    chex.assert_trees_all_equal(state, jax.tree.map(np.asarray, state_of(7)), strict=True)
    assert state.losses.tobytes() == np.asarray(state_of(7).losses).tobytes()
    assert isinstance(state, FederationState)


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state_of(1))
    (tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp").mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(state_of(0))[0] == 1
        checkpoints.save(2, state_of(2))
        assert checkpoints.restore(state_of(0))[0] == 2
    assert folders(tmp_path) == ["1", "2"]
