"""table.py -- a report as Markdown."""
import json
import os
import re

import machine
import servers
import twins

ASK = {
    'nginx': (['nginx', '-v'], r'nginx/([\d.]+)'), 'haproxy': (['haproxy', '-v'], r'version ([\d.]+\S*)'),
    'caddy': (['caddy', 'version'], r'v?([\d.]+)'), 'wrk': (['wrk', '-v'], r'wrk (?:debian/)?(\S+)'), 'h2load': (['h2load', '--version'], r'nghttp2/([\d.]+)'),
}


def how_built(folder):
    """In what a build differs from the one that tools/setup makes, as words behind the version; None where nothing is to be said."""
    listed = machine.read(os.path.join(folder, 'meson-info', 'intro-buildoptions.json'))
    if not listed:
        return None
    is_set = {o['name']: o['value'] for o in json.loads(listed)}
    words = [w for w, applies in (('built with a profile', is_set.get('b_pgo') == 'use'), ('not linked at once', is_set.get('lto') is False),
                                  (f'buildtype {is_set.get("buildtype")}', is_set.get('buildtype') != 'release'),
                                  (f'for {is_set.get("march")}', is_set.get('march') != 'native')) if applies]
    return '; '.join(words) or None


def versions(cells):
    """Of everything that takes part."""
    ours, differs = machine.version_of([servers.program('plx-serve'), '--version'], r'([\d.]+\S*)'), how_built(servers.BUILD)
    out = {'pollux': f'{ours} ({differs})' if differs else ours}
    protocols = {c.protocol for c in cells}
    wanted = {c.system for c in cells if not c.is_pollux} | ({'wrk', 'h2load'} if 'h1-tls' in protocols else set()) | ({'h2load'} if 'h2-tls' in protocols else set())
    for name in sorted(wanted):
        argv, pattern = ASK[name]
        out[name] = machine.version_of([servers.PEERS, 'run', *argv], pattern)
    return out


def text(value, form='{:,.2f}'):
    return '–' if value is None else form.format(value)


def percent(value):
    return '–' if value is None else f'{value:.0f} %'


def ratio(value):
    return '' if value is None else f' ({value:.2f})'


def row(name, c):
    m, w = c['median'], c['spread_percent']
    return (f'| {name} | {text(m["requests_per_second"], "{:,.0f}" if (m["requests_per_second"] or 0) > 100 else "{:,.2f}")} | '
            f'{text(m["server_cpu_us_per_request"])} | {percent(w["requests_per_second"])} / {percent(w["server_cpu_us_per_request"])} | '
            f'{text(m["server_cpu_s_per_gb"], "{:,.3f}")} | {text(m["gbit_per_second"], "{:,.3f}")} | {text(m["datagrams_per_request"])} | '
            f'{text(m["p50_us"], "{:,.0f}")} | {text(m["p99_us"], "{:,.0f}")} | {text(m["failed"], "{:,.0f}")} | '
            f'{text(m["generator_us_per_request"])}{ratio(m.get("generator_per_server"))} | {text(m["foreign_cpu_share"] and 100 * m["foreign_cpu_share"], "{:.0f} %")} |')


def markdown(report):
    m = report['machine']
    lines = [f'Machine: {machine.line(m)}; {", ".join(f"{k} {v}" for k, v in m["versions"].items())}. Network: {report["net"]}. '
             f'{report["runs"]} runs of {report["seconds"]:g} s in turn; medians. Load of the machine before: {m["load_before"]:.1f}.', '',
             '| cell | requests/s | server CPU µs/request | spread of both | server CPU s/GB | Gbit/s | datagrams/request | p50 µs | p99 µs | failed | generator CPU µs/request (× the server\'s) | others on CPU 0 |',
             '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|']
    lines += [row(name, c) for name, c in report['cells'].items()]
    noisy = [name for name, c in report['cells'].items() if c['is_noisy']]
    broken = [f'{name} ({c["errors"]} of {len(c["runs"])} runs)' for name, c in report['cells'].items() if c['errors']]
    # One remark of a kind for each cell: those that differ in nothing but a number are of one kind.
    notes = {(name, re.sub(r'\d+', '', note)): f'{name}: {note}' for name, c in report['cells'].items() for r in c['runs'] for note in r.get('notes', [])}
    if noisy:
        lines += ['', f'**Too noisy** (spread above 20 %; not to be believed): {", ".join(noisy)}.']
    if where := twins.remarks(report['cells']):
        lines += ['', where]
    if broken:
        lines += ['', f'**Broken**: {", ".join(broken)}.']
    if notes:
        lines += ['', 'What the generator remarked:', ''] + [f'- {n}' for n in notes.values()]
    return '\n'.join(lines)
