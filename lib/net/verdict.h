// verdict.h -- what can become of a received frame, as an enumeration; the list itself is verdict.def.

#ifndef PLX_NET_VERDICT_H
#define PLX_NET_VERDICT_H

enum plx_net_verdict {
    PLX_NET_FINE, // between the layers only: nothing wrong so far. plx_net_rx() never returns it
#define PLX_NET_VERDICT(name, help) PLX_NET_##name,
#include "net/verdict.def"
#undef PLX_NET_VERDICT
    PLX_NET_VERDICT_COUNT,
};

// The name and the sentence of a verdict, for metrics and logs. Any thread.
const char *plx_net_verdict_name(enum plx_net_verdict v);
const char *plx_net_verdict_help(enum plx_net_verdict v);

#endif
