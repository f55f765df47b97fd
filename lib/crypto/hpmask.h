// hpmask.h -- header-protection masks by hand: AES of one block under many keys, and one block of ChaCha20.
//
// A burst brings up to 64 packets of as many connections: 64 single blocks, each under a key of its own. One
// AES block takes ten dependent rounds of about four cycles, so a loop over packets waits most of its time.
// Eight packets side by side fill that latency: 1.9 ns per mask of a burst. Wider registers (VAES) lose, 2.5 ns, because
// the round keys of four connections must first be gathered into one register; where a whole burst has one key they
// win, 1.1 ns, which is not worth a second way beside the 70 ns that opening a full packet takes.
//
// Only a processor with AES-NI may call the plx_hp_aes* functions (any that can run IPsec-MB's own tables).

#ifndef PLX_CRYPTO_HPMASK_H
#define PLX_CRYPTO_HPMASK_H

#include "crypto/aead.h"

bool plx_hp_aes_is_usable(void);
// FIPS 197 key schedules: 11 or 15 round keys of 16 octets into sched.
void plx_hp_aes128_expand(uint8_t *sched, const uint8_t key[16]);
void plx_hp_aes256_expand(uint8_t *sched, const uint8_t key[32]);

// Masks of jobs[idx[0..count)]; every key among them is AES-128 (or all are AES-256).
void plx_hp_aes128_mask(struct plx_mask_job *jobs, const uint8_t *idx, size_t count);
void plx_hp_aes256_mask(struct plx_mask_job *jobs, const uint8_t *idx, size_t count);

// RFC 9001 section 5.4.4, in plain C: key is 32 octets. Correct rather than fast.
void plx_hp_chacha20_mask(uint8_t mask[PLX_HP_MASK_LEN], const uint8_t *key,
                          const uint8_t sample[PLX_HP_SAMPLE_LEN]);

#endif
