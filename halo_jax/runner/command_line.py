"""The command line: flags, fields of the experiment as flags, and what is wrong as one line and an exit status."""

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from halo_jax.config import ConfigError, all_fields, cohort_size, explain, unknown_field, validate
from halo_jax.datasets import DatasetError
from halo_jax.records.checkpoint import CheckpointError
from halo_jax.records.files import RecordError
from halo_jax.reporting import compare_runs
from halo_jax.reporting.field_table import print_fields
from halo_jax.runner.run_experiment import run
from halo_jax.runtime import processes
from halo_jax.runtime.devices import DeviceError, choose_devices, keep_compiled_programs
from halo_jax.runtime.signals import Stopped
from halo_jax.runtime.visible import visible

RunStudy = Callable[..., Any]  # studies stand above this module: who starts the program brings their runner


def start(default_experiment: str, run_study: RunStudy) -> None:
    """Parse the flags, do what they ask for, and exit.

    Args:
      default_experiment: the file of the experiment when `--config` names none; "": one has to be named.
      run_study: `studies.run_study.run_study`.
    """
    app.run(lambda argv: _main(argv, run_study), flags_parser=lambda argv: _parse(argv, default_experiment))


def _define_flags(default_experiment: str) -> None:
    config_flags.DEFINE_config_file("config", default_experiment or None, "the experiment")
    flags.DEFINE_string("workdir", "", "the run folder; default: runs/ and the experiment's name")
    flags.DEFINE_bool("report", False, "compare the runs in the folders that are named, without training")
    flags.DEFINE_string("fields", "", "list fields with defaults, ranges and reasons: all, or a section's")
    flags.DEFINE_bool("overwrite", False, "delete what an earlier run left in the run folder")
    flags.DEFINE_enum("platform", None, ["cpu", "cuda", "tpu"], "where to run; default: the fastest there is")
    flags.DEFINE_bool("compilation_cache", True, "keep compiled programs in the user's cache folder")
    flags.DEFINE_bool("distributed", False, "join the processes of this run: see the next three flags")
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0; default: the cluster says all three")
    flags.DEFINE_integer("processes", None, "how many processes there are", lower_bound=1)
    flags.DEFINE_integer("process", None, "which of them this is, from 0", lower_bound=0)


def _parse(argv: list[str], default_experiment: str) -> list[str]:
    """Define and parse the flags; whatever is wrong with them or with the experiment's file is one line."""
    try:
        _define_flags(default_experiment)
        rest = flags.FLAGS(argv)
        if len(rest) > 1 and not flags.FLAGS.report:
            raise ConfigError(f"unexpected argument {rest[1]!r}; a field is set by --config.FIELD=VALUE")
        if flags.FLAGS.config is None and not flags.FLAGS.report and not flags.FLAGS.fields:
            raise ConfigError("--config is missing; right: the file of an experiment, --config=FILE.py")
        if flags.FLAGS.config is not None:
            validate(flags.FLAGS.config)  # a file that could not be read says so here
        return rest
    except Exception as error:  # an experiment's file may raise anything
        _stop(_unknown_field(argv, error) or explain(str(error).strip()), 2)


def _unknown_field(argv: Sequence[str], error: Exception) -> str:
    """The line about a flag of a field that there is not, now that the experiment's file has registered its entries."""
    named = re.findall(r"^--?config\.([^=\n]*)", "\n".join(argv[1:]), re.M)
    unknown = sorted({*named} - all_fields().keys())
    about_file = isinstance(error, OSError) or "Error loading config file" in str(error) or "get_config" in str(error)
    return unknown_field(unknown[0]) if unknown and not about_file else ""


def _stop(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"error: {visible(' '.join(message.split()))}\n")  # one write: C++ may end us any time
    processes.leave(status)
    sys.exit(status)


def _main(argv: list[str], run_study: RunStudy) -> None:
    """Run the experiment that the flags name, list fields, or compare the runs in the folders `argv[1:]`."""
    logging.set_verbosity(logging.WARNING)
    options = flags.FLAGS
    try:
        if options.fields:
            print_fields(options.fields)
        elif options.report:
            compare_runs.compare(argv[1:], options.workdir or "runs/report")
        else:
            _run(options, run_study)
    except (ConfigError, DatasetError, DeviceError, processes.JoinError) as error:
        _stop(str(error), 2)
    except (RecordError, CheckpointError, processes.DistributedError, OSError) as error:
        _stop(str(error), 1)
    except jax.errors.JaxRuntimeError as error:
        first = str(error).partition("\n")[0]
        _stop(f"{processes.LOST} ({first})" if options.distributed else first, 1)
    except Stopped as stopped:
        sys.stderr.write(f"error: {stopped}\n")
        sys.exit(128 + stopped.signum)  # all processes do, so that they can part in good order
    except KeyboardInterrupt:
        again = (
            "starts anew" if options.config is not None and options.config.study else "goes on from the last checkpoint"
        )
        _stop(f"stopped; the same command {again}", 130)


def _run(options: Any, run_study: RunStudy) -> None:
    if options.distributed:
        processes.start(options.coordinator, options.processes, options.process)
    choose_devices(options.platform, cohort_size(options.config))
    if options.compilation_cache:
        keep_compiled_programs()
    answer = run_study if options.config.study else run
    answer(options.config, options.workdir or f"runs/{options.config.name}", overwrite=options.overwrite)
