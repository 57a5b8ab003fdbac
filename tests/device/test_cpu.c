/* The processor's facts from captured trees of /proc and /sys. Run in the checkout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/host.h"
#include "base/mem.h"
#include "device/cpu.h"

#define TREES "tests/device/trees/"

static void assert_reading(struct fnl_reading r, int64_t value)
{
    assert_true(r.valid);
    assert_int_equal(r.value, value);
}

static void assert_cache(const struct fnl_cpu_cache *c, int level, const char *type, int64_t size,
                         int64_t shared)
{
    assert_int_equal(c->level, level);
    assert_string_equal(c->type, type);
    assert_int_equal(c->size_bytes, size);
    assert_reading(c->shared_by_cpus, shared);
}

static void a_virtual_epyc_is_read_whole(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    fnl_cpu_probe(TREES "epyc", &cpu);
    assert_string_equal(cpu.model, "AMD EPYC");
    assert_string_equal(cpu.vendor, "AuthenticAMD");
    assert_reading(cpu.cpus_online, 2);
    assert_reading(cpu.cpus_usable, 2);
    assert_reading(cpu.cores, 2);
    assert_reading(cpu.sockets, 1);
    assert_reading(cpu.numa_nodes, 1);
    assert_reading(cpu.frequency_khz, 2445406);
    assert_false(cpu.frequency_max_khz.valid);
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_AVX2));
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_FMA));
    assert_false(fnl_cpu_has(&cpu, FNL_ISA_AVX512F));
    assert_int_equal(cpu.cache_count, 4);
    assert_cache(&cpu.cache[0], 1, "data", 32768, 1);
    assert_cache(&cpu.cache[1], 1, "instruction", 32768, 1);
    assert_cache(&cpu.cache[2], 2, "unified", 524288, 1);
    assert_cache(&cpu.cache[3], 3, "unified", 32 << 20, 2);
    assert_reading(cpu.memory_total_bytes, INT64_C(24683656) * 1024);
    assert_true(cpu.memory_available_bytes.valid);
    assert_false(cpu.memory_limit_bytes.valid);
}

static void two_sockets_with_an_offline_cpu_and_a_group_limit(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    fnl_cpu_probe(TREES "xeon_amx", &cpu);
    assert_reading(cpu.cpus_online, 7);
    assert_reading(cpu.cpus_usable, 4); /* the list "0-2,4" */
    assert_reading(cpu.cores, 4);
    assert_reading(cpu.sockets, 2);
    assert_reading(cpu.numa_nodes, 2);
    assert_reading(cpu.frequency_khz, 2401000); /* cpufreq wins over cpuinfo */
    assert_reading(cpu.frequency_max_khz, 3800000);
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_AVX512F));
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_AVX512_BF16));
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_AMX_TILE));
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_AMX_BF16));
    assert_false(fnl_cpu_has(&cpu, FNL_ISA_NEON));
    assert_cache(&cpu.cache[3], 3, "unified", INT64_C(107520) * 1024, 4);
    assert_reading(cpu.memory_limit_bytes, INT64_C(8) << 30);
}

static void arm_is_named_by_its_part(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    fnl_cpu_probe(TREES "grace", &cpu);
    assert_string_equal(cpu.model, "ARM Neoverse-V2");
    assert_reading(cpu.cpus_online, 72);
    assert_false(cpu.cores.valid); /* no topology in the tree */
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_NEON));
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_SVE2));
    assert_true(fnl_cpu_has(&cpu, FNL_ISA_ARM_BF16));
    assert_false(fnl_cpu_has(&cpu, FNL_ISA_AVX));
}

static void an_unknown_arm_part_shows_its_numbers(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    fnl_cpu_probe(TREES "raspberry", &cpu);
    assert_string_equal(cpu.model, "ARM CPU (implementer 0x41, part 0xfff)");
    assert_reading(cpu.cores, 1);    /* by the older name of the topology file */
    assert_false(cpu.sockets.valid); /* package -1 is no package */
    assert_false(cpu.memory_total_bytes.valid);
}

static void assert_nothing_known(const struct fnl_cpu *cpu)
{
    assert_false(cpu->cpus_online.valid);
    assert_false(cpu->cpus_usable.valid);
    assert_false(cpu->cores.valid);
    assert_false(cpu->sockets.valid);
    assert_false(cpu->numa_nodes.valid);
    assert_false(cpu->frequency_khz.valid);
    assert_false(cpu->frequency_max_khz.valid);
    assert_false(cpu->memory_total_bytes.valid);
    assert_false(cpu->memory_available_bytes.valid);
    assert_false(cpu->memory_limit_bytes.valid);
    assert_int_equal(cpu->isa, 0);
}

static void an_empty_tree_leaves_all_unknown(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    fnl_cpu_probe(TREES "bare", &cpu);
    assert_string_equal(cpu.model, "unknown CPU");
    assert_nothing_known(&cpu);
    assert_int_equal(cpu.cache_count, 0);
    fnl_cpu_probe("/no/such/tree", &cpu);
    assert_string_equal(cpu.model, "unknown CPU");
    assert_nothing_known(&cpu);
}

static void nonsense_is_not_believed(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    fnl_cpu_probe(TREES "hostile", &cpu);
    assert_nothing_known(&cpu);
    assert_int_equal(strlen(cpu.model), sizeof cpu.model - 1);
    for (const char *p = cpu.model; *p != '\0'; p++) {
        assert_in_range(*p, 0x20, 0x7e); /* no escape sequence, valid in JSON */
    }
    assert_int_equal(cpu.cache_count, 1);
    assert_int_equal(cpu.cache[0].size_bytes, 1 << 20);
    assert_false(cpu.cache[0].shared_by_cpus.valid); /* "3-1" */
}

static void this_machine_has_at_least_one_cpu(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    fnl_cpu_probe("/", &cpu);
    assert_reading(cpu.cpus_usable, fnl_host_cpus());
    assert_true(cpu.cpus_usable.value >= 1);
    assert_true(cpu.memory_total_bytes.valid);
}

static void running_out_of_memory_only_loses_facts(void **state)
{
    struct fnl_cpu cpu;

    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        fnl_mem_fail_at(n);
        fnl_cpu_probe(TREES "epyc", &cpu);
        fnl_mem_fail_at(0);
        assert_true(strcmp(cpu.model, "AMD EPYC") == 0 || strcmp(cpu.model, "unknown CPU") == 0);
    }
}

static void every_instruction_set_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < FNL_ISA_COUNT; i++) {
        assert_non_null(fnl_isa_name((enum fnl_isa)i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_virtual_epyc_is_read_whole),
        cmocka_unit_test(two_sockets_with_an_offline_cpu_and_a_group_limit),
        cmocka_unit_test(arm_is_named_by_its_part),
        cmocka_unit_test(an_unknown_arm_part_shows_its_numbers),
        cmocka_unit_test(an_empty_tree_leaves_all_unknown),
        cmocka_unit_test(nonsense_is_not_believed),
        cmocka_unit_test(this_machine_has_at_least_one_cpu),
        cmocka_unit_test(running_out_of_memory_only_loses_facts),
        cmocka_unit_test(every_instruction_set_has_a_name),
    };
    return cmocka_run_group_tests_name("device.cpu", tests, NULL, NULL);
}
