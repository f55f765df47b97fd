"""servers.py -- the systems under test, each serving one folder on CPU 0.

All have the same certificate, TLS 1.3 with AES-128-GCM and X25519, one worker, no access log unless one is asked for (log.py), and
what their own manuals name for speed (nginx: sendfile, open_file_cache, GSO; a receive buffer that holds what a closed loop has in
flight). caddy has no setting for the ciphersuite; the generator offers nothing else. haproxy serves no files: it answers from its own
memory, large bodies from its cache (origin.py), which spares it the work of a second hop.
"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import time

import machine

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('PLX_BUILD') or os.path.join(TOP, 'build'))
PEERS = os.path.join(TOP, 'tools', 'peers')
CPU = '0'
PATIENCE = 30
# Of a server's UDP socket: 64 connections with 100 requests each are 256 datagrams at once, and the kernel's usual buffer holds 90.
ROOM = 8 << 20


class ServerError(Exception):
    """The server would not start, or broke; the message shows what it said."""


def program(name):
    path = os.path.join(BUILD, 'apps', name)
    if not os.path.exists(path):
        raise ServerError(f'{path} is missing: ninja -C build apps/{name}')
    return path


def eal(prefix, vdev):
    """Arguments for DPDK. Without huge pages: the figures are those of any machine, not of one that was prepared."""
    return ['--', '--no-pci', '--no-huge', '-m', '1024', '--no-telemetry', f'--file-prefix={prefix}', '--vdev', vdev]


def memif(role, conns, folder):
    """An end of a memif link whose socket is in this folder, for --device."""
    ring = min(14, max(10, (2 * conns - 1).bit_length()))  # 1,024 places are usual; a datagram of each connection must find one
    return f'role={role},rsize={ring},socket={folder}/memif.sock'


def net_memif(role, conns, folder):
    """The same by DPDK's driver: arguments for EAL."""
    if role == 'server':
        with contextlib.suppress(FileNotFoundError):  # of one that came to a bad end: no other could listen there
            os.unlink(f'{folder}/memif.sock')
    return eal(f'plxm{os.getpid()}{role}', f'net_memif0,{memif(role, conns, folder)},socket-abstract=no')


def port_options(cell, site, net, side):
    """What plx-serve (side server) or plx-load (client) has to be told about its port; nothing where it is a socket."""
    if cell.system == 'pollux-nic':
        return net.port_options(side)
    if cell.system == 'pollux-xdp' and side == 'server':
        return ['--driver', 'ethdev', '--ip', f'{net.address}/24', *eal(f'plxm{os.getpid()}x', f'net_af_xdp0,iface={net.device}')]
    if cell.system == 'pollux-memif':
        # plx-serve is the link's client: the memory is its own, and it copies nothing. plx-load copies what it sends.
        address, role = (net.address, 'client') if side == 'server' else ('10.214.0.2', 'server')
        return ['--driver', 'memif', '--ip', f'{address}/24', '--device', memif(role, cell.conns, site.scratch)]
    return []


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, 'w') as f:
        f.write(text)
    return path


COUNTERS = '/bench-counters'


READ_WHOLE = 256 << 10  # plx-serve reads larger files in pieces, for each response again, unless it is told to keep them


def has_window(cell):
    """It polls, so its processor time says nothing, and plx-load asks it for its own account when the measured time begins and ends."""
    return cell.is_polling and not (cell.handshake or cell.is_idle)


def keeps(cell):
    """Past the kernel plx-serve has a large file in its own memory, as haproxy has: what a packet costs is asked, not what a file does."""
    return cell.is_polling and cell.size > READ_WHOLE


def pollux(cell, site, net, port, log):
    argv = [program('plx-serve'), '--listen', f'{net.address}:{port}', '--root', site.folder, '--cert', site.cert, '--key', site.key, '--stats',
            '--ciphers', 'TLS_AES_128_GCM_SHA256', '--groups', 'X25519', '--retry', 'never', '--grace', '200', '--conns', str(max(16384, 2 * cell.conns)),
            '--streams', str(max(196608, cell.conns * (8 + 2 * cell.streams))), *(['--access-log', log] if log else []),
            *(['--counters', COUNTERS] if has_window(cell) else []), *(['--early-data'] if cell.handshake == '0rtt' else []),
            *(['--cache', str(2 * (cell.size >> 20) + 1), '--cache-file', str((cell.size >> 10) + 1)] if keeps(cell) else [])]
    return argv + port_options(cell, site, net, 'server')


def status_path(site, port):
    return f'{site.scratch}/{port}.sock'


