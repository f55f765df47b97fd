"""dpdk.py -- Pollux past the kernel, in the lab: the namespaces, EAL's arguments, and what both tests over DPDK ask of a link.

A Link is a pair of namespaces, `here` with the end that Pollux drives through DPDK, `there` with the kernel of whoever talks to it.
The bypassing end has no address in its kernel, so nothing there answers for it: ARP, neighbour discovery and ping are ours.
"""
import json
import os
import subprocess

import capture
import lib

# addresses: our own, past the kernel, and the kernel's on the other side
OUR4, THEIR4, OUR6, THEIR6 = '10.213.0.1', '10.213.0.2', 'fd13::1', 'fd13::2'
OURS, THEIRS = (OUR4, OUR6), (THEIR4, THEIR6)
IP = ['--ip', f'{OUR4}/24', '--ip', f'{OUR6}/64']
TAP = 'plxtap'


def eal(vdev, name='', memory=('--no-huge', '-m', '512')):
    """--no-pci: without it DPDK would take hold of the machine's own network card."""
    return ['--no-pci', *memory, '--no-telemetry', f'--file-prefix=plxd{os.getpid()}{name}', '--vdev', vdev]


class Link:
    def __init__(self, lab, kind, extra=''):
        self.lab, self.kind = lab, kind
        tag = kind.replace('net_', '').replace('_', '') + str(len(lab.namespaces))
        if kind == 'net_tap':  # DPDK makes the interface itself: kernel and Pollux share one namespace
            self.here = self.there = lab.netns(tag)
            self.device, self.peer_device = None, TAP
            self.vdev = f'net_tap0,iface={TAP},mac=fixed{extra}'
        else:
            self.here, self.there = lab.netns(tag + 'a'), lab.netns(tag + 'b')
            self.device, self.peer_device = lab.veth(self.here, self.there, [], [f'{THEIR4}/24', f'{THEIR6}/64'])
            lib.ip('netns', 'exec', self.here, 'sysctl', '-qw', f'net.ipv6.conf.{self.device}.disable_ipv6=1')
            self.vdev = f'{kind}0,iface={self.device}{extra}'

    def is_up(self):
        """A tap interface has come; now the kernel's side of it gets its addresses."""
        if self.device is None:
            lib.ip('-n', self.there, 'addr', 'add', f'{THEIR4}/24', 'dev', TAP)
            lib.ip('-n', self.there, 'addr', 'add', f'{THEIR6}/64', 'dev', TAP, 'nodad')
            lib.ip('-n', self.there, 'link', 'set', TAP, 'up')

    def ping(self, address, size, count=3):
        """Whether every one of `count` echo requests comes back (the first may wait for a neighbour's answer)."""
        done = subprocess.run(['ip', 'netns', 'exec', self.there, 'ping', '-n', '-q', '-c', str(count), '-i', '0.2', '-W', '3', '-s', str(size),
                               '-M', 'do', address], capture_output=True, text=True)
        return f'{count} received' in done.stdout, done.stdout + done.stderr

    def neighbour(self, address):
        """What the kernel knows of a neighbour: (its state, its link-layer address)."""
        for n in json.loads(lib.ip('-n', self.there, '-j', 'neigh', 'show', address) or '[]'):
            return ' '.join(n.get('state', [])), n.get('lladdr')
        return None, None

    def forget(self, address):
        subprocess.run(['ip', '-n', self.there, 'neigh', 'del', address, 'dev', self.peer_device], capture_output=True)


def fill_mtu(lab, site, link, port, fetch):
    """A body of 10 MB there and back, by fetch(our address, theirs): datagrams fill the MTU of 1500 octets, 1472 over IPv4, 1452 over IPv6, both
    ways, and none is longer."""
    bad = []
    for ours, theirs, most in ((OUR4, THEIR4, 1472), (OUR6, THEIR6, 1452)):
        seen = capture.Capture(lab, link.there, link.peer_device, port)
        got = fetch(ours, theirs)
        seen.stop()
        if got.code != 0 or not os.path.exists(got.file('echo')) or lib.sha256_file(got.file('echo')) != site.hashes['10m.bin']:
            bad.append(got.explain(site))
        for who in (ours, theirs):
            if (size := largest(seen, who)) != most:
                bad.append(f'the longest datagram from {who} had {size} octets, not {most}')
    return not bad, '\n'.join(bad)


def largest(seen, address, keylog=None):
    """The longest UDP payload that a capture saw from an address."""
    field = 'ipv6.src' if ':' in address else 'ip.src'
    lens = seen.fields(f'{field} == {address} && udp', ['udp.length'], keylog)
    return max((int(row[0]) - 8 for row in lens), default=0)


def text_of_drops(server):
    """The counters that --stats printed and that are about losses, on one line."""
    return '; '.join(line.strip() for line in server.proc.text().splitlines() if 'drop' in line or 'lost' in line)
