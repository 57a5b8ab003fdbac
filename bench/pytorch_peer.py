"""pytorch_peer - one way of training with PyTorch, as a process that is told how many steps to time.

    PYTHON pytorch_peer.py --model mlp|cnn|smooth --from DIR [--variant WORDS] [--threads N] [--device D]

Starts from the weights and the order of samples that step_driver --dump wrote into DIR. Prints one JSON line when ready;
then each line "time N" on standard input is answered by a line {"seconds": of N steps after a warm-up of N/10}, and
"losses [float64]" by the first 100 losses from the initial weights; "record FILE" by the same, with the weights before each
of these steps and after the last written to FILE. The caller sets CPU affinity and OMP_NUM_THREADS.

Variants, words joined by +: eager; jit (torch.jit.trace); compile (torch.compile); channels_last; fused (one kernel for the
update). The data stand in memory as float tensors, normalised beforehand; there is no DataLoader. A step: gather the
batch, forward, backward, update; nothing reads the loss."""
import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import data_sets  # noqa: E402
import numpy as np  # noqa: E402
import pytorch_models  # noqa: E402
import torch  # noqa: E402

LOSSES = 100


class Peer:
    def __init__(self, options):
        self.model, self.words = options.model, options.variant.split("+")
        x, y = data_sets.load(pytorch_models.DATA[options.model])[:2]
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        if "channels_last" in self.words:
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        read = lambda name, kind: np.fromfile(os.path.join(options.folder, name), kind)  # noqa: E731
        order = torch.from_numpy(read("order.u32", np.uint32).astype("int64"))
        self.batch = pytorch_models.BATCH[options.model]
        self.batches = list(order[:len(order) // self.batch * self.batch].split(self.batch))
        with open(os.path.join(options.folder, "names")) as f:
            self.weights = [torch.from_numpy(read(n, np.float32)) for n in f.read().split()]
        self.net = pytorch_models.make_network(options.model)
        if "channels_last" in self.words:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.device = torch.device(options.device)
        self.x, self.y, self.net = (t.to(self.device) for t in (self.x, self.y, self.net))
        self.batches = [b.to(self.device) for b in self.batches]
        self.criterion = torch.nn.CrossEntropyLoss()
        self.reset()
        self.forward = self.make_forward()

    def make_forward(self):
        net, criterion = self.net, self.criterion
        if "jit" in self.words:
            net = torch.jit.trace(net, self.x[self.batches[0]])
        forward = lambda x, y: criterion(net(x), y)  # noqa: E731
        return torch.compile(forward) if "compile" in self.words else forward

    def reset(self):
        with torch.no_grad():
            parameters = list(self.net.parameters())
            assert len(parameters) == len(self.weights)
            for p, raw in zip(parameters, self.weights):
                p.copy_(raw.reshape(p.shape))
        fused = {"fused": True} if "fused" in self.words else {}
        self.optimizer = pytorch_models.make_optimizer(self.model, self.net.parameters(), **fused)
        self.at = 0

    def step(self):
        index = self.batches[self.at]
        self.at = (self.at + 1) % len(self.batches)
        loss = self.forward(self.x.index_select(0, index), self.y.index_select(0, index))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def time(self, steps):
        for _ in range(max(5, steps // 10)):
            self.step()
        self.wait()
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        self.wait()
        return time.perf_counter() - start

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def losses(self, file=None):
        self.reset()
        losses = []
        for _ in range(LOSSES):
            self.record(file)
            losses.append(float(self.step().detach()))
        self.record(file)
        return losses

    def record(self, file):
        for p in self.net.parameters() if file else []:
            file.write(p.detach().contiguous().cpu().numpy().tobytes())

    def to_float64(self):
        self.x, self.net = self.x.double(), self.net.double()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--from", dest="folder", required=True)
    parser.add_argument("--variant", default="eager")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="PyTorch's name of the device, such as cuda:0")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peer = Peer(options)
    peer.time(1)
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "time":
            answer = {"seconds": peer.time(int(words[1]))}
        elif words[0] == "record":
            with open(words[1], "wb") as f:
                answer = {"losses": peer.losses(f)}
        else:
            if words[1:] == ["float64"]:
                peer.to_float64()
            answer = {"losses": peer.losses()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
