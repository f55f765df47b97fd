#!/usr/bin/env python3
"""plx-serve over kernel sockets, to other people's clients: files byte for byte, many streams, many connections, paths
that change, losses, and how it ends."""
# timeout: 1200
import os
import re
import signal
import time

import browser
import clients
import lib
import servers

FILES = tuple(lib.SIZES)
ECHO = '/echo'


def fetch(lab, site, server, client, host):
    got = clients.ALL[client](lab, [server.url(n, host) for n in FILES])
    lab.say(f'{client} {host}: {sum(lib.SIZES.values()) >> 20} MB in {got.took:.1f} s')
    return got.is_same(site, *FILES), got.explain(site, *FILES)


def chromium(lab, site, server, address):
    b = browser.Browser(lab, server.port, address=address)
    b.open()
    results = b.fetch(FILES) + b.fetch(('1.bin', '64k.bin', '10m.bin'), at_once=True)
    page = b.page_protocol()
    b.close()
    bad = browser.wrong(site, results, FILES)
    if page != 'h3':
        bad.append(f'the page came over {page!r}, not h3')
    return not bad, '\n'.join(bad)


def gibibyte(lab, site, server):
    """1 GiB, sparse on disk; its content is compared by hash."""
    name, size = '1g.bin', 1 << 30
    with open(os.path.join(site.folder, name), 'wb') as f:
        f.truncate(size)
        for at in range(0, size, 64 << 20):  # a mark in every 64 MB, so that a block in the wrong place shows
            f.seek(at)
            f.write(f'block {at}'.encode())
    site.sizes[name], site.hashes[name] = size, lib.sha256_file(os.path.join(site.folder, name))
    cpu = server.proc.cpu_seconds()
    got = clients.curl(lab, server.url(name), timeout=300)
    lab.say(f'1 GiB in {got.took:.1f} s, server CPU {server.proc.cpu_seconds() - cpu:.1f} s')
    result = got.is_same(site, name), got.explain(site, name)
    os.unlink(got.file(name))
    os.unlink(os.path.join(site.folder, name))
    return result


def small_files(site, count):
    """The same 64 KB under many names: a client that runs side by side needs a file for each."""
    names = [f's{i}.bin' for i in range(count)]
    for n in names:
        if n not in site.sizes:
            os.link(os.path.join(site.folder, '64k.bin'), os.path.join(site.folder, n))
            site.sizes[n], site.hashes[n] = site.sizes['64k.bin'], site.hashes['64k.bin']
    return names


def streams(lab, site, server, client):
    names = small_files(site, 100)
    options = ['--write-out', 'connects=%{num_connects}\\n'] if client == 'curl' else []
    got = clients.ALL[client](lab, [server.url(n) for n in names], *options)
    ok = got.is_same(site, *names)
    if client == 'curl':
        connects = sum(int(n) for n in re.findall(r'connects=(\d+)', got.text))
        ok = ok and connects == 1
        lab.say(f'curl used {connects} connection(s) for 100 requests')
    return ok, got.explain(site, *names)


def connections(lab, site, server):
    """200 connections that all stand at the same time, and then a file over each."""
    got = clients.aioquic(lab, server.url('64k.bin'), '--connections', '200')
    bad = [i for i in range(200) if got.code != 0 or lib.sha256_file(got.file(f'{i}/64k.bin')) != site.hashes['64k.bin']]
    return not bad, f'{len(bad)} of 200 connections did not bring the file; exit status {got.code}\n{got.text[-2000:]}'


def echo(lab, site, server, client):
    body = os.path.join(site.folder, '10m.bin')
    if client == 'curl':
        got = clients.curl(lab, server.url(ECHO[1:]), '--data-binary', '@' + body)
    elif client == 'gtlsclient':
        got = clients.gtlsclient(lab, server.url(ECHO[1:]), f'--data={body}', '--http-method=POST')
    else:
        got = clients.aioquic(lab, server.url(ECHO[1:]), '--post', body)
    same = got.code == 0 and os.path.exists(got.file('echo')) and lib.sha256_file(got.file('echo')) == site.hashes['10m.bin']
    return same, got.explain(site)


