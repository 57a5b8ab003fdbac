#!/bin/sh
# Our ONNX files, and those that PyTorch wrote, in ONNX's checker and in ONNX Runtime: the same outputs
# within 1e-5.
#   sh tests/peers/onnxruntime.sh build/fournil build/release
. tests/tap.sh
build=${2:-build/release}
if python3 tests/peers/onnxruntime_check.py --build "$build" > "$work/out" 2>&1; then
    pass "$(tail -n 1 "$work/out") in ONNX Runtime"
else
    fail "the same outputs in ONNX Runtime"
fi
sed 's/^/# /' "$work/out"
finish
