"""page.py -- cost.json as one self-contained page: bars, curves, stacks, method and raw table; no script, no font, nothing fetched."""
import html
import math

import costs
import machine

NETS = {'lo': 'loopback', 'veth': 'veth pair, MTU 1500', 'wire': 'between two machines'}
STYLE = '''
:root{--bg:#fcfcfb;--ink:#1d2126;--soft:#5c6670;--line:#dfe3e6;--card:#fff;--us:#0b7a75;--h3:#7a9cc6;--tcp:#b08b3e;--bad:#b3372b}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--ink:#e6e9ec;--soft:#9aa5af;--line:#2b3238;--card:#1a1e22;--us:#2fb3aa;--h3:#6d8fbb;--tcp:#c39c4c;--bad:#e0766b}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:64rem;margin:0 auto;padding:1.2rem 1rem 4rem}h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.15rem;line-height:1.3;margin:0 0 .2rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem;margin:1rem 0}p{margin:.4rem 0}.soft{color:var(--soft);font-size:.87rem}
.row{margin:.55rem 0}.top{display:flex;justify-content:space-between;gap:.6rem;font-size:.9rem}.top b{font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{height:.85rem;background:var(--line);border-radius:.25rem;overflow:hidden;margin-top:.15rem}.bar i{display:block;height:100%}.us{background:var(--us)}
.h3{background:var(--h3)}.tcp{background:var(--tcp)}.key span{display:inline-block;margin-right:1rem}.key i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;
margin-right:.35rem;vertical-align:-.08rem}svg{display:block;width:100%;height:auto;max-width:34rem}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
.stack{display:flex;height:1.5rem;border-radius:.3rem;overflow:hidden;margin:.3rem 0}.stack i{display:block;height:100%}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.8rem;font-variant-numeric:tabular-nums}th,td{padding:.25rem .5rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}.noisy{color:var(--bad)}
'''
COLORS = ('#0b7a75', '#c77d2e', '#5b7fb5', '#8f6bb0', '#b3524a', '#6f9a4b', '#4aa3b8', '#a0895a', '#7b8790', '#c4719a', '#d9b44a',
          '#3d5a80', '#98c1a3', '#8d5b4c')
escape = html.escape


def short(value):
    if value is None:
        return '–'
    if value == 0:
        return '0'
    if value >= 1000:
        return f'{value:,.0f}'
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def kind_of(name):
    return 'us' if name.startswith('pollux') else 'h3' if '/h3' in name else 'tcp'


def title_of(name):
    system, protocol = name.split('/')[:2]
    over = {'pollux-udp': 'Pollux, kernel sockets', 'pollux-xdp': 'Pollux, AF_XDP', 'pollux-memif': 'Pollux, memif',
            'pollux-nic': 'Pollux, its own card'}.get(system, system)
    how = {'h3': 'HTTP/3', 'h1': 'HTTP/1.1 over TLS', 'h2': 'HTTP/2 over TLS'}[protocol[:2]]
    return f'{over} · {how}'


def bars(section, summary):
    figure, members = section['figure'], section['cells']
    most = max((summary[n]['median'][figure] or 0 for n in members), default=0) or 1
    against = ' · × is against the cheaper TCP+TLS server' if any(kind_of(n) == 'tcp' for n in members) else ''
    out = [f'<section><h2>{escape(section["title"])}</h2><p class="soft">{escape(section["unit"])}, shorter is better · network: {NETS[section["net"]]}{against}</p>']
    for name in members:
        value, c, ratio = summary[name]['median'][figure], summary[name], costs.ratio(section, summary, name)
        remark = ' <span class="noisy">too noisy</span>' if c['is_noisy'] else ''
        remark += f' <span class="noisy">{c["errors"]} of {len(c["runs"])} runs broke</span>' if c['errors'] else ''
        remark += f' <span class="noisy">{c["median"]["failed"]:,.0f} failed</span>' if c['median']['failed'] else ''
        times = f' <span class="soft">{ratio:.2f}×</span>' if ratio and kind_of(name) != 'tcp' else ''
        out.append(f'<div class="row"><div class="top"><span>{escape(title_of(name))}{remark}</span><b>{short(value)}{times}</b></div>'
                   f'<div class="bar"><i class="{kind_of(name)}" style="width:{100 * (value or 0) / most:.1f}%"></i></div></div>')
    return '\n'.join(out) + '</section>'


def polyline(points, left, right, low, high, width, height):
    def place(load, us):
        x = left + (width - left - right) * load / 100
        y = height - 28 - (height - 46) * (math.log10(us) - low) / (high - low)
        return f'{x:.1f},{y:.1f}'
    return ' '.join(place(*p) for p in points)


