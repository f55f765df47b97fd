// config.c -- the configuration file: every option of the command line by its long name, in libconfig's syntax.
//
//   listen = ["0.0.0.0:443", "[::]:443"];
//   root = "/srv/www";
//   workers = 4;
//   certificates = ( { cert = "a.pem"; key = "a.key"; }, { cert = "b.pem"; key = "b.key"; } );
//   hq = true;

#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

static bool take_value(struct serve_opts *o, const char *name, const config_setting_t *v, char *err,
                       size_t err_len)
{
    char number[32];
    const char *text = NULL;
    bool is_on = false;

    switch (config_setting_type(v)) {
    case CONFIG_TYPE_STRING:
        text = config_setting_get_string(v);
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(number, sizeof number, "%lld", config_setting_get_int64(v));
        text = number; // numbers are read at once: nothing borrows this
        break;
    case CONFIG_TYPE_BOOL:
        is_on = config_setting_get_bool(v);
        break;
    default:
        break;
    }
    if (serve_option_by_name(o, name, text, is_on))
        return true;
    snprintf(
        err, err_len,
        "%s line %u: \"%s\": no such setting, or not a value for it (names are those of plx-serve --help)",
        config_setting_source_file(v) != NULL ? config_setting_source_file(v) : "configuration",
        config_setting_source_line(v), name);
    return false;
}

static bool take_certificates(struct serve_opts *o, const config_setting_t *list, char *err, size_t err_len)
{
    for (int i = 0; i < config_setting_length(list); i++) {
        config_setting_t *one = config_setting_get_elem(list, (unsigned)i);
        config_setting_t *cert = config_setting_get_member(one, "cert"),
                         *key = config_setting_get_member(one, "key");
        if (cert == NULL || key == NULL) {
            snprintf(err, err_len, "configuration line %u: want { cert = \"FILE\"; key = \"FILE\"; }",
                     config_setting_source_line(one));
            return false;
        }
        if (!take_value(o, "cert", cert, err, err_len) || !take_value(o, "key", key, err, err_len))
            return false;
    }
    return true;
}

static bool take_setting(struct serve_opts *o, const config_setting_t *v, char *err, size_t err_len)
{
    const char *name = config_setting_name(v);

    if (strcmp(name, "certificates") == 0)
        return take_certificates(o, v, err, err_len);
    if (!config_setting_is_array(v) && !config_setting_is_list(v))
        return take_value(o, name, v, err, err_len);
    for (int i = 0; i < config_setting_length(v); i++)
        if (!take_value(o, name, config_setting_get_elem(v, (unsigned)i), err, err_len))
            return false;
    return true;
}

bool serve_config_read(struct serve_opts *o, const char *path, char *err, size_t err_len)
{
    config_t *config = malloc(sizeof *config);

    if (config == NULL) {
        snprintf(err, err_len, "not enough memory");
        return false;
    }
    config_init(config);
    o->config = config; // strings live in it: freed at the end
    if (!config_read_file(config, path)) {
        snprintf(err, err_len, "--config %s line %d: %s", path, config_error_line(config),
                 config_error_text(config));
        return false;
    }
    config_setting_t *root = config_root_setting(config);
    for (int i = 0; i < config_setting_length(root); i++)
        if (!take_setting(o, config_setting_get_elem(root, (unsigned)i), err, err_len))
            return false;
    return true;
}

void serve_config_free(struct serve_opts *o)
{
    if (o->config == NULL)
        return;
    config_destroy(o->config);
    free(o->config);
    o->config = NULL;
}
