"""standings.py -- a full run as Markdown: a table for each workload with every system in it, and a list of what Pollux is not the best at.

The floor beside a table is what a loop without QUIC costs that moves and protects the same packets over memif, measured on the machine that
docs/performance.md names; of a handshake, what OpenSSL's own part takes. No server on kernel sockets can come near it.
"""
import math

import cells as names
import machine
import twins
from table import percent, text

NETS = {'lo': 'loopback', 'veth': 'a veth pair, MTU 1500, no segmentation offload'}
PACKET, TEN, FULL_PACKET, HANDSHAKE = 0.146, 0.0265, 0.140, {'full': 113.0, 'resumed': 98.0, '0rtt': 103.0}  # µs: a request, one of ten, 1400 octets, OpenSSL
US = 'pollux-udp'


def workload(cell):
    """What is the same for all systems of a table."""
    if cell.is_idle:
        return ('idle', cell.body, 1, cell.conns)
    return (cell.handshake or 'requests', cell.body, cell.streams, cell.conns)


def title(key, net):
    kind, body, streams, conns = key
    over = f' over {NETS[net]}'
    if kind == 'idle':
        return f'{conns:,} connections held'
    if kind in HANDSHAKE:
        kind = '0-RTT' if kind == '0rtt' else kind.capitalize()
        return f'{kind} handshakes, one request on each connection{over}'
    if body == '1G':
        return f'A download of 1 GiB{over}'
    at_once = 'one request' if streams == 1 else f'{streams} requests'
    return f'{body} octets, {at_once} at a time on each of {conns:,} connections{over}'.replace('K octets', ' KiB')


def floor(key):
    """µs of a core per request, or None."""
    kind, body, streams, _ = key
    if kind in HANDSHAKE:
        return HANDSHAKE[kind]
    size = names.body_size(body)
    if kind == 'idle':
        return None
    if size <= 64:
        return PACKET if streams == 1 else TEN
    return PACKET + math.ceil(size / 1400) * FULL_PACKET


def name_of(cell):
    over = {'h3': 'HTTP/3', 'h1-tls': 'HTTP/1.1, TLS', 'h2-tls': 'HTTP/2, TLS'}[cell.protocol]
    return f'{cell.system} {over}'


def ratio(value, base):
    return f'{value / base:.2f}' if value and base else '–'


def table(key, net, found):
    """found: [(cell, summary)] of one workload."""
    if key[0] == 'idle':
        return idle(key, net, found)
    figure, unit = ('server_cpu_s_per_gb', 's/GB') if key[1] == '1G' else ('server_cpu_us_per_request', 'µs/request')
    cost = {c.name: s['median'][figure] for c, s in found}
    base = min((cost[c.name] for c, _ in found if c.protocol != 'h3' and cost[c.name]), default=None)
    ours = next((cost[c.name] for c, _ in found if c.system == US), None)
    lines = [f'### {title(key, net)}', '', f'| system | server CPU {unit} | spread | × TCP+TLS | × {US} | requests/s | Gbit/s | datagrams/request | p50 µs | p99 µs | failed |',
             '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|']
    for c, s in sorted(found, key=lambda row: cost[row[0].name] or math.inf):
        m, mark = s['median'], ' (noisy)' if s['is_noisy'] else ''
        mark += f' ({s["errors"]} of {len(s["runs"])} runs broke)' if s['errors'] else ''
        lines.append(f'| {name_of(c)}{mark} | {text(cost[c.name], "{:,.3f}" if key[1] == "1G" else "{:,.2f}")} | {percent(s["spread_percent"]["server_cpu_us_per_request"])} | '
                     f'{ratio(cost[c.name], base)} | {ratio(cost[c.name], ours)} | {text(m["requests_per_second"], "{:,.0f}" if (m["requests_per_second"] or 0) > 100 else "{:,.2f}")} | '
                     f'{text(m["gbit_per_second"])} | {text(m["datagrams_per_request"])} | {text(m["p50_us"], "{:,.0f}")} | {text(m["p99_us"], "{:,.0f}")} | {text(m["failed"], "{:,.0f}")} |')
    low = floor(key)
    shown = f'{FULL_PACKET / 1400 * 1000:.3f}' if key[1] == '1G' else f'{low:.3f}' if low < 1 else f'{low:.1f}'
    what = 'OpenSSL’s part' if key[0] in HANDSHAKE else 'a bare loop over memif'
    return '\n'.join([*lines, f'| *the floor: {what}* | *{shown}* | | | | | | | | | |', ''])


