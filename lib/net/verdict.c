// verdict.c -- names of the verdicts.

#include "net/verdict.h"

static const struct {
    const char *name, *help;
} verdicts[PLX_NET_VERDICT_COUNT] = {
    [PLX_NET_FINE] = {"FINE", "nothing wrong so far"},
#define PLX_NET_VERDICT(n, h) [PLX_NET_##n] = {#n, h},
#include "net/verdict.def"
#undef PLX_NET_VERDICT
};

const char *plx_net_verdict_name(enum plx_net_verdict v)
{
    return verdicts[v].name;
}

const char *plx_net_verdict_help(enum plx_net_verdict v)
{
    return verdicts[v].help;
}
