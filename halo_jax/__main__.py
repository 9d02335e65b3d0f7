"""`python -m halo_jax --config=FILE.py ...`: what `python launch.py` does, from any folder."""

from halo_jax.runner import command_line
from halo_jax.studies.run_study import run_study

if __name__ == "__main__":
    command_line.start("", run_study)
