"""The benchmarks build their cases, and time workers in turns; nothing is measured here."""

import argparse
import importlib
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from halo_jax.federation.local_data import normalise

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"
sys.path.insert(0, str(FOLDER))  # as it is for a script in that folder

suite, timing = importlib.import_module("suite"), importlib.import_module("timing")
BENCHMARKS = {
    name: importlib.import_module(name)
    for name in ("step", "round", "scaling", "bitwidths", "halosim", "compressors", "stacked")
}
PEERS = ("torch", "fedjax", "flower", "pfl")

STUB = """
import json, sys
from timing import serve
case = json.loads(sys.argv[1])
runs = 0
def run():
    global runs
    runs += 1
    open(case["log"], "a").write(case["name"])
    print("noise on standard output")
    if runs > case["lives"]:
        raise RuntimeError("out of lives")
    return {"run": runs}
def prepare():
    if not case["lives"]:
        raise RuntimeError("cannot start")
    return {"version": 3}, run
serve(prepare)
"""


@pytest.fixture
def stub(tmp_path):
    """Make a worker that writes its name at every run and fails after some."""
    script, log = tmp_path / "stub.py", tmp_path / "log"
    script.write_text(STUB)

    def make(name, lives=99, python=sys.executable):
        return timing.Worker(name, python, script, {"name": name, "lives": lives, "log": str(log)}, "install it so")

    make.log = log
    return make


def test_workers_take_turns_and_a_failure_stays_alone(stub):
    said = []
    workers = [
        stub("a"),
        stub("b", lives=2),
        stub("c", lives=0),
        stub("d", python="nowhere/python"),
        stub("e", python=""),
    ]
    a, b, c, d, e = timing.measure(workers, 3, said.append)
    assert stub.log.read_text() == "ab" + "ab" + "ab" + "a"  # once to warm up, then in turns; b ends in its third run
    assert [sample["run"] for sample in a["samples"]] == [2, 3, 4]
    assert a["facts"]["version"] == 3
    assert a["facts"]["peak_rss_mb"] >= 0
    assert not a["skipped"]
    assert len(b["samples"]) == 1
    assert b["skipped"] == "it ended with status 1: RuntimeError: out of lives"
    assert c["skipped"] == "it ended with status 1: RuntimeError: cannot start"
    assert d["skipped"] == "nowhere/python: No such file or directory; install it so"
    assert e["skipped"] == "not asked for; install it so"
    assert [line.split(":")[0] for line in said] == ["skipped c", "skipped d", "skipped e", "skipped b"]
    assert "median_s" in a
    assert "median_s" not in c


def test_a_summary_is_of_all_samples():
    def sample(seconds, cpu, memory):
        return {"seconds": seconds, "cpu_seconds": cpu, "peak_rss_mb": memory}

    found = timing.summary([sample(3.0, 6.0, 5.0), sample(1.0, 1.0, 7.0), sample(2.0, 2.0, 6.0)])
    assert found == {"median_s": 2.0, "min_s": 1.0, "cores": 1.5, "peak_rss_mb": 7.0}
    assert timing.summary([]) == {}


def test_the_file_holds_samples_machine_and_a_command_without_folders(stub, tmp_path, capsys):
    out = tmp_path / "results" / "step.json"
    options = BENCHMARKS["step"].parser().parse_args(["--torch=/some/where/python", "--only=one", f"--out={out}"])
    options.repeats = 2
    measured = suite.measure([suite.Group("one", [stub("a"), stub("b")]), suite.Group("two", [stub("c")])], options)
    suite.finish("step", options, measured, {"b / a": suite.ratio(measured[0], "b", "a")})
    record = json.loads(out.read_text())
    assert record["command"] == 'python experiments/benchmarks/step.py --only="one" --repeats=2 --torch=PYTHON'
    assert [group["name"] for group in record["groups"]] == ["one"]
    assert len(record["groups"][0]["workers"][1]["samples"]) == 2
    assert {"cpu", "cores", "flags"} <= record["machine"].keys()
    assert "b / a" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--quick"]], ids=["full", "quick"])
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_case_can_be_sent_to_a_script_that_is_there(name, flags):
    groups = BENCHMARKS[name].groups(BENCHMARKS[name].parser().parse_args(flags))
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
        names = [worker.name for worker in group.workers]
        assert len(set(names)) == len(names)
        assert group.workers[0].python == sys.executable  # others are held against our own
        for worker in group.workers:
            assert worker.script.is_file()
            assert len(json.dumps(worker.case)) < 100_000  # it travels as an argument
            assert worker.python or worker.install


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_says_how_to_install_it(peer):
    options = argparse.Namespace(**{peer: ""})
    worker = suite.peer(peer, peer, options, "torch_step.py", {})
    requirements = next(word for word in worker.install.split() if word.endswith(",")).rstrip(",")
    lines = (FOLDER.parents[1] / requirements).read_text().splitlines()
    assert lines
    assert all("==" in line for line in lines)


def test_headlines_name_cases_that_are_run():
    def names(benchmark):
        return {worker.name for worker in benchmark.groups(benchmark.parser().parse_args([]))[0].workers}

    step, rounds = BENCHMARKS["step"], BENCHMARKS["round"]
    assert {name for pair in step.HEADLINES.values() for name in pair} <= names(step)
    assert names(rounds) == {*rounds.PEERS, rounds.OURS, rounds.FLOAT}


def test_clients_have_all_precisions():
    assert len(set(suite.mixed_precisions(36))) == 36


def test_the_naive_network_has_our_gradients():
    step_problem, naive_step = importlib.import_module("step_problem"), importlib.import_module("naive_step")
    case = {"clients": 1, "batch": 4, "width": 1 / 16, "image": [8, 8, 1], "recipe": "wage", "exact": True}
    problem = step_problem.make({**case, "precisions": [(4, 6, 8)]})
    models, precision, *_ = problem.stacked
    params, bits = jax.tree.map(lambda leaf: leaf[0], (problem.recipe.decode(models), precision))
    images, labels = problem.shared[0]

    def gradients(network):
        return jax.jit(jax.grad(lambda params: problem.recipe.loss(network(params), labels).sum()))(params)

    ours = gradients(lambda params: problem.module.apply({"params": params}, normalise(images), bits))
    naive = gradients(lambda params: naive_step.network(params, normalise(images), bits))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(ours))
    jax.tree.map(np.testing.assert_array_equal, ours, naive)
