/* sources.c - the table of public data sets: addresses, sizes, SHA-256 sums.
 *
 * MNIST and Fashion-MNIST are the distributors' own .gz files, CIFAR-10 the authors' archive of the
 * binary version; the sums are the ones that public loaders of these sets pin. Those of
 * Fashion-MNIST were also checked against the bytes (tests/fetch/test_fetch.c rebuilds the files).
 */
#include "fetch/fetch.h"

#include <stdio.h>
#include <string.h>

#include "base/schema.h"

static const struct fnl_fetch_file mnist_files[] = {
    {"train-images-idx3-ubyte.gz", 9912422,
     "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
    {"train-labels-idx1-ubyte.gz", 28881,
     "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
    {"t10k-images-idx3-ubyte.gz", 1648877,
     "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
    {"t10k-labels-idx1-ubyte.gz", 4542,
     "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
    {NULL},
};
static const char *const mnist_bases[] = {
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    NULL,
};
static const struct fnl_fetch_set mnist = {
    .name = "mnist",
    .summary = "70,000 handwritten digits, 28 x 28 grey (11 MB)",
    .folder = "mnist",
    .bases = mnist_bases,
    .files = mnist_files,
};

static const struct fnl_fetch_file fashion_files[] = {
    {"train-images-idx3-ubyte.gz", 26421880,
     "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
    {"train-labels-idx1-ubyte.gz", 29515,
     "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
    {"t10k-images-idx3-ubyte.gz", 4422102,
     "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
    {"t10k-labels-idx1-ubyte.gz", 5148,
     "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
    {NULL},
};
static const char *const fashion_bases[] = {
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    NULL,
};
static const struct fnl_fetch_set fashion = {
    .name = "fashion-mnist",
    .summary = "70,000 pieces of clothing, 28 x 28 grey (30 MB)",
    .folder = "fashion-mnist",
    .bases = fashion_bases,
    .files = fashion_files,
};

static const struct fnl_fetch_file cifar_files[] = {
    {"cifar-10-binary.tar.gz", 170052171,
     "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
    {NULL},
};
static const struct fnl_fetch_file cifar_members[] = {
    {"data_batch_1.bin", 30730000,
     "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"},
    {"data_batch_2.bin", 30730000,
     "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"},
    {"data_batch_3.bin", 30730000,
     "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"},
    {"data_batch_4.bin", 30730000,
     "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"},
    {"data_batch_5.bin", 30730000,
     "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"},
    {"test_batch.bin", 30730000,
     "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
    {"batches.meta.txt", 0, NULL}, /* names of the classes: nobody pins a sum of it */
    {NULL},
};
static const char *const cifar_bases[] = {
    "https://www.cs.toronto.edu/~kriz",
    "https://cave.cs.toronto.edu/kriz",
    NULL,
};
static const struct fnl_fetch_set cifar10 = {
    .name = "cifar10",
    .summary = "60,000 photographs of 10 kinds, 32 x 32 colour (170 MB)",
    .folder = "cifar10",
    .bases = cifar_bases,
    .files = cifar_files,
    .members = cifar_members,
};

const struct fnl_fetch_set *const fnl_fetch_sets[] = {&mnist, &fashion, &cifar10, NULL};

int fnl_fetch_find(const char *name, const struct fnl_fetch_set **ret_set, struct fnl_error *err)
{
    const char *names[8];
    int count = 0;
    for (; fnl_fetch_sets[count] != NULL && count < 7; count++) {
        names[count] = fnl_fetch_sets[count]->name;
        if (strcmp(names[count], name) == 0) {
            *ret_set = fnl_fetch_sets[count];
            return 0;
        }
    }
    names[count] = NULL;
    const char *near = fnl_nearest_name(name, names);
    (void)FNL_FAIL(err, INVALID, "known sets: mnist, fashion-mnist, cifar10",
                   "unknown data set \"%.60s\"", name);
    if (near != NULL) {
        fnl_error_hint(err, "did you mean \"%s\"?", near);
    }
    return FNL_E_INVALID;
}
