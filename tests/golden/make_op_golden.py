#!/usr/bin/env python3
"""make_op_golden - operators, their results and gradients, as PyTorch has them.

    /usr/bin/python3 tests/golden/make_op_golden.py > tests/golden/op_golden.txt

Made with PyTorch 1.13 (Debian 12). All sums in float64. The loss of an operator that is none is the
mean squared error against a random target. What PyTorch does otherwise than ONNX is written out:
the running variance of BatchNormalization is the biased one, Dropout's mask comes from Philox.
tests/engine/op_golden.c says how the file is laid out.
"""
import math

import numpy
import torch
import torch.nn.functional as F

torch.manual_seed(1)
ROWS = 3
EXEC_SEED, STEP = 7, 3  # OP_SEED, OP_STEP of tests/engine/op_case.h
torch.set_default_dtype(torch.float64)


def numbers(t):
    return " ".join(f"{v:.9g}" for v in t.detach().reshape(-1).tolist())


def data(shape, fill="normal"):
    """Values of three decimals, so that the text is exact in the sense that both sides read it."""
    shape = [ROWS if d == "N" else d for d in shape]
    if fill == "distinct":
        count = math.prod(shape)
        t = (torch.randperm(count).double() - count / 2) * 0.05 + 0.012
        t = t.reshape(shape)
    elif fill == "positive":
        t = torch.rand(shape) * 1.5 + 0.5
    elif fill == "onehot":
        t = F.one_hot(torch.randint(0, shape[-1], shape[:-1]), shape[-1]).double()
    elif fill == "bits":
        t = torch.randint(0, 2, shape).double()
    elif fill == "labels":
        return torch.randint(0, 4, shape)
    else:
        t = torch.randn(shape)
        if fill == "away":
            t = t + torch.copysign(torch.tensor(0.1), t)
    # exactly the float32 that is read back from three decimals
    return torch.tensor([float(numpy.float32(round(v, 3))) for v in t.reshape(-1).tolist()]).reshape(shape)


def emit_case(name, op, function, inputs, attrs="", outputs=0, loss=False, state=None, backward=True):
    """inputs: list of (kind, shape, fill). function(*tensors) -> one tensor or a tuple."""
    print("case", name)
    print("op", op)
    if attrs:
        print("attrs", attrs)
    if outputs:
        print("outputs", outputs)
    print("rows", ROWS)
    tensors = []
    for kind, shape, fill in inputs:
        t = data(shape, fill)
        t.requires_grad_(kind in ("fed", "param"))
        tensors.append(t)
        print(kind, ",".join(str(d) for d in shape), numbers(t))
    states = [i for i, entry in enumerate(inputs) if entry[0] == "state"]
    results = function(*tensors)
    results = results if isinstance(results, tuple) else (results,)
    if loss:
        value = results[0].mean()
    else:
        y = results[0]
        batched = y.shape[0] == ROWS and any(k == "fed" for k, _, _ in inputs)
        assert batched, name
        target = data(["N"] + list(y.shape[1:]))
        print("target", ",".join(["N"] + [str(d) for d in y.shape[1:]]), numbers(target))
        value = ((y - target) ** 2).mean()
    for i, y in enumerate(results):
        print(f"y{i}", y.numel(), numbers(y))
    print("loss 1", numbers(value))
    value.backward()
    for i, t in enumerate(tensors):
        if t.requires_grad:
            print(f"d{i}", t.numel(), numbers(t.grad))
    for i in states:
        new = state[i](*tensors)
        print(f"s{i}", new.numel(), numbers(new))
    print("end")


def fed(*shape, fill="normal"):
    return ("fed", list(shape), fill)


def param(*shape, fill="normal"):
    return ("param", list(shape), fill)


