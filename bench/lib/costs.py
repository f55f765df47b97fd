"""costs.py -- what bench/cost measures: the cells that answer "what does QUIC cost against TCP and TLS?", and their turn.

A plan is what is measured, and what the page is drawn from: it stands in cost.json. On one machine the sections run over loopback or a
veth pair; with a card and a second machine everything runs over the wire between them.
"""
import contextlib
import json
import os
import subprocess
import tempfile

import cells as names
import generators
import profile_of
import runs

REQUEST, GIGABYTE = ('server_cpu_us_per_request', 'µs of server CPU per request'), ('server_cpu_s_per_gb', 's of server CPU per gigabyte')
# Key, title, network, figure and its unit, cells; those that are not HTTP/3 are the baseline.
SECTIONS = (
    ('small', 'A request for 64 octets, one at a time on each of 64 connections', 'lo', *REQUEST,
     ('nginx/h1-tls/64/m1/c64', 'haproxy/h1-tls/64/m1/c64', 'pollux-udp/h3/64/m1/c64', 'pollux-xdp/h3/64/m1/c64', 'pollux-memif/h3/64/m1/c64',
      'nginx/h3/64/m1/c64', 'haproxy/h3/64/m1/c64', 'caddy/h3/64/m1/c64')),
    ('many', 'Ten requests for 64 octets at a time on each of 64 connections', 'lo', *REQUEST,
     ('nginx/h2-tls/64/m10/c64', 'haproxy/h2-tls/64/m10/c64', 'pollux-udp/h3/64/m10/c64', 'pollux-xdp/h3/64/m10/c64', 'pollux-memif/h3/64/m10/c64',
      'nginx/h3/64/m10/c64', 'haproxy/h3/64/m10/c64', 'caddy/h3/64/m10/c64')),
    ('page', 'A body of 100 KB, one at a time on each of 32 connections', 'veth', *REQUEST,
     ('nginx/h1-tls/100K/m1/c32', 'nginx/h2-tls/100K/m1/c32', 'pollux-udp/h3/100K/m1/c32', 'nginx/h3/100K/m1/c32', 'haproxy/h3/100K/m1/c32',
      'caddy/h3/100K/m1/c32')),
    ('bulk', 'A download of 1 GiB over loopback, where TCP has segments of 64 KB', 'lo', *GIGABYTE,
     ('nginx/h1-tls/1G/m1/c1', 'nginx/h2-tls/1G/m1/c1', 'pollux-udp/h3/1G/m1/c1', 'pollux-memif/h3/1G/m1/c1', 'nginx/h3/1G/m1/c1', 'caddy/h3/1G/m1/c1')),
    ('wire', 'A download of 1 GiB over a link with an MTU of 1500 that cuts nothing for anybody', 'veth', *GIGABYTE,
     ('nginx/h1-tls/1G/m1/c1', 'nginx/h2-tls/1G/m1/c1', 'pollux-udp/h3/1G/m1/c1', 'nginx/h3/1G/m1/c1', 'caddy/h3/1G/m1/c1')),
    ('hello', 'A full handshake and one request', 'lo', 'server_cpu_us_per_request', 'µs of server CPU per handshake',
     ('nginx/h1-tls-handshake/64/full', 'pollux-udp/h3-handshake/64/full', 'nginx/h3-handshake/64/full', 'haproxy/h3-handshake/64/full',
      'caddy/h3-handshake/64/full')),
)
CURVES = ('nginx/h1-tls/64/m1/c64', 'pollux-udp/h3/64/m1/c64', 'nginx/h3/64/m1/c64')
LOADS = (10, 25, 50, 75, 90)  # per cent of what the server answers at most
PROFILES = ('pollux-udp/h3/64/m1/c64', 'pollux-udp/h3/64/m10/c64', 'pollux-udp/h3/1G/m1/c1')  # who polls is never idle: no profile of those
PHASES = (('one request in flight', '1'), ('ten in flight', '10'))
KEYS = tuple(s[0] for s in SECTIONS)


def plan(keys, has_card=False, has_kernel=True):
    """What is measured, as cost.json has it. has_card: pollux-nic, over the wire; has_kernel: the others can be reached as well."""
    sections = []
    for key, title, net, figure, unit, members in SECTIONS:
        if has_card:
            if key == 'wire':
                continue  # the same cells as bulk: there is one network
            title, net = title.partition(' over loopback')[0], 'wire'
            baseline, others = [m for m in members if '/h3' not in m], [m for m in members if '/h3' in m and not m.startswith(('pollux-xdp', 'pollux-memif'))]
            nic = others[0].replace('pollux-udp', 'pollux-nic')
            members = [*baseline, nic, *others] if has_kernel else [nic]
        if not keys or key in keys:
            sections.append({'key': key, 'title': title, 'net': net, 'figure': figure, 'unit': unit, 'cells': list(members)})
    curves = ('pollux-nic/h3/64/m1/c64', *(CURVES if has_kernel else ())) if has_card else CURVES
    if not any(s['key'] == 'small' for s in sections):
        curves = ()  # they are at shares of what was reached there
    return {'sections': sections, 'curves': list(curves), 'loads': list(LOADS), 'profiles': list(PROFILES if has_kernel else ())}


