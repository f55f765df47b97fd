#!/usr/bin/env python3
"""tshark reads captured connections of ours with our own key log, and finds nothing wrong in them: both roles."""
# timeout: 400
# alone: a capture loses packets when it has to wait
import os

import capture
import clients
import lib
import servers

NAMES = ('0.bin', '1.bin', '64k.bin', '10m.bin')
# tshark 4.0 loses hold of a long DATA frame now and then, in the middle of a capture without a gap, and reads the body from there as frames. Of
# random octets one in sixteen begins a frame type that it knows, and it may find that malformed. So bodies are of octets whose upper two bits are set:
# wherever such a body is read as a frame, its type is one that nobody has defined, and its length one that never ends (RFC 9000 section 16).
NO_FRAME = bytes(octet | 0xc0 for octet in range(256))
SERVER, CLIENT = '10.212.0.1', '10.212.0.2'
SECRETS = {'CLIENT_HANDSHAKE_TRAFFIC_SECRET', 'SERVER_HANDSHAKE_TRAFFIC_SECRET', 'CLIENT_TRAFFIC_SECRET_0', 'SERVER_TRAFFIC_SECRET_0'}


def judge(lab, site, wire, keylog, got, names):
    wire.stop()
    bad = [] if got.is_same(site, *names) else [got.explain(site, *names)]
    bad += wire.faults(keylog)
    if not bad and not SECRETS <= set(capture.secrets(keylog)):
        bad.append(f'the key log holds only {capture.secrets(keylog)}')
    if not bad:
        lab.say(f'{wire.count("udp")} packets read, {wire.count("http3", keylog)} with HTTP/3 inside, {wire.dropped} lost by the capture')
    return not bad, '\n'.join(bad)


def ours_serves(lab, site, a, b, device, client):
    keylog = lab.path(f'serve-{client}.keys')
    server = servers.plx_serve(lab, site, addresses=(SERVER,), netns=a, env={'SSLKEYLOGFILE': keylog})
    wire = capture.Capture(lab, b, device, server.port)
    options = ('--key-update=10ms',) if client == 'gtlsclient' else ()
    got = clients.ALL[client](lab, [server.url(n) for n in NAMES], *options, netns=b)
    server.stop()
    return judge(lab, site, wire, keylog, got, NAMES)


def ours_gets(lab, site, a, b, device, kind):
    keylog = lab.path(f'get-{kind}.keys')
    server = servers.ALL[kind](lab, site, netns=a, addresses=(SERVER,))
    wire = capture.Capture(lab, b, device, server.port)
    got = clients.plx_get(lab, [server.url(n) for n in NAMES], netns=b, env={'SSLKEYLOGFILE': keylog})
    server.stop()
    return judge(lab, site, wire, keylog, got, NAMES)


def ours_both(lab, site, a, b, device):
    keylog = lab.path('both.keys')
    server = servers.plx_serve(lab, site, addresses=(SERVER,), netns=a)
    wire = capture.Capture(lab, b, device, server.port)
    got = clients.plx_get(lab, [server.url(n) for n in NAMES], netns=b, env={'SSLKEYLOGFILE': keylog})
    server.stop()
    return judge(lab, site, wire, keylog, got, NAMES)


def test(lab):
    # One processor for all: a sender that the kernel moves to another overtakes its own packets, and where a late one lies across a boundary
    # of its truncated number tshark takes it for one to come, and cannot decrypt it (RFC 9000 appendix A.3 looks both ways, tshark 4.0 does not).
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lab.cert(SERVER)
    site = lab.site({n: size for n, size in (('0.bin', 0), ('1.bin', 1), ('64k.bin', 64 << 10), ('10m.bin', 10 << 20))}, NO_FRAME)
    a, b = lab.netns('a'), lab.netns('b')
    _, device = lab.veth(a, b, [f'{SERVER}/24'], [f'{CLIENT}/24'])
    for client in clients.ALL:
        lab.attempt(f'plx-serve to {client}', ours_serves, lab, site, a, b, device, client)
    for kind in ('nginx', 'caddy'):
        lab.attempt(f'plx-get from {kind}', ours_gets, lab, site, a, b, device, kind)
    lab.attempt('plx-get from plx-serve', ours_both, lab, site, a, b, device)


lib.run(test)
