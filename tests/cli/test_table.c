/* The table printer, the error printer and the rules that every command's table keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/help.h"
#include "cli/print.h"

static char *text;
static size_t text_size;

static FILE *open_text(void)
{
    free(text);
    text = NULL;
    return open_memstream(&text, &text_size);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    static const char *const headings[] = {"NAME", "N", "NOTE"};
    struct fnl_table *table = NULL;

    (void)state;
    assert_int_equal(fnl_table_create(3, headings, &table, NULL), 0);
    fnl_table_align_right(table, 1);
    fnl_table_cell(table, "a");
    fnl_table_cell(table, "%d", 12345);
    fnl_table_cell(table, "caf\xc3\xa9");
    fnl_table_cell(table, "h\xc3\xa9l\xc3\xa8ne");
    fnl_table_cell(table, "7");
    fnl_table_cell(table, "\033[31mred");
    FILE *out = open_text();
    assert_int_equal(fnl_table_print(table, out, NULL), 0);
    fclose(out);
    assert_string_equal(text, "NAME        N  NOTE\n"
                              "a       12345  caf\xc3\xa9\n"
                              "h\xc3\xa9l\xc3\xa8ne      7  ?[31mred\n");
    fnl_table_free(table);
}

static void a_table_survives_any_failed_allocation(void **state)
{
    static const char *const headings[] = {"A", "B"};

    (void)state;
    for (uint64_t n = 1; n < 40; n++) {
        struct fnl_table *table = NULL;
        struct fnl_error err = FNL_ERROR_INIT;
        fnl_mem_fail_at(n);
        int rc = fnl_table_create(2, headings, &table, &err);
        for (int i = 0; rc == 0 && i < 200; i++) {
            fnl_table_cell(table, "%d", i);
        }
        fnl_mem_fail_at(0);
        FILE *out = open_text();
        if (rc == 0) {
            rc = fnl_table_print(table, out, &err);
        }
        fclose(out);
        assert_true(rc == 0 || rc == FNL_E_NOMEM);
        assert_true(n > 1 || rc == FNL_E_NOMEM);
        fnl_table_free(table);
    }
}

static void lines_of_help_end_at_80_columns(void **state)
{
    (void)state;
    for (int i = 0; fnl_commands[i] != NULL; i++) {
        FILE *out = open_text();
        fnl_help_command(out, fnl_commands[i]);
        for (int k = 0;
             fnl_commands[i]->subcommands != NULL && fnl_commands[i]->subcommands[k] != NULL; k++) {
            fnl_help_command(out, fnl_commands[i]->subcommands[k]);
        }
        fclose(out);
        for (const char *line = text; *line != '\0';) {
            size_t length = strcspn(line, "\n");
            if (length > 80) {
                print_error("%s: %.*s\n", fnl_commands[i]->name, (int)length, line);
            }
            assert_true(length <= 80);
            assert_true(length == 0 || line[length - 1] != ' ');
            line += length + (line[length] == '\n');
        }
    }
}

static void check_options(const struct fnl_command *c)
{
    for (const struct fnl_opt *o = c->options; o != NULL && o->name != NULL; o++) {
        assert_non_null(o->help);
        assert_true(o->help[0] < 'A' || o->help[0] > 'Z' || o->help[1] < 'a');
        assert_true(o->help[strlen(o->help) - 1] != '.');
        assert_string_not_equal(o->name, "help");
        assert_int_not_equal(o->letter, 'h');
        assert_true(o->kind == FNL_OPT_FLAG || o->kind == FNL_OPT_ENUM || o->value != NULL);
        assert_true(o->kind == FNL_OPT_STRING || (o->kind == FNL_OPT_ENUM) == (o->names != NULL));
        assert_true(o->offset < c->options_size);
        for (const struct fnl_opt *p = c->options; p != o; p++) {
            assert_string_not_equal(p->name, o->name);
            assert_true(p->letter == 0 || p->letter != o->letter);
        }
    }
}

static void check_command(const struct fnl_command *c)
{
    char path[FNL_COMMAND_PATH];

    assert_non_null(c->summary);
    assert_true(strlen(c->summary) <= 66);
    assert_true(c->summary[0] >= 'a' && c->summary[0] <= 'z');
    assert_true(c->summary[strlen(c->summary) - 1] != '.');
    assert_true((c->run != NULL) != (c->subcommands != NULL));
    assert_true(c->min_arguments <= c->max_arguments);
    check_options(c);
    fnl_command_path(c, path);
    if (c->run != NULL && !c->hidden) {
        assert_non_null(c->examples);
    }
    for (const struct fnl_example *e = c->examples; e != NULL && e->text != NULL; e++) {
        assert_non_null(strstr(e->command, "fournil "));
        assert_non_null(strstr(e->command, path));
    }
}

static void every_command_keeps_the_rules(void **state)
{
    (void)state;
    for (int i = 0; fnl_commands[i] != NULL; i++) {
        const struct fnl_command *const *sub = fnl_commands[i]->subcommands;
        check_command(fnl_commands[i]);
        assert_ptr_equal(fnl_command_find(fnl_commands, fnl_commands[i]->name), fnl_commands[i]);
        for (int k = 0; sub != NULL && sub[k] != NULL; k++) {
            assert_ptr_equal(sub[k]->parent, fnl_commands[i]);
            assert_null(sub[k]->subcommands);
            check_command(sub[k]);
        }
    }
    assert_null(fnl_command_find(fnl_commands, "nonsense"));
}

static void the_man_page_quotes_what_roff_would_eat(void **state)
{
    (void)state;
    FILE *out = open_text();
    fnl_help_man(out);
    fclose(out);
    assert_true(strncmp(text, ".TH FOURNIL 1 ", 14) == 0);
    assert_non_null(strstr(text, "\\fB\\-\\-json\\fR"));
    assert_non_null(strstr(text, ".SS \"fournil devices\""));
    assert_null(strstr(text, "\\-\\-root")); /* hidden */
    assert_null(strstr(text, "\n'"));
}

static int free_text(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(columns_are_as_wide_as_their_widest_cell, free_text),
        cmocka_unit_test_teardown(a_table_survives_any_failed_allocation, free_text),
        cmocka_unit_test_teardown(lines_of_help_end_at_80_columns, free_text),
        cmocka_unit_test(every_command_keeps_the_rules),
        cmocka_unit_test_teardown(the_man_page_quotes_what_roff_would_eat, free_text),
    };
    return cmocka_run_group_tests_name("cli.table", tests, NULL, NULL);
}
