// fuzz_qpack_decoder_stream.c -- a peer's decoder stream, whole and octet by octet: the connection ends the same way.

#include "../../unit/h3/app.h"
#include "../../unit/h3/array.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct world w;

static uint64_t outcome(const uint8_t *data, size_t len, size_t piece_max)
{
    static const struct plx_h3_handler nobody;

    world_init(&w, 1, piece_max, NULL, NULL, &nobody);
    unsigned stream = world_forge_open(&w, CLIENT, true);
    world_forge(&w, stream, CLIENT, "\x03", 1, false);
    world_forge(&w, stream, CLIENT, data, len, false);
    world_run(&w, (unsigned)len + 100);
    uint64_t code = w.side[SERVER].is_closed ? w.side[SERVER].close_code : 0;
    world_fini(&w, PLX_H3_NO_ERROR);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint64_t code = outcome(data, len, 0);

    plx_check(code == 0 || code == PLX_QPACK_DECODER_STREAM_ERROR);
    plx_check(outcome(data, len, 1) == code);
    return 0;
}
