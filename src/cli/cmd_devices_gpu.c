/* cmd_devices_gpu.c - the accelerators' part of `fournil devices` (interface in
 * cmd_devices_int.h). */
#include <string.h>

#include "cli/cmd_devices_int.h"
#include "cli/print.h"

const char *fnl__devices_auto(const struct fnl_accel_list *list)
{
    return list != NULL && list->best >= 0 ? list->device[list->best].info.name : "cpu";
}

void fnl__devices_why(const struct fnl_accel_list *list, char out[FNL__DEVICES_WHY])
{
    if (list->best >= 0) {
        snprintf(out, FNL__DEVICES_WHY, "the fastest GPU here, %s",
                 list->device[list->best].info.model);
    } else {
        snprintf(out, FNL__DEVICES_WHY, "%s", list->no_gpu.message);
    }
}

/* ---- as JSON ---- */

/* The text, or null when there is none. */
static json_t *json_text(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *json_capability(const struct fnl_accel_info *i)
{
    return i->capability_major > 0 ? json_sprintf("%d.%d", i->capability_major, i->capability_minor)
                                   : json_null();
}

static json_t *json_device(const struct fnl_accel_found *f, const char *kind)
{
    const struct fnl_accel_info *i = &f->info;
    bool known = f->problem.code == 0;
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:o}",
        /* clang-format off */
        "name", i->name,
        "kind", kind,
        "model", json_text(i->model),
        "vendor", json_text(i->vendor),
        "driver", json_text(i->driver),
        "platform", json_text(i->platform),
        "uuid", json_text(i->uuid),
        "memory_total_bytes", known ? json_integer((json_int_t)i->memory_bytes) : json_null(),
        "local_memory_bytes", known ? json_integer((json_int_t)i->local_bytes) : json_null(),
        "compute_units", known ? json_integer(i->compute_units) : json_null(),
        "capability", json_capability(i),
        "max_group", known ? json_integer((json_int_t)i->max_group) : json_null(),
        "is_cpu", (int)i->is_cpu,
        "float16", (int)i->has_f16,
        "float64", (int)i->has_f64,
        "problem", json_text(f->problem.message));
    /* clang-format on */
}

void fnl__devices_json(const struct fnl_accel_list *list, json_t *devices)
{
    int at = 0;
    for (int i = 0; i < list->driver_count; i++) {
        for (int d = 0; d < list->driver[i].device_count; d++) {
            json_array_append_new(devices, json_device(&list->device[at++], list->driver[i].name));
        }
    }
}

json_t *fnl__devices_json_drivers(const struct fnl_accel_list *list)
{
    json_t *array = json_array();
    for (int i = 0; i < list->driver_count; i++) {
        const struct fnl_accel_probe *p = &list->driver[i];
        json_array_append_new(array,
                              json_pack("{s:s, s:i, s:o, s:o}", "name", p->name, "devices",
                                        p->device_count, "problem", json_text(p->problem.message),
                                        "hint", json_text(p->problem.hint)));
    }
    return array;
}

json_t *fnl__devices_json_libraries(const struct fnl_accel_list *list)
{
    json_t *array = json_array();
    for (int i = 0; i < FNL_ACCEL_LIBRARIES; i++) {
        const struct fnl_accel_library *l = &list->library[i];
        json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:b}", "name", l->name, "driver",
                                               l->driver, "found", json_text(l->found), "used", 0));
    }
    return array;
}

/* ---- as text ---- */

#define MODEL_WIDTH 44 /* leaves the table within 80 columns */

static void print_cells(struct fnl_table *table, const struct fnl_accel_found *f)
{
    const struct fnl_accel_info *i = &f->info;
    char what[sizeof i->model + 32];
    fnl_table_cell(table, "%s", i->name);
    if (f->problem.code != 0) {
        fnl_table_cell(table, "cannot be used, see below");
        fnl_table_cell(table, "?");
        fnl_table_cell(table, "?");
        return;
    }
    int n = snprintf(what, sizeof what, "%s", i->model);
    if (n > MODEL_WIDTH - 8) { /* the whole name is in --json */
        memcpy(what + MODEL_WIDTH - 11, "...", 4);
        n = MODEL_WIDTH - 8;
    }
    if (i->capability_major > 0) {
        snprintf(what + n, sizeof what - (size_t)n, " (%d.%d)", i->capability_major,
                 i->capability_minor);
    } else if (i->is_cpu) {
        snprintf(what + n, sizeof what - (size_t)n, " (a CPU)");
    }
    fnl_table_cell(table, "%s", what);
    fnl_table_cell(table, "%d", i->compute_units);
    fnl_table_cell(table, "%.1f GiB", (double)i->memory_bytes / (double)(1 << 30));
}

