#!/usr/bin/env python3
"""0-RTT with other people's programs: plx-get against servers that accept early data and those that have none, gtlsclient against plx-serve."""
# timeout: 300
import re
import time

import clients
import lib
import servers

# What a session of theirs leads to: ngtcp2's server takes early data; Debian 13's nginx and haproxy have none over QUIC with their OpenSSL.
EXPECTED = {'gtlsserver': 'accepted', 'nginx': None, 'haproxy': None, 'caddy': 'accepted', 'aioquic': 'accepted'}


def verdict(got):
    found = re.search(r'early data (accepted|refused)', got.text)
    return found and found[1]


def get(lab, site, server, session, name):
    got = clients.plx_get(lab, server.url(name), '--session', session, '--early-data')
    return got, got.is_same(site, name)


def by_plx_get(lab, site, server, expected):
    """The second visit, and the third with the ticket of the second."""
    session = lab.path(f'early-{server.kind}-{server.port}')
    first, is_fine = get(lab, site, server, session, '1.bin')
    if not is_fine or verdict(first):
        return False, first.explain(site, '1.bin')
    for name in ('64k.bin', '1.bin'):
        got, is_fine = get(lab, site, server, session, name)
        if not is_fine or verdict(got) != expected or 'resumed' not in got.text:
            return False, f'verdict {verdict(got)}, expected {expected}\n' + got.explain(site, name)
    return True, ''


def restarted(lab, site, start):
    """The server has lost its ticket keys in between: refused, and fetched all the same."""
    server = start()
    session = lab.path(f'early-{server.kind}-restarted')
    _, is_fine = get(lab, site, server, session, '1.bin')
    server.stop()
    if not is_fine:
        return False, 'the first visit failed'
    again = start()
    got, is_fine = get(lab, site, again, session, '64k.bin')
    again.stop()
    return is_fine and verdict(got) == 'refused', f'verdict {verdict(got)}\n' + got.explain(site, '64k.bin')


def counters(lab, server):
    time.sleep(0.3)  # they are published every tick
    got = clients.plx_get(lab, server.url('stats'))
    with open(got.file('stats')) as f:
        text = f.read()
    return {what: int(re.search(rf'^plx_early_data_{what}_total (\d+)', text, re.M)[1]) for what in ('accepted', 'refused')}


def by_gtlsclient(lab, site, server, name, *options):
    """ngtcp2's client keeps the session and the transport parameters in files; ours counts what it accepts."""
    files = ['--session-file=' + lab.path('gtls-session'), '--tp-file=' + lab.path('gtls-tp')]
    first = clients.gtlsclient(lab, server.url(name, '127.0.0.1'), *files, '--wait-for-ticket', '--timeout=5s')
    before = counters(lab, server)
    second = clients.gtlsclient(lab, server.url(name, '127.0.0.1'), *files, *options)
    after = counters(lab, server)
    ok = first.is_same(site, name) and second.is_same(site, name) and after['accepted'] == before['accepted'] + 1
    return ok, f'{before} {after}\n' + second.explain(site, name)


def test(lab):
    site = lab.site()
    for kind, expected in EXPECTED.items():
        server = servers.ALL[kind](lab, site)
        lab.attempt(f'plx-get {kind}', by_plx_get, lab, site, server, expected)
        server.stop()
    server = servers.plx_serve(lab, site, '--early-data', '--counters', '/stats')
    lab.attempt('plx-get plx-serve', by_plx_get, lab, site, server, 'accepted')
    for name in ('1.bin', '64k.bin', '10m.bin'):
        lab.attempt(f'gtlsclient plx-serve {name}', by_gtlsclient, lab, site, server, name)
    lab.attempt('gtlsclient plx-serve loss', by_gtlsclient, lab, site, server, '64k.bin', '--tx-loss=0.1')
    server.stop()
    plain = servers.plx_serve(lab, site)
    lab.attempt('plx-serve without', by_plx_get, lab, site, plain, None)
    plain.stop()
    port = lab.port()
    lab.attempt('plx-serve restarted', restarted, lab, site, lambda: fixed(lab, site, port))


def fixed(lab, site, port):
    """plx-serve on a port of the test's choice, so that a session still fits after a restart."""
    cert = lab.cert()
    proc = lab.start('plx-serve', [lab.program('apps/plx-serve'), '--listen', f'127.0.0.1:{port}', '--root', site.folder, '--cert', cert.cert, '--key',
                                   cert.key, '--early-data'])
    return servers.Server(lab, 'plx-serve', proc, port, ('127.0.0.1',))


lib.run(test)
