#!/usr/bin/env python3
"""plx-get through DPDK: against servers on kernel sockets in a namespace (nginx, and plx-serve), over AF_XDP and AF_PACKET; through a
router; and against a plx-serve that bypasses the kernel too, over memif: shared memory between two processes and no kernel at all."""
# timeout: 900
# alone: memif polls on both sides
import os
import re
import signal

import capture
import clients
import dpdk
import lib
import servers

lib.PORTS = range(23500, 24000)
FILES = tuple(lib.SIZES)
ECHO = '/echo'
MACS = ('02:00:00:00:00:01', '02:00:00:00:00:02')


def rate(lab, name, got, size):
    told = '; '.join(re.findall(r'(?:RTT .*|octets in .*)', got.text))
    lab.say(f'{name}: {size >> 20} MB in {got.took:.2f} s with start-up; {told}')


# --- against the kernel ------------------------------------------------------------------------------------

def from_kernel(lab, site, link, server, host, names):
    got = clients.plx_get(lab, [server.url(n, host) for n in names], '--driver', 'ethdev', *dpdk.IP, netns=link.here,
                          eal=dpdk.eal(link.vdev, f'g{len(lab.procs)}'))
    rate(lab, f'{link.kind} {server.kind} {host}', got, sum(lib.SIZES[n] for n in names))
    return got.is_same(site, *names), got.explain(site, *names)


def upload(lab, site, link, server):
    def fetch(ours, theirs):
        return clients.plx_get(lab, server.url(ECHO[1:], theirs), '-d', '@' + os.path.join(site.folder, '10m.bin'), '--driver', 'ethdev',
                               *dpdk.IP, netns=link.here, eal=dpdk.eal(link.vdev, f'g{len(lab.procs)}'))
    return dpdk.fill_mtu(lab, site, link, server.port, fetch)


def resumption(lab, site, link, server):
    session = lab.path('session')
    run = [clients.plx_get(lab, server.url('64k.bin', dpdk.THEIR4), '--session', session, '--driver', 'ethdev', *dpdk.IP, netns=link.here,
                           eal=dpdk.eal(link.vdev, f'g{len(lab.procs)}')) for _ in range(2)]
    was = [bool(re.search(r'(?<!not )resumed', g.text)) for g in run]
    return all(g.is_same(site, '64k.bin') for g in run) and was == [False, True], f'resumed: {was}\n' + run[1].explain(site, '64k.bin')


def nobody(lab, site, link):
    """Nobody answers at that address (not even ARP): the exit status says that time was up, as curl's would."""
    got = clients.plx_get(lab, 'https://10.213.0.77:23999/', '--connect-timeout', '2', '--driver', 'ethdev', *dpdk.IP, netns=link.here,
                          eal=dpdk.eal(link.vdev, f'g{len(lab.procs)}'), timeout=30)
    return got.code == 28 and 'no answer' in got.text, got.explain(site)


def kernel(lab, site, kind):
    link = dpdk.Link(lab, kind)
    for start in (servers.nginx, servers.plx_serve):
        options = ['--echo', ECHO] if start is servers.plx_serve else []
        server = start(lab, site, *options, netns=link.there, addresses=dpdk.THEIRS)
        for host in dpdk.THEIRS:
            lab.attempt(f'{kind} {server.kind} {host}', from_kernel, lab, site, link, server, host, FILES)
        if start is servers.plx_serve:
            lab.attempt(f'{kind} upload', upload, lab, site, link, server)
            lab.attempt(f'{kind} resumption', resumption, lab, site, link, server)
        server.stop()
    lab.attempt(f'{kind} nobody', nobody, lab, site, link)


def routed(lab, site):
    """Behind a router: the client names its gateway; the server, which names none, answers by way of who delivered the question."""
    link = dpdk.Link(lab, 'net_af_xdp')
    far = lab.netns('far')
    lab.veth(link.there, far, ['10.214.0.1/24', 'fd14::1/64'], ['10.214.0.2/24', 'fd14::2/64'])
    for what in ('net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'):
        lib.ip('netns', 'exec', link.there, 'sysctl', '-qw', what)
    lib.ip('-n', far, 'route', 'add', 'default', 'via', '10.214.0.1')
    lib.ip('-n', far, '-6', 'route', 'add', 'default', 'via', 'fd14::1')
    server = servers.nginx(lab, site, netns=far, addresses=('10.214.0.2', 'fd14::2'))
    for host, gateway in (('10.214.0.2', dpdk.THEIR4), ('fd14::2', dpdk.THEIR6)):
        got = clients.plx_get(lab, server.url('10m.bin', host), '-k', '--driver', 'ethdev', *dpdk.IP, '--gateway', gateway, netns=link.here,
                              eal=dpdk.eal(link.vdev, f'g{len(lab.procs)}'))
        lab.check(f'gateway {gateway}', got.is_same(site, '10m.bin'), got.explain(site, '10m.bin'))
    got = clients.plx_get(lab, server.url('1.bin', '10.214.0.2'), '-k', '--connect-timeout', '2', '--driver', 'ethdev', *dpdk.IP,
                          netns=link.here, eal=dpdk.eal(link.vdev, f'g{len(lab.procs)}'))
    lab.check('no_gateway_no_way', got.code == 28, got.explain(site))
    server.stop()
    ours = servers.plx_serve(lab, site, *dpdk.IP, driver='ethdev', addresses=dpdk.OURS, netns=link.here, eal=dpdk.eal(link.vdev, 'far'))
    for host in dpdk.OURS:
        got = clients.curl(lab, ours.url('10m.bin', host), netns=far)
        lab.check(f'answers_by_way_of_the_router {host}', got.is_same(site, '10m.bin'), got.explain(site, '10m.bin'))
    ours.stop()


