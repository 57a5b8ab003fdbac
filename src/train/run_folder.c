/* run_folder.c - making, finding and locking run folders.
 *
 * An id is "<name of the configuration>-<date>-<time>", made unique by mkdir: whoever makes the
 * folder has the id. The lock is a flock, so it is gone when its process is, however it ended. */
#include "train/run_folder.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
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
#include "train/checkpoint.h"
#include "train/json_out.h"

#define ID_TRIES 1000 /* runs of one name started in one second */
#define NAME_BYTES 40

static const char *const file_names[FNL__RUN_FILES] = {
    [FNL__RUN_CONFIG] = "config.yaml",    [FNL__RUN_INFO] = "run.json",
    [FNL__RUN_METRICS] = "metrics.jsonl", [FNL__RUN_SUMMARY] = "summary.json",
    [FNL__RUN_CURVES] = "curves.svg",     [FNL__RUN_MODEL] = "model.onnx",
    [FNL__RUN_LAST] = "last.ckpt",        [FNL__RUN_PREVIOUS] = "last.ckpt.1",
    [FNL__RUN_BEST] = "best.ckpt",        [FNL__RUN_LOCK] = "lock",
};

void fnl__run_close(struct fnl__run *run)
{
    fnl_file_unlock(run->lock_fd);
    run->lock_fd = -1;
    for (int i = 0; i < FNL__RUN_FILES; i++) {
        fnl_free(run->file[i]);
        run->file[i] = NULL;
    }
    fnl_free(run->folder);
    fnl_free(run->directory);
    run->folder = NULL;
    run->directory = NULL;
}

/* Paths of everything in run->folder. */
static int name_files(struct fnl__run *run, struct fnl_error *err)
{
    for (int i = 0; i < FNL__RUN_FILES; i++) {
        run->file[i] = fnl_path_join(run->folder, file_names[i]);
        if (run->file[i] == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", run->folder);
        }
    }
    return 0;
}

static int lock(struct fnl__run *run, struct fnl_error *err)
{
    int rc = fnl_file_lock(run->file[FNL__RUN_LOCK], &run->lock_fd, err);
    if (rc == FNL_E_BUSY) {
        return FNL_FAIL(err, BUSY, "wait for it, or stop it, then resume",
                        "run %s: another process is at work in %s", run->id, run->folder);
    }
    return rc;
}

/* ---- a fresh one ---- */

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

/* Makes runs/<id>; fills run->id and run->folder. */
static int claim(struct fnl__run *run, const char *runs, const char *config_path,
                 struct fnl_error *err)
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
        fnl_free(run->folder);
        run->folder = fnl_path_join(runs, run->id);
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
    return FNL_FAIL(err, IO, "choose another folder with --dir or FOURNIL_DIR",
                    "%s: cannot make the run's folder: %s", run->folder,
                    strerror_r(errno, reason, sizeof reason));
}

static int write_config(const struct fnl__run *run, const struct fnl_yaml *config,
                        struct fnl_error *err)
{
    struct fnl_buf text;
    fnl_buf_init(&text, FNL_MAX_YAML_TREE_BYTES);
    int rc = fnl_yaml_print(config, &text);
    if (rc != 0 || text.failed) {
        rc = FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", run->file[FNL__RUN_CONFIG]);
    } else {
        rc = fnl_file_write(run->file[FNL__RUN_CONFIG], text.data, text.size, err);
    }
    fnl_buf_free(&text);
    return rc;
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

/* A folder without its config.yaml is of no use to anybody, and a resume would not find it. */
static void discard(struct fnl__run *run)
{
    static const enum fnl__run_file made[] = {FNL__RUN_CONFIG, FNL__RUN_INFO, FNL__RUN_LOCK};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        if (run->file[made[i]] != NULL) {
            (void)unlink(run->file[made[i]]);
        }
    }
    (void)rmdir(run->folder);
    fnl__run_close(run);
}

int fnl__run_create(const char *dir, const char *config_path, const char *directory,
                    const struct fnl_yaml *config, struct fnl__run *run, struct fnl_error *err)
{
    char *runs = fnl_path_join(dir, "runs");
    if (runs == NULL) {
        return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", dir);
    }
    int rc = fnl_path_mkdirs(runs, err);
    rc = rc != 0 ? rc : claim(run, runs, config_path, err);
    fnl_free(runs);
    if (rc != 0) {
        return rc;
    }
    rc = name_files(run, err);
    rc = rc != 0 ? rc : lock(run, err);
    rc = rc != 0 ? rc : write_info(run, config_path, directory, err);
    rc = rc != 0 ? rc : write_config(run, config, err);
    if (rc != 0) {
        discard(run);
    }
    return rc;
}

