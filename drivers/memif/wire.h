// wire.h -- the memif protocol, version 2.0: what two processes say on a local socket, and what the memory that they share looks like.
//
// A control channel is a connection of a local SOCK_SEQPACKET socket. The *server* listens, the *client* connects and owns all shared
// memory. One message is one packet of 128 octets, a file descriptor may be passed with it:
//
//      server                          client
//        HELLO            ──▶                         versions, the most of everything
//                         ◀──          INIT           which interface, secret
//        ACK              ──▶
//                         ◀──          ADD_REGION     memory, its descriptor; for each region
//        ACK              ──▶
//                         ◀──          ADD_RING       where a ring lies, an eventfd; for each ring
//        ACK              ──▶
//                         ◀──          CONNECT
//        CONNECTED        ──▶                         from here on packets flow
//        DISCONNECT       ◀─▶                         why; after it, or without it, the connection ends
//
// A ring has a power of two of descriptors and two counters that only grow (and wrap at 65,536): the client moves the head, the server
// the tail, in both directions. From client to server, head counts the packets that were put in and tail those that were taken out. From
// server to client, head counts the empty buffers that were offered and tail those that were filled, in the order of the ring.
//
// All numbers are in the machine's order: the two share a machine.

#ifndef PLX_DRIVERS_MEMIF_WIRE_H
#define PLX_DRIVERS_MEMIF_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MEMIF_COOKIE = 0x3E31F20,
    MEMIF_VERSION = 0x0200, // major, minor
    MEMIF_MODE_ETHERNET = 0,
    MEMIF_NAME_LEN = 32,
    MEMIF_SECRET_LEN = 24,
    MEMIF_REASON_LEN = 96,
    MEMIF_MSG_LEN = 128,
    MEMIF_RING_HEADER = 128, // octets before the first descriptor
    MEMIF_RING_LOG2_MAX = 14,
};

// --- control messages --------------------------------------------------------------------------------------

enum memif_msg_type {
    MEMIF_ACK = 1,
    MEMIF_HELLO,
    MEMIF_INIT,
    MEMIF_ADD_REGION,
    MEMIF_ADD_RING,
    MEMIF_CONNECT,
    MEMIF_CONNECTED,
    MEMIF_DISCONNECT,
};

enum { MEMIF_RING_TO_SERVER = 1 }; // a flag of ADD_RING; without it the ring leads to the client

struct memif_hello {
    char name[MEMIF_NAME_LEN]; // of the program
    uint16_t version_min, version_max;
    uint16_t region_last; // the largest indices that the server takes
    uint16_t ring_last_to_client, ring_last_to_server;
    uint8_t ring_log2_max;
} __attribute__((packed));

struct memif_init {
    uint16_t version;
    uint32_t id;
    uint8_t mode;
    char secret[MEMIF_SECRET_LEN]; // padded with zeros, all zeros for none
    char name[MEMIF_NAME_LEN];
} __attribute__((packed));

struct memif_add_region {
    uint16_t index;
    uint64_t size;
} __attribute__((packed));

struct memif_add_ring {
    uint16_t flags;
    uint16_t index; // among those of its direction
    uint16_t region;
    uint32_t offset;
    uint8_t log2;
    uint16_t private_header; // octets of each packet that are the two's own affair
} __attribute__((packed));

struct memif_disconnect {
    uint32_t code;
    char reason[MEMIF_REASON_LEN];
} __attribute__((packed));

struct memif_msg {
    uint16_t type;
    union {
        struct memif_hello hello;
        struct memif_init init;
        struct memif_add_region region;
        struct memif_add_ring ring;
        char interface[MEMIF_NAME_LEN]; // CONNECT, CONNECTED
        struct memif_disconnect disconnect;
        uint8_t octets[MEMIF_MSG_LEN - 2];
    };
} __attribute__((packed));

static_assert(sizeof(struct memif_msg) == MEMIF_MSG_LEN, "one message, one packet");
static_assert(offsetof(struct memif_msg, hello.ring_log2_max) == 44, "as on the wire");
static_assert(offsetof(struct memif_msg, init.name) == 33, "as on the wire");
static_assert(offsetof(struct memif_msg, region.size) == 4, "as on the wire");
static_assert(offsetof(struct memif_msg, ring.private_header) == 13, "as on the wire");
static_assert(offsetof(struct memif_msg, disconnect.reason) == 6, "as on the wire");

// --- shared memory -----------------------------------------------------------------------------------------

enum { MEMIF_DESC_NEXT = 1 };   // a flag of a descriptor: the packet goes on in the next one
enum { MEMIF_RING_NO_INT = 1 }; // a flag of a ring: who receives polls, nobody need wake him

struct memif_desc {
    uint16_t flags;
    uint16_t region;
    uint32_t length; // a packet's, or that of an empty buffer
    uint32_t offset; // in the region
    uint32_t metadata;
} __attribute__((aligned(8)));

struct memif_ring {
    uint32_t cookie;
    uint16_t flags;
    uint16_t head; // the client's
    uint8_t pad0[56];
    uint16_t tail; // the server's, in a cache line of its own
    uint8_t pad1[62];
    struct memif_desc desc[];
};

static_assert(sizeof(struct memif_desc) == 16, "as in memory");
static_assert(offsetof(struct memif_ring, head) == 6 && offsetof(struct memif_ring, tail) == 64,
              "as in memory");
static_assert(sizeof(struct memif_ring) == MEMIF_RING_HEADER, "as in memory");

static inline size_t memif_ring_size(unsigned log2)
{
    return MEMIF_RING_HEADER + (sizeof(struct memif_desc) << log2);
}

// The other side may write to all of this at any time. So each word is read once, into a variable of ours, and what was read is
// checked and used, never what is there.
//
//   M1 (release, a counter moves) pairs with M2 (acquire, the other side reads it): what a descriptor says, and what lies in the buffer,
//   is there before whoever is told looks, and is done with before whoever gets it back writes to it.

static inline void memif_counter_move(uint16_t *counter, uint16_t to)
{
    __atomic_store_n(counter, to, __ATOMIC_RELEASE); // M1
}

static inline uint16_t memif_counter_look(const uint16_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE); // M2
}

static inline struct memif_desc memif_desc_read(const struct memif_desc *d)
{
    const uint64_t *word = (const uint64_t *)d;
    uint64_t a = __atomic_load_n(word, __ATOMIC_RELAXED), b = __atomic_load_n(word + 1, __ATOMIC_RELAXED);
    return (struct memif_desc){
        .flags = (uint16_t)a,
        .region = (uint16_t)(a >> 16),
        .length = (uint32_t)(a >> 32),
        .offset = (uint32_t)b,
    };
}

static inline void memif_desc_write(struct memif_desc *d, uint16_t region, uint32_t length, uint32_t offset)
{
    uint64_t *word = (uint64_t *)d;
    __atomic_store_n(word, (uint64_t)region << 16 | (uint64_t)length << 32, __ATOMIC_RELAXED);
    __atomic_store_n(word + 1, offset, __ATOMIC_RELAXED);
}

#endif
