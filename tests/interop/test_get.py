#!/usr/bin/env python3
"""plx-get against other people's servers: the same files, byte for byte, certificates, and resumed sessions."""
# timeout: 900
import os
import re

import clients
import lib
import servers

FILES = tuple(lib.SIZES)


def each(lab, site, server):
    for name in FILES:
        got = clients.plx_get(lab, server.url(name))
        if not got.is_same(site, name):
            return False, got.explain(site, name)
        if name == '100m.bin':
            lab.say(f'{server.kind}: 100 MB in {got.took:.1f} s')
    return True, ''


def together(lab, site, server):
    got = clients.plx_get(lab, [server.url(n) for n in FILES])
    return got.is_same(site, *FILES), got.explain(site, *FILES)


def verbose(lab, site, server):
    """-v tells version, cipher, group, round trip and losses."""
    got = clients.plx_get(lab, server.url('64k.bin'))
    missing = [w for w in (r'QUIC|version', r'AES|CHACHA', r'X25519|P-?256|secp256r1|MLKEM', r'rtt|RTT', r'lost') if not re.search(w, got.text)]
    return got.is_same(site, '64k.bin') and not missing, f'-v does not tell: {missing}\n' + got.explain(site, '64k.bin')


def resumption(lab, site, server):
    session = lab.path(f'session-{server.kind}')
    first = clients.plx_get(lab, server.url('1.bin'), '--session', session)
    second = clients.plx_get(lab, server.url('1.bin'), '--session', session)
    ok = first.is_same(site, '1.bin') and second.is_same(site, '1.bin')
    ok = ok and 'resumed' not in first.text.replace('not resumed', '') and 'resumed' in second.text.replace('not resumed', '')
    return ok, f'first:\n{first.explain(site, "1.bin")}\nsecond:\n{second.explain(site, "1.bin")}'


def refused(lab, server, words, *options, host=None, ca=True):
    """A certificate that does not hold: an exit status of its own, no file, and words that say which problem."""
    got = clients.plx_get(lab, server.url('1.bin', host), *options, ca=ca)
    made = os.path.exists(got.file('1.bin')) and os.path.getsize(got.file('1.bin')) > 0
    return got.code not in (0, -1) and not made and re.search(words, got.text, re.I) is not None, f'exit status {got.code}\n{got.text[-1500:]}'


def behaviour(lab, site, server):
    got = clients.plx_get(lab, server.url('nowhere.bin'), '--fail')
    lab.check('status_404_is_a_failure', got.code == 22 and '404' in got.text, got.explain(site))
    got = clients.plx_get(lab, server.url('64k.bin'), '-I')
    lab.check('head', got.code == 0, got.explain(site))
    closed = lab.port()
    got = clients.plx_get(lab, f'https://127.0.0.1:{closed}/1.bin', timeout=40)
    lab.check('nobody_there', got.code not in (0, -1), got.explain(site))
    for text in ('http://localhost/', 'https://', 'https://localhost:99999/', 'nonsense', ''):
        got = clients.plx_get(lab, text, timeout=15)
        lab.check(f'bad_url {text!r}', got.code not in (0, -1) and got.text.strip() != '', got.explain(site))


def posts(lab, site, server):
    """aioquic's server here sends a POST back; -d @FILE is curl's habit."""
    got = clients.plx_get(lab, server.url('echo'), '-d', '@' + os.path.join(site.folder, '10m.bin'))
    ok = got.code == 0 and os.path.exists(got.file('echo')) and lib.sha256_file(got.file('echo')) == site.hashes['10m.bin']
    return ok, got.explain(site)


def test(lab):
    site = lab.site()
    for kind, start in servers.ALL.items():
        server = start(lab, site)
        lab.attempt(f'{kind} each', each, lab, site, server)
        lab.attempt(f'{kind} together', together, lab, site, server)
        lab.attempt(f'{kind} resumption', resumption, lab, site, server)
        if kind == 'nginx':
            for host in servers.LOOPBACK:
                got = clients.plx_get(lab, server.url('10m.bin', host))
                lab.check(f'{kind} address {host}', got.is_same(site, '10m.bin'), got.explain(site, '10m.bin'))
            lab.attempt('verbose', verbose, lab, site, server)
            behaviour(lab, site, server)
        if kind == 'aioquic':
            lab.attempt('post_10m', posts, lab, site, server)
        server.stop()
    anywhere = servers.nginx(lab, site, addresses=('127.0.0.2',))  # an address that the certificate does not name
    lab.attempt('certificate wrong_address', refused, lab, anywhere, r'certificate|name|host|address')
    anywhere.stop()
    server = servers.nginx(lab, site)
    other = lib.Cert(lab.make_folder('other-ca'), ()).ca
    lab.attempt('certificate unknown_ca', lambda: refused(lab, server, r'certificate|issuer|verify', ca=False))
    lab.attempt('certificate other_ca', lambda: refused(lab, server, r'certificate|issuer|verify', '--cacert', other, ca=False))
    got = clients.plx_get(lab, server.url('1.bin'), '--insecure', ca=False)
    lab.check('certificate insecure', got.is_same(site, '1.bin'), got.explain(site, '1.bin'))
    server.stop()


lib.run(test)
