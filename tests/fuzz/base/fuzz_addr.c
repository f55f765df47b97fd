// fuzz_addr.c -- texts to addresses and back; bytes to texts and back.

#include <string.h>

#include "ops.h"
#include "plx/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char buf[PLX_ADDR_STRLEN], *text = malloc(len + 1);
    struct plx_addr a, b;

    plx_check(text != NULL);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    if (plx_addr_parse(text, &a)) {
        plx_check(a.af == PLX_AF_IP4 || a.af == PLX_AF_IP6);
        plx_check(plx_addr_parse(plx_addr_str(&a, buf), &b));
        plx_check(plx_addr_eq(&a, &b));
    }
    free(text);

    if (len < 23)
        return 0;
    memset(&a, 0, sizeof a);
    a.af = data[0] & 1 ? PLX_AF_IP6 : PLX_AF_IP4;
    memcpy(a.ip, data + 1, a.af == PLX_AF_IP6 ? 16 : 4);
    a.port = (uint16_t)(data[17] << 8 | data[18]);
    if (a.af == PLX_AF_IP6)
        memcpy(&a.scope, data + 19, sizeof a.scope);
    plx_check(strlen(plx_addr_str(&a, buf)) < sizeof buf);
    plx_check(plx_addr_parse(buf, &b));
    plx_check(plx_addr_eq(&a, &b));
    return 0;
}
