"""What reports have to know of the entries that a run names, which may be anybody's: `summary.json` records it."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class EntryFacts(NamedTuple):
    """What stands on a run's entries, by the names of its fields in `summary.json`."""

    selects: bool  # clients choose their precision (`Selector.selects`)
    low_precision: bool  # clients train in the bits of their records (`Recipe.low_precision`)
    client_bits: bool  # the compressor gives clients bits of their own (`Compressor.client_bits`)


def facts_of(config: Mapping[str, Any], summary: Mapping[str, Any]) -> EntryFacts:
    """The facts that a summary holds; of a run that has not ended, or is older than they are, what its config implies.

    Args:
      config: of an arm, as in `config.json`, with today's fields.
      summary: of the arm, as in `summary.json`; may be empty.
    """
    implied = _implied(config)
    return EntryFacts(*(summary.get(name, fact) for name, fact in implied._asdict().items()))


def _implied(config: Mapping[str, Any]) -> EntryFacts:
    """By the names of the entries that there were when nothing was recorded."""
    compressor = config["compressor"]["name"]
    dealt = config["compressor"].get(compressor, {}).get("client_bits", [0])  # empty: the bits of a client's weights
    return EntryFacts(
        selects=config["selector"]["name"] != "static",
        low_precision=config["recipe"]["name"] != "float32",
        client_bits=compressor in ("fedhq", "fedhq_plus") and len(set(dealt)) != 1,
    )
