"""runs.py -- cells measured in turn, and what comes out: a median and a spread for each, never an average.

A B C A B C …: what disturbs the machine for a while disturbs every system, not one. Each run has a server of its own, started and
ended: saturation first, then (with another server) half of that rate for the latency. Meanwhile bench/twins watches where the host has put the
two processors, and a run during which they were not neighbours is repeated, within limits (twins.py).
"""
import contextlib
import itertools
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

import client
import generators
import idle
import machine
import origin
import servers
import twins
from net import AHEAD, Net

NOISY = 20  # per cent of spread above which a figure is not to be believed
PORTS = range(24000, 25000)
TAGS = itertools.count()  # a namespace has a name of its own, whichever Bench made it
KEYS = ('requests_per_second', 'server_cpu_us_per_request', 'server_cpu_s_per_gb', 'gbit_per_second', 'datagrams_per_request', 'p50_us', 'p99_us',
        'failed', 'generator_us_per_request', 'generator_per_server', 'generator_busy_share', 'foreign_cpu_share', 'handshakes_resumed', 'handshakes_early',
        'printed_per_second', 'counted_per_second', 'connections_held', 'bytes_per_connection')


class Site:
    """What every server serves: files in memory, one certificate; and a scratch folder."""

    def __init__(self):
        self.scratch = tempfile.mkdtemp(prefix='plx-macro-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        os.chmod(self.scratch, 0o755)
        self.folder = os.path.join(self.scratch, 'site')
        os.mkdir(self.folder)
        self.cert, self.key, self.pem = (os.path.join(self.scratch, n) for n in ('cert.pem', 'key.pem', 'both.pem'))
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
                        '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', self.key, '-out', self.cert],
                       check=True, capture_output=True)
        with open(self.pem, 'w') as f:
            f.write(machine.read(self.cert) + machine.read(self.key))

    def add(self, cell):
        path = os.path.join(self.folder, cell.body)
        if os.path.exists(path):
            return
        if shutil.disk_usage(self.scratch).free < cell.size + (256 << 20):
            raise servers.ServerError(f'no room for a file of {cell.size} octets in {self.scratch}')
        with open(path, 'wb') as f:
            piece = os.urandom(min(cell.size, 1 << 20))
            for start in range(0, cell.size, len(piece)):
                f.write(piece[:cell.size - start])

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)