def idle(key, net, found):
    lines = [f'### {title(key, net)}', '', '| system | octets of the server for each | held | failed |', '|---|--:|--:|--:|']
    for c, s in sorted(found, key=lambda row: row[1]['median']['bytes_per_connection'] or math.inf):
        m = s['median']
        lines.append(f'| {name_of(c)} | {text(m["bytes_per_connection"], "{:,.0f}")} | {text(m["connections_held"], "{:,.0f}")} | {text(m["failed"], "{:,.0f}")} |')
    return '\n'.join([*lines, ''])


def short(value):
    return text(value, '{:,.0f}' if value >= 100 else '{:,.2f}')


BETTER = (('server_cpu_us_per_request', 'CPU µs/request', 1), ('requests_per_second', 'requests/s', -1), ('p99_us', 'p99 µs', 1),
          ('bytes_per_connection', 'octets per connection', 1))


def losses(groups):
    """Where somebody else is better than Pollux over the same kind of port, that is, over kernel sockets."""
    lines = []
    for (key, net), found in groups.items():
        ours = next((s['median'] for c, s in found if c.system == US), None)
        for figure, what, sign in BETTER if ours else ():
            if figure == 'server_cpu_us_per_request' and key[1] == '1G':
                figure, what = 'server_cpu_s_per_gb', 'CPU s/GB'
            if ours[figure] is None or (key[0] == 'idle') != (figure == 'bytes_per_connection'):
                continue
            better = sorted((sign * s['median'][figure], name_of(c), s['median'][figure]) for c, s in found
                            if not c.is_pollux and s['median'][figure] is not None and sign * s['median'][figure] < sign * ours[figure])
            if better:
                lines.append(f'| {title(key, net)} | {what} | {short(ours[figure])} | {", ".join(f"{n} {short(v)}" for _, n, v in better)} |')
    if not lines:
        return f'No other server was better than {US} in any of these figures.\n'
    return '\n'.join([f'| workload | figure | {US} | who is better |', '|---|---|--:|---|', *lines, ''])


def groups_of(report):
    """{(workload, net): [(cell, summary)]}, in the order in which they were measured."""
    groups = {}
    for net, cells in report['nets'].items():
        for name, s in cells.items():
            cell = names.parse(name)
            groups.setdefault((workload(cell), net), []).append((cell, s))
    return groups


def where(report):
    """Where the host had the two processors."""
    cells = {f'{name} ({net})': c for net, cells in report['nets'].items() for name, c in cells.items()}
    found = twins.remarks(cells)
    return ['## Where the two processors were', '', found, ''] if found else []


def markdown(report):
    m, groups = report['machine'], groups_of(report)
    noisy = sum(s['is_noisy'] for found in groups.values() for _, s in found)
    total = sum(len(found) for found in groups.values())
    return '\n'.join([f'Machine: {machine.line(m)}; {", ".join(f"{k} {v}" for k, v in m["versions"].items())}. {report["runs"]} runs of {report["seconds"]:g} s in turn, '
                      f'medians; latency from {report["latency_runs"]}. Load of the machine before: {m["load_before"]:.1f}. {noisy} of {total} cells are marked as noisy '
                      '(spread above 20 %).', '', '## Cell by cell', '', *(table(key, net, found) for (key, net), found in groups.items()),
                      '## Where Pollux is not the best', '',
                      f'Pollux over kernel sockets ({US}) against all that is not Pollux; noise is not taken out.', '', losses(groups), *where(report)])
