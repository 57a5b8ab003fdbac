/* cmd_devices.c - `fournil devices`: what can train here, and the name to give to --device. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/print.h"
#include "device/cpu.h"

struct devices_options {
    bool json;
    const char *root;
};

static const struct devices_options defaults = {.root = "/"};

static const struct fnl_opt options[] = {
    {"json", 0, FNL_OPT_FLAG, offsetof(struct devices_options, json),
     .help = "print all that is known as one JSON object"},
    {"root", 0, FNL_OPT_STRING, offsetof(struct devices_options, root), "DIR",
     "read /proc and /sys below DIR", .complete = FNL_COMPLETE_DIR, .hidden = true},
    {NULL},
};

static const struct fnl_example examples[] = {
    {"what is here", "fournil devices"},
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

static int print_json(const struct fnl_cpu *cpu, struct fnl_error *err)
{
    json_t *device = json_pack(
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
    return fnl_print_json(json_pack("{s:[o], s:s}", "devices", device, "auto", "cpu"), err);
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

    fnl_cpu_probe(o->root, &cpu);
    return o->json ? print_json(&cpu, err) : print_table(&cpu, err);
}

const struct fnl_command fnl_cmd_devices = {
    .name = "devices",
    .summary = "list what can train here",
    .description = "Lists the devices of this machine, one a line: the name to give to --device, "
                   "what it is, how many of its CPUs this process may use, the instruction sets "
                   "that decide which kernels run, and its memory.\n"
                   "So far the CPU is the only kind of device.",
    .options = options,
    .defaults = &defaults,
    .options_size = sizeof(struct devices_options),
    .examples = examples,
    .run = run,
};
