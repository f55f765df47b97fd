// block.c -- see block.h. Section numbers are those of the draft.

#include "block.h"

#include <string.h>

enum {
    SECTION = 0x0a0d0d0a,    // 4.1
    INTERFACE = 1,           // 4.2
    ENHANCED_PACKET = 6,     // 4.3
    DECRYPTION_SECRETS = 10, // 4.7
    BYTE_ORDER = 0x1a2b3c4d,
    LINK_ETHERNET = 1,
    SECRETS_TLS = 0x544c534b, // "TLSK": lines of an NSS key log
    OPTION_END = 0,
    OPTION_NAME = 2,       // of an interface
    OPTION_RESOLUTION = 9, // of an interface: negative power of ten
    OPTION_FLAGS = 2,      // of a packet: its direction
};

// A block under construction; `at` runs past the end when it does not fit, and then nothing is written.
struct block {
    uint8_t *b;
    size_t cap, start, at;
};

static void put(struct block *k, const void *p, size_t len)
{
    if (k->at + len <= k->cap && len > 0)
        memcpy(k->b + k->at, p, len);
    k->at += len;
}

static void put16(struct block *k, uint16_t v)
{
    put(k, &v, sizeof v);
}

static void put32(struct block *k, uint32_t v)
{
    put(k, &v, sizeof v);
}

static void pad(struct block *k, size_t len)
{
    static const uint8_t zeros[4];
    put(k, zeros, (4 - len % 4) % 4);
}

static void option(struct block *k, uint16_t code, const void *value, uint16_t len)
{
    put16(k, code);
    put16(k, len);
    put(k, value, len);
    pad(k, len);
}

static struct block block_begin(uint8_t *buf, size_t cap, size_t len, uint32_t type)
{
    struct block k = {buf, cap, len, len};
    put32(&k, type);
    put32(&k, 0); // the length: when it is known
    return k;
}

static bool block_end(struct block *k, size_t *len)
{
    uint32_t total = (uint32_t)(k->at - k->start + 4);

    put32(k, total);
    if (k->at > k->cap)
        return false;
    memcpy(k->b + k->start + 4, &total, sizeof total);
    *len = k->at;
    return true;
}

bool pcap_section_write(uint8_t *buf, size_t cap, size_t *len)
{
    static const uint64_t unknown = UINT64_MAX; // the section's length: it goes to the end of the file
    struct block k = block_begin(buf, cap, *len, SECTION);

    put32(&k, BYTE_ORDER);
    put16(&k, 1); // version 1.0
    put16(&k, 0);
    put(&k, &unknown, sizeof unknown);
    return block_end(&k, len);
}

bool pcap_interface_write(uint8_t *buf, size_t cap, size_t *len, const char *name)
{
    static const uint8_t nanoseconds = 9;
    struct block k = block_begin(buf, cap, *len, INTERFACE);

    put16(&k, LINK_ETHERNET);
    put16(&k, 0);
    put32(&k, 0); // no limit on what is kept of a packet
    option(&k, OPTION_NAME, name, (uint16_t)strlen(name));
    option(&k, OPTION_RESOLUTION, &nanoseconds, 1);
    option(&k, OPTION_END, NULL, 0);
    return block_end(&k, len);
}

bool pcap_packet_write(uint8_t *buf, size_t cap, size_t *len, uint64_t ns, enum pcap_direction direction,
                       const void *head, size_t head_len, const void *data, size_t data_len)
{
    struct block k = block_begin(buf, cap, *len, ENHANCED_PACKET);
    uint32_t flags = direction;

    put32(&k, 0); // the first and only interface
    put32(&k, (uint32_t)(ns >> 32));
    put32(&k, (uint32_t)ns);
    put32(&k, (uint32_t)(head_len + data_len));
    put32(&k, (uint32_t)(head_len + data_len));
    put(&k, head, head_len);
    put(&k, data, data_len);
    pad(&k, head_len + data_len);
    option(&k, OPTION_FLAGS, &flags, sizeof flags);
    option(&k, OPTION_END, NULL, 0);
    return block_end(&k, len);
}

bool pcap_secrets_write(uint8_t *buf, size_t cap, size_t *len, const char *text, size_t text_len)
{
    struct block k = block_begin(buf, cap, *len, DECRYPTION_SECRETS);

    put32(&k, SECRETS_TLS);
    put32(&k, (uint32_t)text_len);
    put(&k, text, text_len);
    pad(&k, text_len);
    return block_end(&k, len);
}
