"""generators.py -- load on CPU 1, or on another machine (client.py): plx-load for HTTP/3, wrk for HTTP/1.1, h2load for HTTP/2, and for
HTTP/1.1 at a fixed rate or in whole downloads.

Every generator brings the same facts (a dict): requests, seconds, body_bytes, failed, and where it can tell: datagrams, p50_us, p99_us,
server_cpu_s, notes. wrk and h2load are watched from outside, from their start to their end, connecting included; plx-load takes the
server's processor time itself, after a warm-up.
"""
import json
import re
import time

import machine
import servers
from client import LoadError, NoAnswer

ENOUGH_S = 8  # in so long a time something is answered on any machine


def until_answered(seconds, once, say):
    """once(seconds), whose result has 'notes'; a time in which nothing was answered was too short for this machine, and is asked for again four times as long."""
    asked = seconds
    while True:
        try:
            out = once(seconds)
        except NoAnswer as e:
            if seconds >= ENOUGH_S:
                raise
            seconds *= 4
            say(f'{e}\nonce more, for {seconds:g} s')
            continue
        if seconds != asked:
            out['notes'].append(f'measured for {seconds:g} s: nothing was answered in {asked:g}')
        return out


def warmup(cell, rate=None):
    """Long enough for all connections to open, and, at a rate, for what was due meanwhile to be made up for."""
    return 2 + cell.conns / 500 if cell.is_idle else (1 if rate else 0.5) + cell.conns / 250


def plx_load(cell, site, net, server, seconds, rate=None):
    client = net.client
    argv = [client.program('plx-load'), '-q', '-t', str(client.cores), '--cpus', client.cpus, '--cacert', client.put(site.cert), '--ciphers',
            'TLS_AES_128_GCM_SHA256', '--groups', 'X25519', '-c', str(cell.conns), '-m', str(cell.streams), '--expect-status', '200',
            '--expect-length', str(cell.size), '--json', '-']
    if cell.is_download:
        argv += ['-n', str(max(cell.conns * cell.streams, round(seconds / 2))), '--timeout', '300s']
    else:
        argv += ['-d', f'{seconds}s', '--warmup', f'{warmup(cell, rate)}s']
    if cell.handshake:
        argv += ['--requests-per-conn', '1'] + {'full': [], 'resumed': ['--resume'], '0rtt': ['--resume', '--early-data']}[cell.handshake]
    if rate is not None:
        argv += ['--conn-rate' if cell.handshake else '--rate', str(max(1, int(rate)))]
    if has_window := servers.has_window(cell):
        argv += ['--server-stats', servers.COUNTERS]
    elif client.is_here and not cell.is_polling:
        argv += ['--server-pid', ','.join(str(p) for p in machine.family(server.pid))]
    argv += ['--connect-to', f'{net.address}:{server.port}', f'https://localhost:{server.port}/{cell.body}', *servers.port_options(cell, site, net, 'client')]
    cpu = server.cpu_seconds()
    text = client.run(argv, seconds + warmup(cell, rate) + (300 if cell.is_download else 0))
    cpu = server.cpu_seconds() - cpu
    try:
        r = json.loads(text)
    except ValueError:
        raise LoadError(f'plx-load wrote no report, but:\n{text[-1500:]}') from None
    if r['counts']['connections'] < cell.conns and not cell.handshake:
        r['notes'].append(f'only {r["counts"]["connections"]} of {cell.conns} connections were opened in time')
    if not r['counts']['answered_in_window'] and not cell.is_idle:
        raise NoAnswer(f'no request was answered in the measured time; {"; ".join(r["notes"])}')
    counts, latency = r['counts'], r['latency']['handshake' if cell.handshake else 'request']
    return {'requests': counts['answered_in_window'], 'seconds': r['seconds'], 'body_bytes': counts['body_bytes'],
            'failed': counts['all_failed'] + counts['connections_failed'] + counts['connections_lost'],
            'datagrams': counts['datagrams_rx'] + counts['datagrams_tx'], 'begun': counts['engine_requests'],
            'whole_requests': counts['all_ok'], 'whole_sent': counts['all_sent'], 'errors': {k: n for k, n in r['errors'].items() if n},
            'resumed': counts['resumed'], 'early': counts['early_accepted'],
            'held': counts['connections'] - counts['connections_failed'] - counts['connections_lost'],
            'p50_us': latency['percentiles']['50'] / 1e3, 'p99_us': latency['percentiles']['99'] / 1e3,
            # From another machine plx-load cannot see the server's processes: their whole time then, by requests.
            'server_cpu_s': counts['server_cpu_us'] / 1e6 if client.is_here or has_window else cpu * counts['answered_in_window'] / max(1, counts['all_ok']),
            'generator_busy_share': counts['busy_ns'] / max(1, counts['wall_ns']),
            # Over memif the generator polls as the server does: time of rounds that did work, for both.
            'generator_us_per_request': (counts['busy_ns'] / 1e3 if cell.system == 'pollux-memif' else counts['client_cpu_us'])
            / max(1, counts['answered_in_window']), 'notes': r['notes']}


def start_seconds(client):
    """What tools/peers takes before a program of the root runs; measured once."""
    if client.start_s is None:
        began = time.monotonic()
        client.run(['taskset', '-c', client.cpus, client.peers, 'run', 'true'], 30)
        client.start_s = time.monotonic() - began
    return client.start_s


