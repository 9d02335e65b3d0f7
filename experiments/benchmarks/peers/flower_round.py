"""Worker: federated averaging rounds by Flower's simulation (Ray), float32 PyTorch clients, one client per core.

`train=false` returns the parameters as they came: what is left is Flower's own orchestration.
"""

# pyright: reportMissingImports=false

import json
import os
import sys

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import flower_clients
import flwr
import ray
import torch
import torch_networks
from flwr.app import ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from timing import serve


def client_app(text: str) -> ClientApp:
    """Clients that answer by `flower_clients.train`."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        client = int(context.node_config["partition-id"])
        return Message(content=flower_clients.train(message.content, client, text), reply_to=message)

    return app


def server_app(case: dict) -> ServerApp:
    """A server that plays one round for every request; starting Ray falls into the warm-up."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        arrays = ArrayRecord(torch_networks.network(case).state_dict())
        strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=len(case["examples"]))

        def run() -> None:
            nonlocal arrays
            arrays = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=1).arrays

        serve(lambda: ({"flwr": flwr.__version__, "ray": ray.__version__, "torch": torch.__version__}, run))

    return app


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    run_simulation(
        server_app(given),
        client_app(sys.argv[1]),
        num_supernodes=len(given["examples"]),
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
