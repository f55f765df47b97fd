"""ready.py -- whether this machine can be measured on, and what to do when it cannot."""
import os
import shutil
import subprocess

import servers
from net import AHEAD


def option_nice(p):
    p.add_argument('--nice', type=int, default=AHEAD, choices=range(-20, 20), metavar='N',
                   help=f'priority of servers and generators (default {AHEAD}: ahead of whatever else runs; 10 to see that it works on a busy machine)')


def check(p, cells, needs_client=True):
    """needs_client: the generator runs here, too."""
    if os.cpu_count() < 2 and needs_client:
        p.exit(1, f'{p.prog}: this needs two CPUs: the server runs on CPU 0, the generator on CPU 1\n')
    if os.geteuid() != 0:
        p.exit(1, f'{p.prog}: this needs root (network namespaces, and a root of servers of other people)\n')
    for tool in ('ip', 'ethtool', 'taskset', 'openssl'):
        if not shutil.which(tool):
            p.exit(1, f'{p.prog}: {tool} is missing: tools/setup; or apt-get install iproute2 ethtool util-linux openssl\n')
    try:
        for name in ('plx-serve', 'plx-load') if needs_client else ('plx-serve',):
            servers.program(name)
    except servers.ServerError as e:
        p.exit(1, f'{p.prog}: {e}\n')
    if any(not c.is_pollux for c in cells):
        if subprocess.run([servers.PEERS, 'make']).returncode != 0:
            p.exit(1, f'{p.prog}: tools/peers could not make the root with the other servers; what it said is above\n')