def windows(x, kernel, strides, pads, dilations, ceil, value):
    """Windows of a padded image, with what ceil mode adds behind filled with NaN: [..., OH, OW, KH*KW]."""
    sizes, extra = [], []
    for d in range(2):
        room = x.shape[2 + d] + pads[d] + pads[d + 2] - dilations[d] * (kernel[d] - 1) - 1
        out = (math.ceil if ceil else math.floor)(room / strides[d]) + 1
        if ceil and (out - 1) * strides[d] >= x.shape[2 + d] + pads[d]:
            out -= 1
        sizes.append(out)
        extra.append(max(0, (out - 1) * strides[d] + dilations[d] * (kernel[d] - 1) + 1
                         - (x.shape[2 + d] + pads[d] + pads[d + 2])))
    x = F.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=value)
    x = F.pad(x, (0, extra[1], 0, extra[0]), value=math.nan)
    taps = []
    for kh in range(kernel[0]):
        for kw in range(kernel[1]):
            h, w = kh * dilations[0], kw * dilations[1]
            taps.append(x[:, :, h:h + (sizes[0] - 1) * strides[0] + 1:strides[0],
                          w:w + (sizes[1] - 1) * strides[1] + 1:strides[1]])
    return torch.stack(taps, -1)


def max_pool(x, kernel, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), ceil=False):
    taps = windows(x, kernel, strides, pads, dilations, ceil, -math.inf)
    return torch.where(torch.isnan(taps), torch.tensor(-math.inf), taps).max(-1).values


def average_pool(x, kernel, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), ceil=False, count_pad=False):
    taps = windows(x, kernel, strides, pads, dilations, ceil, 0.0 if count_pad else math.nan)
    counted = ~torch.isnan(taps)
    return torch.where(counted, taps, torch.tensor(0.0)).sum(-1) / counted.sum(-1)


def conv(x, w, b=None, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1):
    x = F.pad(x, (pads[1], pads[3], pads[0], pads[2]))
    return F.conv2d(x, w, b, stride=strides, dilation=dilations, groups=group)


def philox(counter, key):
    """Philox4x32-10, from the paper (Salmon et al., SC 2011)."""
    c, k, mask = list(counter), list(key), 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & mask, (p0 >> 32) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def dropout_mask(shape, ratio, seed):
    use = 4  # FNL_RNG_DROPOUT
    factors = []
    for e in range(math.prod(shape)):
        index = (STEP << 40) + e // 4
        words = philox([index & 0xFFFFFFFF, index >> 32, seed, use], [EXEC_SEED, 0])
        factors.append(0.0 if words[e % 4] < ratio * 2 ** 32 else 1 / (1 - ratio))
    return torch.tensor(factors).reshape(shape)


def dropout(ratio, seed):
    def run(x):
        mask = dropout_mask(x.shape, ratio, seed)
        return x * mask, mask
    return run


def layer_norm(axis, epsilon):
    def run(x, scale, bias):
        dims = list(range(axis, x.dim()))
        mean = x.mean(dims, keepdim=True)
        inverse = 1 / torch.sqrt(x.var(dims, unbiased=False, keepdim=True) + epsilon)
        return F.layer_norm(x, x.shape[axis:], scale, bias, epsilon), mean, inverse
    return run


def batch_norm(epsilon):
    def run(x, scale, bias, mean, variance):
        dims = [d for d in range(x.dim()) if d != 1]
        y = F.batch_norm(x, None, None, scale, bias, True, 0.0, epsilon)
        return y, x.mean(dims), 1 / torch.sqrt(x.var(dims, unbiased=False) + epsilon)
    return run


def batch_state(momentum):
    def dims(x):
        return [d for d in range(x.dim()) if d != 1]
    return {
        3: lambda x, s, b, m, v: m * momentum + x.mean(dims(x)) * (1 - momentum),
        4: lambda x, s, b, m, v: v * momentum + x.var(dims(x), unbiased=False) * (1 - momentum),
    }


