"""Run an experiment: python launch.py [--config=experiments/NAME.py] [--config.FIELD=VALUE ...] [--workdir=runs/NAME].

Without flags it runs experiments/quickstart.py. The same command on the same folder goes on where it stopped.
"""

import os
import sys

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from halo_jax.config import ConfigError, validate
from halo_jax.datasets import DatasetError
from halo_jax.record import RecordError
from halo_jax.run import run

_CONFIG = config_flags.DEFINE_config_file("config", "experiments/quickstart.py", "the experiment")
_WORKDIR = flags.DEFINE_string("workdir", "", "the run folder; default: runs/ and the experiment's name")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "delete what an earlier run left in the run folder")
_PLATFORM = flags.DEFINE_enum("platform", None, ["cpu", "cuda", "tpu"], "where to run; default: the fastest there is")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())


def _parse(argv: list[str]) -> list[str]:
    """Parse flags; whatever is wrong with them is one line and exit status 2."""
    try:
        return flags.FLAGS(argv)
    except Exception as error:  # an experiment file may raise anything
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(2)


def _choose_devices(num_clients: int) -> None:
    """Before JAX starts: the platform, and on a CPU one device per core, so that clients share the cores."""
    if _PLATFORM.value:
        jax.config.update("jax_platforms", _PLATFORM.value)
    jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, num_clients))


def main(argv: list[str]) -> None:
    """Run the experiment that the flags name."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    logging.set_verbosity(logging.WARNING)
    config = _CONFIG.value
    try:
        validate(config)
        _choose_devices(config.num_clients)
        run(config, _WORKDIR.value or f"runs/{config.name}", overwrite=_OVERWRITE.value)
    except (ConfigError, DatasetError, RecordError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(1 if isinstance(error, RecordError) else 2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
