"""Run an experiment: python launch.py [--config=experiments/NAME.py] [--config.FIELD=VALUE ...] [--workdir=runs/NAME].

Without flags it runs experiments/quickstart.py. The same command on the same folder goes on where it stopped.
"""

import os
import re
import sys
from typing import NoReturn

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from halo_jax.config import FIELDS, ConfigError, unknown_field, validate
from halo_jax.datasets import DatasetError
from halo_jax.record import RecordError
from halo_jax.run import run


def _parse(argv: list[str]) -> list[str]:
    """Define and parse the flags; whatever is wrong with them or with the experiment's file is one line."""
    try:
        for field in re.findall(r"^--?config\.([^=]*)", "\n".join(argv[1:]), re.MULTILINE):
            if field not in FIELDS:
                raise ConfigError(unknown_field(field))
        config_flags.DEFINE_config_file("config", "experiments/quickstart.py", "the experiment")
        flags.DEFINE_string("workdir", "", "the run folder; default: runs/ and the experiment's name")
        flags.DEFINE_bool("overwrite", False, "delete what an earlier run left in the run folder")
        flags.DEFINE_enum("platform", None, ["cpu", "cuda", "tpu"], "where to run; default: the fastest there is")
        rest = flags.FLAGS(argv)
        if len(rest) > 1:
            raise ConfigError(f"unexpected argument {rest[1]!r}; flags look like --config.rounds=5")
        validate(flags.FLAGS.config)  # a file that could not be read says so here
        return rest
    except Exception as error:  # an experiment's file may raise anything
        _stop(_explain(str(error).strip()), 2)


def _explain(message: str) -> str:
    """The message without a traceback inside it, and what is allowed for the field that it names."""
    if "Traceback" in message:
        message = message.partition("Traceback")[0] + message.rpartition("\n")[2]
    named = re.search(r"--config\.([\w.]+)=", message)
    return f"{message}; allowed: {FIELDS[named[1]].allowed}" if named and named[1] in FIELDS else message


def _stop(message: str, status: int) -> NoReturn:
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


def _choose_devices(platform: str | None, num_clients: int) -> None:
    """Before JAX starts: the platform, and on a CPU one device per core, so that clients share the cores."""
    jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, num_clients))
    try:
        if platform:
            jax.config.update("jax_platforms", platform)
        jax.devices()
    except Exception as error:
        raise ConfigError(f"platform {platform!r} is not available here: {error or type(error).__name__}") from error


def main(argv: list[str]) -> None:
    """Run the experiment that the flags name."""
    del argv
    logging.set_verbosity(logging.WARNING)
    options = flags.FLAGS
    try:
        _choose_devices(options.platform, options.config.num_clients)
        run(options.config, options.workdir or f"runs/{options.config.name}", overwrite=options.overwrite)
    except (ConfigError, DatasetError, RecordError) as error:
        _stop(str(error), 1 if isinstance(error, RecordError) else 2)
    except KeyboardInterrupt:
        _stop("stopped; the same command goes on from the last checkpoint", 130)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
