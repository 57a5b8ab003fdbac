#!/bin/sh
# The first 100 losses of the examples against those of PyTorch, from equal weights and order, on the
# real data: tests/golden/first_losses.txt and the script beside it.
#   sh tests/cli/test_first_losses.sh FOURNIL BUILD_DIR
. tests/tap.sh
build=$2
FOURNIL_DATA=${FOURNIL_SHARED:-../shared}/data
export FOURNIL_DATA

if [ ! -e "$FOURNIL_DATA/mnist/train-images-idx3-ubyte.gz" ] ||
    [ ! -e "$FOURNIL_DATA/cifar10/data_batch_1.bin.gz" ]; then
    skip "no MNIST and CIFAR-10 in $FOURNIL_DATA (set FOURNIL_SHARED)"
    finish
    exit
fi

case $build in # a thousand steps: the kernels have tests of their own under sanitizers
*asan | *tsan)
    skip "the first losses are those of a release build"
    finish
    exit
    ;;
esac

compare() { # THREADS
    python3 tests/golden/make_first_losses.py "$build" --compare --threads "$1"
}

check "the first losses are PyTorch's with the kernels of this CPU" compare 1
check "... with two threads" compare 2
FOURNIL_ISA=generic
export FOURNIL_ISA
check "... with the kernels of any CPU" compare 1

# A comparison that cannot fail would say nothing.
learning_rate() {
    sed 's/learning_rate: 0.01/learning_rate: 0.0101/' examples/mnist_mlp.yaml > "$work/mlp.yaml"
    FOURNIL_MLP=$work/mlp.yaml compare 1
}
refuses() {
    ! "$@"
}
check "a learning rate of 0.0101 instead of 0.01 is noticed" refuses learning_rate
finish
