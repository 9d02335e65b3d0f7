"""Error feedback: what a compressor left out of one round is added to the next.

With the memory e, a client sends m = C(x + e) of its update x, and e <- x + e - D(m), where D is what the server
rebuilds. Over any number of rounds the sum of what arrived is the sum of the updates minus the last e.

Sources: Seide et al., Interspeech 2014; Stich, Cordonnier, Jaggi, NeurIPS 2018 (arXiv 1809.07599). There x is a step on
one minibatch, here the update of a whole round.
"""

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor


def error_feedback(compressor: Compressor) -> Compressor:
    """`compressor` of updates with a memory; its own state is kept beside it, as (e, state).

    The memory stays small where C errs by less than x + e; of a very coarse C (`fedhq` with 2 bits) it grows.

    Bits: those of `compressor`.
    """
    # Choice: maxima over the cohort are taken of x, before a memory is added; they would not bound x + e.
    shared_scale = compressor.stats is not None
    if compressor.carries != "update" or compressor.remembers or shared_scale or not compressor.feedback:
        raise ValueError(
            "error_feedback=True; allowed: where updates are sent, without a memory, a scale of the cohort's or noise "
            "for privacy, and with an error below the update"
        )

    def init(weights):
        return jax.tree.map(jnp.zeros_like, weights), compressor.init(weights)

    def compress(x, state, context, key):
        memory, inner = state
        owed = jax.tree.map(jnp.add, x, memory)
        made = compressor.compress(owed, inner, context, key)
        arrived = compressor.decompress(made.message, owed, context)
        return made._replace(state=(jax.tree.map(jnp.subtract, owed, arrived), made.state))

    server, weigh = compressor.server, compressor.server.weigh
    if weigh is not None:
        server = server._replace(weigh=lambda examples, states: weigh(examples, states[1]))
    return compressor._replace(compress=compress, init=init, feedback=False, server=server)
