/* run_create.c - a fresh run folder, all at once.
 *
 * An id is "<name of the configuration>-<date>-<time>", with a number behind it where that is
 * taken. The folder is filled under a hidden name, ".starting-<process>-<number>", locked, and
 * renamed to its id when its config.yaml is on the disk: whoever sees a run can resume it, and
 * whoever is killed before leaves only a hidden folder, which the next run sweeps away. rename(2)
 * refuses a folder that is not empty, so two runs never get one id. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "train/json_out.h"
#include "train/run_folder.h"

#define ID_TRIES 1000 /* runs of one name started in one second */
#define NAME_BYTES 40
#define STARTING ".starting-"
#define SWEEP_AGE_S 60 /* younger ones may be between mkdir and lock */

/* "mnist_mlp" from "examples/mnist_mlp.yaml": letters, digits, '-' and '_' stay. */
static void short_name(const char *config_path, char out[NAME_BYTES])
{
    const char *base = fnl_path_basename(config_path);
    size_t n = 0;
    for (; base[n] != 0 && base[n] != '.' && n < NAME_BYTES - 1; n++) {
        bool plain = isalnum((unsigned char)base[n]) || base[n] == '-' || base[n] == '_';
        out[n] = base[n];
        if (!plain) {
            out[n] = '_';
        }
    }
    out[n] = 0;
    if (n == 0) {
        (void)snprintf(out, NAME_BYTES, "run");
    }
}

static int write_info(struct fnl__run *run, const char *config_path, const char *directory,
                      struct fnl_error *err)
{
    char started[32];
    fnl_clock_text(fnl_clock_unix_ms(), started);
    /* Absolute, because a run may be resumed from another folder. */
    char *absolute = realpath(directory, NULL);
    struct fnl_buf text;
    fnl_buf_init(&text, FNL_MAX_RUN_TEXT_BYTES);
    (void)fnl_buf_puts(&text, "{\"run\": ");
    fnl__json_string(&text, run->id);
    (void)fnl_buf_printf(
        &text, ", \"version\": \"%s\", \"started\": \"%s\", \"config\": ", FNL_VERSION, started);
    fnl__json_string(&text, config_path);
    (void)fnl_buf_puts(&text, ", \"directory\": ");
    fnl__json_string(&text, absolute != NULL ? absolute : directory);
    (void)fnl_buf_puts(&text, "}\n");
    free(absolute); /* check_src: allow free: realpath's own */
    int rc = text.failed ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", run->folder)
                         : fnl_file_write(run->file[FNL__RUN_INFO], text.data, text.size, err);
    fnl_buf_free(&text);
    return rc;
}

/* ---- the hidden folder ---- */

static int make_hidden(struct fnl__run *run, const char *runs, struct fnl_error *err)
{
    for (unsigned i = 0; i < FNL_MAX_TEMP_TRIES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, STARTING "%ld-%u", (long)getpid(), i);
        fnl_free(run->folder);
        run->folder = fnl_path_join(runs, name);
        if (run->folder == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", runs);
        }
        if (mkdir(run->folder, 0777) == 0) {
            return 0;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    char reason[128];
    int rc = FNL_FAIL(err, IO, "choose another folder with --dir or FOURNIL_DIR",
                      "%s: cannot make the run's folder: %s", runs,
                      strerror_r(errno, reason, sizeof reason));
    fnl_free(run->folder);
    run->folder = NULL;
    return rc;
}

/* A folder that did not become a run is of no use to anybody. */
static void discard(struct fnl__run *run)
{
    static const enum fnl__run_file made[] = {FNL__RUN_CONFIG, FNL__RUN_INFO, FNL__RUN_LOCK};
    if (run->folder != NULL) {
        fnl_file_sweep(run->folder);
    }
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        if (run->file[made[i]] != NULL) {
            (void)unlink(run->file[made[i]]);
        }
    }
    if (run->folder != NULL) {
        (void)rmdir(run->folder);
    }
    fnl__run_close(run);
}

