#!/usr/bin/env python3
"""What people do wrong with DPDK, and what the programs say about it: the cause, and what to do. Each row is a command line, who runs it,
and words that its message must have. Nothing of it may hang, and the exit status is never 0. Needs root, for a namespace of its own."""
# timeout: 300
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from cert import self_signed  # noqa: E402
from tap import Tap  # noqa: E402

BUILD = os.path.abspath(os.environ.get('PLX_BUILD') or os.path.join(TOP, 'build'))
NETNS, PREFIX = f'plxd-{os.getpid()}-errors', f'--file-prefix=plxde{os.getpid()}'
PLAIN = ['--no-pci', '--no-huge', '-m', '256', '--no-telemetry', PREFIX]
IP = ['--ip', '10.213.9.1/24']
PACKET = ['--vdev', 'net_af_packet0,iface=veth0']

# name, options, EAL's arguments, without rights?, what the message says (each a regular expression)
ROWS = [
    ('no_device', IP, PLAIN, False, [r'found no device', r'--vdev net_af_xdp0,iface=']),
    ('unknown_driver', IP, [*PLAIN, '--vdev', 'net_nonsense0'], False, [r'no driver of that name', r'net_memif']),
    ('no_such_interface', IP, [*PLAIN, '--vdev', 'net_af_packet0,iface=nowhere'], False, [r'no interface "nowhere"', r'ip link']),
    ('no_such_interface_xdp', IP, [*PLAIN, '--vdev=net_af_xdp0,iface=nowhere'], False, [r'no interface "nowhere"', r'ip link']),
    ('interface_not_named', IP, [*PLAIN, '--vdev', 'net_af_xdp0'], False, [r'names no interface', r',iface=INTERFACE']),
    ('unknown_argument', IP, [*PLAIN, '--frobnicate'], False, [r'DPDK did not start', r'argument it does not know']),
    ('too_little_memory', IP, ['--no-pci', '--no-huge', '-m', '8', PREFIX, *PACKET], False, [r'no memory', r'-m MEGABYTES']),
    ('other_device', [*IP, '--device', 'net_other'], [*PLAIN, *PACKET], False, [r'no device "net_other"', r'there is: net_af_packet0']),
    ('device_option', [*IP, '--device', 'net_af_packet0,colour=red'], [*PLAIN, *PACKET], False, [r'"colour=red"', r'vlan=1\.\.4094']),
    ('too_many_workers', [*IP, '--workers', '2'], [*PLAIN, *PACKET], False, [r'1 queue\b', r'fewer workers']),
    ('too_large_mtu', [*IP, '--mtu', '9216'], [*PLAIN, *PACKET], False, [r'refused an MTU of 9216', r'smaller']),
    ('no_address', [], [*PLAIN, *PACKET], False, [r'needs --ip ADDRESS/PREFIX']),
    ('bad_address', ['--ip', '10.213.9.1'], [*PLAIN, *PACKET], False, [r'want ADDRESS/PREFIX']),
    ('memif_nobody_there', IP, [*PLAIN, '--vdev', 'net_memif0,role=client,socket=FOLDER/x,socket-abstract=no'], False,
     [r'start the other side first', r'role=server']),
    ('memif_no_folder', IP, [*PLAIN, '--vdev', 'net_memif0,role=server,socket=FOLDER/no/x,socket-abstract=no'], False, [r'make the folder FOLDER/no']),
    ('no_rights_af_packet', IP, [*PLAIN, *PACKET], True, [r'needs rights', r'CAP_NET_RAW', r'root']),
    ('no_rights_af_xdp', IP, [*PLAIN, '--vdev', 'net_af_xdp0,iface=veth0'], True, [r'needs rights', r'CAP_NET_ADMIN', r'root']),
    ('no_rights_tap', IP, [*PLAIN, '--vdev', 'net_tap0'], True, [r'needs rights', r'CAP_NET_ADMIN', r'root']),
]


def run(argv, without_rights=False):
    drop = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] if without_rights else []
    try:
        done = subprocess.run(['ip', 'netns', 'exec', NETNS, *drop, *argv], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None, 'no end after 30 s'
    return done.returncode, done.stdout + done.stderr


def check(tap, name, code, text, program, words):
    said = [line for line in text.splitlines() if line.startswith(program + ':')]
    missing = [w for w in words if not re.search(w, ' '.join(said))]
    ok = code not in (0, None) and code > 0 and not missing and len(said) == 1
    tap.check(name, ok, '\n'.join([f'exit status {code}, {len(said)} lines of {program}, without {missing}', *text.splitlines()[-12:]]))


def cases(tap, folder):
    cert, key = self_signed(folder)
    serve = [os.path.join(BUILD, 'apps', 'plx-serve'), '--cert', cert, '--key', key, '--listen', '10.213.9.1:23990', '--driver', 'ethdev']
    get = [os.path.join(BUILD, 'apps', 'plx-get'), '--driver', 'ethdev', *IP, 'https://10.213.9.2:23990/']
    for name, options, eal, without_rights, words in ROWS:
        eal, words = ([w.replace('FOLDER', folder) for w in given] for given in (eal, words))
        code, text = run([*serve, *options, '--', *eal], without_rights)
        check(tap, name, code, text, 'plx-serve', words)
    code, text = run([*get, '--', *PLAIN, '--vdev', 'net_af_xdp0,iface=nowhere'])
    check(tap, 'plx-get no_such_interface', code, text, 'plx-get', [r'no interface "nowhere"'])
    code, text = run([*serve[:-2], '--', *PLAIN])
    check(tap, 'arguments_without_ethdev', code, text, 'plx-serve', [r'are for --driver ethdev'])
    # a machine without huge pages, whatever this one has: the kernel's folder of them is hidden from this one process
    hide = 'mount -t tmpfs none /sys/kernel/mm/hugepages && exec "$@"'
    code, text = run(['unshare', '--mount', 'sh', '-c', hide, 'sh', *serve, *IP, '--', '--no-pci', PREFIX])
    check(tap, 'no_huge_pages', code, text, 'plx-serve', [r'no huge pages', r'sysctl vm\.nr_hugepages=', r'--no-huge -m 512'])


def main():
    tap = Tap()
    if os.getuid() != 0:
        tap.check('root', False, 'this needs root, for a network namespace of its own: sudo -E tools/test smoke')
        return tap.end()
    with tempfile.TemporaryDirectory(prefix='plxd-errors-') as folder:
        subprocess.run(['ip', 'netns', 'add', NETNS], check=True)
        try:
            subprocess.run(['ip', '-n', NETNS, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1'], check=True)
            for device in ('veth0', 'veth1'):
                subprocess.run(['ip', '-n', NETNS, 'link', 'set', device, 'up'], check=True)
            cases(tap, folder)
            return tap.end()
        finally:
            subprocess.run(['ip', 'netns', 'del', NETNS])


sys.exit(main())
