#!/usr/bin/env python3
"""plx-serve through DPDK: files byte for byte to other people's clients, which stand behind a veth pair in a namespace of their own and
talk to it through the kernel, while it drives its end of the pair. All of it over AF_XDP, less over AF_PACKET and TAP."""
# timeout: 900
# alone: a server that polls, and its client, take a processor each
import os
import re

import browser
import capture
import clients
import dpdk
import lib
import servers

lib.PORTS = range(23000, 23500)
FILES = tuple(lib.SIZES)
SMALL = ('0.bin', '1.bin', '64k.bin', '10m.bin')
ECHO = '/echo'
COUNTERS = '/counters'


def state(lab, server, link):
    """What can be told of a server while a client waits for it in vain: its counters, and a core to look into afterwards."""
    got = clients.plx_get(lab, server.url(COUNTERS[1:]), timeout=10, netns=link.there)
    counters = ''
    if os.path.exists(got.file(COUNTERS[1:])):
        with open(got.file(COUNTERS[1:])) as f:
            counters = ''.join(line for line in f if not line.startswith('#') and not line.endswith(' 0\n'))
    return f'{counters}{server.proc.core()}'


def fetch(lab, site, server, link, client, host, names=FILES):
    busy = server.proc.cpu_seconds()
    more = {'at_stall': lambda: state(lab, server, link)} if client == 'curl' else {}
    got = clients.ALL[client](lab, [server.url(n, host) for n in names], netns=link.there, **more)
    size = sum(lib.SIZES[n] for n in names)
    lab.say(f'{link.kind} {client} {host}: {size >> 20} MB in {got.took:.2f} s with start-up, {size * 8 / got.took / 1e9:.2f} Gbit/s, '
            f'server CPU {server.proc.cpu_seconds() - busy:.2f} s (it polls)')
    return got.is_same(site, *names), got.explain(site, *names)


def chromium(lab, site, server, link, address, names=FILES):
    b = browser.Browser(lab, server.port, address=address, netns=link.there)
    b.open()
    results = b.fetch(names) + b.fetch(('1.bin', '64k.bin', '10m.bin'), at_once=True)
    page = b.page_protocol()
    b.close()
    for r in results:
        if r['name'] == '100m.bin':
            lab.say(f'{link.kind} chromium {address}: 100 MB in {r["ms"] / 1e3:.2f} s')
    bad = browser.wrong(site, results, names)
    if page != 'h3':
        bad.append(f'the page came over {page!r}, not h3')
    return not bad, '\n'.join(bad)


def gibibyte(lab, site, server, link):
    """1 GiB, sparse on disk; its content is compared by hash."""
    name, size = '1g.bin', 1 << 30
    path = os.path.join(site.folder, name)
    with open(path, 'wb') as f:
        f.truncate(size)
        for at in range(0, size, 64 << 20):  # a mark in every 64 MB, so that a block in the wrong place shows
            f.seek(at)
            f.write(f'block {at}'.encode())
    site.sizes[name], site.hashes[name] = size, lib.sha256_file(path)
    got = clients.curl(lab, server.url(name), timeout=300, netns=link.there, at_stall=lambda: state(lab, server, link))
    lab.say(f'{link.kind} curl: 1 GiB in {got.took:.1f} s, {size * 8 / got.took / 1e9:.2f} Gbit/s')
    result = got.is_same(site, name), got.explain(site, name)
    os.unlink(path)
    if os.path.exists(got.file(name)):
        os.unlink(got.file(name))
    return result


def streams(lab, site, server, link, client):
    """100 requests at once on one connection."""
    names = [f's{i}.bin' for i in range(100)]
    for n in names:
        if n not in site.sizes:
            os.link(os.path.join(site.folder, '64k.bin'), os.path.join(site.folder, n))
            site.sizes[n], site.hashes[n] = site.sizes['64k.bin'], site.hashes['64k.bin']
    options = ['--write-out', 'connects=%{num_connects}\\n'] if client == 'curl' else []
    got = clients.ALL[client](lab, [server.url(n) for n in names], *options, netns=link.there)
    ok = got.is_same(site, *names)
    if client == 'curl':
        ok = ok and sum(int(n) for n in re.findall(r'connects=(\d+)', got.text)) == 1
    return ok, got.explain(site, *names)


def connections(lab, site, server, link):
    """200 connections that all stand at the same time, and then a file over each."""
    got = clients.aioquic(lab, server.url('64k.bin'), '--connections', '200', netns=link.there)
    bad = [i for i in range(200) if got.code != 0 or lib.sha256_file(got.file(f'{i}/64k.bin')) != site.hashes['64k.bin']]
    return not bad, f'{len(bad)} of 200 connections did not bring the file; exit status {got.code}\n{got.text[-2000:]}'


def echo(lab, site, server, link, client):
    body = os.path.join(site.folder, '10m.bin')
    url = server.url(ECHO[1:])
    if client == 'curl':
        got = clients.curl(lab, url, '--data-binary', '@' + body, netns=link.there)
    elif client == 'gtlsclient':
        got = clients.gtlsclient(lab, url, f'--data={body}', '--http-method=POST', netns=link.there)
    else:
        got = clients.aioquic(lab, url, '--post', body, netns=link.there)
    same = got.code == 0 and os.path.exists(got.file('echo')) and lib.sha256_file(got.file('echo')) == site.hashes['10m.bin']
    return same, got.explain(site)


def own_client(lab, site, server, link):
    got = clients.plx_get(lab, [server.url(n) for n in FILES], netns=link.there)
    lab.say(f'{link.kind} plx-get (kernel sockets): 110 MB in {got.took:.2f} s; ' + ' '.join(re.findall(r'.*\blost\b.*', got.text)).strip())
    return got.is_same(site, *FILES), got.explain(site, *FILES)


