/* cmd_devices.c - `fournil devices`: what can train here, and the name to give to --device. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/cmd_devices_int.h"
#include "cli/print.h"
#include "device/cpu.h"

struct devices_options {
    bool json;
    const char *root;
    int64_t timeout;
};

/* Where the kernel module is loaded at the first use, a machine with 16 GPUs takes ten seconds. */
#define TIMEOUT_S 30

static const struct devices_options defaults = {.root = "/", .timeout = TIMEOUT_S};

static const struct fnl_opt options[] = {
    {"json", 0, FNL_OPT_FLAG, offsetof(struct devices_options, json),
     .help = "print all that is known as one JSON object"},
    {"timeout", 0, FNL_OPT_INT, offsetof(struct devices_options, timeout), "SECONDS",
     "how long a driver may take to answer (default: 30)", .min = 1, .max = 600},
    {"root", 0, FNL_OPT_STRING, offsetof(struct devices_options, root), "DIR",
     "read /proc and /sys below DIR", .complete = FNL_COMPLETE_DIR, .hidden = true},
    {NULL},
};

static const struct fnl_example examples[] = {
    {"what is here", "fournil devices"},
    {"the names for --device, one a line", "fournil devices --json | jq -r '.devices[].name'"},
    {"the instruction sets, one a line", "fournil devices --json | jq -r '.devices[0].isa[]'"},
    {NULL},
};

/* The number, or null when it is unknown. */
static json_t *json_reading(const struct fnl_reading *r)
{
    return r->valid ? json_integer(r->value) : json_null();
}

static json_t *json_isa(const struct fnl_cpu *cpu)
{
    json_t *list = json_array();

    for (int i = 0; i < FNL_ISA_COUNT; i++) {
        if (fnl_cpu_has(cpu, (enum fnl_isa)i)) {
            json_array_append_new(list, json_string(fnl_isa_name((enum fnl_isa)i)));
        }
    }
    return list;
}

static json_t *json_caches(const struct fnl_cpu *cpu)
{
    json_t *list = json_array();

    for (int i = 0; i < cpu->cache_count; i++) {
        const struct fnl_cpu_cache *c = &cpu->cache[i];
        json_array_append_new(list, json_pack("{s:i, s:s, s:I, s:o}", "level", c->level, "type",
                                              c->type, "size_bytes", (json_int_t)c->size_bytes,
                                              "shared_by_cpus", json_reading(&c->shared_by_cpus)));
    }
    return list;
}

static json_t *json_cpu(const struct fnl_cpu *cpu)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        /* clang-format off */
        "name", "cpu",
        "kind", "cpu",
        "model", cpu->model,
        "vendor", cpu->vendor[0] != '\0' ? cpu->vendor : NULL,
        "cpus_online", json_reading(&cpu->cpus_online),
        "cpus_usable", json_reading(&cpu->cpus_usable),
        "cores", json_reading(&cpu->cores),
        "sockets", json_reading(&cpu->sockets),
        "numa_nodes", json_reading(&cpu->numa_nodes),
        "frequency_khz", json_reading(&cpu->frequency_khz),
        "frequency_max_khz", json_reading(&cpu->frequency_max_khz),
        "isa", json_isa(cpu),
        "caches", json_caches(cpu),
        "memory_total_bytes", json_reading(&cpu->memory_total_bytes),
        "memory_available_bytes", json_reading(&cpu->memory_available_bytes),
        "memory_limit_bytes", json_reading(&cpu->memory_limit_bytes));
    /* clang-format on */
}

/* list: NULL where only a captured tree is looked at. */
static int print_json(const struct fnl_cpu *cpu, const struct fnl_accel_list *list,
                      struct fnl_error *err)
{
    char why[FNL__DEVICES_WHY];
    json_t *devices = json_pack("[o]", json_cpu(cpu));
    if (list == NULL) {
        return fnl_print_json(json_pack("{s:o, s:s}", "devices", devices, "auto", "cpu"), err);
    }
    fnl__devices_json(list, devices);
    fnl__devices_why(list, why);
    return fnl_print_json(json_pack("{s:o, s:s, s:s, s:o, s:o}", "devices", devices, "auto",
                                    fnl__devices_auto(list), "auto_reason", why, "drivers",
                                    fnl__devices_json_drivers(list), "libraries",
                                    fnl__devices_json_libraries(list)),
                          err);
}

