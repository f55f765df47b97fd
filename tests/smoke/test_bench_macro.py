#!/usr/bin/env python3
"""bench/macro measures: one tiny cell of each kind of system and protocol, and a JSON that says everything it promises. No figure is
judged here: only that there is one. Names that make no sense are refused with a reason."""
# timeout: 900
# alone: rates by two counts are compared, memif polls on both sides
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from measured import Bench, cells_of  # noqa: E402
import client  # noqa: E402
import generators  # noqa: E402
import profile_of  # noqa: E402
import runs  # noqa: E402
import servers  # noqa: E402

CELLS = ('pollux-udp/h3/64/m10/c4', 'pollux-xdp/h3/1K/m1/c2', 'pollux-memif/h3/16K/m10/c2', 'nginx/h3/64/m1/c4', 'nginx/h1-tls/64/m1/c2',
         'nginx/h2-tls/64/m10/c2', 'haproxy/h3/100K/m1/c2', 'haproxy/h1-tls/1K/m1/c2', 'caddy/h3/64/m10/c2', 'pollux-udp/h3-handshake/64/full',
         'pollux-udp/h3-handshake/64/resumed', 'pollux-udp/h3-handshake/64/0rtt', 'caddy/h3-handshake/64/0rtt', 'pollux-udp/h3/64M/m1/c1', 'pollux-memif/h3/64M/m1/c1', 'nginx/h1-tls/64M/m1/c1',
         'haproxy/h3/64M/m1/c1', 'haproxy/h1-tls/64M/m1/c1', 'pollux-udp/h3-idle/64/c100', 'nginx/h3-idle/64/c100', 'nginx/h1-tls-idle/64/c100')
FIGURES = ('requests_per_second', 'server_cpu_us_per_request', 'server_cpu_s_per_gb', 'gbit_per_second')
REFUSED = ('nginx/h3/64/m1', 'apache/h3/64/m1/c1', 'nginx/h1-tls/64/m2/c1', 'haproxy/h3/4G/m1/c1', 'pollux-nic/h3/64/m1/c1', 'nginx/h3-handshake/64/0rtt', 'haproxy/h3-handshake/64/0rtt', 'nginx/h1-tls-handshake/64/0rtt', 'nginx/h3-idle/64/m1/c1', 'pollux-udp/h2-tls/64/m1/c1', 'nginx/h3/0/m1/c1',
           'nginx/h3/64/m0/c1', 'nginx/h3-handshake/64/half', 'nginx/h1-tls-handshake/64/resumed', 'nginx/h3/64/full')
bench = Bench('macro', 800)
check, run = bench.check, bench.run


def is_positive(value):
    return isinstance(value, (int, float)) and value > 0


def check_cell(name, cell):
    good = [r for r in cell['runs'] if 'error' not in r]
    check(f'{name} runs', len(cell['runs']) == 1 and len(good) == 1, json.dumps(cell)[:2000])
    if not good:
        return
    median = cell['median']
    check(f'{name} figures', all(is_positive(median[k]) and is_positive(good[0][k]) for k in FIGURES if '-idle' not in name), json.dumps(median))
    check(f'{name} datagrams', is_positive(median['datagrams_per_request']), json.dumps(median))
    check(f'{name} failed', median['failed'] == 0, json.dumps(good)[:2000])
    check(f'{name} says where the processors were', 'processors' in good[0] and 'set_aside' not in good[0] and ('-idle' not in name or good[0]['processors'] is None), json.dumps(good)[:2000])
    if '-idle' in name:
        check(f'{name} held', median['connections_held'] == 100 and median['bytes_per_connection'] > 0, json.dumps(median))
    elif '64M' not in name:
        check(f'{name} latency', is_positive(median['p50_us']) and median['p99_us'] >= median['p50_us'], json.dumps(median))
    if median['printed_per_second']:  # by wrk or h2load itself
        # h2load divides by the time that it was asked for, we by what it took: on a busy machine that is longer.
        ratio = median['printed_per_second'] / median['requests_per_second']
        check(f'{name} is what was printed', 0.9 < ratio and (ratio < 1.1 or 'h2-tls' in name), json.dumps(median))
    if name.startswith('nginx/h') and 'h3' not in name:
        check(f'{name} is what nginx counted', is_positive(median['counted_per_second']), json.dumps(median))
    if name.endswith('/resumed'):
        check(f'{name} resumes', is_positive(median['handshakes_resumed']), json.dumps(median))
    if name.endswith('/0rtt'):
        check(f'{name} has early data', is_positive(median['handshakes_early']), json.dumps(median))


