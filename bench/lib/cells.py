"""cells.py -- the names of measurements, and which of them are standard.

A cell is one server under one load:

    SYSTEM/PROTOCOL/BODY/mSTREAMS/cCONNECTIONS      pollux-udp/h3/64/m10/c64    nginx/h1-tls/1K/m1/c32    pollux-memif/h3/1G/m1/c1
    SYSTEM/PROTOCOL-handshake/BODY/full|resumed|0rtt  one request per connection  nginx/h3-handshake/64/resumed
    SYSTEM/PROTOCOL-idle/BODY/cCONNECTIONS          held, hardly used           nginx/h3-idle/64/c10000

The name says everything: any name of that form can be asked for, the standard ones are only the usual choice.
"""
import dataclasses
import re

STANDARD = ('pollux-udp', 'pollux-xdp', 'pollux-memif', 'nginx', 'haproxy', 'caddy')  # pollux-nic wants a card and another machine
SYSTEMS = {**{s: ('h3',) for s in ('pollux-udp', 'pollux-xdp', 'pollux-memif', 'pollux-nic')}, 'nginx': ('h3', 'h1-tls', 'h2-tls'), 'haproxy': ('h3', 'h1-tls', 'h2-tls'), 'caddy': ('h3',)}
UNITS = {'': 1, 'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}
# Those that accept early data over QUIC: nginx 1.26 and haproxy 3.0 do not, with the OpenSSL that Debian 13 builds them with.
HAS_EARLY_DATA = ('pollux-udp', 'pollux-xdp', 'pollux-memif', 'pollux-nic', 'caddy')
HANDSHAKE_CONNS = 16  # so many at once: enough that the server never waits, few enough that no queue builds up


class BadCell(Exception):
    """The name cannot be measured; the message says why."""


@dataclasses.dataclass(frozen=True)
class Cell:
    name: str
    system: str
    protocol: str   # h3, h1-tls, h2-tls
    body: str       # as written: the file has that name
    size: int
    streams: int
    conns: int
    handshake: str  # '', 'full', 'resumed' or '0rtt'
    is_idle: bool = False

    def alone(self):
        """The same with one connection."""
        return dataclasses.replace(self, conns=1)

    @property
    def is_pollux(self):
        return self.system.startswith('pollux')

    @property
    def is_polling(self):
        """It never sleeps: processor time says nothing, its own busy time does."""
        return self.system in ('pollux-xdp', 'pollux-memif', 'pollux-nic')

    @property
    def is_download(self):
        """So large that a rate of requests means nothing."""
        return self.size >= 64 << 20


def body_size(text):
    match = re.fullmatch(r'(\d+)([KMG]?)', text)
    if not match or not 1 <= (size := int(match[1]) * UNITS[match[2]]) <= 16 << 30:
        raise BadCell(f'{text!r} is no body: a number, with K, M or G behind it, 1 to 16G')
    return size


def number(text, letter, most):
    match = re.fullmatch(letter + r'([1-9]\d{0,6})', text)
    if not match or int(match[1]) > most:
        raise BadCell(f'{text!r}: expected {letter} and a number from 1 to {most}')
    return int(match[1])


def parse(name):
    parts = name.split('/')
    if len(parts) not in (4, 5) or parts[0] not in SYSTEMS:
        raise BadCell(f'{name!r}: expected SYSTEM/PROTOCOL/BODY/mSTREAMS/cCONNECTIONS or SYSTEM/PROTOCOL-handshake/BODY/full|resumed|0rtt, '
                      f'SYSTEM one of {", ".join(SYSTEMS)}')
    system, protocol, body = parts[:3]
    is_handshake, is_idle = protocol.endswith('-handshake'), protocol.endswith('-idle')
    protocol = protocol.removesuffix('-handshake').removesuffix('-idle')
    if protocol not in SYSTEMS[system]:
        raise BadCell(f'{name}: {system} is measured over {", ".join(SYSTEMS[system])}')
    size = body_size(body)
    if system == 'haproxy' and size > 2046 << 20:
        raise BadCell(f'{name}: haproxy serves no files, and its cache holds nothing above 2046M')
    if (is_handshake or is_idle) != (len(parts) == 4):
        raise BadCell(f'{name}: a handshake cell ends with /full, /resumed or /0rtt, an idle cell with /cCONNECTIONS, any other with /mSTREAMS/cCONNECTIONS')
    if is_idle:
        return Cell(name, system, protocol, body, size, 1, number(parts[3], 'c', 65536), '', True)
    if is_handshake:
        if parts[3] not in ('full', 'resumed', '0rtt'):
            raise BadCell(f'{name}: a handshake is full, resumed or 0rtt')
        if parts[3] == '0rtt' and protocol == 'h3' and system not in HAS_EARLY_DATA:
            raise BadCell(f'{name}: Debian 13\'s {system} accepts no early data over QUIC; {", ".join(HAS_EARLY_DATA)} do')
        if protocol == 'h2-tls' or (protocol == 'h1-tls' and parts[3] != 'full'):
            raise BadCell(f'{name}: wrk measures full handshakes over h1-tls; nothing in Debian measures this one')
        return Cell(name, system, protocol, body, size, 1, HANDSHAKE_CONNS, parts[3])
    streams, conns = number(parts[3], 'm', 1000), number(parts[4], 'c', 65536)
    if protocol == 'h1-tls' and streams != 1:
        raise BadCell(f'{name}: a connection of HTTP/1.1 has one request at a time')
    return Cell(name, system, protocol, body, size, streams, conns, '')


def standard():
    """The names that `bench/macro --list` prints, in the order in which they are run."""
    names, usual = [], [(system, SYSTEMS[system]) for system in STANDARD]
    for body in ('64', '1K', '16K', '100K'):
        for conns in (32, 1024):
            for streams in (1, 10, 100):
                for system, protocols in usual:
                    names += [f'{system}/{p}/{body}/m{streams}/c{conns}' for p in protocols if p != 'h1-tls' or streams == 1]
    for system, protocols in usual:
        names += [f'{system}/{p}/1G/m1/c1' for p in protocols]
    for system, protocols in usual:
        names += [f'{system}/h3-handshake/64/{kind}' for kind in ('full', 'resumed', '0rtt') if kind != '0rtt' or system in HAS_EARLY_DATA]
        names += [f'{system}/h1-tls-handshake/64/full'] if 'h1-tls' in protocols else []
    for system, protocols in usual:
        names += [f'{system}/{p}-idle/64/c10000' for p in protocols]
    return names


def performance():
    """{net: names} of a full run, what docs/performance.md shows: half an hour."""
    def all_of(workload, systems=STANDARD):
        body, streams, conns = workload
        return [f'{s}/{p}/{body}/{streams}/{conns}' for s in systems for p in SYSTEMS[s] if p != 'h1-tls' or streams == 'm1']

    lo, veth, kernel = [], [], [s for s in STANDARD if s not in ('pollux-xdp', 'pollux-memif')]  # those bring networks of their own
    for workload in (('64', 'm1', 'c32'), ('64', 'm10', 'c32'), ('64', 'm100', 'c32'), ('64', 'm10', 'c1024'), ('16K', 'm1', 'c32'), ('1G', 'm1', 'c1')):
        lo += all_of(workload)
    for kind in ('full', 'resumed'):
        lo += [f'{s}/h3-handshake/64/{kind}' for s in STANDARD]
        lo += [f'{s}/h1-tls-handshake/64/full' for s in STANDARD if 'h1-tls' in SYSTEMS[s] and kind == 'full']
    lo += [f'{s}/{p}-idle/64/c2000' for s in kernel for p in SYSTEMS[s] if p != 'h2-tls']
    for workload in (('64', 'm10', 'c32'), ('100K', 'm1', 'c32'), ('1G', 'm1', 'c1')):
        veth += all_of(workload, kernel)
    return {'lo': lo, 'veth': veth}


def first():
    """The cells of the first measurement: 64 octets, Pollux over kernel sockets beside nginx over HTTP/3 and over TCP."""
    names = []
    for conns in (32, 64):
        for streams in (1, 10):
            names += [f'{system}/h3/64/m{streams}/c{conns}' for system in ('pollux-udp', 'nginx')]
        names.append(f'nginx/h1-tls/64/m1/c{conns}')
    return names