def curves(data, loads):
    """p50 (full) and p99 (dashed) against load, on a logarithmic scale."""
    values = [p[k] for points in data.values() for p in points for k in ('p50_us', 'p99_us') if p.get(k)]
    if not values:
        return ''
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    high = max(high, low + 1)
    width, height, left, right = 380, 260, 46, 16
    out = ['<section><h2>Latency against load</h2><p class="soft">64 octets, 64 connections, each server at shares of the rate that it reached itself; '
           'full line: half of the requests are faster; dashed: 99 of 100 are</p>',
           f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="latency against load">']
    for power in range(low, high + 1):
        y = height - 28 - (height - 46) * (power - low) / (high - low)
        label = f'{10 ** power:g} µs' if power < 3 else f'{10 ** (power - 3):g} ms' if power < 6 else f'{10 ** (power - 6):g} s'
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/><text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for load in (0, *loads):
        x = left + (width - left - right) * load / 100
        out.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{load} %</text>')
    for name, points in data.items():
        for key, dash in (('p50_us', ''), ('p99_us', ' stroke-dasharray="5 4"')):
            line = polyline([(p['load_percent'], p[key]) for p in points if p.get(key)], left, right, low, high, width, height)
            out.append(f'<polyline points="{line}" fill="none" stroke="var(--{kind_of(name)})" stroke-width="2.5"{dash}/>')
    keys = ''.join(f'<span><i class="{kind_of(n)}"></i>{escape(title_of(n))}</span>' for n in data)
    return '\n'.join(out) + f'</svg><p class="key soft">{keys}</p></section>'


def stack(name, parts, color, total, unit):
    """One bar of parts {what: how much}; total is the length of the longest bar."""
    inner = ''.join(f'<i style="width:{100 * v / total:.2f}%;background:{color[k]}" title="{escape(k)} {short(v)}{unit}"></i>' for k, v in parts.items())
    said = ', '.join(f'{escape(k)} {short(v)}{unit}' for k, v in parts.items() if v >= sum(parts.values()) / 50)
    return f'<div class="row"><div class="top"><span>{escape(name)}</span></div><div class="stack">{inner}</div><p class="soft">{said}</p></div>'


def stacks(title, what, bars_of, unit):
    """bars_of: {name: {part: how much}}, or {name: {'error': …}}."""
    good = {n: parts for n, parts in bars_of.items() if 'error' not in parts}
    names = list(dict.fromkeys(k for parts in good.values() for k in parts))
    color, total = {n: COLORS[i % len(COLORS)] for i, n in enumerate(names)}, max((sum(p.values()) for p in good.values()), default=1)
    out = [f'<section><h2>{escape(title)}</h2><p class="soft">{what}</p>']
    for name, parts in bars_of.items():
        out.append(stack(name, parts, color, total, unit) if name in good else f'<p class="noisy">{escape(name)}: {escape(parts["error"][:200])}</p>')
    keys = ''.join(f'<span><i style="background:{color[n]}"></i>{escape(n)}</span>' for n in names)
    return '\n'.join(out) + f'<p class="key soft">{keys}</p></section>'


def phases(data):
    """Every phase of the engine's breath, with the bare path under it."""
    out = {}
    for title, cell in data.items():
        if 'error' in cell:
            out[title] = cell
            continue
        for name, of in ((title, 'phases'), (f'{title}: the bare path, the floor', 'bare_phases')):
            out[name] = {k: v for k, v in cell[of].items() if v > 0}
    return stacks('Where Pollux’s own time goes, by phase', 'nanoseconds of the server’s core per request, without any network: client and server in one '
                  'thread, over 64 connections; the bare path moves and protects the same packets, and does nothing else', out, '\u00a0ns') if out else ''


def agreement(rows, too_far):
    if not rows:
        return ''
    out = ['<section><h2>Do the figures agree?</h2><p class="soft">requests per second of nginx, by three accounts: this page’s (requests over time, as the '
           'generator reported them), the rate that wrk or h2load printed, and nginx’s own count over the whole run of the generator, its start included</p>',
           '<div class="scroll"><table><tr><th>cell</th><th>this page</th><th>printed</th><th>nginx</th><th>apart</th></tr>']
    for r in rows:
        far = ' class="noisy"' if r['difference_percent'] > too_far else ''
        out.append(f'<tr><td>{escape(r["cell"])}</td><td>{short(r["cost"])}</td><td>{short(r["printed"])}</td><td>{short(r["counted"])}</td>'
                   f'<td{far}>{r["difference_percent"]:.1f} %</td></tr>')
    far = sum(r['difference_percent'] > too_far for r in rows)
    verdict = f'<span class="noisy">{far} of {len(rows)} are more than {too_far} % apart: do not believe them.</span>' if far else f'All within {too_far} %.'
    return '\n'.join(out) + f'</table></div><p class="soft">{verdict}</p></section>'


COLUMNS = (('requests_per_second', 'requests/s'), ('server_cpu_us_per_request', 'CPU µs'), ('server_cpu_s_per_gb', 'CPU s/GB'),
           ('gbit_per_second', 'Gbit/s'), ('datagrams_per_request', 'datagrams'), ('p50_us', 'p50 µs'), ('p99_us', 'p99 µs'), ('failed', 'failed'))


def raw(report):
    head = ''.join(f'<th>{t}</th>' for _, t in COLUMNS)
    out = [f'<section><h2>All figures</h2><p class="soft">medians; CPU and datagrams are for each request; latency is that of the first run, at half of the rate; spread is (most − least) / median of requests/s and of CPU per request</p>'
           f'<div class="scroll"><table><tr><th>cell</th><th>network</th>{head}<th>spread</th></tr>']
    for section in report['plan']['sections']:
        for name in section['cells']:
            c = report['sections'][section['key']][name]
            row = ''.join(f'<td>{short(c["median"][k])}</td>' for k, _ in COLUMNS)
            wide = ' / '.join('–' if c['spread_percent'][k] is None else f'{c["spread_percent"][k]:.0f} %' for k in ('requests_per_second', 'server_cpu_us_per_request'))
            out.append(f'<tr><td>{escape(name)}</td><td>{section["net"]}</td>{row}<td{" class=noisy" if c["is_noisy"] else ""}>{wide}</td></tr>')
    return '\n'.join(out) + '</table></div></section>'


METHOD = '''<section><h2>How this was measured</h2>
<p>One server on CPU 0, the generator on %s. Every server has the same certificate (ECDSA P-256), TLS 1.3 with AES-128-GCM and X25519, one worker, the same files
in memory, no access log. Systems take turns, so that a disturbance meets all of them; what is shown is the median.</p>
<p>CPU per request is the processor time, user and system, of the server’s processes over the measured time, divided by the requests answered in it. %s
A Pollux that polls (AF_XDP, memif, a card) never sleeps: it is charged the time of rounds that did work; other programs’ turns on that CPU inflate it.</p>
<p>HTTP/3: plx-load for every server. HTTP/1.1: wrk; its latency from h2load at a fixed rate. HTTP/2: h2load. wrk and h2load are watched from start to end, connecting included.
haproxy answers from memory, as it serves no files. A spread above 20 %% is marked: such a figure is not to be believed.</p></section>'''
RECEIVES = '''Over loopback and veth the kernel receives a packet on its sender’s account, so what is charged to a server is: sending its packets, and
the <em>client’s</em> receiving of them.'''


def page(report, too_far):
    m, plan, wire = report['machine'], report['plan'], report.get('wire')
    versions = ', '.join(f'{k} {v}' for k, v in m['versions'].items())
    keys = '<p class="key soft"><span><i class="us"></i>Pollux</span><span><i class="h3"></i>others over HTTP/3</span><span><i class="tcp"></i>TCP + TLS, the baseline</span></p>'
    about = (f' The server’s port: {escape(wire["port"])}; the generator on {escape(wire["client"])}, '
             f'{"port " + escape(wire["client_port"]) if wire["client_port"] else "kernel sockets"}, CPU {escape(wire["client_cpus"])}.') if wire else ''
    method = METHOD % (('another machine', '') if wire else ('CPU 1', RECEIVES))
    parts = [bars(s, report['sections'][s['key']]) for s in plan['sections']]
    profiles = stacks('Where a server’s time goes, by layer', 'samples of the server’s processor time while it answered (perf, cpu-clock), the kernel’s part included',
                      report['profiles'], '\u00a0%') if report['profiles'] else ''
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>What QUIC costs</title>'
            f'<style>{STYLE}</style></head><body><main><h1>What QUIC costs, against TCP and TLS</h1><p class="soft">{escape(machine.line(m))}; {escape(versions)}. '
            f'{report["runs"]} runs of {report["seconds"]:g} s. Load of the machine before: {m["load_before"]:.1f}.{about}</p>{keys}'
            + '\n'.join(parts) + curves(report['curves'], plan['loads']) + phases(report['phases']) + profiles + agreement(report['agreement'], too_far) + method
            + raw(report) + '</main></body></html>\n')
