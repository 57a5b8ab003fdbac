#!/bin/sh
# The program on a GPU as the CUDA driver shows it, on the stand-in for that driver: training, a GPU
# that is lost in mid-epoch, no compiler, no device.
#   sh tests/cli/test_cuda.sh FOURNIL BUILD_DIR
# shellcheck disable=SC2016 # the quoted scripts expand their own $1
. tests/tap.sh
fournil=$(realpath "$1")
build=$(realpath "$2")
here=$(pwd)
cd "$work" || exit 1
python3 "$here/tests/cli/make_idx.py" 600 200
cp "$here/tests/cli/net.yaml" .
FOURNIL_CACHE=$work/cache
LD_LIBRARY_PATH=$build/fake/cuda:$build/fake/nvrtc${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export FOURNIL_CACHE LD_LIBRARY_PATH

json() { # EXPRESSION over `end`, the last line of JSON
    printf '%s\n' "$out" | python3 -c "
import json, sys
end = json.loads([line for line in sys.stdin if line.strip()][-1])
sys.exit(not ($1))"
}

# ---- no device ----
run env CUDA_VISIBLE_DEVICES= "$fournil" train net.yaml --device cuda:0 --dir runs
expect "an empty CUDA_VISIBLE_DEVICES is told" 4 "CUDA_VISIBLE_DEVICES is set and empty"
run env CUDA_VISIBLE_DEVICES=GPU-ffff "$fournil" train net.yaml --device cuda:0 --dir runs
expect "a wrong CUDA_VISIBLE_DEVICES is told" 4 "CUDA_VISIBLE_DEVICES=GPU-ffff names no GPU"
run env FAKE_CUDA_DEVICES=2 "$fournil" train net.yaml --device cuda:2 --dir runs
expect "a number that is not there is told" 4 "2 CUDA devices are here, numbered from 0"
run env FAKE_CUDA_FAIL=cuInit:1:803 "$fournil" train net.yaml --device cuda --dir runs
expect "a driver that does not start is told with a remedy" 4 "restart the machine"

# ---- training ----
run "$fournil" train net.yaml --device cuda:0 --dir runs --json
case $out in
*"finds no NVIDIA GPU"* | *"no NVIDIA GPU"*)
    skip "no OpenCL device for the stand-in (pocl-opencl-icd)"
    finish
    ;;
esac
expect "train on cuda:0" 0
check "... and the result says so" json 'end["device"] == "cuda:0" and end["test_accuracy"] > 0.9'
check "... what was compiled is kept" sh -c '[ "$(ls cache/programs | wc -l)" -ge 3 ]'

# ---- a machine with a driver and no compiler ----
run env FAKE_NVRTC_RESULT=7 FOURNIL_CACHE= "$fournil" train net.yaml --device cuda:0 --dir runs --json
if ! grep -q 'ptx_0' "$build/generated/embedded_ptx.c"; then
    expect "without NVRTC and PTX the remedy is told" 4 "install NVRTC"
else
    expect "without NVRTC the PTX of the build is used" 0
    check "... to the same end" json 'end["test_accuracy"] > 0.9'
fi

# ---- a GPU that is lost in mid-epoch ----
run env FAKE_CUDA_FAIL=cuGraphLaunch:40:719 "$fournil" train net.yaml --device cuda:0 --dir lost
expect "a lost device ends the run with 5" 5 "the device was lost"
folder=$(ls lost/runs)
expect "... says how to go on" 5 "fournil train --resume lost/runs/$folder"
check "... and keeps the last checkpoint" test -s "lost/runs/$folder/last.ckpt"

run "$fournil" train --resume "$folder" --device cuda:0 --dir lost --json
expect "... and the run can be gone on with" 0
check "... to the same end" json 'end["test_accuracy"] > 0.9'
finish