def elementwise():
    emit_case("add", "Add", torch.add, [fed("N", 2, 3), param(2, 1)])
    emit_case("sub", "Sub", torch.sub, [fed("N", 5), fed("N", 5)])
    emit_case("mul", "Mul", torch.mul, [fed("N", 2, 2, 3), fed("N", 2, 1, 1)])
    emit_case("div", "Div", torch.div, [fed("N", 5), param(5, fill="positive")])
    emit_case("relu", "Relu", F.relu, [fed("N", 7, fill="away")])
    emit_case("leaky relu", "LeakyRelu", lambda x: F.leaky_relu(x, 0.2), [fed("N", 7, fill="away")], "alpha=0.2")
    emit_case("gelu", "Gelu", F.gelu, [fed("N", 7)])
    emit_case("gelu tanh", "Gelu", lambda x: F.gelu(x, approximate="tanh"), [fed("N", 7)], "gelu_tanh=1")
    emit_case("sigmoid", "Sigmoid", torch.sigmoid, [fed("N", 7)])
    emit_case("tanh", "Tanh", torch.tanh, [fed("N", 7)])
    emit_case("erf", "Erf", torch.erf, [fed("N", 7)])
    emit_case("softmax", "Softmax", lambda x: F.softmax(x, -1), [fed("N", 6)])
    emit_case("softmax over channels", "Softmax", lambda x: F.softmax(x, 1), [fed("N", 4, 2, 2)], "axis=1")
    emit_case("log softmax", "LogSoftmax", lambda x: F.log_softmax(x, -1), [fed("N", 6)])
    emit_case("dropout", "Dropout", dropout(0.4, 5), [fed("N", 21)],
              "training=1 ratio=0.4 seed=5", outputs=2)


def shapes():
    emit_case("flatten", "Flatten", lambda x: x.flatten(1), [fed("N", 2, 3, 2)], "axis=1")
    emit_case("reshape", "Reshape", lambda x: x.reshape(-1, 3, 4), [fed("N", 2, 3, 2)], "shape=N,3,-1")
    emit_case("transpose", "Transpose", lambda x: x.permute(0, 2, 3, 1), [fed("N", 2, 3, 4)], "perm=0,2,3,1")
    emit_case("reduce sum", "ReduceSum", lambda x: x.sum(2, keepdim=True), [fed("N", 2, 4)], "axes_mask=4")
    emit_case("reduce mean", "ReduceMean", lambda x: x.mean((2, 3)), [fed("N", 3, 2, 2)],
              "axes_mask=12 keepdims=0")


def products():
    emit_case("matmul", "MatMul", torch.matmul, [fed("N", 4), param(4, 5)])
    emit_case("gemm", "Gemm", lambda a, b, c: a @ b + c, [fed("N", 4), param(4, 5), param(5)])
    emit_case("gemm scaled", "Gemm", lambda a, b, c: 0.5 * (a @ b.T) - 2 * c,
              [fed("N", 4), param(5, 4), param(5)], "alpha=0.5 beta=-2 trans_b=1")
    emit_case("conv", "Conv", lambda x, w, b: conv(x, w, b, pads=(1, 1, 1, 1)),
              [fed("N", 2, 4, 5), param(3, 2, 3, 3), param(3)], "pads=1,1,1,1")
    emit_case("conv strides, dilations, pads", "Conv",
              lambda x, w, b: conv(x, w, b, (2, 1), (0, 2, 1, 0), (1, 2)),
              [fed("N", 2, 5, 6), param(3, 2, 3, 2), param(3)],
              "strides=2,1 pads=0,2,1,0 dilations=1,2")
    emit_case("conv groups", "Conv", lambda x, w: conv(x, w, group=2),
              [fed("N", 4, 3, 3), param(4, 2, 2, 2)], "group=2")
    emit_case("conv depthwise", "Conv", lambda x, w, b: conv(x, w, b, group=3, pads=(1, 1, 1, 1)),
              [fed("N", 3, 3, 4), param(3, 1, 3, 3), param(3)], "group=3 pads=1,1,1,1")


