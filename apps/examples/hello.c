// hello.c -- serves "hello" over HTTP/3 on kernel sockets:  hello CERT.pem KEY.pem [ADDRESS:PORT]

#include <plx/plx.h>

#include <signal.h>
#include <stdio.h>

static struct plx_engine *engine;

static void on_signal(int sig)
{
    (void)sig;
    plx_engine_stop(engine, PLX_SEC(1));
}

static void on_request(struct plx_h3_req *req, const struct plx_h3_head *head, bool has_body)
{
    static const struct plx_field fields[] = {
        {.name = "content-type", .name_len = 12, .value = "text/plain", .value_len = 10},
        {.name = "content-length", .name_len = 14, .value = "6", .value_len = 1},
    };
    (void)head, (void)has_body;
    if (plx_h3_respond(req, 200, fields, 2, (struct plx_buf){"hello\n", 6, NULL}, true) != PLX_OK)
        plx_h3_cancel(req, PLX_H3_INTERNAL_ERROR);
}

int main(int argc, char **argv)
{
    static const struct plx_h3_handler handler = {.on_request = on_request};
    struct plx_engine_cfg cfg;
    struct plx_addr listen;
    char err[256];

    if (argc < 3 || !plx_addr_parse(argc > 3 ? argv[3] : "127.0.0.1:4433", &listen)) {
        fprintf(stderr, "usage: %s CERT.pem KEY.pem [ADDRESS:PORT]\n", argv[0]);
        return 2;
    }
    struct plx_cert cert = {argv[1], argv[2]};
    struct sigaction stop = {.sa_handler = on_signal};
    plx_engine_cfg_init(&cfg);
    cfg.port = plx_port_udp();
    cfg.listen = &listen, cfg.listen_count = 1;
    cfg.certs = &cert, cfg.cert_count = 1;
    cfg.h3 = &handler;
    engine = plx_engine_new(&cfg, err, sizeof err);
    if (engine == NULL) {
        fprintf(stderr, "hello: %s\n", err);
        return 1;
    }
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    enum plx_err result = plx_engine_run(engine);
    plx_engine_free(engine);
    return result == PLX_OK ? 0 : 1;
}
