/* config_identity.c - one number for a configuration, kept in every checkpoint: only a run of the
 * same configuration may go on from it.
 *
 * It is the CRC-32 of the tree as it means: kinds, keys and values in order, each with its length,
 * so that comments and layout count for nothing. `train.epochs` counts only where the learning
 * rates depend on it; elsewhere a run may be given more epochs, and its checkpoints stay good.
 * Recursion is bounded by FNL_MAX_YAML_DEPTH. */
#include <string.h>
#include <zlib.h>

#include "train/config.h"

struct digest {
    uint32_t crc;
    const struct fnl_yaml_node *without_epochs; /* the map whose `epochs` is left out, or NULL */
};

static void add(struct digest *d, char kind, const char *text)
{
    uint64_t size = strlen(text);
    d->crc = (uint32_t)crc32_z(d->crc, (const unsigned char *)&kind, 1);
    d->crc = (uint32_t)crc32_z(d->crc, (const unsigned char *)&size, sizeof size);
    d->crc = (uint32_t)crc32_z(d->crc, (const unsigned char *)text, size);
}

static void add_node(struct digest *d, const struct fnl_yaml_node *node)
{
    if (node->kind == FNL_YAML_SCALAR) {
        bool says_nothing = fnl_yaml_is_null(node); /* however it is written */
        add(d, says_nothing ? '0' : 'v', says_nothing ? "" : node->scalar);
        return;
    }
    add(d, node->kind == FNL_YAML_MAP ? '{' : '[', "");
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == FNL_YAML_MAP) {
            if (node == d->without_epochs && strcmp(node->key[i]->scalar, "epochs") == 0) {
                continue;
            }
            add(d, 'k', node->key[i]->scalar);
        }
        add_node(d, node->item[i]);
    }
    add(d, '.', "");
}

uint32_t fnl_train_config_identity(const struct fnl_train_config *config)
{
    struct digest d = {0};
    if (!fnl_schedule_needs_length(&config->schedule)) {
        d.without_epochs = config->train_node;
    }
    add_node(&d, fnl_yaml_root(config->doc));
    return d.crc;
}
