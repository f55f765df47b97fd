// ticket.h -- the keys that session tickets are sealed with.
//
// Tickets are stateless: what the server would have to remember travels to the client and back, sealed
// (RFC 8446 section 4.6.1 leaves the form to us; this is the one of RFC 5077 section 4: AES-256-CBC, then HMAC-SHA-256).
// The newest key seals; it and the one before it open. A key seals for one ticket lifetime, so a ticket can be
// opened for as long as it lives, and a key that leaks tells about two lifetimes at most.
//
// Cores read while one thread rotates. A rotation fills a slot that nobody uses any more and then publishes
// its number:
//   K1 (release, newest) pairs with K2 (acquire, newest): a key is complete before its number is seen.
// A key is wiped three rotations after a reader could last have picked it; a rotation takes at least a second,
// reading takes a microsecond.

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

struct plx_ticket_keys {
    _Atomic uint32_t newest; // number of the newest key, from 1; key n lies in slot n % PLX_TICKET_SLOTS
    struct plx_ticket_key slot[PLX_TICKET_SLOTS];
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