def check_layers():
    """A profile knows our functions, copies that the linker made and static ones, by the archive that they are from."""
    known = profile_of.ours()
    for symbol, layer in (('plx_recovery_on_ack.constprop.0', 'recovery and pacing'), ('on_section', 'HTTP/3 and QPACK'), ('tx_dgram.isra.0', 'QUIC'),
                          ('plx_core_breath', 'engine and timers'), ('plx_port_udp', 'drivers and addresses'), ('main', 'application and other')):
        found = profile_of.layer_of('plx-serve', symbol, False, known)
        check(f'{symbol} is of {layer}', found == layer, found)
    check('whose symbols are others', profile_of.layer_of('nginx', 'on_section', False, known) == 'application and other')


def check_longer():
    """A time in which nothing was answered is asked for again, longer; one in which something was answered is not, and no end of trying."""
    def once(seconds):
        asked.append(seconds)
        if seconds < least:
            raise generators.NoAnswer('nothing')
        return {'notes': []}
    for seconds, least, wanted in ((0.5, 0, [0.5]), (0.5, 1, [0.5, 2.0]), (0.5, 1e9, [0.5, 2.0, 8.0]), (10, 11, [10])):
        asked, said, notes = [], [], None
        try:
            notes = generators.until_answered(seconds, once, said.append)['notes']
        except generators.NoAnswer:
            pass
        check(f'{seconds} s, {least} s needed', asked == wanted and len(said) == len(wanted) - 1 and (notes is None) == (least > wanted[-1]) and
              (not notes or notes == [f'measured for {wanted[-1]:g} s: nothing was answered in {seconds:g}']), (asked, said, notes))


def namespaces():
    return {line.split()[0] for line in subprocess.run(['ip', 'netns'], capture_output=True, text=True).stdout.splitlines() if line.startswith('plxm')}


def main():
    before = namespaces()
    check_layers()
    check_longer()
    listed = run('--list').stdout.split()
    check('list', len(listed) > 100 and 'pollux-memif/h3/64/m1/c32' in listed and 'nginx/h1-tls/1G/m1/c1' in listed, listed[:5])
    for name in REFUSED:
        done = run(name)
        check(f'refuses {name}', done.returncode == 2 and 'error:' in done.stderr and not done.stdout, done.stderr)
    with tempfile.TemporaryDirectory(prefix='plx-macro-test-') as folder:
        path = os.path.join(folder, 'out.json')
        done = run(*CELLS, '--runs', '1', '--seconds', '0.5', '--net', 'veth', '--nice', '0', '--as-they-come', '--json', path)
        check('exit status', done.returncode == 0, f'{done.returncode}\n{done.stderr}')
        check('table', all(f'| {name} |' in done.stdout for name in CELLS), done.stdout)
        report = bench.report(path, done)
        if report:
            check('machine', report['machine']['cpus'] >= 2 and report['machine']['kernel'], report['machine'])
            check('cells', set(report['cells']) == set(CELLS), list(report['cells']))
        for name, cell in cells_of(report):
            check_cell(name, cell)
        done = run('pollux-memif/h3/64/m1/c8', '--runs', '2', '--seconds', '0.5', '--no-latency', '--nice', '0', '--as-they-come', '--exchange', '--json', path)
        for name, cell in cells_of(bench.report(path, done)):
            ratios = [r['generator_per_server'] for r in cell['runs']]
            check(f'{name} exchanged', done.returncode == 0 and len(ratios) == 2 and all(map(is_positive, ratios)) and
                  abs(cell['median']['generator_per_server'] - sum(ratios) / 2) < 1e-9, json.dumps(cell['runs']))
            check(f'{name} in the table', f' ({cell["median"]["generator_per_server"]:.2f}) |' in done.stdout, done.stdout)
    places = []
    for i in range(3):
        runs.Bench.change_places(i % 2)
        places.append((servers.CPU, client.Here.cpus))
    check('processors are exchanged, and put back', places == [('0', '1'), ('1', '0'), ('0', '1')], places)
    check('nothing is left', not namespaces() - before, namespaces() - before)
    return bench.end()


sys.exit(main())
