"""What reports know of a run's entries is what the run has recorded, and of older runs what their config implies."""

import pytest

from halo_jax.config import default, schema
from halo_jax.records import run_folder
from halo_jax.records.entry_facts import EntryFacts, facts_of
from halo_jax.records.files import RecordError
from tests.record_fixture import write_run


def config_of(**fields) -> dict:
    config = default()
    for name, value in fields.items():
        schema.put(config, name.replace("__", "."), value)
    return config.to_dict()


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"selector__name": "halo_ps"}, EntryFacts(selects=True, low_precision=True, client_bits=False)),
        ({"selector__name": "static", "recipe__name": "float32"}, EntryFacts(False, False, False)),
        ({"selector__name": "static", "compressor__name": "fedhq"}, EntryFacts(False, True, True)),
        (
            {"selector__name": "static", "compressor__name": "fedhq_plus", "compressor__fedhq_plus__client_bits": (4,)},
            EntryFacts(False, True, False),
        ),
        ({"selector__name": "static", "compressor__name": "qsgd"}, EntryFacts(False, True, False)),
    ],
)
def test_an_older_run_is_known_by_its_config(fields, facts):
    assert facts_of(config_of(**fields), {}) == facts


def test_what_is_recorded_counts_whatever_the_names_say():
    config = config_of(selector__name="static", compressor__name="fedhq")
    config["selector"]["name"], config["recipe"]["name"] = "mine", "mine_too"
    assert facts_of(config, {}) == EntryFacts(selects=True, low_precision=True, client_bits=True)
    recorded = EntryFacts(selects=False, low_precision=False, client_bits=False)
    assert facts_of(config, recorded._asdict()) == recorded


def test_a_run_that_says_so_does_not_select(tmp_path):
    run = write_run(tmp_path, "halo_ps", rounds=1)
    assert run.selects
    run_folder.finish(tmp_path, run.summary | {"selects": False})
    assert not run_folder.read(tmp_path).selects
    run_folder.finish(tmp_path, run.summary | {"selects": "no"})
    with pytest.raises(RecordError, match=r"summary\.json: selects is 'no'; right: true or false"):
        run_folder.read(tmp_path)
