/* cpu.c - reads the processor's facts from /proc and /sys (interface in cpu.h).
 *
 * Every file is optional: containers hide parts of /sys, virtual machines have no cpufreq, ARM has
 * no "model name". Numbers are taken only when they are whole and plausible. Formats: proc(5), and
 * the kernel's Documentation/ABI/stable/sysfs-devices-system-cpu.
 *
 * Cost: one read of /proc/cpuinfo and /proc/meminfo, one small file per logical CPU (topology). */
#include "device/cpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/host.h"
#include "base/mem.h"
#include "base/text.h"

#define MAX_FILE ((size_t)8 << 20) /* /proc/cpuinfo of 2,000 CPUs is about 3 MiB */
#define MAX_CPUS 8192              /* the kernel's own limit */
#define MAX_PACKAGES 1024
#define MAX_PATH 4096

static const char *const isa_names[] = {
#define ISA_NAME(id, name, word) name,
    FNL_ISAS(ISA_NAME)
#undef ISA_NAME
};

static const char *const isa_words[] = {
#define ISA_WORD(id, name, word) word,
    FNL_ISAS(ISA_WORD)
#undef ISA_WORD
};

const char *fnl_isa_name(enum fnl_isa isa)
{
    return isa_names[isa];
}

bool fnl_cpu_has(const struct fnl_cpu *cpu, enum fnl_isa isa)
{
    return (cpu->isa >> isa & 1U) != 0;
}

static void set_reading(struct fnl_reading *r, int64_t value)
{
    r->value = value;
    r->valid = true;
}

/* ---- small files ---- */

/* The whole file below root, or NULL; fnl_free. */
static char *read_text(const char *root, const char *path)
{
    char full[MAX_PATH];
    char *text = NULL;
    size_t size = 0;

    int length = snprintf(full, sizeof full, "%s%s", strcmp(root, "/") == 0 ? "" : root, path);
    if (length < 0 || (size_t)length >= sizeof full) {
        return NULL;
    }
    if (fnl_file_read(full, MAX_FILE, &text, &size, NULL) != 0) {
        return NULL;
    }
    if (memchr(text, '\0', size) != NULL) { /* not a text of the kernel's */
        fnl_free(text);
        return NULL;
    }
    return text;
}

/* The first line of a file of one value, into out; false when absent, empty or too long. */
static bool read_line(const char *root, const char *path, char *out, size_t size)
{
    char *text = read_text(root, path);
    if (text == NULL) {
        return false;
    }
    size_t length = strcspn(text, "\n");
    bool ok = length > 0 && length < size;
    if (ok) {
        memcpy(out, text, length);
        out[length] = '\0';
    }
    fnl_free(text);
    return ok;
}

static bool read_number(const char *root, const char *path, struct fnl_reading *ret)
{
    char line[32];
    int64_t value;

    if (!read_line(root, path, line, sizeof line) || !fnl_parse_int(line, &value) || value < 0) {
        return false;
    }
    set_reading(ret, value);
    return true;
}

/* ---- CPU lists: "0-3,8,10-11" ---- */

/* Sets set[i] for each CPU of the list; returns how many, -1 when the text is no list. */
static int parse_list(const char *text, bool set[MAX_CPUS])
{
    int count = 0;

    while (*text != '\0' && *text != '\n') {
        char *end = NULL;
        if (*text < '0' || *text > '9') {
            return -1;
        }
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            text = end + 1;
            if (*text < '0' || *text > '9') {
                return -1;
            }
            last = strtoul(text, &end, 10);
        }
        if (last < first || last >= MAX_CPUS) {
            return -1;
        }
        for (unsigned long i = first; i <= last; i++) {
            count += !set[i];
            set[i] = true;
        }
        if (*end == ',') {
            end++;
        } else if (*end != '\0' && *end != '\n') {
            return -1;
        }
        text = end;
    }
    return count;
}

static int count_list(const char *text)
{
    bool set[MAX_CPUS] = {false};
    return parse_list(text, set);
}

static void read_list_count(const char *root, const char *path, struct fnl_reading *ret)
{
    char *text = read_text(root, path);
    int count = text != NULL ? count_list(text) : -1;

    if (count > 0) {
        set_reading(ret, count);
    }
    fnl_free(text);
}

/* ---- "key : value" texts ---- */

/* The value of the first line whose key is `key`, into out; false when there is none. */
static bool find_value(const char *text, const char *key, char *out, size_t size)
{
    size_t key_length = strlen(key);

    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        const char *colon = memchr(line, ':', length);

        if (colon != NULL && strncmp(line, key, key_length) == 0 &&
            strspn(line + key_length, " \t") == (size_t)(colon - line) - key_length) {
            const char *value = colon + 1 + strspn(colon + 1, " \t");
            const char *end = line + length;
            if (value < end) {
                snprintf(out, size, "%.*s", (int)(end - value), value);
                return true;
            }
        }
        line += length + (line[length] == '\n');
    }
    return false;
}

