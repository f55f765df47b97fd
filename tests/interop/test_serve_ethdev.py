#!/usr/bin/env python3
"""plx-serve through DPDK: the same files to other people's clients, which stand behind a veth pair in a namespace of their own and
talk to it through the kernel, while it talks to its end of the pair through AF_XDP."""
# timeout: 900
import os

import browser
import clients
import lib
import servers

FILES = tuple(lib.SIZES)
SERVER4, CLIENT4, SERVER6, CLIENT6 = '10.213.0.1', '10.213.0.2', 'fd13::1', 'fd13::2'


def fetch(lab, site, server, client, host, netns):
    got = clients.ALL[client](lab, [server.url(n, host) for n in FILES], netns=netns)
    lab.say(f'{client} {host}: {sum(lib.SIZES.values()) >> 20} MB in {got.took:.1f} s')
    return got.is_same(site, *FILES), got.explain(site, *FILES)


def chromium(lab, site, server, address, netns):
    b = browser.Browser(lab, server.port, address=address, netns=netns)
    b.open()
    results = b.fetch(FILES)
    b.close()
    bad = browser.wrong(site, results, FILES)
    return not bad, '\n'.join(bad)


def streams(lab, site, server, netns):
    names = [f's{i}.bin' for i in range(100)]
    for n in names:
        os.link(os.path.join(site.folder, '64k.bin'), os.path.join(site.folder, n))
        site.sizes[n], site.hashes[n] = site.sizes['64k.bin'], site.hashes['64k.bin']
    got = clients.curl(lab, [server.url(n) for n in names], netns=netns)
    return got.is_same(site, *names), got.explain(site, *names)


def connections(lab, site, server, netns):
    got = clients.aioquic(lab, server.url('64k.bin'), '--connections', '200', netns=netns)
    bad = [i for i in range(200) if got.code != 0 or lib.sha256_file(got.file(f'{i}/64k.bin')) != site.hashes['64k.bin']]
    return not bad, f'{len(bad)} of 200 connections did not bring the file\n{got.text[-2000:]}'


def own_client(lab, site, server, netns):
    got = clients.plx_get(lab, [server.url(n) for n in FILES], netns=netns)
    return got.is_same(site, *FILES), got.explain(site, *FILES)


def eal(vdev):
    """--no-pci: without it DPDK would take hold of the machine's own network card."""
    return ['--no-pci', '--no-huge', '-m', '512', '--no-telemetry', f'--file-prefix=plx{os.getpid()}', '--vdev', vdev]


def test(lab):
    lab.cert(SERVER4, SERVER6)
    site = lab.site()
    for kind, clients_wanted in (('net_af_xdp', tuple(clients.ALL)), ('net_af_packet', ('curl',))):
        a, b = lab.netns('a' + kind[-3:]), lab.netns('b' + kind[-3:])
        # The bypassing end has no address in its kernel, so nothing there answers for it.
        device, _ = lab.veth(a, b, [], [f'{CLIENT4}/24', f'{CLIENT6}/64'])
        lib.ip('netns', 'exec', a, 'sysctl', '-qw', f'net.ipv6.conf.{device}.disable_ipv6=1')
        try:
            server = servers.plx_serve(lab, site, '--ip', f'{SERVER4}/24', '--ip', f'{SERVER6}/64', driver='ethdev', addresses=(SERVER4, SERVER6),
                                       netns=a, eal=eal(f'{kind}0,iface={device}'))
        except lib.LabError as e:
            lab.check(f'{kind} starts', False, e)
            continue
        lab.check(f'{kind} starts', True)
        for client in clients_wanted:
            for host in (SERVER4, SERVER6):
                lab.attempt(f'{kind} {client} {host}', fetch, lab, site, server, client, host, b)
        if kind == 'net_af_xdp':
            for host in (SERVER4, SERVER6):
                lab.attempt(f'{kind} chromium {host}', chromium, lab, site, server, host, b)
            lab.attempt(f'{kind} 100_streams', streams, lab, site, server, b)
            lab.attempt(f'{kind} 200_connections', connections, lab, site, server, b)
            lab.attempt(f'{kind} plx-get', own_client, lab, site, server, b)
        lab.check(f'{kind} ends well', server.proc.is_alive() and server.proc.stop(20) == 0, server.proc.tail())


lib.run(test)
