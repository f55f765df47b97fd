// config.c -- defaults, checks, and the parts of the configuration that the layers below take.

#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

void plx_engine_cfg_init(struct plx_engine_cfg *cfg)
{
    *cfg = (struct plx_engine_cfg){
        .workers = 1,
        .tickets = 1,
        .conns_max = 16384,
        .hibernated_max = 65536,
        .handshakes_max = 2048,
        .streams_max = 196608, // twelve for each connection
        .buffer_memory = UINT64_C(512) << 20,
        .idle_timeout = PLX_SEC(30),
        .handshake_timeout = PLX_SEC(10),
        .max_ack_delay = PLX_MS(25),
        .conn_window = 1 << 20,
        .conn_window_max = 64 << 20,
        .stream_window = 256 << 10,
        .stream_window_max = 16 << 20,
        .streams_bidi = 128,
        .streams_uni = 16,
        .initial_cwnd_packets = 10,
        .field_section_max = 16 << 10,
        .qpack_table_max = 4096,
        .qpack_blocked_max = 16,
        .tick = PLX_MS(100),
    };
}

void plx_config_quic(const struct plx_engine_cfg *cfg, const struct plx_port_caps *caps,
                     struct plx_quic_cfg *out)
{
    plx_quic_cfg_init(out);
    out->idle_timeout = cfg->idle_timeout;
    out->handshake_timeout = cfg->handshake_timeout;
    out->keep_alive = cfg->keep_alive;
    out->max_ack_delay = cfg->max_ack_delay;
    out->conn_window = cfg->conn_window;
    out->conn_window_max = cfg->conn_window_max;
    out->stream_window = cfg->stream_window;
    out->stream_window_max = cfg->stream_window_max;
    out->streams_bidi = cfg->streams_bidi;
    out->streams_uni = cfg->streams_uni;
    out->cc = cfg->congestion == PLX_CONGESTION_NEWRENO ? PLX_CC_NEWRENO : PLX_CC_CUBIC;
    out->initial_cwnd_packets = cfg->initial_cwnd_packets;
    out->no_hystart = cfg->no_hystart;
    out->no_pacing = cfg->no_pacing;
    out->no_ecn = cfg->no_ecn || !caps->can_ecn;
    out->no_migration = cfg->no_migration;
    out->early_data = cfg->early_data && cfg->h3 != NULL;
    out->is_spin = cfg->spin_bit;
    out->payload_max = caps->payload_max;
    out->key_update_packets = cfg->key_update_packets;
    if (cfg->h3 != NULL)
        out->refuse_code = PLX_H3_REQUEST_REJECTED;
}

void plx_config_h3(const struct plx_engine_cfg *cfg, struct plx_h3_cfg *out)
{
    *out = (struct plx_h3_cfg){
        .field_section_max = cfg->field_section_max,
        .qpack_table_max = cfg->qpack_table_max,
        .qpack_blocked_max = cfg->qpack_blocked_max,
        .no_grease = cfg->no_grease,
    };
}

enum plx_err plx_config_check(const struct plx_engine_cfg *cfg, char *err, size_t err_len)
{
    const char *why = NULL;

    if (cfg->port == NULL)
        why = "no port: set cfg.port, for example to plx_port_udp()";
    else if (cfg->workers == 0 || cfg->workers > PLX_CORES_MAX)
        why = "workers must be 1 to 128: a connection ID has seven bits for the core";
    else if (cfg->h3 == NULL && cfg->raw == NULL)
        why = "no handler: set cfg.h3, cfg.raw or both";
    else if (cfg->listen_count > 0 && cfg->cert_count == 0)
        why = "a server needs a certificate: set cfg.certs";
    else if (cfg->conns_max == 0 || cfg->handshakes_max == 0 || cfg->streams_max == 0)
        why = "conns_max, handshakes_max and streams_max must be at least 1";
    else if (cfg->conns_max > 1 << 24 || cfg->streams_max > 1 << 26)
        why = "conns_max is limited to 16777216 and streams_max to 67108864 per worker";
    else if (cfg->hibernated_max > 1 << 26)
        why = "hibernated_max is limited to 67108864 per worker";
    else if (cfg->hibernate_after.ns > 0 && cfg->hibernated_max == 0)
        why = "hibernate_after needs hibernated_max: set it, or hibernate_after to 0 (never)";
    else if (cfg->hibernate_after.ns > 0 && cfg->hibernate_after.ns < PLX_MS(10).ns)
        why = "hibernate_after must be 0 (never) or at least 10 ms";
    else if (cfg->buffer_memory < 4 << 20)
        why = "buffer_memory must be at least 4 MiB";
    else if (cfg->idle_timeout.ns > 0 && cfg->idle_timeout.ns < PLX_MS(100).ns)
        why = "idle_timeout must be 0 (none) or at least 100 ms";
    else if (cfg->max_ack_delay.ns >= PLX_MS(1 << 14).ns) // RFC 9000 section 18.2
        why = "max_ack_delay must be below 16384 ms";
    else if (cfg->tick.ns < PLX_MS(1).ns)
        why = "tick must be at least 1 ms";
    if (why == NULL)
        return PLX_OK;
    snprintf(err, err_len, "%s", why);
    return PLX_ERR_INVALID;
}
