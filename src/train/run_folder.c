/* run_folder.c - finding and locking run folders; run_create.c makes them. The lock is a flock, so
 * it is gone when its process is, however it ended. */
#include "train/run_folder.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/shell.h"
#include "train/checkpoint.h"

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
int fnl__run_name_files(struct fnl__run *run, struct fnl_error *err)
{
    for (int i = 0; i < FNL__RUN_FILES; i++) {
        run->file[i] = fnl_path_join(run->folder, file_names[i]);
        if (run->file[i] == NULL) {
            return FNL_FAIL(err, NOMEM, NULL, "%s: out of memory", run->folder);
        }
    }
    return 0;
}

int fnl__run_lock(struct fnl__run *run, struct fnl_error *err)
{
    int rc = fnl_file_lock(run->file[FNL__RUN_LOCK], &run->lock_fd, err);
    if (rc == FNL_E_BUSY) {
        return FNL_FAIL(err, BUSY, "wait for it, or stop it, then resume",
                        "run %s: another process is at work in %s", run->id, run->folder);
    }
    return rc;
}

int fnl__run_write_config(const struct fnl__run *run, const struct fnl_yaml *config,
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
        char word[512];
        fnl_error_hint(err, "see the ids with: ls -t %s", fnl_shell_word(runs, word, sizeof word));
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
    rc = fnl__run_name_files(run, err);
    rc = rc != 0 ? rc : fnl__run_lock(run, err);
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
    return fnl__run_write_config(run, config, err);
}
