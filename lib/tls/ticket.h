// ticket.h -- the keys that session tickets are sealed with.
//
// Tickets are stateless: what the server would have to remember travels to the client and back, sealed
// (RFC 8446 section 4.6.1 leaves the form to us; this is the one of RFC 5077 section 4: AES-256-CBC, then HMAC-SHA-256).
// The newest key seals; it and the one before it open. A key seals for one ticket lifetime, so a ticket can be
// opened for as long as it lives, and a key that leaks tells about two lifetimes at most.
//
// Cores read while one thread rotates. Readers copy a key out, word by word, and look again whether it may still be used:
//   K1 (release, newest) pairs with K2 (acquire, newest): a key is complete before its number is seen.
//   K3 (release, word)   pairs with K4 (acquire, word): who sees a wiped word sees the number that made it obsolete.
// A key is wiped three rotations after it last opened a ticket, and a rotation takes at least a second.

#ifndef PLX_TLS_TICKET_H
#define PLX_TLS_TICKET_H

#include <plx/types.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

enum { PLX_TICKET_SLOTS = 8, PLX_TICKET_NAME_LEN = 16 };

struct plx_ticket_key {
    uint8_t name[PLX_TICKET_NAME_LEN], aes[32], hmac[32];
};

_Static_assert(sizeof(struct plx_ticket_key) % sizeof(uint64_t) == 0, "keys are copied word by word");

struct plx_ticket_keys {
    _Atomic uint32_t newest; // number of the newest key, from 1; key n lies in slot n % PLX_TICKET_SLOTS
    _Atomic uint64_t slot[PLX_TICKET_SLOTS][sizeof(struct plx_ticket_key) / sizeof(uint64_t)];
    EVP_CIPHER *cipher;
    plx_dur period;
    plx_time rotated; // PLX_NEVER until the first tick
};

// False when the system has no random numbers or OpenSSL no memory.
PLX_MUST_USE bool plx_ticket_keys_init(struct plx_ticket_keys *k, plx_dur period);
void plx_ticket_keys_fini(struct plx_ticket_keys *k);

// Rotates when the newest key has served for a period. One thread at a time.
void plx_ticket_keys_tick(struct plx_ticket_keys *k, plx_time now);

// The body of OpenSSL's ticket key callback: sets up ctx and mac for sealing (name and iv are outputs) or opening
// (inputs). 1: go on; 2: go on, and give the client a new ticket (each is used once, RFC 8446 appendix C.4); 0: no such key, a full
// handshake follows; -1: failure.
int plx_ticket_keys_use(struct plx_ticket_keys *k, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *ctx,
                        EVP_MAC_CTX *mac, bool is_sealing);

#endif
