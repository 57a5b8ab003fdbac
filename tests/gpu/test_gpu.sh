#!/bin/sh
# What only a real GPU can show; on each CUDA device and each OpenCL device that is no processor.
#   sh tests/gpu/test_gpu.sh FOURNIL BUILD_DIR          (or: sh scripts/test.sh --gpu)
# Operators and gradients against the reference, kernels with memory of their own, both tutorial
# models for 50 steps against the CPU, a replay of the same bits, compute-sanitizer where it is
# installed; times are printed, never judged. Without a GPU it skips aloud.
. tests/tap.sh
fournil=$1
build=$2
FOURNIL_DATA=${FOURNIL_SHARED:-../shared}/data
export FOURNIL_DATA
unset FOURNIL_DIR

gpus=$("$fournil" devices --json | python3 -c '
import json, sys
d = json.load(sys.stdin)
print(*[x["name"] for x in d["devices"] if not x.get("problem") and not x.get("is_cpu", True)])')
if [ -z "$gpus" ]; then
    "$fournil" devices | sed -n '/^Drivers/,$s/^/# /p'
    skip "no GPU here: operators"
    skip "no GPU here: kernels"
    skip "no GPU here: training"
    skip "no GPU here: compute-sanitizer"
    finish
    exit
fi

# train DEVICE FILE OPTION...: 50 steps; the run's folder is in $folder.
train() {
    device=$1
    file=$2
    shift 2
    run "$fournil" train "$file" --device "$device" --epochs 1 --batch 64 --set data.limit=3200 \
        --dir "$work/state" --json "$@"
    folder=$work/state/runs/$(printf '%s\n' "$out" | tail -1 |
        python3 -c 'import json,sys; print(json.load(sys.stdin).get("run", "none"))' 2> /dev/null)
}

alike() { # FOLDER FOLDER: losses within 1e-3; 50 steps of float32 that round otherwise
    python3 - "$1" "$2" << 'PY'
import json, sys
a, b = (json.loads(open(f + "/metrics.jsonl").readline()) for f in sys.argv[1:3])
for key in ("loss", "val_loss"):
    print(key, a[key], b[key])
    if not abs(a[key] - b[key]) <= 1e-3 * abs(a[key]):
        sys.exit(1)
PY
}

check_training() { # GPU FILE
    name="$(basename "$2" .yaml) on $1"
    train cpu "$2"
    if [ "$status" -eq 3 ]; then
        skip "$name: its data is not in $FOURNIL_DATA"
        return
    fi
    cpu=$folder
    train "$1" "$2"
    expect "$name: 50 steps" 0
    check "... give the losses of the CPU" alike "$cpu" "$folder"
    first=$folder
    train "$1" "$2"
    check "... and the same bits again" cmp "$first/model.onnx" "$folder/model.onnx"
    run "$fournil" train "$2" --device "$1" --epochs 2 --dir "$work/state" --json
    expect "$name: two epochs of all data" 0
    printf '%s\n' "$out" | sed 's/^/# /'
}

for gpu in $gpus; do
    "$fournil" devices --json | python3 -c '
import json, sys
d = [x for x in json.load(sys.stdin)["devices"] if x["name"] == sys.argv[1]][0]
print("#", d["name"], d["model"], d["driver"])' "$gpu"
    for program in engine_test_ops_gpu engine_test_gpu_linear engine_test_gpu_conv \
        engine_test_gpu_optimizer; do
        check "$program on $gpu" env FOURNIL_TEST_DEVICE="$gpu" "$build/$program"
    done
    check_training "$gpu" examples/fashion_mlp.yaml
    check_training "$gpu" examples/cifar10_cnn.yaml
    case $gpu in
    cuda:*)
        if command -v compute-sanitizer > /dev/null; then
            for tool in memcheck racecheck synccheck; do
                check "compute-sanitizer $tool on $gpu" compute-sanitizer --tool "$tool" \
                    --error-exitcode 9 "$fournil" train examples/fashion_mlp.yaml --device "$gpu" \
                    --epochs 1 --batch 64 --set data.limit=128 --dir "$work/state"
            done
        else
            skip "compute-sanitizer is not installed"
        fi
        ;;
    esac
done
finish
