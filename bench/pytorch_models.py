"""pytorch_models - the networks of examples/*.yaml as PyTorch users write them, with their optimisers; "smooth" is
tests/golden/first_losses_smooth.yaml: the CNN with tanh for relu and averages for maxima."""
import torch
from torch import nn

BATCH = {"mlp": 64, "cnn": 32, "smooth": 32}
DATA = {"mlp": "mnist", "cnn": "cifar10", "smooth": "cifar10"}


def make_network(model):
    if model == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    act, pool = (nn.Tanh, nn.AvgPool2d) if model == "smooth" else (nn.ReLU, nn.MaxPool2d)
    return nn.Sequential(nn.Conv2d(3, 32, 3), act(), pool(2), nn.Conv2d(32, 64, 3), act(), pool(2),
                         nn.Flatten(), nn.Linear(2304, 64), act(), nn.Linear(64, 10))


def make_optimizer(model, parameters, **options):
    if model == "mlp":
        return torch.optim.SGD(parameters, lr=0.01, **options)
    return torch.optim.Adam(parameters, lr=0.001, **options)