def variant(lab, site, server, *options, name='10m.bin'):
    got = clients.gtlsclient(lab, server.url(name), *options)
    return got.is_same(site, name), got.explain(site, name)


def group(lab, site, server, name):
    got = clients.curl(lab, server.url('64k.bin'), '--curves', name)
    return got.is_same(site, '64k.bin'), got.explain(site, '64k.bin')


def rebinding(lab, site, server):
    got = clients.aioquic(lab, server.url('100m.bin'), '--rebind')
    return got.is_same(site, '100m.bin'), got.explain(site, '100m.bin')


def resumption(lab, site, server):
    ticket = lab.path(f'ticket-{server.port}')
    first = clients.aioquic(lab, server.url('1.bin'), '--ticket', ticket)
    if not os.path.exists(ticket):
        return False, 'the server issued no session ticket\n' + first.explain(site, '1.bin')
    second = clients.aioquic(lab, server.url('1.bin'), '--ticket', ticket)
    lines = clients.aioquic_lines(second)
    return second.is_same(site, '1.bin') and bool(lines) and lines[0]['resumed'], second.explain(site, '1.bin')


def download_under_way(lab, server, name='100m.bin'):
    """A download of some seconds, begun. (By aioquic: curl drops what it has acknowledged and not yet read when the server closes.)"""
    folder = lab.make_folder('under-way')
    out = os.path.join(folder, name)
    proc = lab.start('aioquic-under-way', [lib.PEERS, 'run', 'python3', os.path.join(clients.HERE, 'aioquic_get.py'), '--ca', lab.cert().ca,
                                           '--folder', folder, server.url(name)])
    proc.wait_for('first bytes', lambda: os.path.exists(out) and os.path.getsize(out) > 1 << 20)
    return proc, out


def sigterm(lab, site):
    """SIGTERM: what runs is finished, then it ends by itself with status 0; new connections are refused meanwhile."""
    server = servers.plx_serve(lab, site, '--grace', '240000')  # the client is written in Python: no machine is too slow for it
    download, out = download_under_way(lab, server)
    size = os.path.getsize(out)
    server.proc.signal(signal.SIGTERM)
    late = clients.curl(lab, server.url('1.bin'), '--max-time', '2', timeout=10)
    code = download.wait(240)
    ended = server.proc.wait(20)
    bad = []
    if size >= site.sizes['100m.bin']:
        bad.append('the download was over before the signal: nothing was proved')
    if code != 0 or lib.sha256_file(out) != site.hashes['100m.bin']:
        bad.append(f'the running download failed: status {code}\n{download.tail()}')
    if late.code == 0:
        bad.append('a connection that began after SIGTERM was served')
    if ended != 0:
        bad.append(f'the server ended with status {ended}\n{server.proc.tail()}')
    return not bad, '\n'.join(bad)


def sigint(lab, site):
    server = servers.plx_serve(lab, site)
    download, _ = download_under_way(lab, server)
    server.proc.signal(signal.SIGINT)
    time.sleep(0.3)
    was_alive = server.proc.is_alive() and download.is_alive()
    server.proc.signal(signal.SIGINT)
    ended = server.proc.wait(5)
    download.stop()
    return was_alive and ended is not None, f'alive after the first SIGINT: {was_alive}; status after the second: {ended}\n{server.proc.tail()}'


def hibernation(lab, site):
    """Connections that fall asleep between requests: nobody notices, and the server's counters say that they did."""
    server = servers.plx_serve(lab, site, '--hibernate-after', '200', '--stats')
    names = ('1.bin', '64k.bin', '10m.bin')
    got = clients.aioquic(lab, [server.url(n) for n in names], '--pause', '1')
    bad = [] if got.is_same(site, *names) else [got.explain(site, *names)]
    b = browser.Browser(lab, server.port, address='127.0.0.1')
    b.open()
    for n in names:
        time.sleep(1)
        bad += browser.wrong(site, b.fetch((n,)), (n,))
    b.close()
    server.proc.signal(signal.SIGTERM)
    if server.proc.wait_line(r'hibernated: .*woke ([4-9]|\d\d+)[, ]') is None:
        bad.append('too few connections woke')
    ended = server.proc.wait(20)
    if ended != 0:
        bad.append(f'the server ended with status {ended}')
    return not bad, '\n'.join([*bad, server.proc.tail()])