/* "23.5 GiB"; "?" when unknown. */
static const char *memory_text(const struct fnl_reading *r, char out[32])
{
    if (r->valid) {
        snprintf(out, 32, "%.1f GiB", (double)r->value / (double)(1 << 30));
    } else {
        snprintf(out, 32, "?");
    }
    return out;
}

static const char *count_text(const struct fnl_reading *r, char out[32])
{
    if (r->valid) {
        snprintf(out, 32, "%" PRId64, r->value);
    } else {
        snprintf(out, 32, "?");
    }
    return out;
}

/* The instruction sets that decide which kernels run: the widest first, at most three. */
static const char *isa_text(const struct fnl_cpu *cpu, char out[64])
{
    static const enum fnl_isa order[] = {FNL_ISA_AMX_BF16, FNL_ISA_AVX512_BF16, FNL_ISA_AVX512F,
                                         FNL_ISA_AVX2,     FNL_ISA_FMA,         FNL_ISA_SVE2,
                                         FNL_ISA_ARM_BF16, FNL_ISA_NEON};
    size_t used = 0;
    int shown = 0;

    snprintf(out, 64, "-");
    for (size_t i = 0; i < sizeof order / sizeof order[0] && shown < 3; i++) {
        if (fnl_cpu_has(cpu, order[i])) {
            used += (size_t)snprintf(out + used, 64 - used, "%s%s", shown > 0 ? " " : "",
                                     fnl_isa_name(order[i]));
            shown++;
        }
    }
    return out;
}

static int print_table(const struct fnl_cpu *cpu, struct fnl_error *err)
{
    static const char *const headings[] = {"NAME", "DEVICE", "CPUS", "ISA", "MEMORY"};
    char usable[32], online[32], isa[64], total[32], available[32];
    struct fnl_table *table = NULL;

    int rc = fnl_table_create(5, headings, &table, err);
    if (rc != 0) {
        return rc;
    }
    fnl_table_cell(table, "cpu");
    fnl_table_cell(table, "%s", cpu->model);
    fnl_table_cell(table, "%s of %s", count_text(&cpu->cpus_usable, usable),
                   count_text(&cpu->cpus_online, online));
    fnl_table_cell(table, "%s", isa_text(cpu, isa));
    if (cpu->memory_limit_bytes.valid) {
        fnl_table_cell(table, "limit %s of %s", memory_text(&cpu->memory_limit_bytes, available),
                       memory_text(&cpu->memory_total_bytes, total));
    } else {
        fnl_table_cell(table, "%s free of %s", memory_text(&cpu->memory_available_bytes, available),
                       memory_text(&cpu->memory_total_bytes, total));
    }
    rc = fnl_table_print(table, stdout, err);
    fnl_table_free(table);
    return rc;
}

static int run(const struct fnl_call *call, struct fnl_error *err)
{
    const struct devices_options *o = call->options;
    struct fnl_cpu cpu;

    struct fnl_accel_list *list = NULL;
    if (strcmp(o->root, "/") == 0) {
        int rc = fnl_accel_list_create(fnl_accel_drivers, (int)o->timeout * 1000, &list, err);
        if (rc != 0) {
            return rc;
        }
    }
    fnl_cpu_probe(o->root, &cpu);
    int rc = o->json ? print_json(&cpu, list, err) : print_table(&cpu, err);
    if (rc == 0 && !o->json && list != NULL) {
        rc = fnl__devices_print(list, err);
    }
    fnl_accel_list_free(list);
    return rc;
}

const struct fnl_command fnl_cmd_devices = {
    .name = "devices",
    .summary = "list what can train here",
    .description = "Lists the devices of this machine: the name to give to --device, what it is, "
                   "its memory; of the CPU also how many this process may use and the instruction "
                   "sets that decide which kernels run. Below stand the drivers of accelerators, "
                   "with what is wrong where one is absent or broken, vendors' libraries, and what "
                   "--device auto takes and why.\n"
                   "Each driver is asked in a process of its own, so one that crashes or hangs "
                   "costs no more than its line.",
    .options = options,
    .defaults = &defaults,
    .options_size = sizeof(struct devices_options),
    .examples = examples,
    .run = run,
};