# --- memif: both past the kernel -----------------------------------------------------------------------------

class Memif:
    """A plx-serve and the arguments with which plx-get reaches it."""

    def __init__(self, lab, site, name, serve=(), get=(), memory=('--no-huge', '-m', '512')):
        self.lab, self.site, self.name = lab, site, name
        self.socket = lab.path(f'{name}.sock')
        self.vdevs = [f'net_memif0,socket={self.socket},socket-abstract=no,role={r},mac={m}'
                      for r, m in zip(('server', 'client'), MACS)]
        self.netns = lab.netns('memif' + name)
        self.get_options = [*get, '--driver', 'ethdev', '--ip', f'{dpdk.THEIR4}/24', '--ip', f'{dpdk.THEIR6}/64']
        self.server = servers.plx_serve(lab, site, *dpdk.IP, '--echo', ECHO, '--stats', *serve, driver='ethdev', addresses=dpdk.OURS,
                                        netns=self.netns, eal=dpdk.eal(self.vdevs[0], 'm' + name, memory))

    def get(self, names, host=dpdk.OUR4, *options, timeout=120):
        return clients.plx_get(self.lab, [self.server.url(n, host) for n in names], *options, *self.get_options, netns=self.netns,
                               eal=dpdk.eal(self.vdevs[1], f'g{len(self.lab.procs)}'), timeout=timeout)

    def files(self, names=FILES):
        for host in dpdk.OURS:
            got = self.get(names, host)
            rate(self.lab, f'memif {self.name} {host}', got, sum(lib.SIZES[n] for n in names))
            self.lab.check(f'memif {self.name} {host}', got.is_same(self.site, *names), got.explain(self.site, *names))

    def end(self):
        ok = self.server.proc.is_alive() and self.server.proc.stop(20) == 0
        self.lab.check(f'memif {self.name} ends well', ok, self.server.proc.tail())
        for line in re.findall(r'^(?:requests|busy|port|dropped).*', self.server.proc.text(), re.M):
            self.lab.say(f'memif {self.name}: {line}')


def memif_server(lab, site):
    m = Memif(lab, site, 'server')
    m.files()
    body = os.path.join(site.folder, '10m.bin')
    got = m.get([ECHO[1:]], dpdk.OUR6, '-d', '@' + body)
    lab.check('memif echo_10m', got.code == 0 and lib.sha256_file(got.file('echo')) == site.hashes['10m.bin'], got.explain(site))
    names = [f's{i}.bin' for i in range(100)]
    for n in names:
        os.link(os.path.join(site.folder, '64k.bin'), os.path.join(site.folder, n))
        site.sizes[n], site.hashes[n] = site.sizes['64k.bin'], site.hashes['64k.bin']
    got = m.get(names, dpdk.OUR4, '--parallel', '100')
    lab.check('memif 100_streams', got.is_same(site, *names), got.explain(site, *names))
    for i in range(10):  # clients come and go; the memory between them goes and comes with them
        got = m.get(['64k.bin'], dpdk.OURS[i % 2])
        if not got.is_same(site, '64k.bin'):
            break
    lab.check('memif clients_come_and_go', got.is_same(site, '64k.bin'), f'round {i}\n' + got.explain(site, '64k.bin'))
    m.end()


def memif_killed(lab, site):
    """Clients die in the middle of downloads. On the one processor that is left to plx-serve, DPDK's interrupt thread wakes in the middle of a burst."""
    m = Memif(lab, site, 'killed')
    for tid in os.listdir(f'/proc/{m.server.proc.pid}/task'):
        os.sched_setaffinity(int(tid), {0})
    file = os.path.join(lab.make_folder('killed'), 'some.bin')
    for i in range(12):
        get = lab.start('plx-get', [lab.program('apps/plx-get'), '--cacert', lab.cert().ca, *m.get_options, '-o', file,
                                    *['-o', '/dev/null'] * 3, *[m.server.url('100m.bin', dpdk.OUR4)] * 4, '--', *dpdk.eal(m.vdevs[1], f'k{i}')], netns=m.netns)
        get.wait_for('octet', lambda: os.path.exists(file) and os.path.getsize(file) > 0)
        get.signal(signal.SIGKILL)
        get.wait(10)
        os.unlink(file)
    got = m.get(['64k.bin'])
    lab.check('memif clients_are_killed', got.is_same(site, '64k.bin'), got.explain(site, '64k.bin') + m.server.proc.tail())
    m.end()


