#!/usr/bin/env python3
"""bench/cost draws its page from a cost.json: every cell and figure is on it, noise and failures are marked, nothing is fetched from
anywhere, the HTML is whole, and Chromium finds room for it on a wide and a narrow screen. Those figures are made up; tests/smoke/test_bench_macro.py measures some.

Then the whole way with a card and a second machine, over memif between two processes: the "machine" is reached by a command that runs what
follows it, as ssh does. And what it says when something is not as it must be."""
# timeout: 600
# alone: memif polls on both sides, and rates are measured
import contextlib
import glob
import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from measured import Bench, cells_of  # noqa: E402
import client  # noqa: E402
import costs  # noqa: E402
import runs  # noqa: E402
import wire  # noqa: E402

bench = Bench('cost', 60)
check = bench.check
VOID = {'meta', 'br', 'line', 'polyline'}


class Whole(html.parser.HTMLParser):
    """Every element that opens closes, in turn; the text is kept."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.wrong = [], '', ''

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong = self.wrong or f'</{tag}> at {self.getpos()}'

    def handle_data(self, data):
        self.text += data + '\n'


def figure(cost, rate):
    return {'requests_per_second': rate, 'server_cpu_us_per_request': cost, 'server_cpu_s_per_gb': cost / 64, 'gbit_per_second': rate * 5e-7,
            'printed_per_second': rate, 'counted_per_second': rate * (0.97 if cost < 5 else 1 / 1.15), 'datagrams_per_request': 2.0, 'p50_us': 60.0, 'p99_us': 900.0, 'failed': 0, 'notes': []}


def made_up():
    sections, cost, plan = {}, 3.25, costs.plan(None)
    for section in plan['sections']:
        results = {}
        for name in section['cells']:
            cost += 1
            results[name] = [figure(cost, 100000), figure(cost * 1.02, 99000), figure(cost, 101000)]
        sections[section['key']] = results
    sections['small']['nginx/h3/64/m1/c64'][1] = figure(50, 20000)
    sections['many']['caddy/h3/64/m10/c64'][2] = {'error': 'did not start; <it> said'}
    curve = {name: [{'load_percent': load, 'rate': 1000 * load, 'p50_us': 50 + load, 'p99_us': 500 + 9 * load} for load in costs.LOADS] for name in costs.CURVES}
    return {'machine': {'cpu': 'A & B <C>', 'cpus': 2, 'mhz': 2600, 'memory_gb': 8, 'is_virtual': True, 'governor': None, 'kernel': '6', 'system': 'Debian',
                        'versions': {'nginx': '1'}, 'load_before': 0.5},
            'runs': 3, 'seconds': 3, 'plan': plan, 'sections': {k: runs.summary(r) for k, r in sections.items()}, 'curves': curve,
            'phases': {'one': {'phases': {'open': 30.0, 'deliver': 70.0}, 'bare_phases': {'open': 20.0}}, 'ten': {'error': 'not <built>'}},
            'profiles': {name: {'kernel': 60.0, 'QUIC': 40.0} for name in costs.PROFILES}}


def drawn():
    report = made_up()
    report['agreement'] = costs.agreement(report['plan'], report['sections'])
    with tempfile.TemporaryDirectory(prefix='plx-cost-test-') as folder:
        path = os.path.join(folder, 'made-up.json')
        with open(path, 'w') as f:
            json.dump(report, f)
        done = bench.run('--redraw', path, '--out', folder)
        check('exit status tells of the run that broke', done.returncode == 1 and 'cost.html' in done.stdout, done.stdout + done.stderr)
        with open(os.path.join(folder, 'cost.html')) as f:
            page = f.read()
        looked_at(folder)
    whole = Whole()
    whole.feed(page)
    check('html is whole', not whole.wrong and not whole.open, f'{whole.wrong} {whole.open}')
    names = [n for s in costs.SECTIONS for n in s[5]]
    check('every cell is there', all(n in whole.text for n in names), [n for n in names if n not in whole.text])
    check('noise is marked once', whole.text.count('too noisy') == 1, whole.text.count('too noisy'))
    check('a broken run is told', '1 of 3 runs broke' in whole.text)
    check('the baseline is the cheaper TCP server', costs.ratio(report['plan']['sections'][0], report['sections']['small'], 'pollux-udp/h3/64/m1/c64') == 6.25 / 4.25)
    check('curves', page.count('<polyline') == 2 * len(costs.CURVES))
    check('phases', 'deliver 70.0\u00a0ns' in whole.text and 'the bare path' in whole.text and 'not <built>' in whole.text)
    check('text is escaped', 'A &amp; B &lt;C&gt;' in page and '<C>' not in page)
    check('nothing is fetched', not re.search(r'(src|href)\s*=|@import|url\(|<script', page))
    check('disagreement is marked', '8 of 9 are more than 10 % apart' in whole.text and '15.0 %' in whole.text, report['agreement'])
    median = runs.summary({'x': [figure(1, 10), figure(9, 11), figure(2, 12)]})['x']
    check('median and spread', median['median']['server_cpu_us_per_request'] == 2 and median['spread_percent']['server_cpu_us_per_request'] == 400 and median['is_noisy'])


class Standin:
    """A bench whose server answers what it is told to; the rates that it is asked for."""
    seconds, site = 1, type('Site', (), {'add': lambda self, cell: None})()

    def __init__(self, reaches):
        self.reaches, self.asked = reaches, []

    def net_of(self, cell):
        return None

    def server(self, cell, net):
        return contextlib.nullcontext()

    def saturate(self, cell, *args):
        if self.reaches is None:
            raise costs.generators.LoadError('broke')
        return {'requests': self.reaches * 2, 'seconds': 2}

    def at_rate(self, cell, site, net, server, seconds, rate):
        self.asked.append(rate)
        return {'p50_us': 1, 'p99_us': 2}


def shares():
    """Latency against load goes by what the server reaches at that time, where that is less than before."""
    plan = {'curves': ['nginx/h3/64/m1/c64'], 'loads': [50, 100]}
    sections = {'small': {'nginx/h3/64/m1/c64': {'median': {'requests_per_second': 1000}}}}
    kept = costs.generators.saturate, costs.generators.at_rate
    for reaches, wanted in ((600, [300, 600]), (1500, [500, 1000]), (None, [500, 1000])):
        standin = Standin(reaches)
        costs.generators.saturate, costs.generators.at_rate = standin.saturate, standin.at_rate
        steps = []
        costs.curves(plan, standin, sections, type('Progress', (), {'step': lambda self, what: steps.append(what)})())
        check(f'shares of {reaches}', standin.asked == wanted and len(steps) == 3, standin.asked)
    costs.generators.saturate, costs.generators.at_rate = kept


LOOK = """<!doctype html><body style="margin:0"><iframe id=f src="%s" style="border:0;width:%dpx;height:900px"></iframe><script>
f.onload = () => { const d = f.contentDocument, r = d.documentElement;
  document.title = [r.scrollWidth <= %d, getComputedStyle(d.body).backgroundColor,
    [...d.querySelectorAll('h1,h2,p,.bar i,.stack i')].every(e => e.getBoundingClientRect().right <= %d + 0.5)].join(';'); }</script>"""


def looked_at(folder):
    """In Chromium, wide and narrow, light and dark: nothing sticks out, and dark is dark."""
    seen = {}
    for width in (1280, 390):
        for scheme, number in (('dark', 0), ('light', 1)):
            path = os.path.join(folder, 'look.html')
            with open(path, 'w') as f:
                f.write(LOOK % ('cost.html', width, width, width))
            done = subprocess.run(['chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--allow-file-access-from-files', f'--window-size={width + 200},1000',
                                   f'--user-data-dir={folder}/chromium', f'--blink-settings=preferredColorScheme={number}', '--virtual-time-budget=5000', '--dump-dom',
                                   f'file://{path}'], capture_output=True, text=True, timeout=120)
            title = re.search(r'<title>(.*?);(.*?);(.*?)</title>', done.stdout)
            check(f'chromium, {width} wide, {scheme}', title and title[1] == 'true' == title[3], done.stdout[-500:] + done.stderr[-800:])
            seen[scheme] = title and title[2]
    check('dark is dark', seen['dark'] == 'rgb(20, 23, 26)' and seen['light'] == 'rgb(252, 252, 251)', seen)


def over_a_wire():
    """What a person with a card types, but for the names of the ports and how the client is reached."""
    before = set(glob.glob('/tmp/plx-cost-*'))
    with tempfile.TemporaryDirectory(prefix='plx-wire-test-') as folder:
        ours, theirs = (f'net_memif0,role={role},socket={folder}/memif.sock,socket-abstract=no' for role in ('server', 'client'))
        argv = ['--port', ours, '--address', '10.90.0.1/24', '--client', 'neighbour', '--client-command', 'env', '--client-folder', TOP, '--client-port',
                theirs, '--client-address', '10.90.0.2/24', '--runs', '1', '--seconds', '0.5', '--nice', '0', '--out', folder]
        for name, more, members, nets in (
                ('card alone', ['--section', 'small', '--section', 'bulk'], {'pollux-nic/h3/64/m1/c64', 'pollux-nic/h3/1G/m1/c1'}, 5),
                ('card and kernel', ['--section', 'hello', '--kernel-address', '127.0.0.1'],
                 {'pollux-nic/h3-handshake/64/full', *(n for n in costs.SECTIONS[5][5])}, 0)):
            done = bench.run(*argv, *more, patience=400)
            check(f'{name}: exit status', done.returncode == 0, done.stdout + done.stderr)
            if done.returncode != 0:
                continue
            report = bench.report(os.path.join(folder, 'cost.json'), done)
            with open(os.path.join(folder, 'cost.html')) as f:
                page = f.read()
            medians = {n: c['median'] for n, c in cells_of(report)}
            check(f'{name}: cells', set(medians) == members, list(medians))
            check(f'{name}: figures', all(m['server_cpu_us_per_request'] > 0 and m['requests_per_second'] > 0 and m['failed'] == 0 for m in medians.values()), medians)
            points = report['curves'].get('pollux-nic/h3/64/m1/c64', [])
            check(f'{name}: latency against load', len(points) == nets and all(p['p99_us'] >= p['p50_us'] > 0 for p in points), report['curves'])
            check(f'{name}: phases', all(c.get('ns', 0) > 0 for c in report['phases'].values()) and len(report['phases']) == 2, report['phases'])
            check(f'{name}: page', all(n in page for n in members) and 'neighbour' in page)
    check('nothing is left over there', set(glob.glob('/tmp/plx-cost-*')) == before, set(glob.glob('/tmp/plx-cost-*')) - before)


def refused():
    """Each with what it must say: what is wrong, and what to do."""
    vdev, card = ['--port', 'net_memif0'], ['--address', '10.90.0.1/24', '--client', 'nobody']
    over = [*vdev, *card, '--client-command', 'env']
    rows = ((2, ['--port', '0000:00:00.0'], '--client HOST'), (2, ['--client', 'x'], 'need --port'), (2, [*over, '--client-cpus', '1-'], '--client-cpus'),
            (1, ['--port', 'ff:1f.7', *card, '--client-command', 'env'], 'no PCI device 0000:ff:1f.7. Its network cards:'),
            (1, ['--port', 'eth0', *card], 'neither a PCI address'), (1, [*vdev, *card, '--client-command', 'false'], '"false true" must work'),
            (1, [*vdev, *card, '--client-command', '/nonexistent/ssh'], 'No such file'),
            (1, [*over, '--client-folder', '/nonexistent'], 'clone and build this project there'), (1, [*over, '--kernel-address', '192.0.2.99'], 'no device'),
            (1, [*over, '--client-port', 'net_memif0'], '--client-address'), (1, [*vdev, '--address', '10.90.0.1', '--client', 'x'], 'ADDRESS/PREFIX'),
            (1, [*over, '--client-port', 'net_memif0', '--client-address', '10.91.0.2/24'], 'not in the network'),
            (1, [*vdev, '--address', '10.90.0.1/24', '--client', 'no-such-host.invalid'], 'must work without a password'))
    for code, options, want in rows:
        done = bench.run(*options)
        check(f'says: {want}', done.returncode == code and want in done.stderr and 'Traceback' not in done.stderr, f'{done.returncode}\n{done.stderr}')


def cards():
    """A machine with one card, in three states."""
    root = '/sys/bus/pci/devices'
    for driver, free, want in (('ixgbe', 4, 'dpdk-devbind.py --bind=vfio-pci 0000:3b:00.0'), ('vfio-pci', 0, 'nr_hugepages'), ('vfio-pci', 4, ''), ('mlx5_core', 4, '')):
        files = {f'{root}/0000:3b:00.0/class': '0x020000\n', f'{root}/0000:3b:00.0/uevent': f'DRIVER={driver}\nPCI_CLASS=20000\n',
                 '/proc/meminfo': f'HugePages_Total: 4\nHugePages_Free: {free}\n'}
        try:
            wire.check_card(lambda p: files.get(p, ''), lambda f: ['0000:3b:00.0', '0000:00:00.0'], '3B:00.0', 'this machine')
            said = ''
        except wire.WireError as e:
            said = str(e)
        check(f'card: {driver}, {free} huge pages', want in said and bool(said) == bool(want), said)
    there = client.There('far.example', None, '/srv/pollux', '2,4-5')
    check('ssh', there.argv(['cat', 'a b'])[-2:] == ['far.example', "cat 'a b'"] and there.cores == 3, there.argv(['cat', 'a b']))


def main():
    drawn()
    shares()
    cards()
    refused()
    over_a_wire()
    return bench.end()


sys.exit(main())
