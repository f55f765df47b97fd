"""lib.py -- the lab: processes, certificates, files, namespaces and results for the tests in this folder.

A test is a function that gets a Lab; run(test) makes the Lab, and takes everything down again however the test ends:
processes are stopped by their ids, namespaces and scratch files removed. Results go out as TAP lines, which
tools/test counts. What a process said is kept beside the other logs.

    def test(lab):
        server = servers.nginx(lab, lab.site())
        got = clients.curl(lab, server.url('64k.bin'))
        lab.check('curl_from_nginx', got.is_same(lab, '64k.bin'), got.text)

    lib.run(test)

Traffic stays on loopback addresses or in the Lab's own namespaces. Ports come from 20000 to 20999.
"""
import atexit
import hashlib
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
from tap import Tap  # noqa: E402

BUILD = os.path.abspath(os.environ.get('PLX_BUILD') or os.path.join(TOP, 'build'))
PEERS = os.path.join(TOP, 'tools', 'peers')
PORTS = range(20000, 21000)

# The files every client fetches from every server.
SIZES = {'0.bin': 0, '1.bin': 1, '64k.bin': 64 << 10, '10m.bin': 10 << 20, '100m.bin': 100 << 20}


class LabError(Exception):
    """The lab itself could not do something; the message says what, and the remedy."""


def content(name, size):
    """The bytes of a test file, in pieces; the same on every machine."""
    source = random.Random(name)
    while size > 0:
        piece = source.randbytes(min(size, 1 << 20))
        size -= len(piece)
        yield piece


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Proc:
    """A process of the lab, and what it says."""

    def __init__(self, lab, name, argv, env, netns, cwd, pass_fds=(), preexec=None):
        self.name = name
        self.log = os.path.join(lab.logs, f'{len(lab.procs):02}-{name}.log')
        if netns:
            argv = ['ip', 'netns', 'exec', netns] + argv
        with open(self.log, 'w') as log:
            log.write('$ ' + ' '.join(argv) + '\n')
            log.flush()
            try:
                self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
                                              env={**os.environ, **(env or {})}, start_new_session=True, close_fds=True,
                                              pass_fds=pass_fds, preexec_fn=preexec)
            except OSError as e:
                raise LabError(f'cannot start {argv[0]}: {e.strerror}') from None
        self.pid = self.popen.pid

    def text(self):
        """What it has said, without our own first line."""
        with open(self.log, errors='replace') as f:
            return f.read().partition('\n')[2]

    def tail(self, lines=15):
        return '\n'.join(self.text().splitlines()[-lines:])

    def is_alive(self):
        return self.popen.poll() is None

    def wait(self, timeout):
        """The exit status, or None when it still runs after `timeout` seconds."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def wait_for(self, what, is_there, timeout=20):
        end = time.monotonic() + timeout
        while not (found := is_there()):
            if not self.is_alive():
                raise LabError(f'{self.name} ended with status {self.popen.returncode} before {what}; it said:\n{self.tail()}')
            if time.monotonic() > end:
                raise LabError(f'{self.name}: no {what} within {timeout} s; it said:\n{self.tail()}')
            time.sleep(0.05)
        return found

    def wait_line(self, pattern, timeout=20):
        return self.wait_for(f'line like {pattern!r}', lambda: re.search(pattern, self.text(), re.M), timeout)

    def wait_udp(self, port, timeout=20):
        """Until somebody in its network namespace has bound that UDP port."""
        def is_bound():
            for table in ('udp', 'udp6'):
                try:
                    with open(f'/proc/{self.pid}/net/{table}') as f:
                        if any(line.split()[1].endswith(f':{port:04X}') for line in f.readlines()[1:]):
                            return True
                except OSError:
                    pass
            return False
        return self.wait_for(f'UDP socket on port {port}', is_bound, timeout)

    def signal(self, number):
        if self.is_alive():
            os.kill(self.pid, number)

    def stop(self, patience=5):
        """Ends it, politely first; also what it has started (its own session, made by us)."""
        if self.is_alive():
            self.signal(signal.SIGTERM)
            self.wait(patience)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.popen.wait()
        return self.popen.returncode

    def core(self):
        """A core of it as it is now, beside its log, when there is a gcore: where it lies. They are large, so only one is made of each."""
        path = f'{self.log}.core.{self.pid}'
        if shutil.which('gcore') and self.is_alive() and not os.path.exists(path):
            subprocess.run(['gcore', '-o', self.log + '.core', str(self.pid)], capture_output=True)
        return f'{self.name}: {path if os.path.exists(path) else "no core"}'

    def cpu_seconds(self):
        with open(f'/proc/{self.pid}/stat') as f:
            fields = f.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Cert:
    """A CA of our own and a certificate by it: ECDSA P-256, good for loopback and the given addresses and names."""

    def __init__(self, folder, names):
        self.folder = folder
        self.ca, self.cert, self.key, self.pem = (os.path.join(folder, n) for n in ('ca.pem', 'cert.pem', 'key.pem', 'both.pem'))
        ca_key, request, extensions = (os.path.join(folder, n) for n in ('ca.key', 'cert.csr', 'cert.ext'))
        alt = []
        for n in ('localhost', '127.0.0.1', '::1', *names):
            alt.append(('IP:' if re.fullmatch(r'[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*', n) else 'DNS:') + n)
        with open(extensions, 'w') as f:
            f.write('subjectAltName=' + ','.join(alt) + '\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n')
        new_key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
        self.openssl('req', '-x509', *new_key, '-keyout', ca_key, '-out', self.ca, '-days', '30', '-subj', '/CN=Pollux test CA',
                     '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign')
        self.openssl('req', *new_key, '-keyout', self.key, '-out', request, '-subj', '/CN=localhost')
        self.openssl('x509', '-req', '-in', request, '-CA', self.ca, '-CAkey', ca_key, '-CAcreateserial', '-out', self.cert,
                     '-days', '30', '-extfile', extensions)
        with open(self.pem, 'w') as f:
            f.write(open(self.cert).read() + open(self.key).read())

    @staticmethod
    def openssl(*args, data=None):
        done = subprocess.run(['openssl', *args], input=data, capture_output=True)
        if done.returncode != 0:
            raise LabError('openssl ' + ' '.join(args) + ': ' + done.stderr.decode(errors='replace'))
        return done.stdout

    def spki_hash(self):
        """What Chromium's --ignore-certificate-errors-spki-list wants: base64 of SHA-256 of the public key."""
        public = self.openssl('x509', '-in', self.cert, '-noout', '-pubkey')
        der = self.openssl('pkey', '-pubin', '-outform', 'der', data=public)
        return subprocess.run(['base64'], input=hashlib.sha256(der).digest(), capture_output=True, check=True).stdout.decode().strip()


