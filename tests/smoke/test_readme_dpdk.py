#!/usr/bin/env python3
"""The README's commands for DPDK, taken from the README and run as they stand, in a network namespace of their own: what a reader types
must work. Only the folder of the programs, the name of the client's namespace and that of memif's socket are our own."""
# timeout: 120
# alone: memif polls on both sides
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
OUTER, CLIENT = f'plxd-{os.getpid()}-readme', f'plxd-{os.getpid()}-client'

# A server goes to the background in the README; here it is waited for, and ended in the end.
FRAME = r'''
set -e
cleanup() { for p in $(jobs -p); do kill "$p"; wait "$p"; done; }
trap cleanup EXIT
fetch() { for i in $(seq 50); do "$@" && return 0; [ $i -lt 50 ] || return 1; sleep 0.2; done; }
%s
'''


def blocks():
    """The shell blocks of the section, by the words in front of them."""
    with open(os.path.join(TOP, 'README.md')) as f:
        section = f.read().partition('\n## Over DPDK\n')[2].partition('\n## ')[0]
    return {name: text for name, text in re.findall(r'\*\*([^*]+)\*\*[^`]*(?:`[^`]+`[^`]*)*?```sh\n(.*?)```', section, re.S)}


def run(tap, name, text, folder):
    text = text.replace('build/apps/', BUILD + '/apps/').replace('/run/plx.sock', folder + '/plx.sock')
    text = re.sub(r'\bnetns (add|exec) client\b', rf'netns \1 {CLIENT}', text)
    text = re.sub(r'\bnetns client\b|-n client\b', lambda m: m.group(0).replace('client', CLIENT), text)
    text = re.sub(r'^((?:ip netns exec \S+ )?\S*plx-get )', r'fetch \1', text, flags=re.M)  # the server may need a moment
    done = subprocess.run(['ip', 'netns', 'exec', OUTER, 'bash', '-c', FRAME % text], cwd=folder, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    with open(os.path.join(folder, 'README.md')) as f:
        tap.check(name, f.read() in done.stdout, '\n'.join([*text.splitlines(), *(done.stdout + done.stderr).splitlines()[-12:]]))


def main():
    tap, found = Tap(), blocks()
    wanted = {name: text for name, text in found.items() if name.startswith(('AF_XDP', 'memif'))}
    if len(wanted) != 3:
        tap.check('blocks', False, f'the README has blocks {list(found)}, not one for AF_XDP and two for memif')
        return tap.end()
    with tempfile.TemporaryDirectory(prefix='plxd-readme-') as folder:
        self_signed(folder)
        with open(folder + '/README.md', 'w') as f:
            f.write('what the server is asked for\n')
        subprocess.run(['ip', 'netns', 'add', OUTER], check=True)
        try:
            for name, text in wanted.items():
                run(tap, name, text, folder)
            return tap.end()
        finally:
            for name in (CLIENT, OUTER):
                subprocess.run(['ip', 'netns', 'del', name], capture_output=True)


sys.exit(main())
