// evp.c -- see evp.h.

#include "crypto/evp.h"
#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

static struct plx_evp shared;
static pthread_once_t shared_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key; // only for its destructor; reading goes through the thread-local pointer
static _Thread_local struct plx_evp_thread *mine;

static void hash_free(struct plx_evp_hash *h)
{
    EVP_MD_CTX_free(h->work);
    EVP_MD_CTX_free(h->inner);
    EVP_MD_CTX_free(h->outer);
}

static void thread_free(void *arg)
{
    struct plx_evp_thread *t = arg;
    hash_free(&t->sha256);
    hash_free(&t->sha384);
    for (int i = 0; i < PLX_AEAD_ALG_COUNT; i++) {
        EVP_CIPHER_CTX_free(t->aead[i][0]);
        EVP_CIPHER_CTX_free(t->aead[i][1]);
        EVP_CIPHER_CTX_free(t->hp[i]);
    }
    OPENSSL_free(t);
    mine = NULL;
}

static void shared_init(void)
{
    static const char *const aead[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};
    static const char *const hp[] = {"AES-128-ECB", "AES-256-ECB", "ChaCha20"};

    plx_check((shared.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)) != NULL);
    plx_check((shared.sha384 = EVP_MD_fetch(NULL, "SHA384", NULL)) != NULL);
    for (int i = 0; i < PLX_AEAD_ALG_COUNT; i++) {
        plx_check((shared.aead[i] = EVP_CIPHER_fetch(NULL, aead[i], NULL)) != NULL);
        plx_check((shared.hp[i] = EVP_CIPHER_fetch(NULL, hp[i], NULL)) != NULL);
    }
    plx_check(pthread_key_create(&thread_key, thread_free) == 0);
}

const struct plx_evp *plx_evp_get(void)
{
    plx_check(pthread_once(&shared_once, shared_init) == 0);
    return &shared;
}

static void hash_make(struct plx_evp_hash *h, const EVP_MD *md)
{
    EVP_MD_CTX **all[] = {&h->work, &h->inner, &h->outer};
    for (int i = 0; i < 3; i++) {
        plx_check((*all[i] = EVP_MD_CTX_new()) != NULL);
        plx_check(EVP_DigestInit_ex2(*all[i], md, NULL) == 1);
    }
}

// Everything a later call might want to allocate is made here: contexts get their algorithm at once.
static struct plx_evp_thread *thread_new(void)
{
    const struct plx_evp *e = plx_evp_get();
    struct plx_evp_thread *t = OPENSSL_zalloc(sizeof *t);
    plx_check(t != NULL);
    hash_make(&t->sha256, e->sha256);
    hash_make(&t->sha384, e->sha384);
    for (int i = 0; i < PLX_AEAD_ALG_COUNT; i++) {
        for (int enc = 0; enc < 2; enc++) {
            plx_check((t->aead[i][enc] = EVP_CIPHER_CTX_new()) != NULL);
            plx_check(EVP_CipherInit_ex2(t->aead[i][enc], e->aead[i], NULL, NULL, enc, NULL) == 1);
        }
        plx_check((t->hp[i] = EVP_CIPHER_CTX_new()) != NULL);
        plx_check(EVP_EncryptInit_ex2(t->hp[i], e->hp[i], NULL, NULL, NULL) == 1);
        EVP_CIPHER_CTX_set_padding(t->hp[i], 0);
    }
    plx_check(pthread_setspecific(thread_key, t) == 0);
    return t;
}

struct plx_evp_thread *plx_evp_thread_get(void)
{
    if (__builtin_expect(mine == NULL, 0))
        mine = thread_new();
    return mine;
}