/* "24683656 kB" of /proc/meminfo. */
static void find_kib(const char *text, const char *key, struct fnl_reading *ret)
{
    char value[64];
    int64_t kib;

    if (!find_value(text, key, value, sizeof value)) {
        return;
    }
    char *space = strchr(value, ' ');
    if (space == NULL || strcmp(space, " kB") != 0) {
        return;
    }
    *space = '\0';
    if (fnl_parse_int(value, &kib) && kib >= 0 && kib < INT64_MAX / 1024) {
        set_reading(ret, kib * 1024);
    }
}

/* ---- parts ---- */

/* The designs of ARM by implementer and part, where the kernel gives no name. */
static const struct {
    const char *implementer, *part, *name;
} arm_parts[] = {
    {"0x41", "0xd03", "ARM Cortex-A53"},     {"0x41", "0xd05", "ARM Cortex-A55"},
    {"0x41", "0xd07", "ARM Cortex-A57"},     {"0x41", "0xd08", "ARM Cortex-A72"},
    {"0x41", "0xd0b", "ARM Cortex-A76"},     {"0x41", "0xd0c", "ARM Neoverse-N1"},
    {"0x41", "0xd40", "ARM Neoverse-V1"},    {"0x41", "0xd42", "ARM Cortex-A78AE"},
    {"0x41", "0xd49", "ARM Neoverse-N2"},    {"0x41", "0xd4f", "ARM Neoverse-V2"},
    {"0xc0", "0xac3", "Ampere AmpereOne"},   {"0x46", "0x001", "Fujitsu A64FX"},
    {"0x4e", "0x004", "NVIDIA Carmel core"},
};

static void read_arm_model(const char *text, struct fnl_cpu *cpu)
{
    char implementer[16], part[16];

    if (!find_value(text, "CPU implementer", implementer, sizeof implementer) ||
        !find_value(text, "CPU part", part, sizeof part)) {
        return;
    }
    for (size_t i = 0; i < sizeof arm_parts / sizeof arm_parts[0]; i++) {
        if (strcmp(arm_parts[i].implementer, implementer) == 0 &&
            strcmp(arm_parts[i].part, part) == 0) {
            snprintf(cpu->model, sizeof cpu->model, "%s", arm_parts[i].name);
            return;
        }
    }
    snprintf(cpu->model, sizeof cpu->model, "ARM CPU (implementer %s, part %s)", implementer, part);
}

/* Sets the bits of the blank-separated words it knows. */
static uint64_t parse_isa(const char *words)
{
    uint64_t isa = 0;

    while (*words != '\0') {
        size_t length = strcspn(words, " \t");
        for (int i = 0; i < FNL_ISA_COUNT; i++) {
            if (strlen(isa_words[i]) == length && memcmp(isa_words[i], words, length) == 0) {
                isa |= UINT64_C(1) << i;
            }
        }
        words += length;
        words += strspn(words, " \t");
    }
    return isa;
}

/* A virtual machine may call its CPU anything; names are shown and go into JSON. */
static void clean_name(char *name)
{
    for (char *p = name; *p != '\0'; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            *p = '?';
        }
    }
}

static void read_cpuinfo(const char *root, struct fnl_cpu *cpu)
{
    char flags[8192]; /* a flags line of 2026 has about 2,000 bytes */
    char mhz[32];
    double value;
    char *text = read_text(root, "/proc/cpuinfo");

    if (text == NULL) {
        return;
    }
    if (!find_value(text, "model name", cpu->model, sizeof cpu->model)) {
        read_arm_model(text, cpu);
    }
    (void)find_value(text, "vendor_id", cpu->vendor, sizeof cpu->vendor);
    clean_name(cpu->model);
    clean_name(cpu->vendor);
    if (find_value(text, "flags", flags, sizeof flags) ||
        find_value(text, "Features", flags, sizeof flags)) {
        cpu->isa = parse_isa(flags);
    }
    if (find_value(text, "cpu MHz", mhz, sizeof mhz) && fnl_parse_double(mhz, &value) &&
        value > 0.0 && value < 1e6) {
        set_reading(&cpu->frequency_khz, (int64_t)(value * 1000.0));
    }
    fnl_free(text);
}

static void read_frequency(const char *root, int first, struct fnl_cpu *cpu)
{
    char path[96];

    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", first);
    (void)read_number(root, path, &cpu->frequency_khz);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", first);
    (void)read_number(root, path, &cpu->frequency_max_khz);
}

/* "32K", "1024K", "32M" of a cache's size file. */
static bool parse_size(const char *text, int64_t *ret)
{
    char digits[24];
    size_t length = strlen(text);
    int64_t value, unit = 1;

    if (length == 0 || length >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, length + 1);
    if (digits[length - 1] == 'K' || digits[length - 1] == 'M' || digits[length - 1] == 'G') {
        unit = digits[length - 1] == 'K' ? 1024 : digits[length - 1] == 'M' ? 1048576 : 1073741824;
        digits[length - 1] = '\0';
    }
    if (!fnl_parse_int(digits, &value) || value <= 0 || value > INT64_MAX / unit) {
        return false;
    }
    *ret = value * unit;
    return true;
}

