#!/bin/sh
# A PyTorch at hand, step by step: from its weights before each of the first 100 steps we come to the
# same loss and the same next weights.
#   FOURNIL=build/fournil sh tests/peers/pytorch_losses.sh      exit status 77: no PyTorch or no data
. tests/tap.sh
build=$(dirname "$(readlink -f "${FOURNIL:-build/fournil}")")
FOURNIL_DATA=${FOURNIL_DATA:-${FOURNIL_SHARED:-../shared}/data}
export FOURNIL_DATA
[ -e "$FOURNIL_DATA/mnist" ] && [ -e "$FOURNIL_DATA/cifar10" ] || exit 77

pythons=""
for python in /usr/bin/python3 build/venv-pytorch/bin/python; do
    if "$python" -c "import torch" 2> /dev/null; then
        pythons="$pythons $python"
    fi
done
[ -n "$pythons" ] || exit 77

show() { # COMMAND...: with its output as comments
    "$@" > "$work/show" 2>&1
    shown=$?
    sed 's/^/# /' "$work/show"
    return $shown
}
for python in $pythons; do
    if show "$python" tests/golden/make_first_losses.py "$build" --follow; then
        pass "each of 100 steps is that of PyTorch under $python"
    else
        fail "each of 100 steps is that of PyTorch under $python"
    fi
done
finish