def watched(net, server, argv, seconds):
    """Runs a generator of other people's: what it said, and what was seen from outside: server CPU seconds, packets on its device, and requests per
    second as the server counted them, over all of the time that the generator ran."""
    start = start_seconds(net.client)
    cpu, packets, served, began = server.cpu_seconds(), net.packets(), server.served(), time.monotonic()
    text = net.client.run(['taskset', '-c', net.client.cpus, net.client.peers, 'run', *argv], seconds)
    took = max(0.1, time.monotonic() - began - start)
    return text, {'server_cpu_s': server.cpu_seconds() - cpu, 'datagrams': net.packets() - packets,
                  'counted': None if served is None else (server.served() - served - 1) / took}


def lasting(cell, seconds):
    """Whole seconds for a generator without a warm-up: with a thousand connections and more, opening them takes its share."""
    return max(1, round(seconds + (0 if cell.conns <= 256 else cell.conns / 500)))


def amount(text):
    """wrk's 1.23GB in octets; its units are powers of two."""
    value, unit = re.fullmatch(r'([\d.]+)([KMGT]?)B', text).groups()
    return float(value) * 1024 ** ' KMGT'.index(unit or ' ')


def wrk(cell, site, net, server, seconds):
    argv = ['wrk', f'-t{min(net.client.cores, cell.conns)}', f'-c{cell.conns}', f'-d{lasting(cell, seconds)}s', '--timeout', '60s']
    argv += ['-H', 'Connection: close'] if cell.handshake else []
    text, seen = watched(net, server, [*argv, f'https://{net.address}:{server.port}/{cell.body}'], lasting(cell, seconds))
    total = re.search(r'(\d+) requests in ([\d.]+)(ms|s|m), ([\d.]+[KMGT]?B) read', text)
    rate = re.search(r'^Requests/sec:\s+([\d.]+)', text, re.M)
    if not total or not rate:
        raise LoadError(f'wrk said nothing that can be read:\n{text}')
    if not int(total[1]):
        raise NoAnswer(f'wrk had no answer:\n{text}')
    requests, errors = int(total[1]), re.search(r'Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)', text)
    bad = re.search(r'Non-2xx or 3xx responses: (\d+)', text)
    took = float(total[2]) * {'ms': 0.001, 's': 1, 'm': 60}[total[3]]
    return {**seen, 'requests': requests, 'seconds': took, 'printed': float(rate[1]), 'begun': requests,
            'body_bytes': amount(total[4]) if cell.is_download else requests * cell.size,
            'failed': (sum(map(int, errors.groups())) if errors else 0) + (int(bad[1]) if bad else 0), 'notes': []}


def h2load(cell, site, net, server, seconds, rate=None):
    log = net.client.scratch(site) + '/h2load.log'
    much = ['-n', str(max(cell.conns * cell.streams, round(seconds / 2)))] if cell.is_download else ['-D', str(lasting(cell, seconds))]
    argv = ['h2load', f'-t{min(net.client.cores, cell.conns)}', f'-c{cell.conns}', f'-m{cell.streams}', *much, '--tls13-ciphers=TLS_AES_128_GCM_SHA256',
            '--groups=X25519']
    argv += ['--h1'] if cell.protocol == 'h1-tls' else ['--alpn-list=h2']
    if rate is not None:
        argv += [f'--rps={max(0.1, rate / cell.conns):.1f}', f'--log-file={log}']
    text, seen = watched(net, server, [*argv, f'https://{net.address}:{server.port}/{cell.body}'], lasting(cell, seconds))
    total = re.search(r'requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout', text)
    took = re.search(r'finished in ([\d.]+)(us|ms|s|m), ([\d.]+) req/s', text)
    data = re.search(r'([\d.]+[KMGT]?B) \((\d+)\) data', text)
    if not total or not took:
        raise LoadError(f'h2load said nothing that can be read:\n{text}')
    done, good = int(total[2]), int(total[3])
    if good == 0 and not cell.is_download:
        raise NoAnswer(f'h2load had no answer:\n{text}')
    out = {**seen, 'requests': good, 'seconds': float(took[1]) * {'us': 1e-6, 'ms': 0.001, 's': 1, 'm': 60}[took[2]], 'printed': float(took[3]),
           'body_bytes': int(data[2]) if cell.is_download and data else good * cell.size, 'begun': done, 'failed': int(total[4]) + int(total[5]) + int(total[6]), 'notes': []}
    if rate is not None:
        times = sorted(int(row.split()[2]) for row in net.client.take(log).splitlines() if len(row.split()) == 3)
        if times:
            out['p50_us'], out['p99_us'] = (float(times[min(len(times) - 1, int(len(times) * q))]) for q in (0.5, 0.99))
    return out


def saturate(cell, *args):
    """As much as the server answers. wrk would cut a download short when its time is over: h2load asks for whole ones."""
    return {'h3': plx_load, 'h1-tls': h2load if cell.is_download else wrk, 'h2-tls': h2load}[cell.protocol](cell, *args)


def at_rate(cell, site, net, server, seconds, rate):
    """So many requests per second on schedule, for the latency; None where nothing can do it."""
    if cell.is_download or (cell.handshake and cell.protocol != 'h3'):
        return None
    return (plx_load if cell.protocol == 'h3' else h2load)(cell, site, net, server, seconds, rate)
