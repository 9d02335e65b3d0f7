"""Parameters of entries as fields: recorded of named entries alone, also of earlier versions and of strangers."""

from typing import Annotated

import pytest

from halo_jax.compressors import COMPRESSORS
from halo_jax.config import ConfigError, all_fields, default
from halo_jax.config.arms import recorded
from halo_jax.config.earlier import modern
from halo_jax.config.schema import get, of_record
from halo_jax.models import MODELS
from halo_jax.parameters import whole


def own(*, depth: Annotated[int, whole(1, 9)] = 2):
    """An entry.

    Args:
      depth: of it.
    """


def test_only_entries_that_are_named_are_recorded(monkeypatch):
    before = recorded(default())
    monkeypatch.setitem(MODELS, "mine", own)
    monkeypatch.setitem(COMPRESSORS, "mine", own)
    assert recorded(default()) == before
    assert before["recipe"].keys() == {"name", "wage"}
    config = default()
    config.compressor.name = "mine"
    assert recorded(config)["compressor"]["mine"] == {"depth": 2}


def test_entries_that_only_an_arm_names_are_recorded_with_the_values_of_the_experiment():
    config = default()
    config.arms = ("8-8-8", "halo_ps:compressor.name=topk")
    config.compressor.topk.share = 0.25
    assert recorded(config)["compressor"]["topk"] == {"share": 0.25}
    assert "qsgd" not in recorded(config)["compressor"]


def test_a_record_of_an_entry_that_is_not_registered_here_is_taken_as_it_is(monkeypatch):
    with monkeypatch.context() as registered:
        registered.setitem(COMPRESSORS, "mine", own)
        config = default()
        config.compressor.name, config.compressor.mine.depth = "mine", 7
        record = recorded(config)
    assert "compressor.mine.depth" not in all_fields()
    assert get(of_record(record), "compressor.mine.depth") == 7
    assert of_record(record).compressor.name == "mine"


def test_an_entry_with_parameters_has_a_name_that_a_section_can_have(monkeypatch):
    monkeypatch.setitem(COMPRESSORS, "no-name", own)
    with pytest.raises(ConfigError, match=r"^compressor 'no-name'; allowed for one with parameters: a name"):
        all_fields()


def test_a_flat_record_of_an_earlier_version_is_read_with_the_values_that_acted():
    flat = recorded(default()) | {
        "recipe": {"name": "wage", "learning_rates": [], "gradient_bits": 9, "momentum": 0.5, "phases": [0.5, 0.5]},
        "compressor": {"name": "qsgd", "error_feedback": False, "levels": 15, "norm": "own", "share": 0.01},
    }
    today = modern(flat)
    assert today["recipe"] == {"name": "wage", "wage": {"gradient_bits": 9}}  # float32's momentum did nothing
    assert today["schedule"] == {"phases": [0.5, 0.5]}
    assert today["compressor"] == {"name": "qsgd", "error_feedback": False, "qsgd": {"levels": 15}}
    assert modern(today) == today
