"""wire.py -- two machines: the server here, on a DPDK port or on the kernel's sockets, and the generator over there (client.There).

Both have what runs.Bench wants of a net: address, device, packets(), argv(), client. A port is a PCI address; or a DPDK virtual device
("net_memif0,role=server,socket=…"), with which the same path is tried between two processes of one machine.
"""
import ipaddress
import os
import re
import subprocess

import machine
from client import LoadError
from net import ahead, packets_of

# Drivers with which DPDK reaches a card: those that hand it over, and those that share it with the kernel.
HANDED_OVER, SHARED = ('vfio-pci', 'igb_uio', 'uio_pci_generic'), ('mlx5_core', 'mlx4_core', 'mana')
PCI = re.compile(r'(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]', re.I)


class WireError(Exception):
    """It cannot be measured like this; the message says why, and the remedy."""


def pci_of(port):
    """The PCI address in full, or None for a virtual device."""
    if re.match(r'net_\w+', port):
        return None
    if not PCI.fullmatch(port):
        raise WireError(f'{port!r} is neither a PCI address (0000:3b:00.0) nor a DPDK device (net_memif0,…)')
    return (port if port.count(':') == 2 else '0000:' + port).lower()


def check_card(read, listed, port, where):
    """Whether DPDK can have that card. read(path) and listed(folder) look at the files of the machine in question."""
    pci, root = pci_of(port), '/sys/bus/pci/devices'
    if pci is None:
        return
    if pci not in listed(root):
        cards = [d for d in sorted(listed(root)) if read(f'{root}/{d}/class').startswith('0x02')]
        raise WireError(f'{where} has no PCI device {pci}. Its network cards: {", ".join(cards) or "none"} (lspci -D tells more)')
    driver = (re.search(r'^DRIVER=(\S+)', read(f'{root}/{pci}/uevent'), re.M) or [None, None])[1]
    if driver not in HANDED_OVER + SHARED:
        raise WireError(f'{pci} of {where} is held by {driver or "no driver"}: DPDK cannot have it. Hand it over: modprobe vfio-pci; '
                        f'dpdk-devbind.py --bind=vfio-pci {pci} (the kernel then has it no longer: not the card you are logged in over)')
    free = re.search(r'^HugePages_Free:\s+(\d+)', read('/proc/meminfo'), re.M)
    if not free or int(free[1]) == 0:
        raise WireError(f'{where} has no free huge pages, which DPDK needs for a card: echo 1024 >/proc/sys/vm/nr_hugepages')


def interface(text, what):
    try:
        if '/' not in text:
            raise ValueError
        return ipaddress.ip_interface(text)
    except ValueError:
        raise WireError(f'{what} {text}: expected ADDRESS/PREFIX, for example 192.0.2.1/24') from None


def eal(port, tag):
    pci = pci_of(port)
    if pci:
        return ['--', '-a', pci, '--in-memory', '--no-telemetry']
    return ['--', '--no-pci', '--no-huge', '-m', '1024', '--no-telemetry', f'--file-prefix=plxw{os.getpid()}{tag}', '--vdev', port]


class Kernel:
    """The kernel's sockets of this machine, at an address that the client reaches."""

    kind = 'wire'

    def __init__(self, address, client, nice):
        self.address, self.client, self.nice = address, client, nice
        self.device = self.device_of(address)

    @staticmethod
    def device_of(address):
        done = subprocess.run(['ip', '-o', 'address', 'show', 'to', address], capture_output=True, text=True)
        if not done.stdout.strip() and not ipaddress.ip_address(address).is_loopback:
            raise WireError(f'--kernel-address {address}: no device of this machine has it (ip address shows them)')
        return done.stdout.split()[1] if done.stdout.strip() else 'lo'

    def packets(self):
        return packets_of(machine.read('/proc/net/dev'), self.device)

    def argv(self, side, argv):
        return [*ahead(self.nice), *argv]

    def close(self):
        pass


class Nic:
    """A DPDK port of this machine, and the client's: its own DPDK port, or its kernel's sockets."""

    kind = 'wire'

    def __init__(self, port, address, client_port, client_address, client, nice):
        self.port, self.client_port, self.client, self.nice, self.device = port, client_port, client, nice, None
        self.here = interface(address, '--address')
        self.there = interface(client_address, '--client-address') if client_address else None
        self.address = str(self.here.ip)
        if client_port and not self.there:
            raise WireError('--client-port needs --client-address ADDRESS/PREFIX: on a DPDK port the kernel\'s addresses do not count')
        if self.there and self.there.ip not in self.here.network:
            raise WireError(f'--client-address {self.there} is not in the network of --address {self.here}: there is no router in between')
        for name in filter(None, (port, client_port)):
            pci_of(name)

    def port_options(self, side):
        if side == 'server':
            return ['--driver', 'ethdev', '--ip', str(self.here), *eal(self.port, 's')]
        return ['--driver', 'ethdev', '--ip', str(self.there), *eal(self.client_port, 'c')] if self.client_port else []

    def packets(self):
        return 0  # plx-load counts its datagrams

    def argv(self, side, argv):
        return [*ahead(self.nice), *argv]

    def close(self):
        pass


def check(o, client):
    """Everything that can be known before the first minute is spent."""
    check_card(machine.read, lambda f: os.listdir(f) if os.path.isdir(f) else [], o.port, 'this machine')
    try:
        done = client.call(['true'])
        said = '' if done.returncode == 0 else (done.stderr.decode(errors='replace').strip().splitlines()[-1:] or [f'exit status {done.returncode}'])[0]
    except LoadError as e:
        said = str(e)
    if said:
        how = f'"{client.command} true" must work' if client.command else (f'"ssh {o.client} true" must work without a password (apt-get install '
                                                                           f'openssh-client; ssh-copy-id {o.client})')
        raise WireError(f'{o.client} cannot be reached: {said}. {how}; --client-command names another way than ssh')

    def read(path):
        return client.call(['cat', path]).stdout.decode(errors='replace')

    def listed(folder):
        return client.call(['ls', folder]).stdout.decode(errors='replace').split()
    if client.call([client.program('plx-load'), '--version']).returncode != 0:
        raise WireError(f'{o.client} has no {client.program("plx-load")} that runs: clone and build this project there (tools/setup; meson setup build; '
                        'ninja -C build), or say with --client-folder where it is')
    if o.client_port:
        check_card(read, listed, o.client_port, o.client)
    if o.kernel_address and client.call([client.peers, 'make'], 1800).returncode != 0:
        raise WireError(f'{o.client}: "{client.peers} make" failed; it brings wrk and h2load, and needs root there')
