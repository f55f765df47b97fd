"""costs.py -- what bench/cost measures: the cells that answer "what does QUIC cost against TCP and TLS?", and their turn."""
import cells as names
import generators
import profile_of
import runs

# A section of the page: title, what it shows, network, the figure, its unit, and its cells; the first cell of a kind that is TCP is the baseline.
SECTIONS = (
    ('small', 'A request for 64 octets, one at a time on each of 64 connections', 'lo', 'server_cpu_us_per_request', 'µs of server CPU per request',
     ('nginx/h1-tls/64/m1/c64', 'haproxy/h1-tls/64/m1/c64', 'pollux-udp/h3/64/m1/c64', 'pollux-xdp/h3/64/m1/c64', 'pollux-memif/h3/64/m1/c64',
      'nginx/h3/64/m1/c64', 'haproxy/h3/64/m1/c64', 'caddy/h3/64/m1/c64')),
    ('many', 'Ten requests for 64 octets at a time on each of 64 connections', 'lo', 'server_cpu_us_per_request', 'µs of server CPU per request',
     ('nginx/h2-tls/64/m10/c64', 'haproxy/h2-tls/64/m10/c64', 'pollux-udp/h3/64/m10/c64', 'pollux-xdp/h3/64/m10/c64', 'pollux-memif/h3/64/m10/c64',
      'nginx/h3/64/m10/c64', 'haproxy/h3/64/m10/c64', 'caddy/h3/64/m10/c64')),
    ('page', 'A body of 100 KB, one at a time on each of 32 connections', 'veth', 'server_cpu_us_per_request', 'µs of server CPU per request',
     ('nginx/h1-tls/100K/m1/c32', 'nginx/h2-tls/100K/m1/c32', 'pollux-udp/h3/100K/m1/c32', 'nginx/h3/100K/m1/c32', 'haproxy/h3/100K/m1/c32',
      'caddy/h3/100K/m1/c32')),
    ('bulk', 'A download of 1 GiB over loopback, where TCP has segments of 64 KB', 'lo', 'server_cpu_s_per_gb', 's of server CPU per gigabyte',
     ('nginx/h1-tls/1G/m1/c1', 'nginx/h2-tls/1G/m1/c1', 'pollux-udp/h3/1G/m1/c1', 'pollux-memif/h3/1G/m1/c1', 'nginx/h3/1G/m1/c1', 'caddy/h3/1G/m1/c1')),
    ('wire', 'A download of 1 GiB over a link with an MTU of 1500 that cuts nothing for anybody', 'veth', 'server_cpu_s_per_gb',
     's of server CPU per gigabyte',
     ('nginx/h1-tls/1G/m1/c1', 'nginx/h2-tls/1G/m1/c1', 'pollux-udp/h3/1G/m1/c1', 'nginx/h3/1G/m1/c1', 'caddy/h3/1G/m1/c1')),
    ('hello', 'A full handshake and one request', 'lo', 'server_cpu_us_per_request', 'µs of server CPU per handshake',
     ('nginx/h1-tls-handshake/64/full', 'pollux-udp/h3-handshake/64/full', 'nginx/h3-handshake/64/full', 'haproxy/h3-handshake/64/full',
      'caddy/h3-handshake/64/full')),
)
CURVES = ('nginx/h1-tls/64/m1/c64', 'pollux-udp/h3/64/m1/c64', 'nginx/h3/64/m1/c64')
LOADS = (10, 25, 50, 75, 90)  # per cent of what the server answers at most
PROFILES = ('pollux-udp/h3/64/m1/c64', 'pollux-udp/h3/64/m10/c64', 'pollux-udp/h3/1G/m1/c1')  # who polls is never idle: no profile of those


class Progress:
    """Steps done, and the time that the rest will take."""

    def __init__(self, total, clock, say):
        self.total, self.done, self.clock, self.say, self.began = total, 0, clock, say, clock()

    def step(self, what):
        self.done += 1
        left = (self.clock() - self.began) / self.done * (self.total - self.done)
        self.say(f'{self.done:3}/{self.total}  {left / 60:4.1f} min left  {what}')


def measure(benches, count, progress):
    """{section: {cell: summary}}; benches: one for each network."""
    results = {s[0]: {name: [] for name in s[5]} for s in SECTIONS}
    for _ in range(count):
        for key, _, net, _, _, members in SECTIONS:
            for name in members:
                try:
                    figure = benches[net].once(names.parse(name))
                except (runs.servers.ServerError, generators.LoadError) as e:
                    figure = {'error': str(e)}
                results[key][name].append(figure)
                progress.step(f'{name} ({net})' + (': ' + figure['error'].splitlines()[0] if 'error' in figure else ''))
    return {key: runs.summary(r) for key, r in results.items()}


def curves(bench, sections, progress):
    """{cell: [{load, rate, p50_us, p99_us}, …]}: latency at shares of what each answered at most."""
    out = {}
    for name in CURVES:
        cell, most = names.parse(name), sections['small'][name]['median']['requests_per_second']
        out[name] = []
        for load in LOADS:
            progress.step(f'{name} at {load} % of its most')
            if not most:
                continue
            net = bench.net_of(cell)
            bench.site.add(cell)
            try:
                with bench.server(cell, net) as server:
                    got = generators.at_rate(cell, bench.site, net, server, bench.seconds, most * load / 100)
                out[name].append({'load_percent': load, 'rate': most * load / 100, 'p50_us': got.get('p50_us'), 'p99_us': got.get('p99_us')})
            except (runs.servers.ServerError, generators.LoadError) as e:
                out[name].append({'load_percent': load, 'error': str(e)})
    return out


def phases(bench, progress):
    """{cell: {layer: per cent}} of Pollux' own time."""
    out = {}
    for name in PROFILES:
        progress.step(f'{name}: where the time goes')
        try:
            out[name] = profile_of.layers(profile_of.record(bench, names.parse(name)))
        except (runs.servers.ServerError, generators.LoadError) as e:
            out[name] = {'error': str(e)}
    return out


def steps(count):
    return count * sum(len(s[5]) for s in SECTIONS) + len(CURVES) * len(LOADS) + len(PROFILES)


def ratio(section, summary, name):
    """How many times the cost of the cheapest TCP+TLS server of its section; None without both."""
    figure = section[3]
    base = [summary[n]['median'][figure] for n in section[5] if '/h3' not in n and summary[n]['median'][figure]]
    mine = summary[name]['median'][figure]
    return mine / min(base) if base and mine else None
