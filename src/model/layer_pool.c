/* layer_pool.c - pooling: windows, and over the whole image. */
#include "base/limits.h"
#include "model/layers_int.h"

struct pool {
    const char *name;
    struct fnl_ints pool_size, strides;
    struct fnl_yaml_node *padding;
};

static const struct fnl_field pool_fields[] = {
    FNL__LAYER_NAME,
    {"pool_size", FNL_FIELD_INTS, offsetof(struct pool, pool_size), .fallback = "2", .min = 1,
     .max = FNL_MAX_WINDOW, .doc = "size of the window: a number, or [height, width]"},
    {"strides", FNL_FIELD_INTS, offsetof(struct pool, strides), .min = 1, .max = FNL_MAX_WINDOW,
     .doc = "step of the window; default: pool_size"},
    {"padding", FNL_FIELD_NODE, offsetof(struct pool, padding),
     .doc = "valid (default, none), same (output = input / stride, rounded up), a number, "
            "[height, width] or [top, left, bottom, right]; padding never wins a maximum and does "
            "not count in an average"},
    {0},
};

static int build_pool(struct fnl__layers *b, const struct pool *a, enum fnl_op op)
{
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    int rc = fnl__layer_need_rank(b, 4);
    rc = rc != 0 ? rc : fnl__layer_pair(b, &a->pool_size, "pool_size", attrs.kernel);
    memcpy(attrs.strides, attrs.kernel, sizeof attrs.strides);
    rc = rc != 0 ? rc : fnl__layer_pair(b, &a->strides, "strides", attrs.strides);
    rc = rc != 0 ? rc : fnl__layer_padding(b, a->padding, &attrs);
    int x = b->value;
    return rc != 0 ? rc : fnl__layer_emit(b, op, NULL, &attrs, &x, 1, true);
}

static int build_max_pool(struct fnl__layers *b, const void *args)
{
    return build_pool(b, args, FNL_OP_MAX_POOL);
}

static int build_average_pool(struct fnl__layers *b, const void *args)
{
    return build_pool(b, args, FNL_OP_AVERAGE_POOL);
}

struct global_pool {
    const char *name;
    bool keepdims;
};

static const struct fnl_field global_pool_fields[] = {
    FNL__LAYER_NAME,
    {"keepdims", FNL_FIELD_BOOL, offsetof(struct global_pool, keepdims), .fallback = "false",
     .doc = "[N, C, 1, 1] instead of [N, C]"},
    {0},
};

static int build_global_pool(struct fnl__layers *b, const struct global_pool *a, enum fnl_op op)
{
    int rc = fnl__layer_need_rank(b, 4);
    int x = b->value;
    rc = rc != 0 ? rc : fnl__layer_emit(b, op, NULL, NULL, &x, 1, a->keepdims);
    if (rc != 0 || a->keepdims) {
        return rc;
    }
    struct fnl_attrs attrs = FNL_ATTRS_INIT;
    attrs.axis = 1;
    x = b->value;
    return fnl__layer_emit(b, FNL_OP_FLATTEN, "flatten", &attrs, &x, 1, true);
}

static int build_global_max_pool(struct fnl__layers *b, const void *args)
{
    return build_global_pool(b, args, FNL_OP_GLOBAL_MAX_POOL);
}

static int build_global_average_pool(struct fnl__layers *b, const void *args)
{
    return build_global_pool(b, args, FNL_OP_GLOBAL_AVERAGE_POOL);
}

const struct fnl__layer_kind fnl__layer_pool_kinds[] = {
    {"max_pooling2d", "pool_size", pool_fields, sizeof(struct pool), build_max_pool,
     "Largest value of each window"},
    {"average_pooling2d", "pool_size", pool_fields, sizeof(struct pool), build_average_pool,
     "Mean of each window"},
    {"global_max_pooling2d", NULL, global_pool_fields, sizeof(struct global_pool),
     build_global_max_pool, "Largest value of each channel: images to rows"},
    {"global_average_pooling2d", NULL, global_pool_fields, sizeof(struct global_pool),
     build_global_average_pool, "Mean of each channel: images to rows"},
    {0},
};
