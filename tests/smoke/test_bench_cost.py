#!/usr/bin/env python3
"""bench/cost draws its page from a cost.json: every cell and figure is on it, noise and failures are marked, nothing is fetched from
anywhere, and the HTML is whole. The figures are made up here; tests/smoke/test_bench_macro.py measures some."""
import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'bench', 'lib'))
import costs  # noqa: E402
import runs  # noqa: E402

failed = 0
VOID = {'meta', 'br', 'line', 'polyline'}


def check(name, is_ok, detail=''):
    global failed
    failed += not is_ok
    print(('ok ' if is_ok else 'not ok ') + name, flush=True)
    for line in [] if is_ok else str(detail).strip().splitlines()[-25:]:
        print('# ' + line, flush=True)


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
            'datagrams_per_request': 2.0, 'p50_us': 60.0, 'p99_us': 900.0, 'failed': 0, 'notes': []}


def made_up():
    sections, cost = {}, 3.25
    for key, _, _, _, _, members in costs.SECTIONS:
        results = {}
        for name in members:
            cost += 1
            results[name] = [figure(cost, 100000), figure(cost * 1.02, 99000), figure(cost, 101000)]
        sections[key] = results
    sections['small']['nginx/h3/64/m1/c64'][1] = figure(50, 20000)
    sections['many']['caddy/h3/64/m10/c64'][2] = {'error': 'did not start; <it> said'}
    curve = {name: [{'load_percent': load, 'rate': 1000 * load, 'p50_us': 50 + load, 'p99_us': 500 + 9 * load} for load in costs.LOADS] for name in costs.CURVES}
    return {'machine': {'cpu': 'A & B <C>', 'cpus': 2, 'mhz': 2600, 'memory_gb': 8, 'is_virtual': True, 'governor': None, 'kernel': '6', 'system': 'Debian',
                        'versions': {'nginx': '1'}, 'load_before': 0.5},
            'runs': 3, 'seconds': 3, 'sections': {k: runs.summary(r) for k, r in sections.items()}, 'curves': curve,
            'phases': {name: {'kernel': 60.0, 'QUIC': 40.0} for name in costs.PROFILES}}


def main():
    report = made_up()
    with tempfile.TemporaryDirectory(prefix='plx-cost-test-') as folder:
        path = os.path.join(folder, 'made-up.json')
        with open(path, 'w') as f:
            json.dump(report, f)
        done = subprocess.run([os.path.join(TOP, 'bench', 'cost'), '--redraw', path, '--out', folder], capture_output=True, text=True, timeout=60)
        check('exit status tells of the run that broke', done.returncode == 1 and 'cost.html' in done.stdout, done.stdout + done.stderr)
        with open(os.path.join(folder, 'cost.html')) as f:
            page = f.read()
    whole = Whole()
    whole.feed(page)
    check('html is whole', not whole.wrong and not whole.open, f'{whole.wrong} {whole.open}')
    names = [n for s in costs.SECTIONS for n in s[5]]
    check('every cell is there', all(n in whole.text for n in names), [n for n in names if n not in whole.text])
    check('noise is marked once', whole.text.count('too noisy') == 1, whole.text.count('too noisy'))
    check('a broken run is told', '1 of 3 runs broke' in whole.text)
    check('the baseline is the cheaper TCP server', costs.ratio(costs.SECTIONS[0], report['sections']['small'], 'pollux-udp/h3/64/m1/c64') == 6.25 / 4.25)
    check('curves', page.count('<polyline') == 2 * len(costs.CURVES))
    check('text is escaped', 'A &amp; B &lt;C&gt;' in page and '<C>' not in page)
    check('nothing is fetched', not re.search(r'(src|href)\s*=|@import|url\(|<script', page))
    median = runs.summary({'x': [figure(1, 10), figure(9, 11), figure(2, 12)]})['x']
    check('median and spread', median['median']['server_cpu_us_per_request'] == 2 and median['spread_percent']['server_cpu_us_per_request'] == 400 and median['is_noisy'])
    return 1 if failed else 0


sys.exit(main())
