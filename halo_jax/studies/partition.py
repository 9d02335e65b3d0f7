"""How images are dealt to clients, before anything is trained: this study reads the data and asks no chip."""

import numpy as np

from halo_jax import datasets
from halo_jax.config import Config
from halo_jax.federation.partition import PARTITIONS
from halo_jax.records import label_counts
from halo_jax.reporting import label_table
from halo_jax.runner.build_data import deal
from halo_jax.runner.lookup import check_dataset, require_known
from halo_jax.studies.base import Table


def study(config: Config) -> dict[str, Table]:
    """Deal `config.dataset` by `config.partition`, as a run of the same seed does, and count labels by client."""
    check_dataset(config.dataset)
    require_known([("partition.name", config.partition.name, PARTITIONS)])
    sizes = config.train_examples, config.test_examples, config.validation_examples
    dataset = datasets.load(config.dataset, config.data_dir, *sizes)
    dealt = deal(config, dataset)
    counts = label_counts.count(np.asarray(dataset.train_labels), dealt.indices, dealt.mask, dataset.num_classes)
    dealt_as = f"{config.dataset} by {config.partition.name}"
    return {
        "labels": Table(
            f"Images by client and class: {dealt_as}", label_counts.rows(counts), drawn=label_table.render(counts)
        ),
        "holdings": Table(
            f"Images by client, and how many classes they are of: {dealt_as}",
            label_counts.holdings(counts),
            shown=False,
        ),
    }
