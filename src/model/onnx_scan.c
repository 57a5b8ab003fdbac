/* onnx_scan.c - a first look at the bytes of an ONNX file, before the decoder.
 *
 * protobuf-c decodes nested messages by recursion and allocates for each as it goes, so a small
 * hostile file could exhaust stack or memory. This walk follows the schema's own descriptors with
 * an explicit stack and refuses: fields that do not fit their message, groups and unknown wire
 * types, nesting beyond FNL_MAX_ONNX_DEPTH, more messages or fields than FNL_MAX_ONNX_MESSAGES and
 * _FIELDS, and a message field that may stand once and stands twice (the decoder would merge them;
 * no writer does that). Wire format: "Protocol Buffers encoding". Cost: one pass over the tags;
 * tensor data is stepped over. */
#include <string.h>

#include "base/limits.h"
#include "model/onnx_int.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct frame {
    const ProtobufCMessageDescriptor *message;
    size_t end;
    uint64_t seen; /* bit id: a single message field that has stood; ids of the schema are < 64 */
};

struct scan {
    const char *file;
    const unsigned char *data;
    size_t at;
    struct frame stack[FNL_MAX_ONNX_DEPTH];
    int depth;
    size_t messages, fields;
    struct fnl_error *err;
};

static int fail(const struct scan *s, const char *what)
{
    return FNL_FAIL(s->err, FORMAT, "the file is damaged or no ONNX model; export it again",
                    "%s: byte %zu: %s (in %s)", s->file, s->at, what,
                    s->stack[s->depth - 1].message->short_name);
}

static bool read_varint(struct scan *s, uint64_t *ret)
{
    uint64_t value = 0;
    size_t end = s->stack[s->depth - 1].end;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (s->at >= end) {
            return false;
        }
        uint64_t byte = s->data[s->at++];
        value |= (byte & 0x7F) << shift;
        if (byte < 0x80) {
            *ret = value;
            return shift < 63 || byte < 2;
        }
    }
    return false;
}

/* A field of bytes: into the message it holds, or over it. */
static int enter_or_skip(struct scan *s, const ProtobufCFieldDescriptor *field, uint64_t size)
{
    struct frame *f = &s->stack[s->depth - 1];
    if (size > f->end - s->at) {
        return fail(s, "a length points beyond the end");
    }
    if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        s->at += (size_t)size;
        return 0;
    }
    if (field->label != PROTOBUF_C_LABEL_REPEATED && field->id < 64) {
        if ((f->seen & (UINT64_C(1) << field->id)) != 0) {
            return fail(s, "a single field stands twice");
        }
        f->seen |= UINT64_C(1) << field->id;
    }
    if (s->depth == FNL_MAX_ONNX_DEPTH) {
        return FNL_FAIL(s->err, LIMIT, "models with nested subgraphs (If, Loop) are not supported",
                        "%s: byte %zu: messages stand more than %d deep in each other", s->file,
                        s->at, FNL_MAX_ONNX_DEPTH);
    }
    if (++s->messages > FNL_MAX_ONNX_MESSAGES) {
        return FNL_FAIL(s->err, LIMIT, NULL, "%s: more than %d messages", s->file,
                        FNL_MAX_ONNX_MESSAGES);
    }
    s->stack[s->depth++] = (struct frame){field->descriptor, s->at + (size_t)size, 0};
    return 0;
}

static int scan_field(struct scan *s)
{
    uint64_t tag, value;
    struct frame *f = &s->stack[s->depth - 1];
    if (!read_varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911) {
        return fail(s, "bad tag");
    }
    if (++s->fields > FNL_MAX_ONNX_FIELDS) {
        return FNL_FAIL(s->err, LIMIT, NULL, "%s: more than %d fields", s->file,
                        FNL_MAX_ONNX_FIELDS);
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(f->message, (unsigned)(tag >> 3));
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(s, &value) ? 0 : fail(s, "bad number");
    case WIRE_64:
    case WIRE_32: {
        size_t size = (tag & 7) == WIRE_64 ? 8 : 4;
        if (f->end - s->at < size) {
            return fail(s, "a number is cut off");
        }
        s->at += size;
        return 0;
    }
    case WIRE_BYTES:
        if (!read_varint(s, &value)) {
            return fail(s, "bad length");
        }
        return enter_or_skip(s, field, value);
    default:
        return fail(s, "unknown wire type");
    }
}

int fnl__onnx_scan(const char *file, const void *data, size_t size, struct fnl_error *err)
{
    struct scan s = {.file = file, .data = data, .depth = 1, .err = err};
    s.stack[0] = (struct frame){&onnx__model_proto__descriptor, size, 0};
    while (s.depth > 0) {
        if (s.at == s.stack[s.depth - 1].end) {
            s.depth--;
            continue;
        }
        int rc = scan_field(&s);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
