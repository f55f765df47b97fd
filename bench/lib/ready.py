"""ready.py -- whether this machine can be measured on, and what to do when it cannot."""
import os
import shutil
import subprocess
import sys

import servers
from net import AHEAD


def option_nice(p):
    p.add_argument('--nice', type=int, default=AHEAD, choices=range(-20, 20), metavar='N',
                   help=f'priority of servers and generators (default {AHEAD}: ahead of whatever else runs; 10 to see that it works on a busy machine)')


def option_fair(p):
    p.add_argument('--as-they-come', action='store_true', help='repeat no run for where the host had put the two processors meanwhile (docs/measurement.md, Two processors)')


TOOLS = ('ip', 'ethtool', 'taskset', 'openssl', 'perf', 'debootstrap')
PROGRAMS = ('apps/plx-serve', 'apps/plx-load', 'bench/wire', 'bench/cores', 'bench/idle', 'bench/twins', 'bench/shake', 'bench/bare')


def make(p):
    """What a fresh clone on a fresh machine lacks: packages, and a build. Programs named by PLX_BUILD are somebody else's business."""
    is_ours, log = 'PLX_BUILD' not in os.environ, os.path.join(servers.BUILD, 'bench.log')
    lacks = [name for name in PROGRAMS if not os.path.exists(os.path.join(servers.BUILD, name))]
    if [t for t in TOOLS if not shutil.which(t)] or (lacks and is_ours):
        if subprocess.run([os.path.join(servers.TOP, 'tools', 'setup'), 'build', 'bench']).returncode != 0:
            p.exit(1, f'{p.prog}: tools/setup failed; what it said is above\n')
    if not lacks or not is_ours:
        return
    print(f'{p.prog}: building (the first time takes some minutes)', file=sys.stderr, flush=True)
    os.makedirs(servers.BUILD, exist_ok=True)
    with open(log, 'w') as f:
        for argv in ([] if os.path.exists(os.path.join(servers.BUILD, 'build.ninja')) else [['meson', 'setup', servers.BUILD, servers.TOP]],
                     [['ninja', '-C', servers.BUILD, *PROGRAMS]]):
            for command in argv:
                if subprocess.run(command, stdout=f, stderr=f).returncode != 0:
                    p.exit(1, f'{p.prog}: {" ".join(command)} failed; {log} says why\n')


def check(p, cells, needs_client=True, with_peers=True):
    """needs_client: the generator runs here, too. with_peers: other people's servers are made at once, which takes minutes; else peers() does it."""
    if os.cpu_count() < 2 and needs_client:
        p.exit(1, f'{p.prog}: this needs two CPUs: the server runs on CPU 0, the generator on CPU 1\n')
    if os.geteuid() != 0:
        p.exit(1, f'{p.prog}: this needs root (network namespaces, and a root of servers of other people)\n')
    make(p)
    try:
        for name in ('plx-serve', 'plx-load') if needs_client else ('plx-serve',):
            servers.program(name)
    except servers.ServerError as e:
        p.exit(1, f'{p.prog}: {e}\n')
    if with_peers:
        peers(p, cells)


def peers(p, cells):
    if any(not c.is_pollux for c in cells):
        if subprocess.run([servers.PEERS, 'make']).returncode != 0:
            p.exit(1, f'{p.prog}: tools/peers could not make the root with the other servers; what it said is above\n')
