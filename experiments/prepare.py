"""Downloads data sets and prepares them for reading: the paper's three, and the two of MNIST's form.

    pip install -e '.[prepare]'
    python experiments/prepare.py cifar10 emnist tiny_imagenet [--data_dir=DIR] [--manual_dir=DIR]

Variants of EMNIST are named like emnist/letters. DIR is tensorflow_datasets' own folder unless it is given. An archive
that lies in --manual_dir under its published name is not downloaded. Preparing needs TensorFlow, training does not.
Who has the published files at hand need not prepare them: --config.data_dir=FOLDER of launch.py reads them too.
"""

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import halo_jax as hj
from halo_jax.datasets.prepare import NAMES, prepare


def main(arguments: list[str]) -> int:
    """Prepare the named data sets, one after the other; the first that fails is one line and status 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--data_dir", default="", help="where the prepared files go")
    parser.add_argument("--manual_dir", default="", help="where archives lie that need no download")
    options = parser.parse_args(arguments)
    where = f" --config.data_dir={shlex.quote(options.data_dir)}" if options.data_dir else ""
    for name in options.names:
        try:
            done = prepare(name, options.data_dir, options.manual_dir)
        except hj.datasets.DatasetError as error:
            sys.stderr.write(f"error: {error}\n")
            return 2
        print(f"{name}: {done.train_examples} training and {done.test_examples} test images in {done.folder}")
        print(f"next: python launch.py --config.dataset={name}{where}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
