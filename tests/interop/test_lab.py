#!/usr/bin/env python3
"""The lab proves itself: every client fetches from every server, all of them other people's. What fails here is not ours."""
# timeout: 900
import browser
import capture
import clients
import curl
import late
import lib
import servers

SMALL = ('0.bin', '1.bin', '64k.bin', '10m.bin')


def pair(lab, site, server, client):
    got = clients.ALL[client](lab, [server.url(n) for n in SMALL])
    return got.is_same(site, *SMALL), got.explain(site, *SMALL)


def large(lab, site, server, client):
    got = clients.ALL[client](lab, server.url('100m.bin'))
    lab.say(f'{client} from {server.kind}: 100 MB in {got.took:.1f} s')
    return got.is_same(site, '100m.bin'), got.explain(site, '100m.bin')


def chromium(lab, site, server):
    b = browser.Browser(lab, server.port, address=server.addresses[0])
    b.open()
    results = b.fetch(SMALL)
    bad = browser.wrong(site, results, SMALL)
    b.close()
    return not bad, '\n'.join(bad)


def wrong_bytes(lab, site, server):
    """The comparison itself can fail: a file that has changed is noticed."""
    got = clients.curl(lab, server.url('64k.bin'))
    with open(got.file('64k.bin'), 'r+b') as f:
        f.seek(40000)
        f.write(b'not this')
    return got.code == 0 and not got.is_same(site, '64k.bin'), got.explain(site, '64k.bin')


def namespaces(lab, site):
    a, b = lab.netns('a'), lab.netns('b')
    lab.veth(a, b, ['10.211.0.1/24', 'fd11::1/64'], ['10.211.0.2/24', 'fd11::2/64'])
    cert_names = '10.211.0.1'
    server = servers.nginx(lab, site, netns=a, addresses=(cert_names, 'fd11::1'))
    for host in (cert_names, 'fd11::1'):
        got = clients.curl(lab, server.url('10m.bin', host), netns=b)
        if not got.is_same(site, '10m.bin'):
            return False, got.explain(site, '10m.bin')
    server.stop()
    return True, ''


def captured(lab, site):
    """tshark reads a connection of two others with the client's key log; without it, it cannot."""
    a, b = lab.netns('c'), lab.netns('d')
    _, device = lab.veth(a, b, ['10.211.1.1/24'], ['10.211.1.2/24'])
    server = servers.nginx(lab, site, netns=a, addresses=('10.211.1.1',))
    wire = capture.Capture(lab, b, device, server.port)
    keylog = lab.path('lab.keys')
    got = clients.aioquic(lab, [server.url(n) for n in SMALL], '--keylog', keylog, netns=b)
    wire.stop()
    server.stop()
    bad = [] if got.is_same(site, *SMALL) else [got.explain(site, *SMALL)]
    bad += wire.faults(keylog)
    if wire.count('http3') != 0:
        bad.append('HTTP/3 is readable without the key log: the check proves nothing')
    with open(keylog) as f:
        partial = [line for line in f if not line.startswith('SERVER_TRAFFIC_SECRET')]
    with open(keylog + '.part', 'w') as f:
        f.writelines(partial)
    if not wire.faults(keylog + '.part'):
        bad.append('packets that cannot be decrypted are not noticed')
    return not bad, '\n'.join(bad)


def read_fault(lab):
    """Of curl's own fault (curl.py) its trace tells, and nothing else looks like it."""
    done = '* [HTTP/3] handshake complete after 22ms\n'
    stuck, well = '* [HTTP/3] [6] send 1 bytes to QUIC blocked\n', '* [HTTP/3] [6] send 1 bytes to QUIC ok\n'
    upload = '* [HTTP/3] [4] send 16384 bytes to QUIC blocked\n'
    bad, path = [], lab.path('sample.trace')
    for text, lost in ((stuck + done, ['6']), (stuck, []), (well + done, []), (stuck + well + done, []), (upload + done, []), ('', [])):
        with open(path, 'w') as f:
            f.write(text)
        if (found := curl.Trace(path).lost_streams()) != lost:
            bad.append(f'{found} instead of {lost} read from {text!r}')
    return not bad, '\n'.join(bad)


# Stands still the first time, or always; what it says about a stream comes first, the file for it last.
STANDS_STILL = 'for p; do :; done; [ "$2" = always ] || mkdir "$0" || exit 0; echo "handshake complete [6] send 1 bytes to QUIC $1" >"$p"; sleep 60'


def repeated(lab):
    """A run with the fault is repeated; one that stands still without it is a failure, and whoever wants to look at it is called before its end."""
    patience, curl.PATIENCE = curl.PATIENCE, 1
    calls = []
    code, text, _, again = curl.run(lab, ['sh', '-c', STANDS_STILL, lab.path('once'), 'blocked', 'once'], 30)
    bad = [] if (code, again) == (0, 1) else [f'with the fault: status {code}, {again} repeated\n{text}']
    code, text, _, again = curl.run(lab, ['sh', '-c', STANDS_STILL, lab.path('never'), 'ok', 'always'], 2,
                                    at_stall=lambda: calls.append(1) or 'looked at')
    if (code, again, calls) != (-1, 0, [1]) or 'looked at' not in text or 'no end after' not in text:
        bad.append(f'without: status {code}, {again} repeated, {len(calls)} calls\n{text}')
    code, text, _, again = curl.run(lab, ['sh', '-c', STANDS_STILL, lab.path('ever'), 'blocked', 'always'], 30)
    if (code, again) != (-1, curl.TRIES - 1):
        bad.append(f'for ever: status {code}, {again} repeated\n{text}')
    curl.PATIENCE = patience
    return not bad, '\n'.join(bad)


def late_handshake(lab, site, server):
    """What provokes the fault, about every other time: the handshake comes later than OpenSSL's timers. In the end all is there."""
    wire = late.Late(lab.port(), server.port, 1.2)
    got = clients.curl(lab, [f'https://localhost:{wire.port}/{n}' for n in SMALL], '--resolve', f'localhost:{wire.port}:127.0.0.1')
    wire.stop()
    lab.say(f'curl through a late handshake: {got.again} run(s) for nothing')
    return got.is_same(site, *SMALL), got.explain(site, *SMALL)


def test(lab):
    lab.cert('10.211.0.1', 'fd11::1', '10.211.1.1')
    site = lab.site()
    for kind, start in servers.ALL.items():
        try:
            server = start(lab, site)
        except lib.LabError as e:
            lab.check(f'{kind}_starts', False, e)
            continue
        lab.check(f'{kind}_starts', True)
        for client in clients.ALL:
            lab.attempt(f'{client}_from_{kind}', pair, lab, site, server, client)
        lab.attempt(f'chromium_from_{kind}', chromium, lab, site, server)
        if kind == 'nginx':
            for client in clients.ALL:
                lab.attempt(f'{client}_from_{kind}_100m', large, lab, site, server, client)
            lab.attempt('changed_bytes_are_noticed', wrong_bytes, lab, site, server)
            lab.attempt('curl_through_a_late_handshake', late_handshake, lab, site, server)
        server.stop()
    lab.attempt('curls_fault_is_read', read_fault, lab)
    lab.attempt('curls_fault_is_repeated', repeated, lab)
    lab.attempt('nginx_through_namespaces', namespaces, lab, site)
    lab.attempt('tshark_reads_a_connection', captured, lab, site)


lib.run(test)
