"""client.py -- where the generator runs: in a namespace of this machine, or on another machine.

    client.run(argv, seconds)      what the program said; LoadError when it would not run, or not end
    client.program('plx-load')     a program of ours, as it is called there
    client.peers                   tools/peers there: wrk and h2load
    client.put(path)               a file of ours, there; client.take(path): a file's text from there, which is then gone
    client.cpus, client.cores      the processors that the generator has
    client.start_s                 how long a program of tools/peers takes to begin, once it is known

Another machine is reached by ssh, or by any command that runs what follows it (ip netns exec NAME, docker exec -i NAME).
"""
import os
import shlex
import subprocess

import servers

PATIENCE = 60


class LoadError(Exception):
    """The generator would not run; the message shows what it said."""


class NoAnswer(LoadError):
    """Nothing was answered in the measured time; in a longer one something may be."""


def started(argv, seconds, **more):
    try:
        return subprocess.run(argv, capture_output=True, timeout=seconds + PATIENCE, start_new_session=True, **more)
    except subprocess.TimeoutExpired:
        raise LoadError(f'{" ".join(argv)}: still running a minute after it should have ended') from None
    except OSError as e:
        raise LoadError(f'{argv[0]}: {e.strerror}') from None


def said(done, argv):
    """Its standard output; 3 is the exit status of plx-load's thresholds."""
    out, err = (text.decode(errors='replace') for text in (done.stdout, done.stderr))
    if done.returncode not in (0, 3):
        raise LoadError(f'{" ".join(argv)}: exit status {done.returncode}:\n{(out + err)[-1500:]}')
    return out


class Here:
    """CPU 1 of this machine, in the client's namespace of a net."""

    is_here, cpus, cores, peers, start_s = True, '1', 1, servers.PEERS, None

    def __init__(self, net):
        self.net = net

    def run(self, argv, seconds):
        argv = self.net.argv('client', argv)
        return said(started(argv, seconds), argv)

    def program(self, name):
        return servers.program(name)

    def scratch(self, site):
        return site.scratch

    def put(self, path):
        return path

    def take(self, path):
        try:
            with open(path, errors='replace') as f:
                return f.read()
        except OSError:
            return ''
        finally:
            if os.path.exists(path):
                os.unlink(path)


class There:
    """Another machine; a context manager, because it has a scratch folder there."""

    is_here, start_s = False, None

    def __init__(self, host, command, folder, cpus):
        """command: what replaces ssh, or None; folder: the checkout over there, built in its folder build."""
        self.host, self.command, self.folder, self.cpus, self.cores = host, command, folder, cpus, len(cpu_list(cpus))
        self.peers, self.here, self.files = f'{folder}/tools/peers', None, {}

    def argv(self, argv):
        if self.command:
            return [*shlex.split(self.command), *argv]
        return ['ssh', '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', self.host, shlex.join(argv)]

    def call(self, argv, seconds=30, data=None):
        return started(self.argv(argv), seconds, input=data)

    def run(self, argv, seconds):
        return said(self.call(argv, seconds), argv)

    def program(self, name):
        return f'{self.folder}/build/apps/{name}'

    def scratch(self, site):
        return self.here

    def put(self, path):
        if path not in self.files:
            with open(path, 'rb') as f:
                there = f'{self.here}/{len(self.files)}-{os.path.basename(path)}'
                said(self.call(['sh', '-c', 'cat >"$1"', 'sh', there], data=f.read()), ['cat'])
            self.files[path] = there
        return self.files[path]

    def take(self, path):
        return self.run(['sh', '-c', 'cat "$1" 2>/dev/null; rm -f "$1"', 'sh', path], 30)

    def __enter__(self):
        self.here = self.run(['mktemp', '-d', '/tmp/plx-cost-XXXXXX'], 30).strip()
        return self

    def __exit__(self, *exc):
        if self.here:
            self.call(['rm', '-rf', self.here])
            self.here = None


def cpu_list(text):
    """The processors of "1", "2,3" or "4-7"; ValueError when it is none."""
    out = []
    for part in text.split(','):
        first, dash, last = part.partition('-')
        out += range(int(first), int(last if dash else first) + 1)
    if not out or len(set(out)) != len(out):
        raise ValueError(text)
    return out
