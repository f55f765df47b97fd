"""net.py -- the network that a measurement runs over: namespaces of its own, removed at the end, whatever the end.

    lo     one namespace; server and generator talk over its loopback device (MTU 65536: TCP never segments there, datagrams of QUIC are
           as large as everywhere)
    veth   two namespaces and a veth pair, MTU 1500, segmentation and receive offloads off: every packet is a packet
"""
import os
import subprocess

import client
from servers import ROOM

SERVER, CLIENT, PREFIX = '10.214.0.1', '10.214.0.2', 24
AHEAD = -15  # of whatever else this machine does
ROOM_MOST = 'net.core.rmem_max'


def ahead(nice):
    """The start of a command that is to have this priority. The kernel weighs sessions against each other before processes (autogroup)."""
    return ['nice', '-n', str(nice), 'sh', '-c', f'echo {nice} 2>/dev/null >/proc/self/autogroup; exec "$@"', 'sh']


def packets_of(text, device):
    """Packets that have passed a device, both ways, by /proc/net/dev."""
    for row in text.splitlines():
        name, _, fields = row.partition(':')
        if name.strip() == device:
            counts = fields.split()
            return int(counts[1]) + (0 if device == 'lo' else int(counts[9]))  # on lo, everything sent is received
    return 0


def ip(*args):
    done = subprocess.run(['ip', *args], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f'ip {" ".join(args)}: {done.stderr.strip()}')


class Net:
    def __init__(self, kind, tag, nice=AHEAD):
        """kind: lo, veth, raw (a veth pair whose server end has no address in the kernel), or none (memif brings its own)."""
        self.kind, self.nice, self.names, self.room = kind, nice, [], None
        self.client = client.Here(self)
        self.address = '127.0.0.1' if kind == 'lo' else SERVER
        self.device = 'lo' if kind in ('lo', 'none') else f'pm{os.getpid() % 100000}{tag}0'
        try:
            self.server_ns = self._make(f'plxm{os.getpid()}{tag}s')
            self.client_ns = self.server_ns if self.device == 'lo' else self._make(f'plxm{os.getpid()}{tag}c')
            if self.device != 'lo':
                self._pair(tag)
            self._make_room()
        except BaseException:
            self.close()
            raise

    def _make(self, name):
        ip('netns', 'add', name)
        self.names.append(name)
        ip('-n', name, 'link', 'set', 'lo', 'up')
        return name

    def _sysctl(self, *what):
        done = subprocess.run(['ip', 'netns', 'exec', self.server_ns, 'sysctl', '-qn', *what], capture_output=True, text=True)
        return done.stdout.strip()

    def _make_room(self):
        """So that a server gets the receive buffer that it asks for; the kernel may have one limit for all namespaces: it is put back."""
        most = self._sysctl(ROOM_MOST)
        if most and int(most) < ROOM:
            self._sysctl(f'{ROOM_MOST}={ROOM}')
            self.room = most

    def _pair(self, tag):
        other = self.device[:-1] + '1'
        ip('-n', self.server_ns, 'link', 'add', self.device, 'mtu', '1500', 'type', 'veth', 'peer', 'name', other, 'mtu', '1500',
           'netns', self.client_ns)
        for ns, device, address in ((self.server_ns, self.device, SERVER), (self.client_ns, other, CLIENT)):
            features = ['tso', 'gso', 'gro', 'ufo', 'tx-udp-segmentation'] + (['tx'] if self.kind == 'raw' else [])
            for feature in features:  # one by one: a kernel that lacks one has the others
                subprocess.run(['ip', 'netns', 'exec', ns, 'ethtool', '-K', device, feature, 'off'], capture_output=True)
            if self.kind != 'raw' or ns == self.client_ns:
                ip('-n', ns, 'addr', 'add', f'{address}/{PREFIX}', 'dev', device)
            ip('-n', ns, 'link', 'set', device, 'up')

    def packets(self):
        """Packets that have passed the server's device, both ways."""
        done = subprocess.run(['ip', 'netns', 'exec', self.server_ns, 'cat', '/proc/net/dev'], capture_output=True, text=True)
        return packets_of(done.stdout, self.device)

    def argv(self, side, argv):
        return [*ahead(self.nice), 'ip', 'netns', 'exec', self.server_ns if side == 'server' else self.client_ns, *argv]

    def close(self):
        if self.room:
            self._sysctl(f'{ROOM_MOST}={self.room}')
            self.room = None
        for name in self.names:
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)
        self.names = []
