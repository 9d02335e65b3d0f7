"""What Flower's clients run, in a module that its Ray workers can import: one epoch of PyTorch, or nothing."""

# pyright: reportMissingImports=false

import functools
import json

import torch
import torch_networks
from flwr.app import ArrayRecord, MetricRecord, RecordDict


@functools.cache
def network(case: str) -> torch.nn.Sequential:
    """The network of a case, made once in a process."""
    return torch_networks.network(json.loads(case))


def train(content: RecordDict, client: int, text: str) -> RecordDict:
    """The answer of `client` to the server's message: its model after an epoch, or the model that it was sent."""
    torch.set_num_threads(1)  # Flower runs a client per core
    case = json.loads(text)
    count = case["examples"][client]
    arrays = content["arrays"]
    if case["train"]:
        model = network(text)
        model.load_state_dict(arrays.to_torch_state_dict())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        data = torch_networks.client_data(client, count, tuple(case["image"]), case["classes"])
        torch_networks.train_epoch(model, optimizer, *data, case["batch"])
        arrays = ArrayRecord(model.state_dict())
    return RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": count})})
