"""What a summary says of a run's entries is what stands on them, whoever wrote them and whatever they are called."""

import numpy as np
import pytest

from halo_jax.compressors import COMPRESSORS, qsgd
from halo_jax.recipes import RECIPES, float32
from halo_jax.records import run_folder
from halo_jax.records.entry_facts import EntryFacts, facts_of
from halo_jax.reporting import seed_rows
from halo_jax.runner.run_experiment import run
from halo_jax.selectors import SELECTORS, static
from tests.toy_run import toy_config

STATIC, MINE, DEALT, BLOCKS = "8-8-8", "still:recipe.name=mine", "dealt:recipe.name=mine", "halo_ps:recipe.name=bfp"
FACTS = {
    STATIC: EntryFacts(selects=False, low_precision=True, client_bits=False),
    MINE: EntryFacts(selects=False, low_precision=False, client_bits=False),
    DEALT: EntryFacts(selects=False, low_precision=False, client_bits=True),
    BLOCKS: EntryFacts(selects=True, low_precision=True, client_bits=False),
}


def mine():
    """Plain float32 under another name, so that bits are ignored."""
    return float32()


def dealt():
    """QSGD that says of itself what FedHQ says: clients have bits of their own."""
    return qsgd()._replace(client_bits=np.bool_(True))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs, read where nobody knows the entries any more."""
    folder = tmp_path_factory.getbasetemp() / "entry_facts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "mine", mine)
        patch.setitem(SELECTORS, "still", lambda: static())
        patch.setitem(COMPRESSORS, "dealt", dealt)
        run(toy_config(arms=tuple(FACTS), rounds=1), folder)
    return {arm: run_folder.read(folder / arm) for arm in FACTS}


@pytest.mark.slow
@pytest.mark.parametrize("arm", FACTS)
def test_a_summary_says_what_stands_on_the_entries(runs, arm):
    assert {name: runs[arm].summary[name] for name in EntryFacts._fields} == FACTS[arm]._asdict()
    assert runs[arm].facts == FACTS[arm]


def test_names_alone_would_have_said_something_else(runs):
    assert facts_of(runs[MINE].config, {}) == EntryFacts(selects=True, low_precision=True, client_bits=False)


def test_tables_follow_what_is_recorded(runs):
    rows = seed_rows.rows({f"seed_0/{arm}": found for arm, found in runs.items()})
    found = {arm: (row.quantised_training, row.own_bits, row.priced_at) for arm, row in zip(runs, rows, strict=True)}
    assert found[STATIC] == ("yes", "", "")
    assert found[MINE] == ("", "", "8-8-8")
    assert found[DEALT] == ("", "yes", "8-8-8")
    assert found[BLOCKS][0] == "yes"
