"""Worker: federated averaging rounds by pfl-research's simulated backend with PyTorch, float32, one process."""

# pyright: reportMissingImports=false

import importlib.metadata
import json
import sys
import types

import torch
import torch_networks
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Weighted
from pfl.model.pytorch import PyTorchModel
from timing import serve
from torch.nn import functional


def loss(self, images, labels):
    """Cross-entropy of a batch of uint8 images."""
    return functional.cross_entropy(self(torch_networks.normalise(images)), labels)


def metrics(self, images, labels):
    """What pfl asks of a model when it evaluates clients."""
    with torch.no_grad():
        return {"loss": Weighted(float(self.loss(images, labels)) * len(labels), len(labels))}


def federated_model(case: dict) -> PyTorchModel:
    """The network with the methods that pfl wants, local SGD and a server that takes the mean."""
    network = torch_networks.network(case)
    network.loss, network.metrics = types.MethodType(loss, network), types.MethodType(metrics, network)

    def local_optimizer(parameters, lr):
        return torch.optim.SGD(parameters, lr, momentum=0.9)

    return PyTorchModel(network, local_optimizer, torch.optim.SGD(network.parameters(), 1.0))


def prepare(case: dict):
    """Each run is one central iteration."""
    torch.manual_seed(0)
    users = range(len(case["examples"]))
    image, classes = tuple(case["image"]), case["classes"]
    data = {user: torch_networks.client_data(user, case["examples"][user], image, classes) for user in users}
    federated = FederatedDataset(
        lambda user: Dataset(data[user], user_id=str(user)), get_user_sampler("minimize_reuse", list(users))
    )
    backend = SimulatedBackend(federated, federated, postprocessors=[WeightByDatapoints()])
    model = federated_model(case)
    training = NNTrainHyperParams(local_batch_size=case["batch"], local_num_epochs=1, local_learning_rate=0.05)
    evaluation = NNEvalHyperParams(local_batch_size=case["batch"])
    algorithm, done = FederatedAveraging(), 0

    def run() -> None:
        nonlocal done
        done += 1  # a run goes on where the last ended; only the first round, which warms up, evaluates clients
        rounds = NNAlgorithmParams(
            central_num_iterations=done,
            evaluation_frequency=10**9,
            train_cohort_size=len(users),
            val_cohort_size=0,
        )
        algorithm.run(rounds, backend, model, training, evaluation, send_metrics_to_platform=False)

    return {"pfl": importlib.metadata.version("pfl"), "torch": torch.__version__}, run


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))