class Site:
    """A folder of files to serve, with their hashes. translation: a table for bytes.translate(), where not every octet will do."""

    def __init__(self, folder, sizes, translation=None):
        self.folder, self.sizes, self.hashes = folder, dict(sizes), {}
        os.makedirs(folder, exist_ok=True)
        for name, size in sizes.items():
            digest = hashlib.sha256()
            with open(os.path.join(folder, name), 'wb') as f:
                for piece in content(name, size):
                    piece = piece.translate(translation)
                    f.write(piece)
                    digest.update(piece)
            self.hashes[name] = digest.hexdigest()
        with open(os.path.join(folder, 'index.html'), 'w') as f:
            f.write('<!doctype html><meta charset=utf-8><title>lab</title><link rel=icon href="data:,"><p>lab\n')


class Lab(Tap):
    def __init__(self, name):
        self.name, self.prefix = name, 'plx'
        self.procs, self.namespaces = [], []
        self.logs = os.path.join(BUILD, 'test-logs', 'interop', name)
        shutil.rmtree(self.logs, ignore_errors=True)
        os.makedirs(self.logs)
        # In memory where there is room: disk-backed runs vary fourfold.
        shm = '/dev/shm'
        roomy = os.path.isdir(shm) and shutil.disk_usage(shm).free > 4 << 30
        self.folder = tempfile.mkdtemp(prefix=f'plx-{name}-', dir=shm if roomy else None)
        os.chmod(self.folder, 0o755)
        self._port = random.Random(os.getpid()).choice(PORTS)
        self._cert = self._site = None
        sweep_namespaces()

    # --- results

    def attempt(self, scenario, function, *args, **named):
        """Runs one scenario: what it raises is its failure, and the others go on. It returns (is_ok, detail) or None."""
        name, begun = scenario, time.monotonic()
        try:
            result = function(*args, **named)
        except LabError as e:
            return self.check(name, False, e)
        except Exception:
            return self.check(name, False, traceback.format_exc())
        is_ok, detail = result if isinstance(result, tuple) else (True, '')
        if time.monotonic() - begun > 5:
            self.say(f'{name} took {time.monotonic() - begun:.0f} s')
        return self.check(name, is_ok, detail)

    def say(self, text):
        print('# ' + text, flush=True)

    # --- things

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def make_folder(self, name):
        return tempfile.mkdtemp(prefix=name + '-', dir=self.folder)

    def cert(self, *names):
        if self._cert is None:
            self._cert = Cert(self.make_folder('cert'), names)
        return self._cert

    def site(self, sizes=None, translation=None):
        if self._site is None:
            self._site = Site(self.path('site'), sizes or SIZES, translation)
        return self._site

    def port(self):
        """A port that nobody has bound, neither UDP nor TCP, and that this lab has not handed out."""
        for _ in PORTS:
            self._port = PORTS[(self._port - PORTS[0] + 1) % len(PORTS)]
            try:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):
                        with socket.socket(family, kind) as s:
                            s.bind((host, self._port))
                return self._port
            except OSError:
                continue
        raise LabError('no free port from 20000 to 20999; what holds them? (ss -lun)')

    def program(self, name):
        path = os.path.join(BUILD, name)
        if not os.access(path, os.X_OK):
            raise LabError(f'{path} is not there: build it (ninja -C {BUILD}), or set PLX_BUILD')
        return path

    def start(self, name, argv, env=None, netns=None, cwd=None, **more):
        proc = Proc(self, name, [str(a) for a in argv], env, netns, cwd, **more)
        self.procs.append(proc)
        return proc

    def call(self, name, argv, timeout=120, **more):
        """Runs a program to its end: (exit status, what it said)."""
        proc = self.start(name, argv, **more)
        code = proc.wait(timeout)
        if code is None:
            proc.stop()
            return -1, proc.text() + f'\n[no end after {timeout} s]'
        return code, proc.text()

    # --- namespaces

    def netns(self, suffix):
        name = f'{self.prefix}-{os.getpid()}-{suffix}'
        ip('netns', 'add', name)
        self.namespaces.append(name)
        ip('-n', name, 'link', 'set', 'lo', 'up')
        return name

    def veth(self, ns_a, ns_b, addresses_a, addresses_b, mtu=1500, offload=False):
        """Joins two namespaces by a pair of interfaces: (name in a, name in b). Without offload packets look as on a wire."""
        tag = f'{os.getpid() % 100000:05}{len(self.namespaces)}'
        a, b = f'va{tag}', f'vb{tag}'
        ip('link', 'add', a, 'netns', ns_a, 'mtu', str(mtu), 'type', 'veth', 'peer', 'name', b, 'netns', ns_b, 'mtu', str(mtu))
        for ns, dev, addresses in ((ns_a, a, addresses_a), (ns_b, b, addresses_b)):
            for address in addresses:
                ip('-n', ns, 'addr', 'add', address, 'dev', dev, *(['nodad'] if ':' in address else []))
            ip('-n', ns, 'link', 'set', dev, 'up')
            if not offload:
                if not shutil.which('ethtool'):
                    raise LabError('ethtool is not installed: tools/setup test')
                # one at a time: not every kernel lets each of them be switched
                for feature in ('tx', 'gso', 'gro', 'tso'):
                    subprocess.run(['ip', 'netns', 'exec', ns, 'ethtool', '-K', dev, feature, 'off'], capture_output=True)
        return a, b

    def close(self):
        for proc in reversed(self.procs):
            proc.stop()
        for name in self.namespaces:
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)
        self.namespaces = []
        shutil.rmtree(self.folder, ignore_errors=True)


def ip(*args):
    done = subprocess.run(['ip', *args], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError('ip ' + ' '.join(args) + ': ' + done.stderr.strip() + ' (namespaces need root)')
    return done.stdout


def sweep_namespaces():
    """Removes what a killed run left behind: namespaces that carry the number of a process that is gone."""
    listed = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True).stdout
    for name, pid in re.findall(r'^(plxd?-(\d+)-\S+)', listed, re.M):
        if not os.path.exists(f'/proc/{pid}'):
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)


def run(test):
    """The frame of every script: a lab, the test, and an exit status that says whether all of it passed."""
    name = os.path.basename(sys.argv[0]).rsplit('.', 1)[0]
    lab = Lab(name)
    atexit.register(lab.close)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, frame: sys.exit(128 + n))
    try:
        test(lab)
    except LabError as e:
        lab.check('lab', False, e)
    except Exception:
        lab.check('exception', False, traceback.format_exc())
    sys.exit(lab.end())
