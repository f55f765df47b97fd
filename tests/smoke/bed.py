"""bed.py -- what the scripts of this folder share: a scratch folder, a certificate, servers and clients of our own, TAP lines.

    with Bed() as bed:
        server = bed.serve('--root', bed.path('site'))
        reply = bed.get(server, '/index.html')
        bed.check('index', reply.status == 200, reply)
    sys.exit(bed.end())

Only the standard library and openssl(1). Traffic stays on 127.0.0.1, ports 21000 to 21999. Processes are ended by their own ids,
however the script ends.
"""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))
from cert import self_signed  # noqa: E402
from tap import Tap  # noqa: E402

BUILD = os.path.abspath(os.environ.get('PLX_BUILD') or os.path.join(TOP, 'build'))
PATIENCE = 60  # seconds until something that must happen counts as not happening


class Reply:
    """What plx-get brought: its exit status, what it said, and the last head with its body."""

    def __init__(self, code, text, octets):
        self.code, self.text, self.status, self.fields, self.body = code, text, 0, {}, octets
        match = re.match(rb'HTTP/3 (\d+)\n((?:.+\n)*)\n', octets)
        if match:
            self.status, self.body = int(match.group(1)), octets[match.end():]
            for line in match.group(2).decode('latin1').splitlines():
                name, _, value = line.partition(': ')
                self.fields[name] = value

    def __str__(self):
        return f'exit {self.code}, status {self.status}, {self.fields}, {len(self.body)} octets {self.body[:60]!r}; {self.text.strip()}'


class Server:
    def __init__(self, bed, name, argv, port):
        self.port, self.log = port, bed.path(f'{name}.log')
        with open(self.log, 'wb') as log:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def text(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def wait_text(self, pattern):
        return wait_for(lambda: re.search(pattern, self.text(), re.M) or self.popen.poll() is not None) and re.search(pattern, self.text(), re.M)

    def send(self, number):
        self.popen.send_signal(number)

    def end(self, number=signal.SIGTERM):
        """Asks it to end and returns its exit status; None when it would not."""
        if self.popen.poll() is None:
            self.send(number)
        try:
            return self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return None

    def status_kb(self, field):
        with open(f'/proc/{self.popen.pid}/status') as f:
            return int(re.search(rf'^{field}:\s+(\d+)', f.read(), re.M).group(1))


def wait_for(is_there):
    """True as soon as is_there() is; False when it would not for a long time."""
    end = time.monotonic() + PATIENCE
    while not is_there():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Bed(Tap):
    def __init__(self):
        roomy = os.path.isdir('/dev/shm') and shutil.disk_usage('/dev/shm').free > 2 << 30
        self.folder = tempfile.mkdtemp(prefix='plx-smoke-', dir='/dev/shm' if roomy else None)
        self.count = 0
        self.running = []
        self.next_port = random.Random(os.getpid()).randrange(21000, 22000)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda n, frame: sys.exit(128 + n))

    def __enter__(self):
        self.certificate()
        return self

    def __exit__(self, kind, value, trace):
        for popen in self.running:
            if popen.poll() is None:
                popen.kill()
            popen.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if kind is not None and kind is not SystemExit:
            self.check('exception', False, ''.join(traceback.format_exception(kind, value, trace)))
        return kind is not SystemExit

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, content, mode='w'):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, mode if isinstance(content, str) else 'wb') as f:
            f.write(content)
        return path

    def certificate(self):
        self.cert, self.key = self_signed(self.folder, 'DNS:localhost', 'IP:127.0.0.1')

    def port(self):
        """A UDP port of ours that nobody has bound."""
        for _ in range(1000):
            self.next_port = 21000 + (self.next_port + 1 - 21000) % 1000
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                try:
                    s.bind(('127.0.0.1', self.next_port))
                    return self.next_port
                except OSError:
                    continue
        raise OSError('no free port from 21000 to 21999')

    @staticmethod
    def program(name):
        return os.path.join(BUILD, 'apps', name)

    def serve(self, *options):
        """A plx-serve that says it listens, small."""
        port = self.port()
        return self.serve_plain('--listen', f'127.0.0.1:{port}', '--cert', self.cert, '--key', self.key, '--conns', '1024', '--handshakes', '256',
                                '--streams', '4096', '--buffers', '128', *options, port=port)

    def serve_plain(self, *argv, port):
        """The same without any option of ours; port: where it will listen."""
        self.count += 1
        server = Server(self, f'serve-{self.count}', [self.program('plx-serve'), *argv], port)
        self.running.append(server.popen)
        if not server.wait_text(r'^plx-serve .*https://'):
            raise RuntimeError('plx-serve did not start: ' + server.text())
        return server

    def get_argv(self, server, path, *options):
        return [self.program('plx-get'), '-s', '--cacert', self.cert, *options, f'https://127.0.0.1:{server.port}{path}']

    def get(self, server, path, *options):
        done = subprocess.run(self.get_argv(server, path, '-i', *options), capture_output=True, timeout=PATIENCE)
        return Reply(done.returncode, done.stderr.decode(errors='replace'), done.stdout)

    def get_start(self, server, path, out, *options):
        """A download in the background, to a file."""
        popen = subprocess.Popen(self.get_argv(server, path, '-o', out, *options), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.running.append(popen)
        return popen

    @staticmethod
    def run(*argv):
        done = subprocess.run(argv, capture_output=True, timeout=PATIENCE)
        return done.returncode, done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0
