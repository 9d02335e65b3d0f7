"""The rows of a run's tables: a NamedTuple for each table, a field for each column, and what a comment says of it.

`column_docs` reads the comments, so that documentation has no list of its own. The unit of a column ends its name.
None is an empty cell: nobody trained, nobody tested. The text in an `Annotated` is the group in which TensorBoard shows
a column, without which it is not shown.
"""

from typing import Annotated, NamedTuple

KEYS = ("round", "client", "stage")  # say which row it is; any other column may be younger than a run


class RoundRecord(NamedTuple):
    """One row of `rounds.csv`. Bits and costs are means over the cohort; payloads, examples and energy are sums."""

    round: int  # from 1
    learning_rate: Annotated[float, "train"]  # of this round's phase
    train_loss: Annotated[float | None, "train"]  # mean over the examples of who participated
    test_loss: Annotated[float | None, "test"]  # mean over the test split
    accuracy: Annotated[float | None, "test"]  # fraction of the test split, top-1
    top5_accuracy: Annotated[float | None, "test"]  # fraction of the test split, top-5
    weights_bits: Annotated[float, "hardware"]  # mean precision
    activations_bits: Annotated[float, "hardware"]  # mean precision
    errors_bits: Annotated[float, "hardware"]  # mean precision
    energy_mj: Annotated[float, "hardware"]  # of a training sample
    latency_s: Annotated[float, "hardware"]  # of a training sample
    area_mm2: Annotated[float, "hardware"]  # that the network utilises
    payload_up_bits: Annotated[int, "payload"]  # whole bytes, as packed
    payload_up_nominal_bits: Annotated[int, "payload"]  # by the formula of the compressor's paper
    payload_up_entropy_bits: Annotated[int, "payload"]  # by an ideal coder that knows how often each code occurs
    payload_down_bits: Annotated[int, "payload"]  # whole bytes, as packed
    payload_down_nominal_bits: Annotated[int, "payload"]  # by the formula of the compressor's paper
    payload_down_entropy_bits: Annotated[int, "payload"]  # by an ideal coder that knows how often each code occurs
    uploads: Annotated[int, "payload"]  # clients whose message travelled; a compressor's gate may keep some back
    examples: Annotated[int, "train"]  # of who participated
    virtual_seconds: Annotated[float, "clock"]  # until the slowest client is done, or the deadline
    energy_joule: Annotated[float, "clock"]  # that the cohort has spent on training
    seconds: Annotated[float, "train"]  # wall time: all that differs between two equal runs


class ClientRecord(NamedTuple):
    """One row of `clients.csv`: a client of a round's cohort, its costs per training sample."""

    round: int  # from 1
    client: int  # from 0
    constraint: str  # what the client wants low: "none", "energy", "latency" or "area"
    weights_bits: float  # a whole number, or the mean over layers where layers differ
    activations_bits: float  # likewise
    errors_bits: float  # likewise
    energy_mj: float  # of a training sample
    latency_s: float  # of a training sample
    area_mm2: float  # that the network utilises
    payload_up_bits: int  # whole bytes, as packed
    payload_up_nominal_bits: int  # by the formula of the compressor's paper
    payload_up_entropy_bits: int  # by an ideal coder that knows how often each code occurs, with its table
    payload_down_bits: int  # whole bytes, as packed
    payload_down_nominal_bits: int  # by the formula of the compressor's paper
    payload_down_entropy_bits: int  # by an ideal coder that knows how often each code occurs, with its table
    uploads: int  # 1, or 0 where the compressor's gate kept the message back, or the client did not participate
    examples: int  # that the client holds
    train_loss: float | None  # mean over its examples and steps; empty where it did not participate
    dead_steps: int  # for how many local steps in a row some layer has learned nothing
    dead_layer: str  # which layer that is, and why (`numerics.dead_layers`)
    download_seconds: float  # what the client needs by the virtual clock, also where the deadline cuts it off
    compute_seconds: float  # latency_s x examples x local epochs
    upload_seconds: float  # likewise
    energy_joule: float  # spent on training, until the deadline at most
    participated: int  # 1, or 0 where it missed the deadline, or its battery could not pay (times are 0)


class FingerprintRecord(NamedTuple):
    """One row of `fingerprints.csv`: the bits of one stage of a round. Where two runs part, these differ first.

    The stages of a round, in order: `broadcast` (the model that clients receive), `precision` (of all clients),
    `update` (what the server receives from each client; of nothing 0) and `aggregate` (the new model).
    """

    round: int  # from 1
    stage: str  # "broadcast", "precision", "update" or "aggregate"
    client: int | None  # whose update it is; empty for the other stages
    fingerprint: str  # 16 hexadecimal digits
