#!/usr/bin/env python3
"""The memif driver as whole programs use it: plx-serve on one side, plx-get and plx-load on the other, over our driver on both sides and over
ours on one and DPDK's net_memif on the other, in both roles. Nothing of the kernel is between them but the socket on which they agree."""
# timeout: 600
# alone: memif polls on both sides
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import clients  # noqa: E402
import dpdk  # noqa: E402
import lib  # noqa: E402
import servers  # noqa: E402

lib.PORTS = range(22000, 23000)
SIZES = {'64.bin': 64, '16k.bin': 16 << 10, '10m.bin': 10 << 20, '100m.bin': 100 << 20}
ECHO = '/echo'
TURNED = {'client': 'server', 'server': 'client'}


class Side:
    """One side of a link: the options of a program, and what EAL is told."""

    def __init__(self, lab, kind, role, path, mac, more=''):
        self.options = ['--driver', 'memif', '--device', f'role={role},socket={path}{more}'] if kind == 'ours' else ['--driver', 'ethdev']
        self.eal = [] if kind == 'ours' else dpdk.eal(f'net_memif0,role={role},socket={path},socket-abstract=no,mac={mac}{more}', f'{role}{len(lab.procs)}')


class Link:
    """A plx-serve, and how it is reached."""

    def __init__(self, lab, site, ours, theirs, role, more=''):
        self.lab, self.site, self.theirs, self.role, self.more = lab, site, theirs, role, more
        self.name = f'{ours} {role}, {theirs} {TURNED[role]}' + (', options' if more else '')
        self.path = lab.path(f'{ours}-{theirs}-{role}{len(lab.procs)}.sock')
        self.netns = lab.netns(f'{ours[0]}{theirs[0]}{role}{len(lab.procs)}')
        side = Side(lab, ours, role, self.path, '02:00:00:00:00:01', more)
        self.server = servers.plx_serve(lab, site, *side.options[2:], *dpdk.IP, '--echo', ECHO, '--stats', driver=side.options[1], addresses=dpdk.OURS,
                                        netns=self.netns, eal=side.eal)

    def side(self):
        s = Side(self.lab, self.theirs, TURNED[self.role], self.path, '02:00:00:00:00:02', self.more)
        return [*s.options, '--ip', f'{dpdk.THEIR4}/24', '--ip', f'{dpdk.THEIR6}/64'], s.eal

    def get(self, names, host, *options):
        ours, eal = self.side()
        return clients.plx_get(self.lab, [self.server.url(n, host) for n in names], *options, *ours, netns=self.netns, eal=eal, timeout=60)

    def files(self, *names):
        for host in dpdk.OURS:
            got = self.get(names, host)
            self.lab.check(f'{self.name}: files over {host}', got.is_same(self.site, *names), got.explain(self.site, *names) + self.server.proc.tail())

    def echo(self):
        body = os.path.join(self.site.folder, '10m.bin')
        got = self.get([ECHO[1:]], dpdk.OUR6, '-d', '@' + body)
        ok = got.code == 0 and lib.sha256_file(got.file('echo')) == self.site.hashes['10m.bin']
        self.lab.check(f'{self.name}: echo', ok, got.explain(self.site))

    def load(self, count):
        ours, eal = self.side()
        path = self.lab.path('load.json')
        code, text = self.lab.call('plx-load', [self.lab.program('apps/plx-load'), '--cacert', self.lab.cert().ca, '-c', 20, '-m', 10, '-n', count, '--json', path,
                                                *ours, self.server.url('64.bin', dpdk.OUR4), *(['--', *eal] if eal else [])], netns=self.netns)
        counts = json.load(open(path))['counts'] if os.path.exists(path) else {'ok': None}
        self.lab.check(f'{self.name}: {count} requests', code == 0 and counts['ok'] == count, f'{code}\n{text}\n{self.server.proc.tail()}')

    def killed(self):
        """Clients die in the middle of downloads; the next one is served."""
        ours, eal = self.side()
        file = os.path.join(self.lab.make_folder('killed'), 'some.bin')
        for _ in range(5):
            get = self.lab.start('plx-get', [self.lab.program('apps/plx-get'), '--cacert', self.lab.cert().ca, *ours, '-o', file, '-o', '/dev/null',
                                             *[self.server.url('100m.bin', dpdk.OUR4)] * 2, *(['--', *eal] if eal else [])], netns=self.netns)
            get.wait_for('octet', lambda: os.path.exists(file) and os.path.getsize(file) > 0)
            get.signal(signal.SIGKILL)
            get.wait(10)
            os.unlink(file)
            if self.theirs != 'ours' and self.role == 'client' and os.path.exists(self.path):
                os.unlink(self.path)  # DPDK's server does not start where one has left its socket behind; ours does
        got = self.get(['16k.bin'], dpdk.OUR4)
        self.lab.check(f'{self.name}: clients are killed', got.is_same(self.site, '16k.bin'), got.explain(self.site, '16k.bin') + self.server.proc.tail())

    def end(self):
        ok = self.server.proc.is_alive() and self.server.proc.stop(20) == 0
        self.lab.check(f'{self.name}: ends well', ok, self.server.proc.tail())


def link(lab, site, ours, theirs, role):
    run = Link(lab, site, ours, theirs, role)
    run.files('64.bin', '16k.bin', '100m.bin')
    run.echo()
    run.load(20000)
    run.killed()
    run.load(1000)
    run.end()


def options(lab, site):
    """A ring of 256 places, another interface, and a secret, which both sides have or not."""
    for ours, theirs, role in (('ours', 'ours', 'client'), ('ours', 'dpdk', 'client'), ('ours', 'dpdk', 'server')):
        run = Link(lab, site, ours, theirs, role, ',rsize=8,id=3,secret=sesame')
        run.files('10m.bin')
        run.more = ',rsize=8,id=3,secret=Sesame'
        if theirs == 'ours':  # DPDK's takes long over being refused
            got = run.get(['64.bin'], dpdk.OUR4, '--connect-timeout', '2')
            lab.check(f'{run.name}: wrong secret', got.code == 28 and 'wrong secret' not in got.text, got.explain(site))
        run.end()


def test(lab):
    lab.cert(*dpdk.OURS)
    site = lab.site(SIZES)
    # a plx-serve that is DPDK's client does not start without its server, and its server is whoever asks: that one is left out
    for ours, theirs, role in (('ours', 'ours', 'client'), ('ours', 'ours', 'server'), ('ours', 'dpdk', 'client'), ('ours', 'dpdk', 'server'), ('dpdk', 'ours', 'server')):
        lab.attempt(f'{ours} {role}, {theirs}', link, lab, site, ours, theirs, role)
    lab.attempt('options', options, lab, site)


lib.run(test)
