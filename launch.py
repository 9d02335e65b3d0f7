"""Run an experiment: python launch.py [--config=experiments/NAME.py] [--config.FIELD=VALUE ...] [--workdir=runs/NAME].

Without flags it runs experiments/quickstart.py; the same command on the same folder goes on where it stopped.
python launch.py --report FOLDER ... [--workdir=runs/report] compares runs that are there, without training.
python launch.py --fields=all lists every field with default, range and reason; --fields=compressor.topk one section.
"""

from pathlib import Path

from halo_jax import run_study
from halo_jax.runner import command_line

if __name__ == "__main__":
    command_line.start(str(Path(__file__).resolve().parent / "experiments" / "quickstart.py"), run_study)
