#!/usr/bin/python3
"""make_onnx_fixtures - small networks exported by PyTorch, with inputs and outputs.

    /usr/bin/python3 tests/golden/make_onnx_fixtures.py

Writes tests/golden/onnx/<name>.onnx and <name>.f32: int32 rows, inputs and outputs of a row, then
the inputs and the outputs as float32, little-endian. Made with PyTorch 1.13 (Debian 12's
python3-torch), whose exporter needs no ONNX package. tests/model/test_onnx_import.c reads them.
"""
import os
import struct

import torch
from torch import nn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx")


class View(nn.Module):
    """Flattens as older scripts do."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, x):
        return x.view(-1, self.features)


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(x + self.norm(self.conv(x)))


class Computed(nn.Module):
    """A convolution, then `middle` with shapes of its own making, then a dense layer."""

    def __init__(self, middle, features):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.middle = middle
        self.dense = nn.Linear(features, 3)

    def forward(self, x):
        return self.dense(self.middle(torch.relu(self.conv(x))))


def shuffle(x):
    """The channel shuffle of ShuffleNet."""
    n, c, h, w = x.size()
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1)


def constant_weights(x):
    """Weights that are Constant nodes, and one that is transposed in the graph."""
    y = torch.relu(x.mean((2, 3)) @ torch.linspace(-1, 1, 24).view(4, 6))
    return y @ torch.linspace(-1, 1, 30).view(5, 6).t() + torch.linspace(0, 1, 5)


def dropped(x):
    return nn.functional.dropout(torch.flatten(x, 1), 0.5, training=False)


# Shapes computed in the graph: name, what stands between, features behind it, how it is exported.
COMPUTED = [
    ("view_batch", lambda x: x.view(x.size(0), -1), 64, {}),
    ("view_batch_opset11", lambda x: x.view(x.size(0), -1), 64, {"opset": 11}),
    ("view_batch_opset16", lambda x: x.view(x.size(0), -1), 64, {"opset": 16}),
    ("view_batch_unfolded", lambda x: x.view(x.size(0), -1), 64, {"folding": False}),
    ("view_product", lambda x: x.view(-1, x.size(1) * x.size(2) * x.size(3)), 64, {}),
    ("view_numel", lambda x: x.view(x.size(0), x.numel() // x.size(0)), 64, {}),
    ("view_sum", lambda x: x.view(x.size(0), x.size(1) + x.size(2) - 4, -1).flatten(1), 64, {}),
    ("view_slice", lambda x: x.view(*x.shape[:2], -1).mean(-1), 4, {}),
    ("view_shuffle", shuffle, 64, {}),
    ("flatten_from_2", lambda x: torch.flatten(x, 2).mean(-1), 4, {}),
    ("mean_as_pool", lambda x: x.mean((2, 3)), 4, {}),
    ("mean_as_pool_kept", lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1), 4, {}),
    ("mean_by_axis", lambda x: x.mean(-1).mean(-1), 4, {}),
    ("pool_squeezed_opset11", lambda x: nn.functional.adaptive_avg_pool2d(x, 1).squeeze(3).squeeze(2),
     4, {"opset": 11}),
    ("unsqueezed", lambda x: (x.unsqueeze(2) + 1.0).squeeze(2).flatten(1), 64, {}),
    ("constant_weights", constant_weights, 5, {"folding": False}),
    ("dropout_off", dropped, 64, {"folding": False}),
]


def shake(model):
    """Statistics and affine parameters that are not those of a fresh network."""
    for m in model.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(m.running_mean, -0.5, 0.5)
            nn.init.uniform_(m.running_var, 0.5, 2.0)
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
    return model.eval()


def fixture(name, model, shape, opset=13, rows=3, dynamic=True, keep_norms=False,
            folding=True):
    torch.manual_seed(len(name))
    model = shake(model)
    x = torch.randn(rows, *shape)
    with torch.no_grad():
        y = model(x)
    training = torch.onnx.TrainingMode.PRESERVE if keep_norms else torch.onnx.TrainingMode.EVAL
    example = x if dynamic else x[:1]
    axes = {"input": {0: "batch"}, "output": {0: "batch"}} if dynamic else None
    torch.onnx.export(model, example, os.path.join(HERE, name + ".onnx"), opset_version=opset,
                      input_names=["input"], output_names=["output"], dynamic_axes=axes,
                      training=training, do_constant_folding=folding)
    with open(os.path.join(HERE, name + ".f32"), "wb") as f:
        f.write(struct.pack("<3i", rows, x[0].numel(), y[0].numel()))
        f.write(x.numpy().astype("<f4").tobytes())
        f.write(y.numpy().astype("<f4").tobytes())


def main():
    os.makedirs(HERE, exist_ok=True)
    torch.manual_seed(1)
    fixture("mlp", nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.5),
                                 nn.Linear(8, 4)), (3, 2, 2))
    fixture("mlp_softmax_opset11", nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4),
                                                 nn.Softmax(dim=1)), (6,), opset=11)
    cnn = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
           nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.LeakyReLU(0.1),
           nn.AvgPool2d(2, stride=1, padding=1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6, 3), nn.LogSoftmax(dim=1)]
    fixture("cnn_norm_folded", nn.Sequential(*cnn), (2, 8, 8))
    fixture("cnn_norm_kept", nn.Sequential(*cnn), (2, 8, 8), keep_norms=True)
    fixture("resnet_small", nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Residual(4), Residual(4),
                                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
            (1, 6, 6), keep_norms=True)
    fixture("gelu", nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 6),
                                  nn.GELU(approximate="tanh"), nn.Linear(6, 2), nn.Sigmoid()), (5,))
    fixture("fixed_batch", nn.Sequential(nn.Conv2d(1, 3, 3), View(48), nn.Linear(48, 2)), (1, 6, 6),
            dynamic=False)
    fixture("no_bias_1d_norm", nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5),
                                             nn.ReLU(), nn.Linear(5, 5, bias=False)), (6,),
            keep_norms=True)
    for name, middle, features, options in COMPUTED:
        fixture(name, Computed(middle, features), (2, 4, 4), **options)


if __name__ == "__main__":
    main()
