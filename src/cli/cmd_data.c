/* cmd_data.c - `fournil data`: fetch downloads public sets; info is cmd_data_info.c. */
#include <string.h>

#include "base/interrupt.h"
#include "base/progress.h"
#include "cli/cmd.h"
#include "cli/cmd_data_int.h"
#include "cli/print.h"
#include "fetch/fetch.h"

struct fetch_options {
    bool json;
    const char *dir, *url;
};

static const struct fetch_options fetch_defaults = {.dir = "data"};

static const struct fnl_opt fetch_table[] = {
    {"dir", 0, FNL_OPT_STRING, offsetof(struct fetch_options, dir), "DIR",
     "the data folder; the set gets a folder in it (default: data)", .complete = FNL_COMPLETE_DIR},
    {"url", 0, FNL_OPT_STRING, offsetof(struct fetch_options, url), "BASE",
     "address of a mirror's folder, used instead of the known ones; checksums stay the same"},
    {"json", 0, FNL_OPT_FLAG, offsetof(struct fetch_options, json),
     .help = "print one JSON object when all is there"},
    {NULL},
};

static const struct fnl_example fetch_examples[] = {
    {"MNIST into data/mnist, where the examples look for it", "fournil data fetch mnist"},
    {"into another folder (name it in FOURNIL_DATA then)",
     "fournil data fetch cifar10 --dir ~/datasets"},
    {NULL},
};

static const char *const set_names[] = {"mnist", "fashion-mnist", "cifar10", NULL};

/* One bar a file. */
struct bar {
    struct fnl_progress progress;
    const char *name; /* of the file it shows; NULL: none yet */
};

static void show_progress(void *arg, const char *name, uint64_t done, uint64_t total)
{
    struct bar *bar = arg;
    char note[32];
    if (bar->name == NULL || strcmp(bar->name, name) != 0) {
        if (bar->name != NULL) {
            fnl_progress_end(&bar->progress);
        }
        fnl_progress_begin(&bar->progress, stderr, name, total);
        bar->name = name;
    }
    (void)snprintf(note, sizeof note, "%.1f of %.1f MB", (double)done / 1e6, (double)total / 1e6);
    fnl_progress_update(&bar->progress, done, note);
}

static int print_report_json(const struct fnl_fetch_set *set, const struct fnl_fetch_report *r,
                             struct fnl_error *err)
{
    json_t *files = json_array();
    for (int i = 0; i < r->count; i++) {
        const struct fnl_fetch_file *f = r->file[i].file;
        json_array_append_new(files, json_pack("{s:s, s:s, s:s?, s:s}", "name", f->name, "path",
                                               r->file[i].path, "sha256", f->sha256, "state",
                                               fnl_fetch_state_names[r->file[i].state]));
    }
    return fnl_print_json(json_pack("{s:s, s:o}", "set", set->name, "files", files), err);
}

static int run_fetch(const struct fnl_call *call, struct fnl_error *err)
{
    const struct fetch_options *o = call->options;
    const struct fnl_fetch_set *set = NULL;
    struct fnl_fetch_report report;
    struct bar bar = {.name = NULL};
    int rc = fnl_fetch_find(call->argument[0], &set, err);
    if (rc != 0) {
        return rc;
    }
    struct fnl_fetch_options options = FNL_FETCH_OPTIONS_INIT;
    options.dir = o->dir;
    options.url = o->url;
    options.arg = &bar;
    options.progress = show_progress;
    fnl_interrupt_install();
    rc = fnl_fetch(set, &options, &report, err);
    if (bar.name != NULL) {
        fnl_progress_end(&bar.progress);
    }
    if (rc != 0) {
        return rc;
    }
    if (o->json) {
        return print_report_json(set, &report, err);
    }
    for (int i = 0; i < report.count; i++) {
        printf("%-10s  %s\n", fnl_fetch_state_names[report.file[i].state], report.file[i].path);
    }
    return 0;
}

static const struct fnl_command fetch_command = {
    .name = "fetch",
    .summary = "download a public data set",
    .arguments = "mnist|fashion-mnist|cifar10",
    .description =
        "Downloads a set from its canonical address and checks it by SHA-256: mnist (70,000 "
        "handwritten digits, 11 MB), fashion-mnist (70,000 pieces of clothing, 30 MB), cifar10 "
        "(60,000 small photographs, 170 MB). Files that are there already are kept; an interrupted "
        "download goes on where it stopped.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = fetch_table,
    .defaults = &fetch_defaults,
    .options_size = sizeof(struct fetch_options),
    .examples = fetch_examples,
    .argument_names = set_names,
    .parent = &fnl_cmd_data,
    .run = run_fetch,
};

static const struct fnl_command *const subcommands[] = {&fetch_command, &fnl__cmd_data_info, NULL};

const struct fnl_command fnl_cmd_data = {
    .name = "data",
    .summary = "download public data sets, look into a configuration's data",
    .subcommands = subcommands,
};