def pings(link, address):
    """Ping from none to the largest that the link carries unfragmented; then the kernel knows our link-layer address."""
    link.forget(address)
    for size in (0, 56, 1452):
        ok, text = link.ping(address, size)
        if not ok:
            return False, f'{size} octets: {text}'
    state, mac = link.neighbour(address)
    return mac is not None, f'the kernel has no neighbour {address}: {state}'


def neighbours(lab, site, server, link):
    """The kernel forgets us in the middle, and asks again (ARP, neighbour solicitation): requests go on."""
    for host in dpdk.OURS:
        link.forget(host)
        got = clients.curl(lab, server.url('64k.bin', host), netns=link.there)
        if not got.is_same(site, '64k.bin'):
            return False, got.explain(site, '64k.bin')
    return True, ''


def mtu(lab, site, server, link):
    def fetch(ours, theirs):
        return clients.plx_get(lab, server.url(ECHO[1:], ours), '-d', '@' + os.path.join(site.folder, '10m.bin'), netns=link.there)
    return dpdk.fill_mtu(lab, site, link, server.port, fetch)


def stranger(lab, site, server, link):
    """Datagrams to a port where nobody listens, garbage, and frames for other machines: counted, and without harm."""
    script = '''
import random, socket, sys
source = random.Random(3)
for family, host in ((socket.AF_INET, sys.argv[1]), (socket.AF_INET6, sys.argv[2])):
    s = socket.socket(family, socket.SOCK_DGRAM)
    for i in range(2000):
        s.sendto(source.randbytes(source.randrange(1400)), (host, int(sys.argv[3]) + i % 2))
'''
    lab.call('stranger', ['python3', '-c', script, *dpdk.OURS, server.port], netns=link.there)
    got = clients.curl(lab, server.url('64k.bin'), netns=link.there)
    return got.is_same(site, '64k.bin'), got.explain(site, '64k.bin')


def start(lab, site, kind, *options, extra=''):
    link = dpdk.Link(lab, kind, extra)
    server = servers.plx_serve(lab, site, *dpdk.IP, '--echo', ECHO, '--counters', COUNTERS, '--stats', *options, driver='ethdev', addresses=dpdk.OURS,
                               netns=link.here, eal=dpdk.eal(link.vdev, f's{len(lab.procs)}'))
    link.is_up()
    return link, server


def end(lab, name, server):
    ok = server.proc.is_alive() and server.proc.stop(20) == 0
    text = server.proc.text()
    lab.check(f'{name} ends well', ok and 'still open: 0 connections, 0 streams,' in text, server.proc.tail())
    for line in re.findall(r'^(?:requests|busy|port|dropped).*', text, re.M):
        lab.say(f'{name}: {line}')


def all_of_it(lab, site):
    kind = 'net_af_xdp'
    link, server = start(lab, site, kind)
    lab.attempt(f'{kind} says_how', lambda: (server.proc.wait_line(r'DPDK net_af_xdp0 \(net_af_xdp\).*link up') is not None, ''))
    for host in dpdk.OURS:
        lab.attempt(f'{kind} ping {host}', pings, link, host)
    for client in clients.ALL:
        for host in dpdk.OURS:
            lab.attempt(f'{kind} {client} {host}', fetch, lab, site, server, link, client, host)
    for host in dpdk.OURS:
        lab.attempt(f'{kind} chromium {host}', chromium, lab, site, server, link, host)
    lab.attempt(f'{kind} one_gibibyte', gibibyte, lab, site, server, link)
    for client in clients.ALL:
        lab.attempt(f'{kind} 100_streams {client}', streams, lab, site, server, link, client)
        lab.attempt(f'{kind} echo_10m {client}', echo, lab, site, server, link, client)
    lab.attempt(f'{kind} 200_connections', connections, lab, site, server, link)
    lab.attempt(f'{kind} plx-get', own_client, lab, site, server, link)
    lab.attempt(f'{kind} neighbours', neighbours, lab, site, server, link)
    lab.attempt(f'{kind} mtu', mtu, lab, site, server, link)
    lab.attempt(f'{kind} stranger', stranger, lab, site, server, link)
    end(lab, kind, server)


def some_of_it(lab, site, kind, name, *options, extra=''):
    link, server = start(lab, site, kind, *options, extra=extra)
    for host in dpdk.OURS:
        lab.attempt(f'{name} ping {host}', pings, link, host)
        lab.attempt(f'{name} curl {host}', fetch, lab, site, server, link, 'curl', host)
        lab.attempt(f'{name} gtlsclient {host}', fetch, lab, site, server, link, 'gtlsclient', host, SMALL)
        lab.attempt(f'{name} chromium {host}', chromium, lab, site, server, link, host, SMALL)
    lab.attempt(f'{name} 100_streams', streams, lab, site, server, link, 'aioquic')
    lab.attempt(f'{name} 200_connections', connections, lab, site, server, link)
    lab.attempt(f'{name} echo_10m', echo, lab, site, server, link, 'curl')
    lab.attempt(f'{name} neighbours', neighbours, lab, site, server, link)
    end(lab, name, server)


def test(lab):
    lab.prefix = 'plxd'
    lab.cert(*dpdk.OURS)
    site = lab.site()
    lab.attempt('net_af_xdp', all_of_it, lab, site)
    lab.attempt('net_af_packet', some_of_it, lab, site, 'net_af_packet', 'net_af_packet')
    lab.attempt('net_af_packet two_workers', some_of_it, lab, site, 'net_af_packet', 'two_workers', '--workers', '2', extra=',qpairs=2')
    lab.attempt('net_tap', some_of_it, lab, site, 'net_tap', 'net_tap')


lib.run(test)
