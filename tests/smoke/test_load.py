#!/usr/bin/env python3
# timeout: 600
# alone: percentiles are compared with known delays
"""plx-load as a whole program: its counts against plx-serve's access log, its percentiles against a stand-in server with known
delays, its reports, thresholds and merging. Its arithmetic is tried harder, in virtual time, by tests/sim/load.c.
"""
import json
import math
import os
import signal
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import dpdk  # noqa: E402
import lib  # noqa: E402
import servers  # noqa: E402

lib.PORTS = range(22000, 23000)
SIZES = {'64.bin': 64, '1k.bin': 1 << 10, '16k.bin': 16 << 10, '300k.bin': 300 << 10}


class Result:
    def __init__(self, lab, args, code, text, report):
        self.code, self.text, self.report = code, text, report

    def __getitem__(self, name):
        return self.report['counts'][name]

    def errors(self):
        return sum(self.report['errors'].values())


def load(lab, *args, timeout=120, prefix=()):
    """Runs plx-load with a JSON report beside its text."""
    path = lab.path(f'report-{len(lab.procs)}.json')
    code, text = lab.call('plx-load', [*prefix, lab.program('apps/plx-load'), '--json', path, *args], timeout=timeout,
                          env={'SSL_CERT_FILE': ''})
    report = json.load(open(path)) if os.path.exists(path) else None
    return Result(lab, args, code, text, report)


class Served:
    """plx-serve with an access log, of which each look sees what has come since the last."""

    def __init__(self, lab, site):
        self.log = lab.path('access.log')
        self.server = servers.plx_serve(lab, site, '--hq', '--echo', '/echo', '--counters', '/counters', '--access-log', self.log)
        self.seen, self.folder = 0, site.folder

    def url(self, name):
        return self.server.url(name)

    def lines(self):
        with open(self.log) as f:
            all_lines = f.read().splitlines()
        new = all_lines[self.seen:]
        self.seen = len(all_lines)
        return [line.split() for line in new]


def agrees(served, got):
    """Every request of ours is a line of the server's, and the other way round."""
    lines = served.lines()
    bad = [line for line in lines if line[4] != '200' or any(word.startswith('error=') for word in line)]
    ok = got.code == 0 and len(lines) == got['all_ok'] == got['all_sent'] and not bad and got.errors() == 0
    return ok, f'{len(lines)} lines in the log, {len(bad)} of them odd\n{got.text}'


