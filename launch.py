"""Run an experiment: python launch.py [--config=experiments/NAME.py] [--config.FIELD=VALUE ...] [--workdir=runs/NAME].

Without flags it runs experiments/quickstart.py; the same command on the same folder goes on where it stopped.
python launch.py --report FOLDER ... [--workdir=runs/report] compares runs that are there, without training.
"""

import os
import re
import sys
from typing import NoReturn

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from halo_jax.config import FIELDS, ConfigError, cohort_size, explain, unknown_field, validate
from halo_jax.datasets import DatasetError
from halo_jax.records import run_folder
from halo_jax.records.checkpoint import CheckpointError
from halo_jax.reporting import compare_runs
from halo_jax.runner.run_experiment import run
from halo_jax.runtime import processes
from halo_jax.runtime.devices import DeviceError, choose_devices, keep_compiled_programs
from halo_jax.runtime.signals import Stopped
from halo_jax.runtime.visible import visible
from halo_jax.studies.run_study import run_study

_QUICKSTART = os.path.join(os.path.dirname(os.path.abspath(__file__)), "experiments", "quickstart.py")


def _parse(argv: list[str]) -> list[str]:
    """Define and parse the flags; whatever is wrong with them or with the experiment's file is one line."""
    try:
        for field in sorted({*re.findall(r"^--?config\.([^=\n]*)", "\n".join(argv[1:]), re.M)} - FIELDS.keys()):
            raise ConfigError(unknown_field(field))
        config_flags.DEFINE_config_file("config", _QUICKSTART, "the experiment")
        flags.DEFINE_string("workdir", "", "the run folder; default: runs/ and the experiment's name")
        flags.DEFINE_bool("report", False, "compare the runs in the folders that are named, without training")
        flags.DEFINE_bool("overwrite", False, "delete what an earlier run left in the run folder")
        flags.DEFINE_enum("platform", None, ["cpu", "cuda", "tpu"], "where to run; default: the fastest there is")
        flags.DEFINE_bool("compilation_cache", True, "keep compiled programs in the user's cache folder")
        flags.DEFINE_bool("distributed", False, "join the processes of this run: see the next three flags")
        flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0; default: the cluster says all three")
        flags.DEFINE_integer("processes", None, "how many processes there are", lower_bound=1)
        flags.DEFINE_integer("process", None, "which of them this is, from 0", lower_bound=0)
        rest = flags.FLAGS(argv)
        if len(rest) > 1 and not flags.FLAGS.report:
            raise ConfigError(f"unexpected argument {rest[1]!r}; a field is set by --config.FIELD=VALUE")
        validate(flags.FLAGS.config)  # a file that could not be read says so here
        return rest
    except Exception as error:  # an experiment's file may raise anything
        _stop(explain(str(error).strip()), 2)


def _stop(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"error: {visible(' '.join(message.split()))}\n")  # one write: C++ may end us any time
    processes.leave(status)
    sys.exit(status)


def main(argv: list[str]) -> None:
    """Run the experiment that the flags name, or compare the runs in the folders `argv[1:]`."""
    logging.set_verbosity(logging.WARNING)
    options = flags.FLAGS
    try:
        if options.report:
            compare_runs.compare(argv[1:], options.workdir or "runs/report")
            return
        if options.distributed:
            processes.start(options.coordinator, options.processes, options.process)
        choose_devices(options.platform, cohort_size(options.config))
        if options.compilation_cache:
            keep_compiled_programs()
        start = run_study if options.config.study else run
        start(options.config, options.workdir or f"runs/{options.config.name}", overwrite=options.overwrite)
    except (ConfigError, DatasetError, DeviceError, processes.JoinError) as error:
        _stop(str(error), 2)
    except (run_folder.RecordError, CheckpointError, processes.DistributedError, OSError) as error:
        _stop(str(error), 1)
    except jax.errors.JaxRuntimeError as error:
        first = str(error).partition("\n")[0]
        _stop(f"{processes.LOST} ({first})" if options.distributed else first, 1)
    except Stopped as stopped:
        sys.stderr.write(f"error: {stopped}\n")
        sys.exit(128 + stopped.signum)  # all processes do, so that they can part in good order
    except KeyboardInterrupt:
        again = "starts anew" if options.config.study else "goes on from the last checkpoint"
        _stop(f"stopped; the same command {again}", 130)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
