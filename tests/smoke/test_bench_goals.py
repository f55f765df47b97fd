#!/usr/bin/env python3
"""bench/goals measures and judges: a goal that is the most, one that is the least, one against others in the same run, noise, what broke, two workers and
idle connections. The figures that are judged are made up; one cell is measured, with the server's time of its window alone, and the floor beside it.
bench/bare, which measures floors, does every kind of work for a moment, and says what is wrong with its options, and when nobody is there."""
# timeout: 200
# alone: memif polls on both sides
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from measured import Bench, cells_of  # noqa: E402
import goals  # noqa: E402
import runs  # noqa: E402
import servers  # noqa: E402
import table  # noqa: E402

bench = Bench('goals', 180)
check, run = bench.check, bench.run


def figure(us, gb=0.1):
    return {'requests_per_second': 1e6 / us, 'server_cpu_us_per_request': us, 'server_cpu_s_per_gb': gb, 'generator_us_per_request': us / 2}


def judged():
    cells = {name: [figure(1.0), figure(1.1)] for name in goals.cell_names()}
    cells['pollux-memif/h3/64/m1/c64'] = [figure(0.44), figure(0.45), {'error': 'lost'}]
    cells['pollux-memif/h3/1G/m1/c1'] = [figure(1, 0.15), figure(1, 0.16)]
    cells['pollux-memif/h3/16K/m10/c64'] = [figure(1, 0.19), figure(1, 0.25)]
    cells['pollux-udp/h3/64/m1/c64'] = [figure(4), figure(6)]
    cells['nginx/h3/64/m1/c64'] = [figure(12), figure(12)]
    cells['haproxy/h3/64/m1/c64'] = [figure(8), figure(10)]
    cells['caddy/h3/64/m1/c64'] = [{'error': 'did not start'}, figure(70)]
    cells['pollux-udp/h3/64/m10/c64'] = [{'error': 'did not start'}] * 2
    took = {'server_bytes': 3800.4, 'tables_bytes': 200, 'asleep_ns': [3500, 9000], 'awake_ns': [1000, 2000]}
    report = {'machine': {'load_before': 0.5}, 'runs': 2, 'seconds': 1, 'cells': runs.summary(cells), 'workers': {'fastest': 1.96, 'median': 1.9, 'apart_median': 1.94, 'apart_rounds': 3, 'rounds': [{'way': 'one'}] * 4 + [{'way': 'several'}] * 4},
              'bare': [{'64': {'server_ns': 180.2}, '1024': {'error': 'did not start'}, 'send': {'server_ns': 141.0}}, {'64': {'server_ns': 196.4}}],
              'openssl': [{'full': 109.2, 'resumed': 91.0}, {'full': 131.2, 'resumed': 113.0}],
              'idle': {'awake': took, 'hibernated': {**took, 'server_bytes': 1000.0}}}
    text = goals.markdown(report, 'A machine')
    rows = [line for line in text.splitlines() if line.startswith('|')]

    def row(start):
        return next((r for r in rows if r.startswith(f'| {start}')), '')
    check('the most, reached', row('memif, 64 octets, one in flight').endswith('| ≤ 450 ns | 146; here 188 (× 2.4; the goal × 3.1) | 445 | 2 % | reached |'), rows)
    check('a floor that broke, of a download', '| ≤ 500 ns | 146 |' in row('the same, 1,024 conn') and '| 140; here 141 (× 1.5; the goal × 1.6) |' in row('memif, a download'), rows)
    del report['bare']  # as it was before floors were measured
    check('no floors', '| ≤ 450 ns | 146 | 445 |' in goals.markdown(report, 'A machine'))
    check('the most, missed', row('the same, 1,024 conn').endswith('| 1,050 | 10 % | **missed** |'), rows)
    check('a download', row('memif, a download').endswith('| 217 | 6 % | reached |'), rows)
    check('the least', row('memif, 16 KiB').endswith('| ≥ 40 Gbit/s of a core | – | 37 | 27 % | **missed** |'), rows)
    check('against the best of its own run', row('kernel sockets, 64 octets, 1 in').endswith('| 0.55 | 18 % | **missed** |'), rows)
    check('what broke', row('kernel sockets, 64 octets, 10 in').endswith('| – | – | – |') and '(1 of 3 runs broke)' in text, rows)
    check('OpenSSL in the same run', '| 113: OpenSSL; here 120 (' in row('a full handshake') and '98: OpenSSL; here 102 (' in row('a resumed'), rows)
    check('two workers', row('two workers').endswith('| 1.96 | – | reached |') and
          row('the same, medians of rounds with a core for each (3 of 4)').endswith('| 1.94 | – | **missed** |'), rows)
    check('idle', row('an idle').endswith('| 4,000 | – | reached |') and row('the same once hib').endswith('| 1,200 | – | **missed** |') and
          row('waking').endswith('| 2.50 | – | **missed** |'), rows)