def pools():
    x = fed("N", 2, 5, 6, fill="distinct")
    emit_case("max pool", "MaxPool", lambda x: F.max_pool2d(x, 2, 2), [x], "kernel=2,2 strides=2,2")
    emit_case("max pool ceil", "MaxPool", lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True), [x],
              "kernel=2,2 strides=2,2 ceil_mode=1")
    emit_case("max pool uneven", "MaxPool", lambda x: max_pool(x, (3, 2), (2, 3), (1, 0, 0, 1), (1, 2)), [x],
              "kernel=3,2 strides=2,3 pads=1,0,0,1 dilations=1,2")
    emit_case("average pool", "AveragePool", lambda x: F.avg_pool2d(x, 2, 2), [x], "kernel=2,2 strides=2,2")
    emit_case("average pool pads", "AveragePool",
              lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), [x],
              "kernel=3,3 strides=2,2 pads=1,1,1,1")
    emit_case("average pool ceil counts pads", "AveragePool",
              lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=True), [x],
              "kernel=3,3 strides=2,2 pads=1,1,1,1 ceil_mode=1 count_include_pad=1")
    emit_case("average pool uneven", "AveragePool",
              lambda x: average_pool(x, (3, 2), (2, 3), (1, 0, 0, 1), (1, 2), True), [x],
              "kernel=3,2 strides=2,3 pads=1,0,0,1 dilations=1,2 ceil_mode=1")
    emit_case("global average pool", "GlobalAveragePool", lambda x: x.mean((2, 3), keepdim=True),
              [fed("N", 3, 2, 3)])
    emit_case("global max pool", "GlobalMaxPool", lambda x: x.amax((2, 3), keepdim=True),
              [fed("N", 3, 2, 3, fill="distinct")])


def norms():
    emit_case("layer norm", "LayerNormalization", layer_norm(1, 1e-5),
              [fed("N", 6), param(6, fill="positive"), param(6)], "axis=1", outputs=3)
    emit_case("layer norm over images", "LayerNormalization", layer_norm(1, 1e-3),
              [fed("N", 2, 2, 3), param(2, 2, 3, fill="positive"), param(2, 2, 3)],
              "axis=1 epsilon=0.001", outputs=3)
    running = [("state", [4], "normal"), ("state", [4], "positive")]
    emit_case("batch norm", "BatchNormalization", batch_norm(1e-5),
              [fed("N", 4, 2, 3), param(4, fill="positive"), param(4)] + running,
              "training=1", outputs=3, state=batch_state(0.9))
    emit_case("batch norm of rows", "BatchNormalization", batch_norm(1e-1),
              [fed("N", 4), param(4, fill="positive"), param(4)] + running,
              "training=1 epsilon=0.1 momentum=0.75", outputs=3, state=batch_state(0.75))


def losses():
    emit_case("softmax cross entropy", "fnl.SoftmaxCrossEntropy",
              lambda x, t: (F.cross_entropy(x, t, reduction="none"), F.softmax(x, 1)),
              [fed("N", 4), ("labels", ["N"], "labels")], loss=True)
    emit_case("categorical cross entropy", "fnl.CategoricalCrossEntropy",
              lambda x, t: (F.cross_entropy(x, t, reduction="none"), F.softmax(x, 1)),
              [fed("N", 4), ("target", ["N", 4], "onehot")], loss=True)
    emit_case("binary cross entropy", "fnl.BinaryCrossEntropy",
              lambda x, t: (F.binary_cross_entropy_with_logits(x, t, reduction="none").mean(1), torch.sigmoid(x)),
              [fed("N", 4), ("target", ["N", 4], "bits")], loss=True)
    emit_case("mean squared error", "fnl.MeanSquaredError",
              lambda x, t: ((x - t) ** 2).flatten(1).mean(1),
              [fed("N", 2, 3), ("target", ["N", 2, 3], "normal")], loss=True)


print("# made by tests/golden/make_op_golden.py with PyTorch", torch.__version__)
for family in (elementwise, shapes, products, pools, norms, losses):
    family()
