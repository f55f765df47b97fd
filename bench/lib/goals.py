"""goals.py -- what Pollux sets itself: one row a goal, how it is measured, and whether it was reached.

A goal is a figure of one cell, of one cell against the best of some others in the same run, or of a program of its own (two workers, idle
connections). Floors are those of docs/performance.md, of one machine: what the same packets cost without QUIC. Those that programs can measure are measured
again in every run, beside the figures: the same packets over memif (bench/bare) and OpenSSL's part of a handshake (bench/shake).
"""
import dataclasses
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
import typing

import asleep
import cells as names
import machine
import net
import runs
import servers
import twins
from table import percent

HAD = 0.97  # of a round's time a thread must have had its processor: bench/twins takes less than a hundredth
HTTP3_PEERS = ('nginx', 'haproxy', 'caddy')
CLIENT_CPU = '1'
SEND = 'send'


@dataclasses.dataclass(frozen=True)
class Goal:
    what: str
    goal: float
    unit: str
    floor: str
    figure: typing.Callable  # of one run of the cell (a dictionary of figures)
    cell: str = ''           # measured by itself …
    peers: tuple = ()        # … and divided by the cheapest of these
    is_least: bool = False   # the goal is the least that will do; else the most
    shake: str = ''          # a handshake, full or resumed: what OpenSSL alone takes is measured in the same run
    bare: str = ''           # connections that ask, or SEND: what the same packets cost without QUIC is, too

    def cells(self):
        return [c for c in (self.cell, *self.peers) if c]


def busy_us(run):
    return run['server_cpu_us_per_request']


def busy_ns(run):
    return 1000 * run['server_cpu_us_per_request']


def packet_ns(run):
    """For 1,400 octets of a download: seconds per GB are ns per octet."""
    return 1400 * run['server_cpu_s_per_gb']


def core_gbit(run):
    """A core's worth: octets of bodies for each second in which the server had work."""
    return 8 / run['server_cpu_s_per_gb']


def cell_goals():
    memif, ratio, veth = 'pollux-memif/h3/', '× the best of them', 'bare echo 1.6 µs'
    out = [
        Goal('memif, 64 octets, one in flight, 64 connections', 450, 'ns', '146', busy_ns, memif + '64/m1/c64', bare='64'),
        Goal('the same, 1,024 connections', 500, 'ns', '146', busy_ns, memif + '64/m1/c1024', bare='1024'),
        Goal('the same, 16,384 connections', 800, 'ns', '262 to 309', busy_ns, memif + '64/m1/c16384', bare='16384'),
        Goal('memif, 64 octets, 10 in flight, 64 connections', 200, 'ns', 'about 30', busy_ns, memif + '64/m10/c64'),
        Goal('memif, 64 octets, 100 in flight, 64 connections', 150, 'ns', '', busy_ns, memif + '64/m100/c64'),
        Goal('memif, a download of 1 GiB, for each 1,400 octets', 220, 'ns', '140', packet_ns, memif + '1G/m1/c1', bare=SEND),
        Goal('memif, 16 KiB bodies, 10 in flight, 64 connections', 40, 'Gbit/s of a core', '', core_gbit, memif + '16K/m10/c64', is_least=True),
        Goal('a full handshake, X25519, P-256 certificate (memif)', 130, 'µs', '113: OpenSSL', busy_us, memif.replace('h3', 'h3-handshake') + '64/full', shake='full'),
        Goal('a resumed handshake (memif)', 112, 'µs', '98: OpenSSL', busy_us, memif.replace('h3', 'h3-handshake') + '64/resumed', shake='resumed'),
        Goal('AF_XDP over veth, 64 octets, one in flight, against nginx over HTTP/3', 0.2, ratio, veth, busy_us, 'pollux-xdp/h3/64/m1/c64', ('nginx/h3/64/m1/c64',)),
    ]
    for streams in (1, 10):
        load = f'64/m{streams}/c64'
        out.append(Goal(f'kernel sockets, 64 octets, {streams} in flight, against the best other server over HTTP/3', 0.5, ratio,
                        'bare echo 3.3 µs' if streams == 1 else '', busy_us, f'pollux-udp/h3/{load}', tuple(f'{p}/h3/{load}' for p in HTTP3_PEERS)))
    return out


def value(goal, cells):
    """(median, spread in per cent) over the runs, of which each is divided by its own neighbours; (None, None) where one broke in every run."""
    each = []
    for i, run in enumerate(cells[goal.cell]['runs']):
        others = [cells[p]['runs'][i] for p in goal.peers if i < len(cells[p]['runs'])]
        of = [goal.figure(o) for o in others if 'error' not in o]
        if 'error' in run or (goal.peers and not of):
            continue
        each.append(goal.figure(run) / min(of) if of else goal.figure(run))
    return (statistics.median(each), runs.spread(each)) if each else (None, None)


