"""profile_of.py -- where a server's time goes under a cell's load: perf samples by symbol, and added up by layer."""
import collections
import os
import re
import shutil
import subprocess

import generators
import servers

# Of our own functions the build says whose they are (ours_of). For all others the first pattern that the name matches does; names of the
# kernel are apart by their "[k]".
LAYERS = (
    ('packet protection', r'gcm|ghash|aes|ipsec|_mb_|imb_|plx_aead|plx_seal|plx_open|plx_mask|plx_hp|plx_crypto|ecb|sha|hkdf'),
    ('TLS', r'^SSL|^EVP|^ossl|^OPENSSL|^CRYPTO_|^tls_|plx_tls|^EC|^BN_|x25519|bn_'),
    ('copy and clear', r'mem(cpy|move|set|cmp)'),
)
HOUSE = {'crypto': 'packet protection', 'tls': 'TLS', 'h3': 'HTTP/3 and QPACK', 'quic': 'QUIC', 'engine': 'engine and timers', 'base': 'engine and timers',
         'net': 'drivers and addresses', '': 'drivers and addresses'}


def ours_of(listings):
    """{function: layer} of what readelf -sW says of our archives, {folder of lib/: text}; '' is all of them, where only drivers are new.

    Linking in one piece makes copies of functions that keep the name with a suffix (.constprop.0, .part.0), of static ones too."""
    out = {}
    for folder in sorted(listings, reverse=True):  # '' last
        layer = HOUSE[folder]
        for member, name in re.findall(r'^File: .*?([^/\[(]+)[\])]$|\bFUNC .* (\S+)$', listings[folder], re.M):
            if member:
                layer = 'recovery and pacing' if folder == 'quic' and member.startswith('recovery_') else HOUSE[folder]
            else:
                out.setdefault(name, layer)
    return out


def ours():
    at = {f: os.path.join(servers.BUILD, 'lib', f, f'libplx_{f}.a' if f else 'libpollux.a') for f in HOUSE}
    return ours_of({f: subprocess.run(['readelf', '-sW', path], capture_output=True, text=True).stdout for f, path in at.items()})


def layer_of(dso, symbol, is_kernel, known):
    if is_kernel:
        return 'kernel'
    if os.path.basename(dso).startswith(('plx-', 'libpollux')) and (mine := known.get(symbol.partition('.')[0])):
        return mine
    for name, pattern in LAYERS:
        if re.search(pattern, symbol, re.I):
            return name
    return 'application and other' if 'lib' not in dso else f'other ({dso})'


def rows_of(data):
    """[(per cent, dso, is_kernel, symbol)] of a perf.data file."""
    done = subprocess.run(['perf', 'report', '-i', data, '--stdio', '--no-children', '-g', 'none', '-F', 'overhead,dso,symbol', '-t', '|'],
                          capture_output=True, text=True, errors='replace', timeout=300)
    out = []
    for line in done.stdout.splitlines():
        match = re.match(r'\s*([\d.]+)%?\s*\|\s*(\S+)\s*\|\s*\[(.)\]\s*(\S.*?)\s*$', line)
        if match:
            out.append((float(match[1]), match[2], match[3] == 'k', match[4]))
    if not out:
        raise generators.LoadError(f'perf saw nothing:\n{done.stderr[-800:]}')
    return out


def record(bench, cell):
    if not shutil.which('perf'):
        raise generators.LoadError('perf is missing: apt-get install linux-perf')
    net = bench.net_of(cell)
    bench.site.add(cell)
    data = os.path.join(bench.site.scratch, 'perf.data')
    with bench.server(cell, net) as server:
        pids = ','.join(str(p) for p in generators.machine.family(server.pid))
        perf = subprocess.Popen(['perf', 'record', '-q', '-e', 'cpu-clock', '-F', '1999', '-o', data, '-p', pids], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            generators.saturate(cell, bench.site, net, server, bench.seconds)
        finally:
            perf.send_signal(2)
            perf.wait(60)
    return rows_of(data)


def layers(rows):
    """{layer: per cent}, the largest first."""
    out, known = collections.Counter(), ours()
    for share, dso, is_kernel, symbol in rows:
        out[layer_of(dso, symbol, is_kernel, known)] += share
    return dict(out.most_common())


def markdown(bench, cell):
    rows = record(bench, cell)
    lines = [f'### {cell.name}', '', '| layer | share |', '|---|--:|'] + [f'| {k} | {v:.1f} % |' for k, v in layers(rows).items() if v >= 0.1]
    lines += ['', '| symbol | of | share |', '|---|---|--:|']
    lines += [f'| `{symbol}` | {"kernel" if is_kernel else dso} | {share:.1f} % |' for share, dso, is_kernel, symbol in rows[:40]]
    return '\n'.join(lines) + '\n\n'