/* Removes the hidden folder `name` when the process that made it is gone. */
static void sweep_one(const char *runs, const char *name)
{
    struct fnl__run left = FNL__RUN_INIT;
    struct stat st;
    left.folder = fnl_path_join(runs, name);
    if (left.folder != NULL && stat(left.folder, &st) == 0 &&
        time(NULL) - st.st_mtime > SWEEP_AGE_S && fnl__run_name_files(&left, NULL) == 0 &&
        fnl__run_lock(&left, NULL) == 0) {
        discard(&left);
    }
    fnl__run_close(&left);
}

static void sweep(const char *runs)
{
    DIR *dir = opendir(runs);
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strncmp(e->d_name, STARTING, sizeof STARTING - 1) == 0) {
            sweep_one(runs, e->d_name);
        }
    }
    (void)closedir(dir);
}

/* ---- its id ---- */

/* Gives the folder the name run->id, its last content with it. FNL_E_BUSY: the id is taken. */
static int publish(struct fnl__run *run, const char *runs, const char *config_path,
                   const char *directory, struct fnl_error *err)
{
    struct fnl__run named = FNL__RUN_INIT;
    named.folder = fnl_path_join(runs, run->id);
    int rc = named.folder == NULL            ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", runs)
             : fnl_path_exists(named.folder) ? FNL_E_BUSY
                                             : fnl__run_name_files(&named, err);
    rc = rc != 0 ? rc : write_info(run, config_path, directory, err);
    rc = rc != 0 ? rc : fnl_path_rename(run->folder, named.folder, err);
    if (rc == 0 || (rc != FNL_E_BUSY && !fnl_path_exists(run->folder))) {
        char *old_folder = run->folder; /* it has moved, whether or not that is on the disk */
        run->folder = named.folder;
        named.folder = old_folder;
        for (int i = 0; i < FNL__RUN_FILES && named.file[i] != NULL; i++) {
            char *old = run->file[i];
            run->file[i] = named.file[i];
            named.file[i] = old;
        }
    }
    fnl__run_close(&named);
    return rc;
}

/* Tries ids until one is free. */
static int take_id(struct fnl__run *run, const char *runs, const char *config_path,
                   const char *directory, struct fnl_error *err)
{
    char name[NAME_BYTES], when[24];
    short_name(config_path, name);
    time_t now = (time_t)(fnl_clock_unix_ms() / 1000u);
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL || strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm) == 0) {
        (void)snprintf(when, sizeof when, "0");
    }
    for (int i = 1; i <= ID_TRIES; i++) {
        char again[16] = "";
        if (i > 1) {
            (void)snprintf(again, sizeof again, "-%d", i);
        }
        (void)snprintf(run->id, sizeof run->id, "%s-%s%s", name, when, again);
        int rc = publish(run, runs, config_path, directory, err);
        if (rc != FNL_E_BUSY) {
            return rc;
        }
    }
    return FNL_FAIL(err, IO, "wait a second", "%s: %d runs of this name and second are there", runs,
                    ID_TRIES);
}

int fnl__run_create(const char *dir, const char *config_path, const char *directory,
                    const struct fnl_yaml *config, struct fnl__run *run, struct fnl_error *err)
{
    char *runs = fnl_path_join(dir, "runs");
    if (runs == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", dir);
    }
    int rc = fnl_path_mkdirs(runs, err);
    if (rc == 0) {
        sweep(runs);
        rc = make_hidden(run, runs, err);
        rc = rc != 0 ? rc : fnl__run_name_files(run, err);
        rc = rc != 0 ? rc : fnl__run_lock(run, err);
        rc = rc != 0 ? rc : fnl__run_write_config(run, config, err);
        rc = rc != 0 ? rc : take_id(run, runs, config_path, directory, err);
    }
    fnl_free(runs);
    if (rc != 0) {
        discard(run);
    }
    return rc;
}