def garbage(lab, site, server):
    """Random datagrams from a socket of ours: the server lives and serves on."""
    import random
    import socket
    source = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(20000):
            first = source.choice((0xc0, 0xc3, 0xd0, 0xe0, 0xf0, 0x40, 0x00, 0xff))
            s.sendto(bytes([first]) + source.choice((b'\0\0\0\1', b'\xfa\xce\xb0\x0c', b'')) + source.randbytes(source.randrange(1400)),
                     ('127.0.0.1', server.port))
    got = clients.curl(lab, server.url('64k.bin'))
    return server.proc.is_alive() and got.is_same(site, '64k.bin'), got.explain(site, '64k.bin') + server.proc.tail()


def test(lab):
    site = lab.site()
    server = servers.plx_serve(lab, site, '--echo', ECHO)
    lab.attempt('says_where_it_listens', lambda: (server.proc.wait_line(rf'127\.0\.0\.1:{server.port}.*\[::1\]:{server.port}') is not None, ''))
    for client in clients.ALL:
        for address in servers.LOOPBACK:
            lab.attempt(f'{client} {address}', fetch, lab, site, server, client, address)
    for address in servers.LOOPBACK:
        lab.attempt(f'chromium {address}', chromium, lab, site, server, address)
    lab.attempt('hibernation', hibernation, lab, site)
    lab.attempt('one_gibibyte', gibibyte, lab, site, server)
    for client in clients.ALL:
        lab.attempt(f'100_streams {client}', streams, lab, site, server, client)
        lab.attempt(f'echo_10m {client}', echo, lab, site, server, client)
    lab.attempt('200_connections', connections, lab, site, server)

    for suite in ('AES-128-GCM', 'AES-256-GCM', 'CHACHA20-POLY1305'):
        lab.attempt(f'cipher {suite}', variant, lab, site, server, f'--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{suite}')
    for name in ('X25519', 'P-256', 'X25519MLKEM768'):
        lab.attempt(f'group {name}', group, lab, site, server, name)
    lab.attempt('key_update_by_client', variant, lab, site, server, '--key-update=20ms', name='100m.bin')
    lab.attempt('migration_by_client', variant, lab, site, server, '--change-local-addr=20ms', name='100m.bin')
    # gtlsclient --nat-rebinding stalls every second time, with its own server too: it waits without sending
    lab.attempt('nat_rebinding', rebinding, lab, site, server)
    lab.attempt('loss_5_percent', variant, lab, site, server, '--rx-loss=0.05', '--tx-loss=0.05')
    lab.attempt('loss_20_percent', variant, lab, site, server, '--rx-loss=0.2', '--tx-loss=0.2', name='64k.bin')
    lab.attempt('version_negotiation', variant, lab, site, server, '--version=0x1a2a3a4a', '--preferred-versions=v1', name='64k.bin')
    lab.attempt('resumption', resumption, lab, site, server)
    lab.attempt('random_datagrams', garbage, lab, site, server)
    lab.check('server_still_stands', server.proc.is_alive(), server.proc.tail())
    lab.check('server_ends_well', server.proc.stop(20) == 0, server.proc.tail())

    two = servers.plx_serve(lab, site, '--workers', '2')
    lab.attempt('two_workers_200_connections', connections, lab, site, two)
    lab.attempt('two_workers_nat_rebinding', rebinding, lab, site, two)
    for client in clients.ALL:
        lab.attempt(f'two_workers {client}', fetch, lab, site, two, client, '127.0.0.1')
    two.stop()
    lab.attempt('sigterm_finishes_what_runs', sigterm, lab, site)
    lab.attempt('sigint_twice_stops_at_once', sigint, lab, site)


lib.run(test)