def memif_client(lab, site):
    """The other way round: plx-get is memif's server and there first; its questions are answered once plx-serve has come."""
    path, netns, out = lab.path('turned.sock'), lab.netns('turned'), lab.make_folder('turned')
    vdevs = [f'net_memif0,socket={path},socket-abstract=no,role={r},mac={m}' for r, m in zip(('client', 'server'), MACS)]
    port = lab.port()
    url = f'https://{dpdk.OUR4}:{port}/10m.bin'
    file = os.path.join(out, '10m.bin')
    get = lab.start('plx-get', [lab.program('apps/plx-get'), '-v', '--cacert', lab.cert().ca, '-o', file, '--connect-timeout', '30', '--driver',
                                'ethdev', '--ip', f'{dpdk.THEIR4}/24', url, '--', *dpdk.eal(vdevs[1], 'turned')], netns=netns)
    get.wait_for('memif socket', lambda: os.path.exists(path))
    serve = lab.start('plx-serve', [lab.program('apps/plx-serve'), '--listen', f'{dpdk.OUR4}:{port}', '--root', site.folder, '--cert', lab.cert().cert,
                                    '--key', lab.cert().key, '--driver', 'ethdev', *dpdk.IP, '--', *dpdk.eal(vdevs[0], 'served')], netns=netns)
    code = get.wait(60)
    ok = code == 0 and lib.sha256_file(file) == site.hashes['10m.bin']
    lab.check('memif roles_turned', ok, f'exit status {code}\n{get.tail()}\n{serve.tail()}')
    lab.check('memif roles_turned ends well', serve.is_alive() and serve.stop(20) == 0, serve.tail())


class HugePages:
    """Some huge pages for the length of a run; what the machine had is put back."""

    path = '/proc/sys/vm/nr_hugepages'

    def __init__(self, count):
        with open(self.path) as f:
            self.before = int(f.read())
        self.write(self.before + count)
        with open(self.path) as f:
            if int(f.read()) < self.before + count:
                self.write(self.before)
                raise lib.LabError(f'the kernel has no {count} huge pages of 2 MB to spare; free some memory')

    def write(self, count):
        with open(self.path, 'w') as f:
            f.write(str(count))


def memif_huge(lab, site):
    """The server's memory on huge pages, as in production; the client does without."""
    pages = HugePages(160)
    try:
        m = Memif(lab, site, 'huge', memory=('--in-memory', '-m', '256'))
        m.files()
        m.end()
    finally:
        pages.write(pages.before)


def memif_vlan(lab, site):
    """Every frame carries the tag, both ways, and a recording of them (--pcap) can be read with the key log; other tags are not ours."""
    path, keylog = lab.path('vlan.pcapng'), lab.path('vlan.keys')
    m = Memif(lab, site, 'vlan', serve=['--vlan', '42'], get=['--vlan', '42'])
    m.files()
    got = m.get(['64k.bin'], dpdk.OUR6, '--pcap', path, '--keylog', keylog)
    lab.check('memif vlan pcap', got.is_same(site, '64k.bin'), got.explain(site, '64k.bin'))
    seen = capture.Recording(path, m.server.port)
    tagged, untagged = seen.count('vlan.id == 42'), seen.count('!vlan || vlan.id != 42')
    lab.check('memif vlan every_frame', tagged > 40 and untagged == 0, f'{tagged} frames with the tag, {untagged} without')
    faults = seen.faults(keylog)
    lab.check('memif vlan readable', not faults, '\n'.join(faults))
    for other in ([], ['--vlan', '43']):
        m.get_options = [*other, *m.get_options[2:]]
        got = m.get(['1.bin'], dpdk.OUR4, '--connect-timeout', '2', timeout=30)
        lab.check(f'memif vlan not {other}', got.code == 28, got.explain(site, '1.bin'))
        m.get_options = ['--vlan', '42', *m.get_options[len(other):]]
    m.end()


def memif_mtu(lab, site):
    """An MTU of 1400: datagrams of 1372 octets over IPv4, 1352 over IPv6."""
    m = Memif(lab, site, 'mtu', serve=['--mtu', '1400'], get=['--mtu', '1400'])
    for host, most in ((dpdk.OUR4, 1372), (dpdk.OUR6, 1352)):
        path = lab.path(f'mtu-{most}.pcapng')
        got = m.get(['10m.bin'], host, '--pcap', path)
        size = dpdk.largest(capture.Recording(path, m.server.port), host)
        lab.check(f'memif mtu {most}', got.is_same(site, '10m.bin') and size == most, f'longest: {size}\n' + got.explain(site, '10m.bin'))
    m.end()


def test(lab):
    lab.prefix = 'plxd'
    lab.cert(*dpdk.OURS, *dpdk.THEIRS, '10.214.0.2', 'fd14::2')
    site = lab.site()
    for kind in ('net_af_xdp', 'net_af_packet'):
        lab.attempt(kind, kernel, lab, site, kind)
    lab.attempt('routed', routed, lab, site)
    for part in (memif_server, memif_killed, memif_client, memif_huge, memif_vlan, memif_mtu):
        lab.attempt(part.__name__, part, lab, site)


lib.run(test)
