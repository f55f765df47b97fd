// echo.c -- raw QUIC: sends every stream back to whoever opened it:  echo CERT.pem KEY.pem [ADDRESS:PORT]
//
// Its protocol name (ALPN) is "echo". Octets that cannot be queued at once are left with the transport, which holds the
// peer back until there is room again.

#include <plx/plx.h>

#include <stdio.h>

static size_t on_data(struct plx_stream *stream, const uint8_t *data, size_t len, bool fin)
{
    if (plx_stream_is_uni(stream))
        return len; // nowhere to send it back to
    if (len == 0 && !fin)
        return 0;
    switch (plx_stream_send_copy(stream, data, len, fin)) {
    case PLX_ERR_AGAIN:
    case PLX_ERR_NOMEM:
        return 0; // on_writable asks for it again
    default:
        return len; // queued, or the peer does not want it any more
    }
}

static void on_writable(struct plx_stream *stream)
{
    plx_stream_resume(stream);
}

int main(int argc, char **argv)
{
    static const struct plx_conn_handler handler = {.on_data = on_data, .on_writable = on_writable};
    static const char *const alpn[] = {"echo"};
    struct plx_engine_cfg cfg;
    struct plx_addr listen;
    char err[256];

    if (argc < 3 || !plx_addr_parse(argc > 3 ? argv[3] : "127.0.0.1:4434", &listen)) {
        fprintf(stderr, "usage: %s CERT.pem KEY.pem [ADDRESS:PORT]\n", argv[0]);
        return 2;
    }
    struct plx_cert cert = {argv[1], argv[2]};
    plx_engine_cfg_init(&cfg);
    cfg.port = plx_port_udp();
    cfg.listen = &listen, cfg.listen_count = 1;
    cfg.certs = &cert, cfg.cert_count = 1;
    cfg.alpn = alpn, cfg.alpn_count = 1;
    cfg.raw = &handler;
    struct plx_engine *engine = plx_engine_new(&cfg, err, sizeof err);
    if (engine == NULL) {
        fprintf(stderr, "echo: %s\n", err);
        return 1;
    }
    return plx_engine_run(engine) == PLX_OK ? 0 : 1;
}