static int print_table(const struct fnl_accel_list *list, struct fnl_error *err)
{
    static const char *const headings[] = {"NAME", "DEVICE", "UNITS", "MEMORY"};
    struct fnl_table *table = NULL;
    int rc = list->device_count > 0 ? fnl_table_create(4, headings, &table, err) : 0;
    if (rc != 0 || table == NULL) {
        return rc;
    }
    fnl_table_align_right(table, 2);
    fnl_table_align_right(table, 3);
    for (int d = 0; d < list->device_count; d++) {
        print_cells(table, &list->device[d]);
    }
    puts("");
    rc = fnl_table_print(table, stdout, err);
    fnl_table_free(table);
    return rc;
}

/* "label  text", the text wrapped beside the label. */
static void print_entry(const char *label, const char *text)
{
    int width = printf("  %-8s  ", label);
    fnl_print_wrapped(stdout, text, width, width);
}

static void print_problem(const char *label, const struct fnl_error *problem)
{
    char text[sizeof problem->message + sizeof problem->hint + 16];
    snprintf(text, sizeof text, "%s%s%s", problem->message,
             problem->hint[0] != '\0' ? ". Remedy: " : "", problem->hint);
    for (char *p = text; *p != '\0'; p++) {
        *p = *p == '\n' ? ' ' : *p; /* one entry, one paragraph */
    }
    print_entry(label, text);
}

/* The versions of a driver's devices, each once, and what is wrong. */
static void print_driver(const struct fnl_accel_list *list, const struct fnl_accel_probe *p,
                         int first)
{
    const char *label = p->name;
    for (int d = first; d < first + p->device_count; d++) {
        const struct fnl_accel_found *f = &list->device[d];
        bool seen = false;
        for (int e = first; e < d && !seen; e++) {
            seen = strcmp(list->device[e].info.driver, f->info.driver) == 0;
        }
        if (f->problem.code == 0 && !seen) {
            print_entry(label, f->info.driver);
            label = "";
        }
    }
    if (p->problem.code != 0) {
        print_problem(label, &p->problem);
    }
    for (int d = first; d < first + p->device_count; d++) {
        const struct fnl_error *e = &list->device[d].problem;
        if (e->code != 0 && strcmp(e->message, p->problem.message) != 0) {
            print_problem(list->device[d].info.name, e);
        }
    }
}

static void print_libraries(const struct fnl_accel_list *list)
{
    char text[400];
    int n = 0;
    for (int i = 0; i < FNL_ACCEL_LIBRARIES; i++) {
        const struct fnl_accel_library *l = &list->library[i];
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s %s%s", i > 0 ? ", " : "", l->name,
                      l->found[0] != '\0' ? "found: " : "not found", l->found);
    }
    snprintf(text + n, sizeof text - (size_t)n, ". None is used: all kernels are Fournil's own.");
    fnl_print_wrapped(stdout, text, 0, 0);
}

int fnl__devices_print(const struct fnl_accel_list *list, struct fnl_error *err)
{
    int first = 0;
    char why[FNL__DEVICES_WHY], text[FNL__DEVICES_WHY + 64];
    int rc = print_table(list, err);
    if (rc != 0) {
        return rc;
    }
    puts("\nDrivers of accelerators:");
    for (int i = 0; i < list->driver_count; i++) {
        print_driver(list, &list->driver[i], first);
        first += list->driver[i].device_count;
    }
    puts("");
    print_libraries(list);
    fnl__devices_why(list, why);
    snprintf(text, sizeof text, "--device auto takes %s: %s", fnl__devices_auto(list), why);
    fnl_print_wrapped(stdout, text, 0, 0);
    return 0;
}