def page():
    with tempfile.TemporaryDirectory(prefix='plx-goals-test-') as folder:
        path, out = os.path.join(folder, 'page.md'), os.path.join(folder, 'out.json')
        with open(path, 'w') as f:
            f.write('before\n<!-- tables: bench/goals writes them -->\nold\n<!-- end of the tables -->\nafter\n')
        done = run('--only', 'pollux-memif/h3/64/m1/c1024', '--runs', '2', '--seconds', '0.5', '--nice', '0', '--json', out, '--write', path)
        check('measures', done.returncode == 0, done.stderr)
        with open(path) as f:
            text = f.read()
        check('page', text.startswith('before\n<!--') and text.endswith('-->\nafter\n') and 'old' not in text and text.count('1,024 connections') == 1, text)
        report = bench.report(out, done)
        check('floor', len(report['bare']) == 2 and all(list(r) == ['1024'] and r['1024']['server_ns'] > 0 for r in report['bare']) and '| 146; here ' in text, report['bare'])
        for name, cell in cells_of(report):
            check(name, cell['median']['failed'] == 0 and cell['median']['server_cpu_us_per_request'] > 0 and cell['median']['generator_us_per_request'] > 0 and
                  not any('server' in note for r in cell['runs'] for note in r.get('notes', ())), cell)
        again = run('--tables', out)
        check('tables again', again.returncode == 0 and again.stdout.strip() in text, again.stdout + again.stderr)
    check('no such cell', (done := run('--only', 'apache')).returncode == 2 and 'no goal' in done.stderr, done.stderr)
    check('no such page', (done := run('--tables', os.devnull, '--write', os.devnull)).returncode == 2 and 'has no line' in done.stderr, done.stderr)


def builds():
    with tempfile.TemporaryDirectory(prefix='plx-goals-test-') as folder:
        check('a folder that meson did not make', table.how_built(folder) is None)
        os.mkdir(os.path.join(folder, 'meson-info'))
        usual = {'b_pgo': 'off', 'lto': True, 'buildtype': 'release', 'march': 'native'}
        for changes, words in (({}, None), ({'b_pgo': 'use'}, 'built with a profile'), ({'lto': False, 'march': 'x86-64-v3'}, 'not linked at once; for x86-64-v3')):
            with open(os.path.join(folder, 'meson-info', 'intro-buildoptions.json'), 'w') as f:
                json.dump([{'name': k, 'value': v} for k, v in {**usual, **changes}.items()], f)
            check(f'build {words}', table.how_built(folder) == words, table.how_built(folder))


def bare():
    for way in ('64', '16384', goals.SEND):
        got = goals.bare(servers.BUILD, way, 0, ms=100)
        check(f'bare {way}', got['server_ns'] > 0 and got['client_ns'] > 0 and got['packets'] > 0 and got['conns'] == (1 if way == goals.SEND else int(way)), got)

    def said(*argv):
        done = subprocess.run([os.path.join(servers.BUILD, 'bench', 'bare'), *argv], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    code, text = said('--help')
    check('bare --help', code == 0 and 'Example' in text and 'role=client' in text, text)
    for argv, what in ((['--'], 'either --serve or --load'), (['--serve', '--load', '--'], 'either --serve or --load'), (['--load', '--conns=16385', '--'], 'from 1 to 16384'),
                       (['--serve', '--ms', 'x', '--'], '--ms wants'), (['--serve', '--json=x', '--'], '--json is for --load'), (['--load'], 'behind "--"'), (['--load', 'x', '--'], 'no option')):
        code, text = said(*argv)
        check(f'bare {" ".join(argv)}', code == 2 and what in text, text)
    with tempfile.TemporaryDirectory(prefix='plx-goals-test-') as folder:
        code, text = said('--serve', '--patience=1', *servers.net_memif('server', 64, folder))
        check('bare, nobody there', code == 1 and 'has said nothing' in text and not os.listdir(folder), text)
        code, text = said('--load', '--patience=1', *servers.net_memif('client', 64, folder))
        check('bare, no server', code == 1 and 'start the other side first' in text, text)


judged()
builds()
bare()
page()
sys.exit(bench.end())