def closed(lab, served, ca):
    for c, m, n in ((1, 1, 50), (8, 1, 2000), (4, 10, 5000), (3, 100, 3000)):
        got = load(lab, '--cacert', ca, '-c', c, '-m', m, '-n', n, served.url('64.bin'))
        ok, text = agrees(served, got)
        exact = got['requests'] == n == got['ok'] == got.report['status'].get('200') and got['connections'] == c
        exact &= got.report['latency']['request']['count'] == n and got.report['latency']['handshake']['count'] == c
        lab.check(f'closed_c{c}_m{m}', ok and exact, text)
    got = load(lab, '--cacert', ca, '-c', 4, '-m', 4, '-d', '2s', '--warmup', '500ms', '-t', 2, served.url('1k.bin'))
    ok, text = agrees(served, got)
    lab.check('closed_duration_workers', ok and got['workers'] == 2 and got['all_ok'] > got['ok'] > 0 and
              abs(got.report['seconds'] - 2) < 1e-6, text)


    # One request in flight: the next one leaves with the answer.
    crc = zlib.crc32(open(os.path.join(served.folder, '64.bin'), 'rb').read())
    got = load(lab, '--cacert', ca, '-c', 8, '-m', 1, '-d', '1s', '--warmup', '300ms', '--expect-status', 200, '--expect-length', 64,
               '--expect-crc32', f'{crc:x}', served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('closed_one_by_one', ok and got['all_ok'] > got['ok'] > 0 and got.report['status'] == {'200': got['ok']} and
              got['body_bytes'] == 64 * got['answered_in_window'] and got.report['latency']['ttfb']['count'] == got['ok'], text)
    for name, option, kind in (('status', ('--expect-status', '404'), 'status'), ('length', ('--expect-length', '63'), 'length'),
                               ('crc32', ('--expect-crc32', f'{crc ^ 1:x}'), 'checksum')):
        got = load(lab, '--cacert', ca, '-c', 2, '-d', '300ms', *option, served.url('64.bin'))
        served.lines()
        lab.check(f'closed_one_by_one_{name}', got['failed'] == got.report['errors'][kind] > 0 == got['ok'] and got.code == 1, got.text)


def opened(lab, served, ca):
    got = load(lab, '--cacert', ca, '-c', 4, '--rate', 500, '-d', '2s', served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('open_rate', ok and got['requests'] == 1000, text)
    # What the warm-up could not send is not made up for: else nothing that was due in the window would leave in it.
    got = load(lab, '--cacert', ca, '-m', 1, '--rate', 2000000, '--warmup', '500ms', '-d', '500ms', '--timeout', '500ms', served.url('64.bin'))
    served.lines()
    lab.check('open_no_backlog_of_warmup', abs(got['requests'] - 1000000) < 2 and got['ok'] > 0 and
              got['ok'] + got['failed'] == got['requests'] and got.report['errors']['unsent'] > 0, got.text)
    got = load(lab, '--cacert', ca, '-c', 4, '-t', 2, '--rate', 300, '-n', 450, served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('open_rate_count_workers', ok and got['requests'] == 450, text)
    got = load(lab, '--cacert', ca, '--conn-rate', 50, '-d', '2s', '--resume', served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('open_connections_resumed', ok and got['connections'] == 100 and got['resumed'] >= 90, text)


def connections(lab, served, ca):
    got = load(lab, '--cacert', ca, '-c', 4, '--requests-per-conn', 1, '-n', 200, served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('connections_one_request_each', ok and got['connections'] >= 200 and got['resumed'] == 0, text)
    got = load(lab, '--cacert', ca, '-c', 4, '-n', 10, '--early-data', served.url('64.bin'))
    lab.check('early_data_needs_resume', got.code == 2 and '--resume' in got.text, got.text)
    got = load(lab, '--cacert', ca, '-c', 4, '--requests-per-conn', 2, '-n', 200, '--resume', served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('connections_resumed', ok and got['resumed'] >= got['connections'] - 5, text)
    got = load(lab, '--cacert', ca, '-c', 8, '--shared-port', '-n', 400, served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('connections_shared_port', ok, text)
    got = load(lab, '--cacert', ca, '-c', 4, '-m', 2, '--churn', 20, '-d', '2s', served.url('64.bin'))
    ok, text = agrees(served, got)
    lab.check('connections_churn', ok and 36 <= got['connections'] <= 48, text)


def mixes(lab, served, site, ca):
    crc = {name: zlib.crc32(open(os.path.join(site.folder, name), 'rb').read()) for name in SIZES}
    path = lab.path('mix')
    with open(path, 'w') as f:
        f.write(f'''# weight method target
6 GET {served.url('64.bin')} status=200 length=64 crc32={crc['64.bin']:08x}
3 GET /16k.bin status=200 length={16 << 10} crc32={crc['16k.bin']:x}
1 POST /echo body=@{os.path.join(site.folder, '300k.bin')} status=200 length={300 << 10} crc32={crc['300k.bin']:x} header="x-note: two words"

0.5 HEAD /1k.bin length=0 # a comment
''')
    got = load(lab, '--cacert', ca, '-c', 4, '-m', 4, '-n', 2100, '--file', path)
    lines = served.lines()
    count = {name: sum(line[3] == name for line in lines) for name in ('/64.bin', '/16k.bin', '/echo', '/1k.bin')}
    shares = {'/64.bin': 1200, '/16k.bin': 600, '/echo': 200, '/1k.bin': 100}
    near = all(abs(count[name] - want) < 5 * math.sqrt(want) for name, want in shares.items())
    lab.check('mix', got.code == 0 and got['ok'] == 2100 and got.errors() == 0 and sum(count.values()) == 2100 and near,
              f'{count}\n{got.text}')
    for name, option, kind in (('status', ('--expect-status', '404'), 'status'), ('length', ('--expect-length', '63'), 'length'),
                               ('crc32', ('--expect-crc32', '1'), 'checksum')):
        got = load(lab, '--cacert', ca, '-n', 10, *option, served.url('64.bin'))
        lab.check(f'check_{name}', got['failed'] == 10 == got.report['errors'][kind] and got['ok'] == 0 and got.code == 1, got.text)
    got = load(lab, '--cacert', ca, '-n', 10, served.url('none.bin'))
    lab.check('check_not_found', got.report['status'] == {'404': 10} and got.report['errors']['status'] == 10 and got.code == 1, got.text)
    served.lines()


def hq(lab, served, ca):
    got = load(lab, '--cacert', ca, '--hq', '-c', 4, '-m', 5, '-n', 1000, '--expect-length', 64, served.url('64.bin'))
    lab.check('hq', got.code == 0 and got['ok'] == 1000 and got.errors() == 0, got.text)
    got = load(lab, '--cacert', ca, '--hq', '-n', 3, served.url('none.bin'))
    lab.check('hq_not_found', got.report['errors']['reset'] == 3 and got['failed'] == 3, got.text)


def outcomes(lab, served, ca):
    """The exit status, and what is said when there is nobody to talk to."""
    url = served.url('64.bin')
    for name, options, want in (('p99_kept', ('--max-p99', '30s'), 0),
                                ('p99_broken', ('--max-p99', '1us'), 3), ('errors_kept', ('--max-errors', '0'), 0),
                                ('errors_percent_kept', ('--max-errors', '1%'), 0),
                                ('errors_exceeded', ('--expect-status', '201', '--max-errors', '19'), 3),
                                ('errors_allowed', ('--expect-status', '201', '--max-errors', '20'), 1),
                                ('errors_percent_exceeded', ('--expect-status', '201', '--max-errors', '99%'), 3)):
        got = load(lab, '--cacert', ca, '-n', 20, *options, url)
        lab.check(f'exit_{name}', got.code == want, f'{got.code}, want {want}\n{got.text}')
    served.lines()
    got = load(lab, '--cacert', ca, '--connect-timeout', '300ms', '-n', 1, f'https://127.0.0.1:{lab.port()}/')
    lab.check('exit_nobody_there', got.code == 1 and 'no answer' in got.text, got.text)
    got = load(lab, '-n', 1, url)
    lab.check('exit_untrusted', got.code == 1 and '--cacert' in got.text, got.text)
    for options in ((), ('-c', 0, url), ('--rate', 5, '--conn-rate', 5, url), ('-t', 4, url), ('http://x/', ), ('--max-p99', 'soon', url)):
        got = load(lab, *options)
        lab.check(f'exit_usage_{len(lab.procs)}', got.code == 2 and got.report is None, f'{options}: {got.code}\n{got.text}')


def report(lab, served, ca):
    prefix = lab.path('times')
    got = load(lab, '--cacert', ca, '-c', 2, '-m', 2, '-n', 500, '--server-pid', served.server.proc.pid, '--hgrm', prefix, served.url('1k.bin'))
    per = got.report['per_request']
    ok = got.code == 0 and got['body_bytes'] == 500 * 1024 and per['bytes_rx'] > 1024 and per['bytes_tx'] > 20
    ok &= per['datagrams_rx'] > 0.2 and per['client_busy_ns'] > 0 and got['rtt_count'] == 2 and got['rtt_min_ns'] > 0
    for kind, count in (('request', 500), ('ttfb', 500), ('handshake', 2)):
        hist = got.report['latency'][kind]
        text = open(f'{prefix}.{kind}.hgrm').read()
        values = [line.split() for line in text.splitlines() if line and line[0] not in '#' and 'Percentile' not in line]
        ok &= sum(n for _, n in hist['buckets']) == hist['count'] == count and hist['min'] <= hist['percentiles']['50'] <= hist['max']
        ok &= values[-1][1] == '1.000000000000' and int(values[-1][2]) == count and f'Total count    = {count:>12}' in text
        ok &= [float(v[0]) for v in values] == sorted(float(v[0]) for v in values)
    lab.check('report', ok, json.dumps({**got.report, 'latency': None}, indent=1) + got.text)
    served.lines()


def server_stats(lab, served, ca):
    """The server's own account of its time, beside the kernel's of the same process; the questions are not counted as requests. 300 in flight
    are more than the server allows: there is no stream for the questions until one is over."""
    for name, options in (('window', ('-c', 4, '-m', 4, '-d', '1s', '--warmup', '300ms')),
                          ('no_stream', ('-c', 2, '-m', 300, '-d', '1s', '--warmup', '300ms')),
                          ('number', ('-c', 2, '-n', 3000)),
                          ('workers', ('-c', 4, '-m', 2, '-t', 2, '-n', 3000)), ('one_each', ('--requests-per-conn', 1, '-c', 2, '-n', 50))):
        got = load(lab, '--cacert', ca, *options, '--server-stats', '/counters', served.url('64.bin'))
        lines = served.lines()
        asked = [line for line in lines if '/counters' in line[3]]
        known = got['server_cpu_us'] > 0 and 'server ' in got.text and len(asked) == 2
        if name == 'one_each':  # at the end there may be no connection to ask over, and that is said
            known |= 'statistics could not be read' in got.text and got['server_cpu_us'] == 0
        lab.check(f'server_stats_{name}', got.code == 0 and known and len(lines) - len(asked) == got['all_ok'],
                  f'{len(lines)} lines, {len(asked)} questions, {got["server_cpu_us"]} us\n{got.text}')
    got = load(lab, '--cacert', ca, '-n', 10, '--server-stats', '/nothing-here', served.url('64.bin'))
    lab.check('server_stats_missing', got.code == 0 and got['ok'] == 10 and 'statistics could not be read' in got.text, got.text)
    for options in (('--server-pid', 1), ('--hq',)):
        got = load(lab, '--cacert', ca, '-n', 1, '--server-stats', '/counters', *options, served.url('64.bin'))
        lab.check(f'server_stats_not_with{options[0]}', got.code == 2, got.text)
    served.lines()


def terminal(lab, served, ca):
    """On a terminal there is a line every second; an interrupted run reports what it has."""
    path, (master, slave) = lab.path('interrupted.json'), os.openpty()
    child = subprocess.Popen([lab.program('apps/plx-load'), '--cacert', ca, '-c', '4', '-m', '2', '-d', '60s', '--json', path, served.url('64.bin')],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, text=True)
    os.close(slave)
    shown = b''
    while shown.count(b'requests/s') < 2:
        shown += os.read(master, 4096)
    child.send_signal(signal.SIGINT)
    text, _ = child.communicate(timeout=60)
    os.close(master)
    got = Result(lab, (), child.returncode, text, json.load(open(path)))
    ok = b'running' in shown and b'4 connections' in shown and got.code == 0 and 'interrupted' in ' '.join(got.report['notes'])
    lab.check('terminal_interrupted', ok and got['failed'] == 0 == got.errors() and 0 < got['ok'] <= got['requests'] <= got['ok'] + 8,
              f'{shown}\n{text}')
    served.lines()


def merge(lab, site, ca):
    """Eight machines: namespaces with a wire each to the server's, and processes that begin at one moment."""
    server_ns, there = lab.netns('server'), []
    for i in range(8):
        there.append(lab.netns(f'client{i}'))
        lab.veth(server_ns, there[i], [f'10.70.{i}.1/24'], [f'10.70.{i}.2/24'])
    log = lab.path('eight.log')
    server = servers.plx_serve(lab, site, '--access-log', log, addresses=('0.0.0.0',), netns=server_ns)
    files, procs, start = [], [], int(time.time()) + 3
    for i in range(8):
        files.append(lab.path(f'part-{i}.json'))
        procs.append(lab.start(f'part-{i}', [lab.program('apps/plx-load'), '--cacert', ca, '-c', 2, '-m', 2, '-n', 100 + i, '--json', files[-1],
                                             '--start-at', start, '--connect-to', f'10.70.{i}.1:{server.port}', f'https://localhost:{server.port}/64.bin'],
                               netns=there[i]))
    done = [p.wait(60) for p in procs]
    total = lab.path('total.json')
    code, text = lab.call('merge', [lab.program('apps/plx-load'), 'merge', '--json', total, '--max-errors', 0, *files])
    parts = [json.load(open(f)) for f in files]
    whole = json.load(open(total)) if os.path.exists(total) else {'counts': {}, 'latency': {}}
    want = {}
    for p in parts:
        for value, count in p['latency']['request']['buckets']:
            want[value] = want.get(value, 0) + count
    ok = done == [0] * 8 and code == 0 and whole['counts'].get('ok') == sum(100 + i for i in range(8))
    with open(log) as f:
        lines = [line.split() for line in f]
    ok = ok and len(lines) == whole['counts']['ok'] and {line[1].split(':')[0] for line in lines} == {f'10.70.{i}.2' for i in range(8)}
    server.stop()
    ok = ok and dict(map(tuple, whole['latency']['request']['buckets'])) == want and whole['counts']['processes'] == 8
    ok = ok and whole['counts']['late_max_ns'] == max(p['counts']['late_max_ns'] for p in parts)
    ok = ok and whole['latency']['request']['max'] == max(p['latency']['request']['max'] for p in parts)
    lab.check('merge_eight', ok, f'{done}, {code}\n{text}')
    code, _ = lab.call('merge', [lab.program('apps/plx-load'), 'merge', '--max-p99', '1us', *files])
    lab.check('merge_threshold', code == 3, code)
    with open(files[0], 'a') as f:
        f.write('}')
    code, text = lab.call('merge', [lab.program('apps/plx-load'), 'merge', *files])
    lab.check('merge_broken_file', code == 1 and files[0] in text, text)


def past_the_kernel(lab, site, ca):
    """Over memif, from two source addresses in turn, and a port for every connection."""
    socket, log, netns = lab.path('memif.sock'), lab.path('memif.log'), lab.netns('memif')
    ours, theirs = (f'net_memif0,socket={socket},socket-abstract=no,role={role},mac=02:00:00:00:00:0{n}' for role, n in (('server', 1), ('client', 2)))
    server = servers.plx_serve(lab, site, '--ip', '10.71.0.1/24', '--access-log', log, driver='ethdev', addresses=('10.71.0.1',), netns=netns,
                               eal=dpdk.eal(ours, 'loadserver'))
    path = lab.path('memif.json')
    code, text = lab.call('plx-load', [lab.program('apps/plx-load'), '--cacert', ca, '-c', 10, '-m', 3, '-n', 3000, '--json', path, '--driver', 'ethdev',
                                       '--ip', '10.71.0.2/24', '--ip', '10.71.0.3/24', '--connect-to', f'10.71.0.1:{server.port}',
                                       f'https://localhost:{server.port}/1k.bin', '--', *dpdk.eal(theirs, 'loadclient')], netns=netns)
    server.stop()
    counts = json.load(open(path))['counts'] if os.path.exists(path) else {'ok': None}
    with open(log) as f:
        sources = {line.split()[1] for line in f}
    ok = code == 0 and counts['ok'] == 3000 and 0 < counts['udp_unchecked'] <= counts['datagrams_rx'] and len(sources) == 10 and {s.split(':')[0] for s in sources} == {'10.71.0.2', '10.71.0.3'}
    return ok, f'{code} {sources}\n{text}\n{server.proc.tail()}'


def quantile(values, percent):
    return values[max(1, math.ceil(percent / 100 * len(values) - 1e-9)) - 1]


def against_standin(lab, ca, cert, stall):
    """The stand-in says when each request came and when it was answered. The k-th that came was due k intervals after the first, whenever
    it was sent; so its latency is known without plx-load. One machine in common: what both take to wake up is the only difference."""
    rate, warmup, seconds, port = 500, 1, 6, lab.port()
    # Both are awake for a moment at a time and must be so at once, whatever else this machine does.
    at_once = ['chrt', '-f', '10'] if os.geteuid() == 0 else []
    standin = lab.start('plx-standin', [*at_once, lab.program('tests/standin/plx-standin'), port, cert.cert, cert.key, 3000 if stall else 0,
                                        1000 if stall else 0, 10, 50, 200])
    standin.wait_udp(port)
    got = load(lab, '--cacert', ca, '-c', 8, '-m', 1000, '--rate', rate, '--warmup', f'{warmup}s', '-d', f'{seconds}s',
               f'https://localhost:{port}/', prefix=at_once)
    standin.stop()
    records = sorted(tuple(map(int, line.split())) for line in standin.text().splitlines() if line)
    if got.code != 0 or len(records) != rate * (warmup + seconds):
        return False, f'{len(records)} records\n{got.text}'
    interval = 10 ** 9 // rate
    first = min(came - k * interval for k, came, _ in records)
    truth = sorted(answered - first - k * interval for k, _, answered in records if k >= warmup * rate)
    buckets = sorted(map(tuple, got.report['latency']['request']['buckets']))
    measured = [value for value, count in buckets for _ in range(count)]
    wrong = [f'{p} %: {quantile(measured, p) / 1e6:.3f} ms, but it was {quantile(truth, p) / 1e6:.3f} ms'
             for p in (10, 25, 50, 60, 75, 90, 99) if abs(quantile(measured, p) - quantile(truth, p)) > 0.01 * quantile(truth, p)]
    longest = quantile(measured, 100) / 1e9
    ok = not wrong and len(measured) == len(truth) == rate * seconds and (longest > 0.9) == stall
    return ok, '\n'.join(wrong) + f'\nthe longest took {longest:.3f} s\n' + got.text


def statistics(lab, ca, cert):
    """Another process that takes the processor away for a while is not the generator's fault, nor is a host that does: one good run of fifteen is proof of its arithmetic."""
    for name, stall in (('percentiles_known_delays', False), ('percentiles_stall', True)):
        for attempt in range(15):
            ok, text = against_standin(lab, ca, cert, stall)
            if ok:
                break
            lab.say(f'{name}: attempt {attempt + 1}: ' + text.splitlines()[0])
        lab.check(name, ok, text)


def test(lab):
    site, cert = lab.site(SIZES), lab.cert()
    served = Served(lab, site)
    lab.attempt('closed', closed, lab, served, cert.ca)
    lab.attempt('open', opened, lab, served, cert.ca)
    lab.attempt('connections', connections, lab, served, cert.ca)
    lab.attempt('mixes', mixes, lab, served, site, cert.ca)
    lab.attempt('hq', hq, lab, served, cert.ca)
    lab.attempt('outcomes', outcomes, lab, served, cert.ca)
    lab.attempt('report', report, lab, served, cert.ca)
    lab.attempt('server_stats', server_stats, lab, served, cert.ca)
    lab.attempt('terminal', terminal, lab, served, cert.ca)
    lab.attempt('merge', merge, lab, site, cert.ca)
    lab.attempt('past_the_kernel', past_the_kernel, lab, site, cert.ca)
    served.server.stop()
    lab.attempt('statistics', statistics, lab, cert.ca, cert)


lib.run(test)
