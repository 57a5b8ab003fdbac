#!/usr/bin/env python3
"""The examples trained by an ordinary PyTorch script, as tutorials write it: a Dataset, a DataLoader, ten epochs with an
evaluation each, torch.save. The peer of bench/whole_command.py.

    python3 bench/peer_mnist_torch.py [--model mlp|cnn] [--workers N] [--threads N] [--epochs N]

Prints the test accuracy after each epoch."""
import argparse
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import data_sets  # noqa: E402
import pytorch_models  # noqa: E402
import torch  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402


class Images(Dataset):
    """Samples as tensors, normalised beforehand: what a careful user does, and less work than a transform for each."""

    def __init__(self, x, y):
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def evaluate(net, criterion, loader):
    loss, hits, count = 0.0, 0, 0
    net.eval()
    with torch.no_grad():
        for x, y in loader:
            scores = net(x)
            loss += float(criterion(scores, y)) * len(y)
            hits += int((scores.argmax(1) == y).sum())
            count += len(y)
    net.train()
    return loss / count, hits / count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="mlp", choices=["mlp", "cnn"])
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    train_x, train_y, test_x, test_y = data_sets.load("mnist" if options.model == "mlp" else "cifar10")
    batch = pytorch_models.BATCH[options.model]
    train = DataLoader(Images(train_x, train_y), batch_size=batch, shuffle=True,
                       num_workers=options.workers)
    test = DataLoader(Images(test_x, test_y), batch_size=500, num_workers=options.workers)
    net = pytorch_models.make_network(options.model)
    optimizer = pytorch_models.make_optimizer(options.model, net.parameters())
    criterion = torch.nn.CrossEntropyLoss()
    for epoch in range(1, options.epochs + 1):
        for x, y in train:
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
        loss, accuracy = evaluate(net, criterion, test)
        print(f"epoch {epoch}: test loss {loss:.4f}, accuracy {100 * accuracy:.2f} %", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(net.state_dict(), os.path.join(folder, "model.pt"))


if __name__ == "__main__":
    main()