def nginx(cell, site, net, port, log):
    folder = site.scratch
    temps = '\n'.join(f'  {k}_temp_path {folder}/nginx-{k};' for k in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
    listen = {'h3': f'listen {net.address}:{port} quic reuseport rcvbuf={ROOM}; quic_gso on;', 'h1-tls': f'listen {net.address}:{port} ssl;',
              'h2-tls': f'listen {net.address}:{port} ssl; http2 on;'}[cell.protocol]
    conf = write(folder, 'nginx.conf', f'''
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections {cell.conns * (8 + cell.streams) + 1000}; }}
http {{
{temps}
  log_format status '$status'; access_log {f'{log} status buffer=256k' if log else 'off'}; default_type application/octet-stream;
  sendfile on; tcp_nopush on; tcp_nodelay on; open_file_cache max=100 inactive=600s; open_file_cache_valid 600s;
  keepalive_requests 1000000000; keepalive_timeout 600s; http3_max_concurrent_streams 1000; http2_max_concurrent_streams 1000;
  server {{
    {listen}
    ssl_certificate {site.cert}; ssl_certificate_key {site.key}; ssl_protocols TLSv1.3; ssl_session_tickets on;
    ssl_ecdh_curve X25519; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    root {site.folder};
  }}
  server {{ listen unix:{status_path(site, port)}; location / {{ stub_status; }} }}
}}
''')
    return [PEERS, 'run', 'nginx', '-e', 'stderr', '-p', folder, '-c', conf]


def needs_origin(cell):
    return cell.system == 'haproxy' and cell.size > 100 << 10


def origin_path(site):
    return f'{site.scratch}/origin.sock'


def haproxy(cell, site, net, port, log):
    bind = {'h3': f'bind quic4@{net.address}:{port} ssl crt {site.pem} alpn h3', 'h1-tls': f'bind {net.address}:{port} ssl crt {site.pem} alpn http/1.1',
            'h2-tls': f'bind {net.address}:{port} ssl crt {site.pem} alpn h2'}[cell.protocol]
    # With a socket for each connection, its default, haproxy leaves connections lying for a second and more at 100 requests in flight.
    # A body that haproxy returns has to fit into a buffer; only where it must, the buffer is larger than usual. A larger one it has in its cache.
    megabytes = (cell.size >> 20) + 1
    cache = f'cache large\n  total-max-size {2 * megabytes}\n  max-object-size {megabytes << 20}\n  max-age 86400' if needs_origin(cell) else ''
    answer = (f'http-request cache-use large\n  http-response cache-store large\n  default_backend origin\nbackend origin\n'
              f'  server one unix@{origin_path(site)}' if cache else
              f'http-request return status 200 content-type application/octet-stream file {site.folder}/{cell.body} if {{ path /{cell.body} }}\n'
              f'  http-request return status 404')
    bufsize = f'tune.bufsize {cell.size + 16384}' if cell.size > 14 << 10 and not cache else ''
    lines = 'log stdout format raw local0\n  log-format %ST' if log else ''
    conf = write(site.scratch, 'haproxy.cfg', f'''
global
  nbthread 1
  limited-quic
  {bufsize}
  maxconn {cell.conns + 500}
  tune.rcvbuf.frontend {ROOM}
  tune.quic.socket-owner listener
  tune.h2.fe.max-concurrent-streams 1000
  tune.quic.frontend.max-streams-bidi 1000
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-bind-curves X25519
{cache}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend all
  {bind}
  {lines}
  {answer}
''')
    return [PEERS, 'run', 'haproxy', '-db', '-f', conf]


def caddy(cell, site, net, port, log):
    lines = f'log {{\n        output file {log} {{\n            roll_disabled\n        }}\n    }}' if log else ''
    conf = write(site.scratch, 'Caddyfile', f'''
{{
    admin off
    auto_https off
    default_sni localhost
    servers {{
        protocols h1 h2 h3
    }}
}}
https://:{port} {{
    bind {net.address}
    tls {site.cert} {site.key} {{
        protocols tls1.3
        curves x25519
    }}
    root * {site.folder}
    file_server
    {lines}
}}
''')
    homes = [f'{k}={site.scratch}' for k in ('HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME')]
    return [PEERS, 'run', 'env', 'GOMAXPROCS=1', *homes, 'caddy', 'run', '--adapter', 'caddyfile', '--config', conf]


KINDS = {'pollux-udp': pollux, 'pollux-xdp': pollux, 'pollux-memif': pollux, 'pollux-nic': pollux, 'nginx': nginx, 'haproxy': haproxy, 'caddy': caddy}


class Server:
    """A running server; a context manager, gone at the end."""

    def __init__(self, cell, site, net, port, access_log=None):
        self.cell, self.port, self.site, self.log = cell, port, site, os.path.join(site.scratch, 'server.log')
        argv = net.argv('server', ['taskset', '-c', CPU, *KINDS[cell.system](cell, site, net, port, access_log)])
        with open(self.log, 'w') as said, open(access_log or os.devnull, 'ab') as log:
            # haproxy writes its access log to a descriptor: a file never makes it wait, so it never leaves out a line
            out = log if access_log and cell.system == 'haproxy' else said
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=said, start_new_session=True)
        self.pid = self.popen.pid
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def text(self):
        return machine.read(self.log)

    def _is_up(self):
        if self.cell.is_polling:
            return re.search(r'^plx-serve .*https://', self.text(), re.M)
        tables = ('udp', 'udp6') if self.cell.protocol == 'h3' else ('tcp', 'tcp6')
        return any(f':{self.port:04X} ' in machine.read(f'/proc/{self.pid}/net/{t}') for t in tables)

    def _wait(self):
        end = time.monotonic() + PATIENCE
        while not self._is_up():
            if self.popen.poll() is not None or time.monotonic() > end:
                raise ServerError(f'{self.cell.system} did not start; it said:\n' + '\n'.join(self.text().splitlines()[-15:]))
            time.sleep(0.02)
        time.sleep(0.2)  # nginx binds before its worker runs

    def served(self):
        """Requests that nginx has answered, by its own count (each question is one, too); None for others, who do not say."""
        if self.cell.system != 'nginx':
            return None
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(status_path(self.site, self.port))
            s.sendall(b'GET / HTTP/1.0\r\n\r\n')
            answer = b''
            while piece := s.recv(4096):
                answer += piece
        return int(re.search(rb'requests\s+\d+ \d+ (\d+)', answer)[1])

    def cpu_seconds(self):
        return machine.cpu_seconds(self.pid)

    def stop(self):
        """Ends it; for Pollux: (busy seconds, requests) of its whole life, by its own account."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.popen.wait()
        match = re.search(r'^busy ([\d.]+) s', self.text(), re.M), re.search(r'^requests (\d+)', self.text(), re.M)
        return (float(match[0][1]), int(match[1][1])) if all(match) else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
