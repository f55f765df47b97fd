#!/usr/bin/env python3
"""bench/peers in short: plx-load against nginx, haproxy, caddy and plx-serve, at 1, 10 and 100 requests in flight on 64 connections. No request
fails, and what plx-load counts is what each server's access log says. Before that: that a log which says something else is found out."""
# timeout: 900
import importlib.machinery
import importlib.util
import os
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from measured import Bench, cells_of  # noqa: E402
import access  # noqa: E402
import cells  # noqa: E402

bench = Bench('peers', 800)
check = bench.check


def program():
    """bench/peers as a module: it has no .py at its end."""
    loader = importlib.machinery.SourceFileLoader('peers', os.path.join(TOP, 'bench', 'peers'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('peers', loader))
    loader.exec_module(module)
    return module


GOOD = {'nginx': '200\n', 'haproxy': '200\n', 'caddy': '{"level":"info","ts":1,"request":{"uri":"/64"},"status":200,"size":64}\n',
        'pollux-udp': '2026-01-01T00:00:00.000Z 127.0.0.1:5000 GET /64 200 64 0.041ms core=0\n'}
ODD = {'nginx': ('404\n', '1200\n', '\n'), 'haproxy': ('503\n', '[NOTICE] 200\n'),
       'caddy': ('{"level":"error","status":500}\n', '{"level":"info","request":{"uri":"/64"},"status":404,"size":0}\n'),
       'pollux-udp': (GOOD['pollux-udp'].replace('\n', ' error=0x10c\n'), GOOD['pollux-udp'].replace(' 200 64 ', ' 200 63 '),
                      GOOD['pollux-udp'].replace('/64 200', '/other 404'))}


def logs(folder):
    """Lines are counted as they are, however the pieces fall."""
    path, whole = os.path.join(folder, 'log'), access.PIECE
    for system, good in GOOD.items():
        cell = cells.parse(f'{system}/h3/64/m1/c1')
        for piece in (whole, 7, 100):
            access.PIECE = piece
            rows = [('good', good * 1000, (1000, 1000)), ('empty', '', (0, 0)), ('cut', good * 10 + good[:2], (11, 10))]
            rows += [(f'odd {i}', good * 5 + odd + good * 4, (10, 9)) for i, odd in enumerate(ODD[system])]
            for name, text, want in rows:
                with open(path, 'w') as f:
                    f.write(text)
                got = access.count(path, cell)
                check(f'log {system} {name} by {piece}', (got.lines, got.good) == want and bool(got.odd) == (want[0] != want[1]), got)
        access.PIECE = whole


def verdicts(judge):
    fine = {'errors': {}, 'failed': 0, 'whole_requests': 10, 'whole_sent': 10}
    rows = (({}, (10, 10), ''), ({'failed': 1}, (10, 10), '1 failed'), ({'errors': {'timeout': 2}, 'failed': 2}, (10, 10), '2 times timeout'),
            ({'whole_sent': 11}, (10, 10), '11 were sent'), ({}, (9, 9), '9 lines'), ({}, (11, 11), '11 lines'), ({}, (10, 9), '9 of them good'),
            ({'whole_requests': 0, 'whole_sent': 0}, (0, 0), 'no request'))
    for change, (lines, good), want in rows:
        said = '; '.join(judge({**fine, **change}, access.Count(lines, good, [])))
        check(f'verdict {want or "good"}', want in said and bool(said) == bool(want), said)


def main():
    with tempfile.TemporaryDirectory(prefix='plx-peers-test-') as folder:
        logs(folder)
        verdicts(program().judge)
        path = os.path.join(folder, 'out.json')
        done = bench.run('--seconds', '1.5', '--nice', '0', '--json', path)
        check('exit status', done.returncode == 0, done.stdout + done.stderr)
        report = bench.report(path, done)
        if report:
            check('cells', len(report['cells']) == 12 and report['is_good'], list(report['cells']))
        for name, c in cells_of(report):
            check(name, c.get('wrong') == '' and c['failed'] == 0 and c['requests_answered'] == c['log_lines'] == c['log_good'] > 100, c)
    return bench.end()


sys.exit(main())
