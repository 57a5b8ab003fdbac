/* config_identity.c - one number for a configuration, kept in every checkpoint: only a run of the
 * same configuration may go on from it.
 *
 * It is the CRC-32 of the tree as it means: kinds, keys and values in order, each with its length,
 * so that comments and layout count for nothing. `train.epochs` counts only where the learning
 * rates depend on it; elsewhere a run may be given more epochs, and its checkpoints stay good.
 * `train.device` and `train.threads` never count: a run may go on elsewhere.
 * Recursion is bounded by FNL_MAX_YAML_DEPTH. */
#include <string.h>
#include <zlib.h>

#include "train/config.h"

struct digest {
    uint32_t crc;
    const struct fnl_yaml_node *train; /* the map of which some keys are left out */
    bool with_epochs;
};

static bool is_left_out(const struct digest *d, const struct fnl_yaml_node *map, const char *key)
{
    return map == d->train && (strcmp(key, "device") == 0 || strcmp(key, "threads") == 0 ||
                               (!d->with_epochs && strcmp(key, "epochs") == 0));
}

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
            if (is_left_out(d, node, node->key[i]->scalar)) {
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
    struct digest d = {.train = config->train_node,
                       .with_epochs = fnl_schedule_needs_length(&config->schedule)};
    add_node(&d, fnl_yaml_root(config->doc));
    return d.crc;
}