/* ---- an existing one ---- */

/* *ret_folder: the folder meant by an id or a path. */
static int find_folder(const char *dir, const char *name, char **ret_folder, struct fnl_error *err)
{
    char *runs = fnl_path_join(dir, "runs");
    char *folder = NULL;
    if (strchr(name, '/') != NULL) {
        folder = fnl_strdup(name);
    } else if (runs != NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
        folder = fnl_path_join(runs, name);
    }
    char *config = folder != NULL ? fnl_path_join(folder, "config.yaml") : NULL;
    int rc = 0;
    if (runs == NULL || (folder != NULL && config == NULL)) {
        rc = FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", name);
    } else if (folder == NULL || !fnl_path_exists(config)) {
        rc = FNL_FAIL(err, NOTFOUND, NULL, "no run \"%s\" in %s", name, runs);
        fnl_error_hint(err, "see the ids with: ls -t %s", runs);
    }
    fnl_free(config);
    fnl_free(runs);
    if (rc != 0) {
        fnl_free(folder);
        return rc;
    }
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') {
        folder[--n] = 0;
    }
    *ret_folder = folder;
    return 0;
}

/* "directory" of a run.json. */
static int read_info(const char *path, char **ret_directory, struct fnl_error *err)
{
    char *text = NULL;
    size_t size = 0;
    int rc = fnl_file_read(path, FNL_MAX_YAML_BYTES, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    json_error_t problem;
    json_t *info = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    fnl_free(text);
    const char *directory = json_string_value(json_object_get(info, "directory"));
    if (directory == NULL) {
        rc = FNL_FAIL(err, FORMAT, NULL, "%s:%d: %s", path, problem.line,
                      info == NULL ? problem.text : "\"directory\" is missing");
    } else {
        *ret_directory = fnl_strdup(directory);
        rc = *ret_directory == NULL ? FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", path) : 0;
    }
    json_decref(info);
    return rc;
}

int fnl__run_data_directory(const char *config_path, char **ret_directory, struct fnl_error *err)
{
    *ret_directory = NULL;
    if (strcmp(fnl_path_basename(config_path), file_names[FNL__RUN_CONFIG]) != 0) {
        return 0;
    }
    char *folder = fnl_path_dirname(config_path);
    char *info = folder != NULL ? fnl_path_join(folder, file_names[FNL__RUN_INFO]) : NULL;
    int rc = 0;
    if (info == NULL) {
        rc = FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", config_path);
    } else if (fnl_path_exists(info)) {
        rc = read_info(info, ret_directory, err);
    }
    fnl_free(info);
    fnl_free(folder);
    return rc;
}

int fnl__run_open(const char *dir, const char *name, struct fnl__run *run, struct fnl_error *err)
{
    int rc = find_folder(dir, name, &run->folder, err);
    if (rc != 0) {
        return rc;
    }
    (void)snprintf(run->id, sizeof run->id, "%s", fnl_path_basename(run->folder));
    rc = name_files(run, err);
    rc = rc != 0 ? rc : lock(run, err);
    if (rc == 0) { /* the lock is ours: whoever wrote these is gone */
        fnl_file_sweep(run->folder);
        fnl__checkpoint_sweep(run->file[FNL__RUN_PREVIOUS]);
        fnl__checkpoint_sweep(run->file[FNL__RUN_BEST]);
    }
    if (rc != 0) {
        return rc;
    }
    run->ended =
        fnl_path_exists(run->file[FNL__RUN_SUMMARY]) && fnl_path_exists(run->file[FNL__RUN_MODEL]);
    return read_info(run->file[FNL__RUN_INFO], &run->directory, err);
}

int fnl__run_reopen(struct fnl__run *run, const struct fnl_yaml *config, struct fnl_error *err)
{
    /* In this order: a summary beside a configuration of more epochs would say that all of them
     * are done. Without it the run ends once more, as it was. */
    if (unlink(run->file[FNL__RUN_SUMMARY]) != 0 && errno != ENOENT) {
        char reason[128];
        return FNL_FAIL(err, IO, NULL, "%s: cannot be removed: %s", run->file[FNL__RUN_SUMMARY],
                        strerror_r(errno, reason, sizeof reason));
    }
    run->ended = false;
    return write_config(run, config, err);
}
