"""One local step of every client: halo_jax on each executor, naive JAX, PyTorch and QPyTorch.

python experiments/benchmarks/step.py [--quick] [--torch=PYTHON] [--only=TEXT] [--repeats=N] [--out=FILE.json]

20 clients at widths 1/8, 1/4 and 1/2, 4 clients at width 1; VGG7 on 32x32x3 and 28x28x1; batch 32; every client its own
weights, images and precision. Times are those of all clients together; the machine's matrix products run beside them.
"""

import suite
from suite import Group

from halo_jax.federation.clients import EXECUTORS

IMAGES = ([32, 32, 3], [28, 28, 1])
CLIENTS = {1 / 8: 20, 1 / 4: 20, 1 / 2: 20, 1.0: 4}  # by width
GEMM = "20 GEMM 1024 float32"
OURS = "halo_jax auto"
FLOAT = "halo_jax float32 auto"
HEADLINES = {
    "naive vmap / halo_jax": ("naive vmap", OURS),
    "naive loop / halo_jax": ("naive loop", OURS),
    "QPyTorch / halo_jax": ("QPyTorch", OURS),
    "PyTorch eager (float) / halo_jax": ("PyTorch eager", OURS),
    "PyTorch channels_last (float) / halo_jax": ("PyTorch channels_last", OURS),
    "PyTorch bf16 autocast (float) / halo_jax": ("PyTorch bf16", OURS),
    "PyTorch eager / halo_jax float32": ("PyTorch eager", FLOAT),
    "PyTorch channels_last / halo_jax float32": ("PyTorch channels_last", FLOAT),
    "quantisers: halo_jax / float32, auto": (OURS, FLOAT),
    "quantisers: halo_jax / float32, map": ("halo_jax map", "halo_jax float32 map"),
    "quantisers: halo_jax / float32, shard": ("halo_jax shard", "halo_jax float32 shard"),
    "quantisers: halo_jax by XLA's kernels / float32": ("halo_jax XLA kernels", FLOAT),
    "native kernels: XLA's / halo_jax": ("halo_jax XLA kernels", OURS),
    "exact sums, XLA kernels: exact / exact=False": ("halo_jax XLA kernels", "halo_jax XLA kernels exact=False"),
}


def parser():
    """The options."""
    return suite.parser(__doc__, ("torch",))


def groups(options) -> list[Group]:
    """One group for each width and image size; `--quick` has one small one."""
    if options.quick:
        return [_group(1 / 8, [28, 28, 1], 4, 16, options)]
    return [_group(width, image, clients, 32, options) for width, clients in CLIENTS.items() for image in IMAGES]


def _group(width: float, image: list[int], clients: int, batch: int, options) -> Group:
    case = {"clients": clients, "batch": batch, "width": width, "image": image}
    case["precisions"] = suite.mixed_precisions(clients)

    def ours(name, executor="auto", recipe="wage", exact=True, **environment):
        choice = {"executor": executor, "recipe": recipe, "exact": exact}
        return suite.ours(name, "halo_step.py", {**case, **choice}, **environment)

    def naive(form):
        return suite.ours(f"naive {form}", "naive_step.py", {**case, "form": form})

    def torch(name, form):
        return suite.peer(name, "torch", options, "torch_step.py", {**case, "form": form})

    workers = [ours(OURS), ours(FLOAT, recipe="float32")]
    if not options.quick:
        workers += [ours(f"halo_jax {executor}", executor) for executor in EXECUTORS]
        workers += [ours(f"halo_jax float32 {executor}", executor, "float32") for executor in ("map", "shard")]
        workers += [ours("halo_jax XLA kernels", HALO_JAX_KERNELS="xla")]
        workers += [ours("halo_jax XLA kernels exact=False", exact=False, HALO_JAX_KERNELS="xla")]
    if width < 1:  # at width 1 a naive step takes minutes
        workers += [naive("vmap")] if options.quick else [naive("vmap"), naive("loop")]
    workers += [torch(f"PyTorch {form}", form) for form in ("eager", "channels_last", "bf16")]
    workers += [torch("QPyTorch", "qtorch"), suite.ours(GEMM, "gemm.py", {"size": 1024, "dtype": "float32"})]
    if not options.quick:
        workers += [suite.ours("20 GEMM 1024 bfloat16", "gemm.py", {"size": 1024, "dtype": "bfloat16"})]
    sides = "x".join(map(str, image))
    return Group(f"width {width:g}, {sides}, {clients} clients, batch {batch}", workers)


def _gflops(worker: dict, first: dict) -> float:
    """Useful operations by second, 1e9; peers do the same work as the group's first worker."""
    return worker["facts"].get("flops", first["facts"].get("flops", 0.0)) / worker["median_s"] / 1e9


def _columns(group: dict):
    peaks = [_gflops(worker, worker) for worker in group["workers"] if worker["name"] == GEMM and worker["samples"]]
    peak = peaks[0] if peaks else 0.0

    def samples(worker):
        return worker["case"].get("clients", 0) * worker["case"].get("batch", 0)

    return {
        **suite.TIME_COLUMNS,
        "us/sample": lambda w, _: f"{1e6 * w['median_s'] / samples(w):.0f}" if samples(w) else "-",
        "GF/s": lambda w, first: f"{_gflops(w, first):.1f}",
        "of GEMM %": lambda w, first: f"{100 * _gflops(w, first) / peak:.0f}" if peak else "-",
    }


def ratios(measured: list[dict]) -> dict[str, float]:
    """The headline ratios of every group, as far as their cases were run."""
    found = {}
    for group in measured:
        for label, (above, below) in HEADLINES.items():
            found[f"{group['name']}: {label}"] = suite.ratio(group, above, below)
        workers = {worker["name"]: worker for worker in group["workers"] if worker["samples"]}
        if FLOAT in workers and GEMM in workers:
            share = _gflops(workers[FLOAT], workers[FLOAT]) / _gflops(workers[GEMM], workers[GEMM])
            found[f"{group['name']}: float32 GF/s / GEMM GF/s"] = share
    return {label: value for label, value in found.items() if value is not None}


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    measured = suite.measure(groups(options), options)
    for group in measured:
        suite.print_groups([group], _columns(group))
    suite.finish("step", options, measured, ratios(measured))


if __name__ == "__main__":
    main()