class Progress:
    """Steps done, and the time that the rest will take."""

    def __init__(self, total, clock, say):
        self.total, self.done, self.clock, self.say, self.began = total, 0, clock, say, clock()

    def step(self, what):
        self.done += 1
        left = (self.clock() - self.began) / self.done * (self.total - self.done)
        self.say(f'{self.done:3}/{self.total}  {left / 60:4.1f} min left  {what}')


def measure(plan, benches, count, progress):
    """{section: {cell: summary}}; benches: one for each network."""
    results = {s['key']: {name: [] for name in s['cells']} for s in plan['sections']}
    for i in range(count):
        for bench in benches.values():
            bench.has_latency = i == 0  # it takes as long again, and the page shows latency against load by itself
        for s in plan['sections']:
            for name in s['cells']:
                figure = benches[s['net']].tried(names.parse(name))
                results[s['key']][name].append(figure)
                progress.step(f'{name} ({s["net"]})' + (': ' + figure['error'].splitlines()[0] if 'error' in figure else ''))
    for s in plan['sections']:
        benches[s['net']].has_latency = True  # of what is replaced one had it
        benches[s['net']].make_up([names.parse(name) for name in s['cells']], results[s['key']])
    return {key: runs.summary(r) for key, r in results.items()}


def most_now(bench, cell, net, most):
    """What it reaches now, if that is less: the machine may have been quieter earlier, and above what it answers a queue only grows."""
    with bench.server(cell, net) as server:
        got = generators.saturate(cell, bench.site, net, server, bench.seconds)
    return min(most, got['requests'] / max(got['seconds'], 1e-9))


def curves(plan, bench, sections, progress):
    """{cell: [{load, rate, p50_us, p99_us}, …]}: latency at shares of what each answers at most."""
    out = {}
    for name in plan['curves']:
        cell, most = names.parse(name), sections['small'][name]['median']['requests_per_second']
        out[name] = []
        progress.step(f'{name}: its most')
        if not most:
            continue
        net = bench.net_of(cell)
        bench.site.add(cell)
        with contextlib.suppress(runs.servers.ServerError, generators.LoadError):  # if it broke once: the runs below say so when it does again
            most = most_now(bench, cell, net, most)
        for load in plan['loads']:
            progress.step(f'{name} at {load} % of its most')
            try:
                with bench.server(cell, net) as server:
                    got = generators.at_rate(cell, bench.site, net, server, bench.seconds, most * load / 100)
                out[name].append({'load_percent': load, 'rate': most * load / 100, 'p50_us': got.get('p50_us'), 'p99_us': got.get('p99_us')})
            except (runs.servers.ServerError, generators.LoadError) as e:
                out[name].append({'load_percent': load, 'error': str(e)})
    return out


def profiles(plan, bench, progress):
    """{cell: {layer: per cent}} of Pollux' own time."""
    out = {}
    for name in plan['profiles']:
        progress.step(f'{name}: where the time goes')
        try:
            out[name] = profile_of.layers(profile_of.record(bench, names.parse(name)))
        except (runs.servers.ServerError, generators.LoadError) as e:
            out[name] = {'error': str(e)}
    return out


def phases(progress):
    """{title: {phase: ns per request}} of Pollux without a network, and of the bare path beside it, by bench/wire; {} where it is not built."""
    out, program = {}, os.path.join(runs.servers.BUILD, 'bench', 'wire')
    for title, in_flight in PHASES:
        progress.step(f'bench/wire: {title}')
        with tempfile.NamedTemporaryFile(prefix='plx-wire-') as f:
            try:
                subprocess.run(['taskset', '-c', runs.servers.CPU, program, '--conns', '64', '--in-flight', in_flight, '--no-bulk', '--json', f.name],
                               check=True, capture_output=True, timeout=300)
                (cell,) = json.load(f)['cells'].values()
            except (OSError, ValueError, subprocess.SubprocessError) as e:
                out[title] = {'error': f'{program}: {e}'}
                continue
        out[title] = cell
    return out


def steps(plan, count):
    return (count * sum(len(s['cells']) for s in plan['sections']) + len(plan['curves']) * (1 + len(plan['loads'])) + len(plan['profiles']) + len(PHASES))


def agreement(plan, sections):
    """[(cell, requests per second as bench/cost has them, as the generator printed them, as nginx counted them itself, per cent of difference)]
    of the cells that somebody else's generator measured."""
    out = []
    for s in plan['sections']:
        for name in s['cells']:
            m = sections[s['key']][name]['median']
            known = [v for v in (m['requests_per_second'], m['printed_per_second'], m['counted_per_second']) if v]
            if name.startswith('nginx') and len(known) == 3 and not names.parse(name).is_download:
                out.append({'cell': name, 'cost': known[0], 'printed': known[1], 'counted': known[2], 'difference_percent': 100 * (max(known) / min(known) - 1)})
    return out


def ratio(section, summary, name):
    """How many times the cost of the cheapest TCP+TLS server of its section; None without both."""
    figure = section['figure']
    base = [summary[n]['median'][figure] for n in section['cells'] if '/h3' not in n and summary[n]['median'][figure]]
    mine = summary[name]['median'][figure]
    return mine / min(base) if base and mine else None