def workers(build, rounds, ms):
    """Two workers over loop against one: the ratios of the fastest rounds and of the medians, and the same of those rounds alone in which both had a
    core of their own."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'cores.json')
        argv = [os.path.join(build, 'bench', 'cores'), '--rounds', str(rounds), '--ms', str(ms), '--json', out]
        with twins.Watch(every_ms=50) as watch, watch.span():
            done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 0:
            raise servers.ServerError(f'bench/cores failed: {done.stderr[-500:] or done.stdout[-500:]}')
        with open(out) as f:
            return ratios(json.load(f)['rounds'], watch.samples)


def ratios(rounds, samples):
    """rounds: [{way, begin_ns, end_ns, rate, had}, …] of bench/cores; samples: of bench/twins, beside it."""
    every = [{**r, 'processors': twins.told(twins.within(samples, [(r['begin_ns'], r['end_ns'])]))} for r in rounds if r['way'] != 'wrong']

    def two_by(kept):
        one, several = ([r['rate'] for r in kept if r['way'] == way] for way in ('one', 'several'))
        return (max(several) / max(one), statistics.median(several) / statistics.median(one)) if one and several else (None, None)
    # One worker is not disturbed by where the other processor is, as that has nothing to do.
    apart = [r for r in every if r['had'] >= HAD and r['processors'] and r['processors']['was'] in (twins.ONE_CACHE, twins.TWO_CACHES, *((twins.ONE_CORE,) if r['way'] == 'one' else ()))]
    fastest, median = two_by(every)
    apart_fastest, apart_median = two_by(apart)
    return {'fastest': fastest, 'median': median, 'apart_fastest': apart_fastest, 'apart_median': apart_median,
            'apart_rounds': sum(r['way'] == 'several' for r in apart), 'rounds': every}


def openssl(build):
    """Microseconds of a handshake in OpenSSL alone, {'full': …, 'resumed': …}, medians of rounds. The processor of a virtual machine is a fifth faster
    in one hour than in another, and nine tenths of a handshake are OpenSSL's: what ours is worth shows beside this."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'shake.json')
        done = subprocess.run(['taskset', '-c', servers.CPU, os.path.join(build, 'bench', 'shake'), '--way', 'alone', '--rounds', '50', '--json', out],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise servers.ServerError(f'bench/shake failed: {done.stderr[-500:]}')
        with open(out) as f:
            return {name.partition('/')[0]: cell['us_median'] for name, cell in json.load(f)['cells'].items()}


def bare_argv(build, way, side, folder, nice, *more):
    argv = [os.path.join(build, 'bench', 'bare'), '--serve' if side == 'server' else '--load', '--send' if way == SEND else f'--conns={way}', *more]
    return [*net.ahead(nice), 'taskset', '-c', servers.CPU if side == 'server' else CLIENT_CPU, *argv,
            *servers.net_memif(side, 1 if way == SEND else int(way), folder)]


def bare(build, way, nice, ms=500):
    """The same packets over memif without QUIC, way: as Goal.bare; what bench/bare writes, a dictionary."""
    with tempfile.TemporaryDirectory() as folder:
        out, log = os.path.join(folder, 'bare.json'), os.path.join(folder, 'server.log')
        with open(log, 'w') as said:
            server = subprocess.Popen(bare_argv(build, way, 'server', folder, nice), stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
        try:
            began = time.monotonic()
            while not any(line == 'ready' for line in machine.read(log).splitlines()):
                if server.poll() is not None or time.monotonic() - began > servers.PATIENCE:
                    raise servers.ServerError(f'bench/bare --serve did not start; it said:\n{machine.read(log)[-500:]}')
                time.sleep(0.02)
            done = subprocess.run(bare_argv(build, way, 'client', folder, nice, f'--ms={ms}', '--json', out), stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, start_new_session=True, timeout=servers.PATIENCE + ms / 500)
            if done.returncode != 0:
                raise servers.ServerError(f'bench/bare --load failed: {done.stderr[-500:]}\nthe server said:\n{machine.read(log)[-500:]}')
            server.wait(servers.PATIENCE)
            with open(out) as f:
                return json.load(f)
        except subprocess.TimeoutExpired:
            raise servers.ServerError(f'bench/bare did not end; the server said:\n{machine.read(log)[-500:]}') from None
        finally:
            server.kill()
            server.wait()


def bares(build, cells, nice, say):
    """{way: what bench/bare wrote, or an error} of every goal all of whose cells are among these."""
    out = {}
    for way in (g.bare for g in cell_goals() if g.bare and set(g.cells()) <= {c.name for c in cells}):
        try:
            out[way] = bare(build, way, nice)
        except servers.ServerError as e:
            say(f'floor, {way}: {e}')
            out[way] = {'error': str(e)}
    return out


def floor(goal, report, got=None):
    """With one measured beside the figures: how many times that the figure is, and how many times its own the goal. Where strangers share the
    processors, or they are of another kind, both figures move, and this hardly does."""
    each = [r[goal.shake] for r in report.get('openssl', [])] if goal.shake else []
    each += [r[goal.bare]['server_ns'] for r in report.get('bare', []) if 'server_ns' in r.get(goal.bare, {})]
    if not each:
        return goal.floor
    own = statistics.mean(float(x) for x in re.findall(r'\d+', goal.floor))
    here = statistics.median(each)
    times = f' (× {got / here:.1f}; the goal × {goal.goal / own:.1f})' if got else ''
    return f'{goal.floor}; here {here:.0f}{times}'


def idle(build, conns, hold, after, awake):
    """Octets of each idle connection at the server; after: milliseconds until it hibernates, 0: never; awake: so many at once at most."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'idle.json')
        argv = [f'--conns={conns}', f'--hold={hold}', f'--after={after}', f'--awake={awake}', '--wake=1000', f'--build={build}', '--json', out]
        if asleep.main(argv, show=False) != 0:
            raise servers.ServerError('bench/idle failed; what it said is above')
        with open(out) as f:
            return json.load(f)


def all_told(took):
    """What became resident with the connections, and what had been before the first: tables, sized for them."""
    return took['server_bytes'] + took['tables_bytes']


def mark(reached):
    return '–' if reached is None else 'reached' if reached else '**missed**'


def number(x):
    return '–' if x is None else f'{x:,.2f}' if x < 10 else f'{x:,.0f}'


def row(what, goal, unit, floor, got, spread, is_least=False):
    reached = None if got is None else got >= goal if is_least else got <= goal
    sign = '≥' if is_least else '≤'
    return f'| {what} | {sign} {goal:g} {unit} | {floor or "–"} | {number(got)} | {percent(spread)} | {mark(reached)} |'


def cell_names():
    """Each once, in the order in which they take turns."""
    return list(dict.fromkeys(c for g in cell_goals() for c in g.cells()))


def markdown(report, machine_line):
    lines = [f'Machine: {machine_line}. {report["runs"]} runs of {report["seconds"]:g} s in turn, medians. Load of the machine before: {report["machine"]["load_before"]:.1f}.', '',
             '| what | goal | floor | measured | spread | |', '|---|--:|--:|--:|--:|---|']
    for g in cell_goals():
        if all(c in report['cells'] for c in g.cells()):
            got, spread = value(g, report['cells'])
            lines.append(row(g.what, g.goal, g.unit, floor(g, report, got), got, spread, g.is_least))
    if w := report.get('workers'):
        lines.append(row('two workers over loop, against one, fastest rounds', 1.95, '×', '2.0', w['fastest'], None, True))
        if w.get('apart_median'):
            lines.append(row(f'the same, medians of rounds with a core for each ({w["apart_rounds"]} of {sum(r["way"] == "several" for r in w["rounds"])})', 1.95, '×', '2.0',
                             w['apart_median'], None, True))
    if w := report.get('idle'):
        lines.append(row('an idle connection, resident octets of the server, all told', 4096, 'octets', '', all_told(w['awake']), None))
        lines.append(row('the same once hibernated', 1024, 'octets', '', all_told(w['hibernated']), None))
        took = w['hibernated']
        lines.append(row('waking it, median', 2, 'µs', '', max(0, took['asleep_ns'][0] - took['awake_ns'][0]) / 1000, None))
    return '\n'.join([*lines, '', '| cell | server, per request | generator, per request | requests/s | spread |', '|---|--:|--:|--:|--:|',
                      *(each_cell(n, c) for n, c in report['cells'].items()), '', *([where, ''] if (where := twins.remarks(report['cells'])) else [])])


def each_cell(name, c):
    m = c['median']
    us = [f'{m[k]:,.3f} µs' if m[k] is not None else '–' for k in ('server_cpu_us_per_request', 'generator_us_per_request')]
    broken = f' ({c["errors"]} of {len(c["runs"])} runs broke)' if c['errors'] else ''
    return f'| {name}{broken} | {us[0]} | {us[1]} | {number(m["requests_per_second"])} | {percent(c["spread_percent"]["server_cpu_us_per_request"])} |'


def parsed():
    return [names.parse(n) for n in cell_names()]
