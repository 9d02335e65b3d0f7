"""The study `partition` deals as a run does, and is drawn and printed without training."""

import io

import numpy as np
import pytest
from rich.console import Console

from halo_jax.config import ConfigError
from halo_jax.datasets import DatasetError
from halo_jax.records import files
from halo_jax.runner import to_records
from halo_jax.runner.build import assemble
from halo_jax.studies.run_study import run_study
from tests.toy_run import toy_config


def skewed(**values):
    config = toy_config(**{"arms": (), "study": "partition", **values})
    config.partition.name, config.partition.alpha = "dirichlet", 0.2
    return config


def test_it_deals_as_a_run_of_the_same_config(tmp_path):
    text = io.StringIO()
    run_study(skewed(seed=3), tmp_path / "study", console=Console(file=text, width=80))
    table = files.read_columns(tmp_path / "study" / "tables" / "labels.csv")
    counts = to_records.label_counts(assemble(skewed(seed=3, study="")))
    np.testing.assert_array_equal(np.stack([*table.values()][2:], axis=1), counts)
    assert counts.sum() == 37
    assert "client images  0" in text.getvalue()
    assert (tmp_path / "study" / "figures" / "labels_by_client.png").stat().st_size > 0


def test_bad_input_is_one_line_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match=r"^dataset='cifar'; known: "):
        run_study(skewed(dataset="cifar"), tmp_path / "study")
    with pytest.raises(DatasetError, match="asked for"):
        run_study(skewed(train_examples=10**6), tmp_path / "study")
    with pytest.raises(ConfigError, match=r"^num_clients=38; allowed: at most the 37"):
        run_study(skewed(num_clients=38), tmp_path / "study")
    assert not (tmp_path / "study").exists()