static void read_caches(const char *root, int first, struct fnl_cpu *cpu)
{
    for (int i = 0; i < FNL_CPU_CACHES; i++) {
        struct fnl_cpu_cache *c = &cpu->cache[cpu->cache_count];
        struct fnl_reading level = {0};
        char path[128], size[24], type[16];

        int length =
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%d/", first, i);
        char *name = path + length;
        size_t room = sizeof path - (size_t)length;
        snprintf(name, room, "level");
        if (!read_number(root, path, &level) || level.value < 1 || level.value > 9) {
            continue;
        }
        snprintf(name, room, "size");
        if (!read_line(root, path, size, sizeof size) || !parse_size(size, &c->size_bytes)) {
            continue;
        }
        snprintf(name, room, "type");
        if (!read_line(root, path, type, sizeof type)) {
            continue;
        }
        for (size_t k = 0; k < sizeof type; k++) {
            bool upper = type[k] >= 'A' && type[k] <= 'Z';
            c->type[k] = upper ? (char)(type[k] - 'A' + 'a') : type[k];
        }
        c->level = (int)level.value;
        snprintf(name, room, "shared_cpu_list");
        read_list_count(root, path, &c->shared_by_cpus);
        clean_name(c->type);
        cpu->cache_count++;
    }
}

/* Cores and sockets: a core is counted at the first of its online CPUs. */
static void read_topology(const char *root, const bool online[MAX_CPUS], struct fnl_cpu *cpu)
{
    bool package_seen[MAX_PACKAGES] = {false};
    int cores = 0, packages = 0;
    bool known = true, packages_known = true;

    for (int i = 0; i < MAX_CPUS && known; i++) {
        char path[96], list[512];
        struct fnl_reading package = {0};

        if (!online[i]) {
            continue;
        }
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_cpus_list", i);
        bool read = read_line(root, path, list, sizeof list);
        if (!read) { /* kernels before 5.3 */
            snprintf(path, sizeof path,
                     "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", i);
            read = read_line(root, path, list, sizeof list);
        }
        known = read && list[0] >= '0' && list[0] <= '9';
        cores += known && strtoul(list, NULL, 10) == (unsigned long)i;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id",
                 i);
        if (read_number(root, path, &package) && package.value < MAX_PACKAGES) {
            packages += !package_seen[package.value];
            package_seen[package.value] = true;
        } else {
            packages_known = false; /* ARM boards say -1 */
        }
    }
    if (known && cores > 0) {
        set_reading(&cpu->cores, cores);
    }
    if (packages_known && packages > 0) {
        set_reading(&cpu->sockets, packages);
    }
}

static void read_memory(const char *root, struct fnl_cpu *cpu)
{
    char *text = read_text(root, "/proc/meminfo");
    struct fnl_reading limit = {0};

    if (text != NULL) {
        find_kib(text, "MemTotal", &cpu->memory_total_bytes);
        find_kib(text, "MemAvailable", &cpu->memory_available_bytes);
        fnl_free(text);
    }
    /* In a container the group is the root of what it sees. Version 2, then 1. */
    if (!read_number(root, "/sys/fs/cgroup/memory.max", &limit)) {
        (void)read_number(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit);
    }
    if (limit.valid && cpu->memory_total_bytes.valid &&
        limit.value < cpu->memory_total_bytes.value) {
        cpu->memory_limit_bytes = limit;
    }
}

static void read_usable(const char *root, struct fnl_cpu *cpu)
{
    char list[1024];

    if (strcmp(root, "/") == 0) {
        set_reading(&cpu->cpus_usable, fnl_host_cpus());
        return;
    }
    char *text = read_text(root, "/proc/self/status");
    if (text != NULL && find_value(text, "Cpus_allowed_list", list, sizeof list)) {
        int count = count_list(list);
        if (count > 0) {
            set_reading(&cpu->cpus_usable, count);
        }
    }
    fnl_free(text);
}

void fnl_cpu_probe(const char *root, struct fnl_cpu *ret_cpu)
{
    struct fnl_cpu cpu = {.model = "unknown CPU"};
    bool online[MAX_CPUS] = {false};
    char *text = read_text(root, "/sys/devices/system/cpu/online");
    int count = text != NULL ? parse_list(text, online) : -1;
    int first = 0;

    fnl_free(text);
    read_cpuinfo(root, &cpu);
    if (count > 0) {
        set_reading(&cpu.cpus_online, count);
        while (!online[first]) {
            first++;
        }
        read_topology(root, online, &cpu);
    }
    read_frequency(root, first, &cpu);
    read_caches(root, first, &cpu);
    read_list_count(root, "/sys/devices/system/node/online", &cpu.numa_nodes);
    read_memory(root, &cpu);
    read_usable(root, &cpu);
    *ret_cpu = cpu;
}
