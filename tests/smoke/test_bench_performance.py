#!/usr/bin/env python3
"""bench/performance measures, and writes its tables between the marks of a page: every cell is there, the baseline, the floor, noise and what broke, and
where Pollux is not the best. The figures that are judged are made up; two cells are measured."""
# timeout: 300
# alone: it measures
import os
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from measured import Bench, cells_of  # noqa: E402
import cells  # noqa: E402
import runs  # noqa: E402
import standings  # noqa: E402

bench = Bench('performance', 280)
check, run = bench.check, bench.run


def figure(cost, rate, p99=900.0):
    return {'requests_per_second': rate, 'server_cpu_us_per_request': cost, 'server_cpu_s_per_gb': cost / 64, 'gbit_per_second': rate * 5e-7,
            'datagrams_per_request': 2.0, 'p50_us': 60.0, 'p99_us': p99, 'failed': 0, 'notes': [], 'connections_held': 2000, 'bytes_per_connection': 1000 * cost}


def made_up():
    lo = {'pollux-udp/h3/64/m1/c32': [figure(5, 100000), figure(5, 100000)], 'nginx/h3/64/m1/c32': [figure(10, 80000, 500.0), figure(10, 80000, 500.0)],
          'nginx/h1-tls/64/m1/c32': [figure(8, 90000), figure(8, 90000)], 'haproxy/h1-tls/64/m1/c32': [figure(20, 40000), figure(4, 41000)],
          'caddy/h3/64/m1/c32': [figure(50, 9000), {'error': 'did not start'}], 'pollux-udp/h3-idle/64/c2000': [figure(16, 200)],
          'nginx/h3-idle/64/c2000': [figure(92, 200)], 'haproxy/h1-tls-idle/64/c2000': [figure(7, 200)]}
    veth = {'pollux-udp/h3/1G/m1/c1': [figure(32, 1)], 'nginx/h1-tls/1G/m1/c1': [figure(64, 1)]}
    return {'machine': {'cpu': 'A', 'cpus': 2, 'mhz': None, 'memory_gb': 8, 'is_virtual': False, 'governor': None, 'kernel': '6', 'system': 'Debian', 'versions': {'nginx': '1'},
                        'load_before': 0.5}, 'runs': 2, 'seconds': 1, 'latency_runs': 1, 'nets': {'lo': runs.summary(lo), 'veth': runs.summary(veth)}}


def tables():
    text = standings.markdown(made_up())
    rows = [line for line in text.splitlines() if line.startswith('|')]

    def row(start):
        return next((r for r in rows if r.startswith(f'| {start}')), '')
    check('cheapest first', 0 < text.find('| pollux-udp HTTP/3 | 5.00') < text.find('| nginx HTTP/1.1, TLS | 8.00') < text.find('| nginx HTTP/3 | 10.00'), text)
    check('ratios', '| 0.62 | 1.00 |' in row('pollux-udp HTTP/3 | 5.00') and '| 1.25 | 2.00 |' in row('nginx HTTP/3 | 10.00'), rows)
    check('noise and what broke', '(noisy)' in row('haproxy HTTP/1.1') and '(1 of 2 runs broke)' in row('caddy HTTP/3') and '1 of 10 cells' in text, rows)
    check('floors', '*0.146*' in text and '*0.100*' in text, rows)
    check('gigabyte', '| 0.500 |' in row('pollux-udp HTTP/3 | 0.500') and '2.00' in row('nginx HTTP/1.1, TLS | 1.000'), rows)
    lost = text.partition('## Where Pollux is not the best')[2]
    check('what it loses', '| p99 µs | 900 | nginx HTTP/3 500 |' in lost and 'octets per connection | 16,000 | haproxy HTTP/1.1, TLS 7,000 |' in lost and
          'CPU' not in lost and 'requests/s |' not in lost, lost)
    whole = cells.performance()
    check('a full run', all(cells.parse(n) for names in whole.values() for n in names) and len(whole['lo']) > 60 and not set(whole['veth']) - set(cells.standard()))


def page():
    with tempfile.TemporaryDirectory(prefix='plx-performance-test-') as folder:
        path, out = os.path.join(folder, 'page.md'), os.path.join(folder, 'out.json')
        with open(path, 'w') as f:
            f.write('before\n<!-- tables: bench/performance writes them -->\nold\n<!-- end of the tables -->\nafter\n')
        done = run('--only', 'pollux-udp/h3/64/m10/c32', '--runs', '2', '--seconds', '0.5', '--nice', '0', '--json', out, '--write', path)
        check('measures', done.returncode == 0, done.stderr)
        report = bench.report(out, done)
        if not report:
            return
        for name in ('once', 'again'):
            with open(path) as f:
                text = f.read()
            check(f'page, {name}', text.startswith('before\n<!--') and text.endswith('-->\nafter\n') and 'old' not in text and text.count('## Cell by cell') == 1 and
                  text.count('| pollux-udp HTTP/3') == 2, text)
            run('--tables', out, '--write', path)
        check('figures', all(len(c['runs']) == 2 and c['median']['server_cpu_us_per_request'] > 0 and c['median']['p99_us'] > 0 for _, c in cells_of(report)) and
              list(report['nets']) == ['lo', 'veth'], report['nets'])
        with open(path, 'w') as f:
            f.write('no marks\n')
        done = run('--tables', out, '--write', path)
        check('a page without marks', done.returncode == 2 and 'has no line' in done.stderr, done.stderr)
    check('no such cell', (done := run('--only', 'apache')).returncode == 2 and 'no cell' in done.stderr, done.stderr)


tables()
page()
sys.exit(bench.end())
