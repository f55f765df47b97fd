// block.h -- the blocks of a pcapng file (draft-ietf-opsawg-pcapng), as far as a recorder writes them.
//
// Every block is: type, total length, body padded to 32 bits, total length again. All numbers are in the machine's
// order, which the section header tells a reader. Timestamps are nanoseconds.

#ifndef PLX_DRIVERS_PCAP_BLOCK_H
#define PLX_DRIVERS_PCAP_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pcap_direction { PCAP_INBOUND = 1, PCAP_OUTBOUND = 2 };

// Each appends one whole block to buf, of which *len octets are used; false, and nothing appended, when it does not fit.
bool pcap_section_write(uint8_t *buf, size_t cap, size_t *len);                     // section header
bool pcap_interface_write(uint8_t *buf, size_t cap, size_t *len, const char *name); // Ethernet, nanoseconds
bool pcap_packet_write(uint8_t *buf, size_t cap, size_t *len, uint64_t ns, enum pcap_direction direction,
                       const void *head, size_t head_len, const void *data, size_t data_len);
bool pcap_secrets_write(uint8_t *buf, size_t cap, size_t *len, const char *text, size_t text_len);

// Room that a block with a body of this many octets of data needs at most.
static inline size_t pcap_block_room(size_t data_len)
{
    return data_len + 64;
}

#endif