class Bench:
    """Runs of cells; a context manager that leaves nothing behind."""

    def __init__(self, net, seconds, has_latency=True, say=lambda text: None, nice=AHEAD, given=None, is_fair=True, exchanges=False):
        """exchanges: every second run of all() has the two processors exchanged; is_fair: runs are repeated where the processors were not neighbours; given: nets that are there already: 'nic' for a card, and one under the name of `net`."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # plx-load has a socket for each connection
        self.kind, self.seconds, self.has_latency, self.say, self.nice = net, seconds, has_latency, say, nice
        self.credit, self.exchanges = twins.Credit(is_fair), exchanges
        self.site, self.nets, self.ports = Site(), dict(given or {}), 0
        os.environ['PLX_PEERS_BIND'] = ''

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for net in filter(None, self.nets.values()):
            net.close()
        self.site.close()

    def net_of(self, cell):
        kind = {'pollux-xdp': 'raw', 'pollux-memif': 'none', 'pollux-nic': 'nic'}.get(cell.system, self.kind)
        if kind not in self.nets:
            self.nets[kind] = Net(kind, f'{next(TAGS):x}', self.nice)
        return self.nets[kind]

    def server(self, cell, net, access_log=None):
        self.ports += 1
        return servers.Server(cell, self.site, net, PORTS[(os.getpid() + self.ports) % len(PORTS)], access_log)

    def prime(self, cell, net, server):
        """Has a server that keeps a large body fetch it, so that it answers out of its memory alone."""
        if servers.keeps(cell):
            generators.saturate(cell, self.site, net, server, 1)
        if servers.needs_origin(cell):
            with origin.Origin(servers.origin_path(self.site), self.site.folder):
                generators.saturate(cell, self.site, net, server, 1)

    def once(self, cell, seconds):
        """One run: the figures of this cell, as the JSON has them, and where the two processors were meanwhile."""
        net = self.net_of(cell)
        self.site.add(cell)
        if cell.is_idle or not net.client.is_here:  # nearly all sleep, or a generator elsewhere
            return {**self._figures(cell, net, seconds, lambda last: contextlib.nullcontext()), 'processors': None}
        with twins.Watch() as watch:
            out = self._figures(cell, net, seconds, watch.span)
        return {**out, 'processors': twins.told(watch.samples)}

    def _figures(self, cell, net, seconds, span):
        """span(last): a context manager for what is measured, of which the last seconds count (None: all)."""
        # plx-load has a warm-up before the time that it measures; what ends with a number of requests has none.
        last = None if cell.is_download or cell.protocol != 'h3' else seconds + 0.2
        server = self.server(cell, net)
        try:
            self.prime(cell, net, server)
            busy, waited, began = machine.cpu_busy(servers.CPU)[0], machine.waited_seconds(server.pid), time.monotonic()
            with span(last):
                got = (idle.measure(self.site, cell, net, server, seconds) if cell.is_idle else
                       generators.saturate(cell, self.site, net, server, seconds))
            busy, wall = machine.cpu_busy(servers.CPU)[0] - busy, time.monotonic() - began
            whole, waited = server.cpu_seconds(), machine.waited_seconds(server.pid) - waited
        finally:
            account = server.stop()
        if cell.is_polling:
            if account is None:
                raise servers.ServerError(f'{cell.name}: plx-serve ended without its account; it said:\n{server.text()[-1500:]}')
            # The account is that of its whole life; warm-up and handshakes are in it, and the requests of the warm-up too. With thousands of
            # connections their handshakes would be most of it: the time measured alone, where plx-load was told it, is better.
            if not got['server_cpu_s']:
                got['server_cpu_s'] = account[0] * got['requests'] / max(1, account[1])
            foreign = waited / wall  # it always wants the processor
        else:
            foreign = max(0, busy - whole) / wall
        out = figures(cell, got)
        out['foreign_cpu_share'] = foreign
        if self.has_latency and not cell.is_download and not cell.is_idle:
            with self.server(cell, net) as server:
                self.prime(cell, net, server)
                with span(last):
                    half = generators.at_rate(cell, self.site, net, server, seconds, out['requests_per_second'] / 2)
            if half:
                out.update(p50_us=half.get('p50_us'), p99_us=half.get('p99_us'), failed=out['failed'] + half['failed'])
        return out

    def tried(self, cell):
        """A run, with those that were set aside for it; one that broke is {'error': …}."""
        return self.credit.fair(cell.name, lambda: self._tried(cell))

    def make_up(self, cells, results):
        """When all runs are done: those that were elsewhere once more, with what is left of credit. results: {name: [figures, …]}."""
        for cell in cells:
            self.credit.make_up(cell.name, results[cell.name], lambda: self._tried(cell))

    def _tried(self, cell):
        try:
            return generators.until_answered(self.seconds, lambda seconds: self.once(cell, seconds), lambda text: self.say(f'{cell.name}: {text}'))
        except (servers.ServerError, generators.LoadError) as e:
            self.say(f'{cell.name}: {e}')
            return {'error': str(e)}

    def all(self, cells, runs, on_run=lambda cell, i, out: None):
        """{name: [figures, …]}; a run that broke is {'error': …}."""
        out = {c.name: [] for c in cells}
        for i in range(runs):
            self.change_places(self.exchanges and i % 2)
            for cell in cells:
                figure = self.tried(cell)
                out[cell.name].append(figure)
                on_run(cell, i, figure)
        self.change_places(False)
        self.make_up(cells, out)
        return out

    @staticmethod
    def change_places(is_changed):
        servers.CPU, client.Here.cpus = '10' if is_changed else '01'


def figures(cell, got):
    requests, seconds = got['requests'], max(got['seconds'], 1e-9)
    server_us, generator_us = got['server_cpu_s'] * 1e6 / requests if requests else None, got.get('generator_us_per_request')
    gigabytes = got['body_bytes'] / 1e9
    return {'requests_per_second': requests / seconds,
            'server_cpu_us_per_request': server_us, 'generator_per_server': generator_us / server_us if generator_us and server_us else None,
            'server_cpu_s_per_gb': got['server_cpu_s'] / gigabytes if gigabytes else None,
            'gbit_per_second': got['body_bytes'] * 8e-9 / seconds,
            'datagrams_per_request': got['datagrams'] / got['begun'] if got['begun'] else None,
            'p50_us': None, 'p99_us': None, 'failed': got['failed'], 'generator_us_per_request': generator_us,
            'generator_busy_share': got.get('generator_busy_share'), 'handshakes_resumed': got.get('resumed') if cell.handshake else None,
            'handshakes_early': got.get('early') if cell.handshake else None,
            'printed_per_second': got.get('printed'), 'counted_per_second': got.get('counted'), 'notes': got['notes'], 'failures': got.get('errors', {}),
            'connections_held': got.get('held') if cell.is_idle else None, 'bytes_per_connection': got.get('bytes_each')}


def spread(values):
    """(max - min) / median, in per cent; None without at least two figures."""
    values = [v for v in values if v is not None]
    middle = statistics.median(values) if len(values) > 1 else 0
    return 100 * (max(values) - min(values)) / middle if middle else None


def summary(results):
    """The cells of the JSON: median, spread and runs of each."""
    cells = {}
    for name, figures_all in results.items():
        good = [f for f in figures_all if 'error' not in f]
        median = {}
        for key in KEYS:
            values = [f[key] for f in good if f.get(key) is not None]
            median[key] = statistics.median(values) if values else None
        wide = {key: spread([f.get(key) for f in good]) for key in ('requests_per_second', 'server_cpu_us_per_request', 'p50_us', 'p99_us')}
        is_noisy = any((wide[k] or 0) > NOISY for k in ('requests_per_second', 'server_cpu_us_per_request'))
        cells[name] = {'median': median, 'spread_percent': wide, 'is_noisy': is_noisy, 'errors': len(figures_all) - len(good), 'runs': figures_all,
                       'by_place': twins.by_place(figures_all, ('requests_per_second', 'server_cpu_us_per_request', 'server_cpu_s_per_gb'))}
    return cells
