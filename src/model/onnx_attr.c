/* onnx_attr.c - attributes of one ONNX node. Every reader checks the type; an attribute that no
 * reader asked for is an error, because it may change what the operator means. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "model/onnx_int.h"

#define TYPE(x) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##x

int fnl__onnx_fail(const struct fnl__onnx *o, const struct fnl__onnx_node *n, int code,
                   const char *hint, const char *format, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, format);
    int size = vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    const Onnx__NodeProto *p = n->proto;
    return fnl_error_set(o->err, code, __FILE__, __LINE__, hint, "%s: node %d \"%s\" (%s): %s",
                         o->file, n->index, p->name != NULL ? p->name : "",
                         p->op_type != NULL ? p->op_type : "", size < 0 ? "?" : what);
}

/* The attribute, marked as used; NULL when absent. *rc: what is wrong with it. */
static const Onnx__AttributeProto *find(const struct fnl__onnx *o, struct fnl__onnx_node *n,
                                        const char *name, int type, int *rc)
{
    *rc = 0;
    for (size_t i = 0; i < n->proto->n_attribute && i < FNL_MAX_ONNX_ATTRIBUTES; i++) {
        const Onnx__AttributeProto *a = n->proto->attribute[i];
        if (a->name == NULL || strcmp(a->name, name) != 0) {
            continue;
        }
        n->used |= UINT64_C(1) << i;
        if (a->has_type && (int)a->type != type) {
            *rc =
                fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL, "attribute %s is of the wrong type", name);
            return NULL;
        }
        return a;
    }
    return NULL;
}

int fnl__onnx_attr_int(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name, int64_t min,
                       int64_t max, int64_t *ret)
{
    int rc;
    const Onnx__AttributeProto *a = find(o, n, name, TYPE(INT), &rc);
    if (a == NULL) {
        return rc;
    }
    if (a->i < min || a->i > max) {
        return fnl__onnx_fail(o, n, FNL_E_FORMAT, NULL,
                              "attribute %s is %lld, expected %lld to %lld", name, (long long)a->i,
                              (long long)min, (long long)max);
    }
    *ret = a->i;
    return 0;
}

int fnl__onnx_attr_bool(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name, bool *ret)
{
    int64_t value = *ret;
    int rc = fnl__onnx_attr_int(o, n, name, 0, 1, &value);
    *ret = value != 0;
    return rc;
}

int fnl__onnx_attr_float(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name,
                         float *ret)
{
    int rc;
    const Onnx__AttributeProto *a = find(o, n, name, TYPE(FLOAT), &rc);
    if (a != NULL) {
        *ret = a->f;
    }
    return rc;
}

int fnl__onnx_attr_ints(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name, int max,
                        int64_t *ret, int *ret_count)
{
    int rc;
    const Onnx__AttributeProto *a = find(o, n, name, TYPE(INTS), &rc);
    *ret_count = 0;
    if (a == NULL) {
        return rc;
    }
    if (a->n_ints > (size_t)max) {
        return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL,
                              "attribute %s has %zu numbers, at most %d", name, a->n_ints, max);
    }
    for (size_t i = 0; i < a->n_ints; i++) {
        ret[i] = a->ints[i];
    }
    *ret_count = (int)a->n_ints;
    return 0;
}

int fnl__onnx_attr_enum(struct fnl__onnx *o, struct fnl__onnx_node *n, const char *name,
                        const char *const *names, int *ret)
{
    int rc;
    const Onnx__AttributeProto *a = find(o, n, name, TYPE(STRING), &rc);
    if (a == NULL) {
        return rc;
    }
    for (int i = 0; names[i] != NULL; i++) {
        if (a->s.len == strlen(names[i]) && memcmp(a->s.data, names[i], a->s.len) == 0) {
            *ret = i;
            return 0;
        }
    }
    return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL, "attribute %s is \"%.*s\"", name,
                          (int)(a->s.len < 40 ? a->s.len : 40), (const char *)a->s.data);
}

int fnl__onnx_attr_rest(struct fnl__onnx *o, const struct fnl__onnx_node *n)
{
    if (n->proto->n_attribute > FNL_MAX_ONNX_ATTRIBUTES) {
        return fnl__onnx_fail(o, n, FNL_E_LIMIT, NULL, "it has %zu attributes",
                              n->proto->n_attribute);
    }
    for (size_t i = 0; i < n->proto->n_attribute; i++) {
        const char *name = n->proto->attribute[i]->name;
        if ((n->used & UINT64_C(1) << i) == 0) {
            return fnl__onnx_fail(o, n, FNL_E_UNSUPPORTED, NULL,
                                  "attribute \"%s\" is unknown, or stands twice",
                                  name != NULL ? name : "");
        }
    }
    return 0;
}
