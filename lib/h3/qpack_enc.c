// qpack_enc.c -- see qpack_enc.h.

#include "h3/qpack_enc.h"

#include "h3/huffman.h"
#include "h3/qpack_int.h"
#include "h3/qpack_static.h"

void plx_qpack_enc_prefix(struct plx_wr *w)
{
    plx_wr_u8(w, 0);
    plx_wr_u8(w, 0);
}

// pattern: what is above the H bit; the length has `prefix` bits.
static void wr_string(struct plx_wr *w, uint8_t pattern, unsigned prefix, const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t huffman_len = plx_huffman_len(p, len);

    if (huffman_len >= len) {
        plx_qpack_wr_int(w, pattern, prefix, len);
        plx_wr_bytes(w, text, len);
        return;
    }
    plx_qpack_wr_int(w, (uint8_t)(pattern | 1u << prefix), prefix, huffman_len);
    uint8_t *to = plx_wr_skip(w, huffman_len);
    if (to != NULL)
        (void)plx_huffman_encode(p, len, to);
}

void plx_qpack_enc_field(struct plx_wr *w, const struct plx_field *f)
{
    bool is_whole;
    int row = plx_qpack_static_find(f->name, f->name_len, f->value, f->value_len, &is_whole);

    if (is_whole && !f->never_index) {
        plx_qpack_wr_int(w, 0xc0, 6, (uint64_t)row); // section 4.5.2, static
        return;
    }
    //= rfc9204 4.5.4 "When the 'N' bit is set, the encoded field line MUST always be encoded with a literal representation"
    if (row >= 0) {
        plx_qpack_wr_int(w, f->never_index ? 0x70 : 0x50, 4, (uint64_t)row); // section 4.5.4, static
    } else {
        wr_string(w, f->never_index ? 0x30 : 0x20, 3, f->name, f->name_len); // section 4.5.6
    }
    wr_string(w, 0, 7, f->value, f->value_len);
}

void plx_qpack_enc_status(struct plx_wr *w, uint16_t status)
{
    char digits[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
    struct plx_field f = {":status", digits, 7, 3, false};
    plx_qpack_enc_field(w, &f);
}

size_t plx_qpack_enc_len_max(const struct plx_field *fields, uint16_t count)
{
    size_t len = 2 + 5; // the prefix, a literal status
    for (uint16_t i = 0; i < count; i++)
        len +=
            (size_t)fields[i].name_len + fields[i].value_len + 2 * 6; // a 32-bit length takes up to 6 octets
    return len;
}
