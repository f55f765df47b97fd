"""servers.py -- other people's HTTP/3 servers, and ours, each serving one folder on loopback.

Every starter returns a Server once it has bound its port. ADDRESSES are those it listens on; a namespace may be given.
"""
import http.server
import os
import threading

from lib import PEERS, LabError


LOOPBACK = ('127.0.0.1', '::1')


class Server:
    def __init__(self, lab, kind, proc, port, addresses, close=None, is_kernel=True):
        """is_kernel: the port can be seen among the kernel's sockets; else the program must say that it listens."""
        self.lab, self.kind, self.proc, self.port, self.addresses, self._close = lab, kind, proc, port, addresses, close
        if is_kernel:
            proc.wait_udp(port)
        else:
            proc.wait_line(rf':{port}\b', 30)

    def url(self, path, host=None):
        host = host or ('localhost' if self.addresses == LOOPBACK else self.addresses[0])
        return f'https://{"[" + host + "]" if ":" in host else host}:{self.port}/{path}'

    def stop(self):
        self.proc.stop()
        if self._close:
            self._close()


def bracket(address):
    return f'[{address}]' if ':' in address else address


def write(lab, name, text):
    path = lab.path(name)
    with open(path, 'w') as f:
        f.write(text)
    return path


def nginx(lab, site, netns=None, addresses=LOOPBACK):
    port, cert = lab.port(), lab.cert()
    folder = lab.make_folder('nginx')
    listen = '\n'.join(f'    listen {bracket(a)}:{port} quic reuseport;\n    listen {bracket(a)}:{port} ssl;' for a in addresses)
    temps = '\n'.join(f'  {k}_temp_path {folder}/{k};' for k in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
    conf = write(lab, f'nginx-{port}.conf', f'''
daemon off; user root; worker_processes 1; pid {folder}/pid; error_log stderr info;
events {{ worker_connections 4096; }}
http {{
{temps}
  access_log off; default_type application/octet-stream; types {{ text/html html; }}
  http3_max_concurrent_streams 256; keepalive_requests 1000000;
  server {{
{listen}
    ssl_certificate {cert.cert}; ssl_certificate_key {cert.key}; ssl_protocols TLSv1.3; ssl_session_tickets on;
    root {site.folder};
  }}
}}
''')
    proc = lab.start('nginx', [PEERS, 'run', 'nginx', '-e', 'stderr', '-p', folder, '-c', conf], netns=netns)
    return Server(lab, 'nginx', proc, port, addresses)


def caddy(lab, site, netns=None, addresses=LOOPBACK):
    port, cert = lab.port(), lab.cert()
    home = lab.make_folder('caddy')
    conf = write(lab, f'Caddyfile-{port}', f'''
{{
    admin off
    auto_https off
    default_sni localhost
    servers {{
        protocols h1 h2 h3
    }}
}}
https://:{port} {{
    bind {' '.join(addresses)}
    tls {cert.cert} {cert.key}
    root * {site.folder}
    file_server
}}
''')
    homes = [f'{k}={home}' for k in ('HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME')]  # inside only: peers finds its root by HOME
    proc = lab.start('caddy', [PEERS, 'run', 'env', *homes, 'caddy', 'run', '--adapter', 'caddyfile', '--config', conf], netns=netns)
    return Server(lab, 'caddy', proc, port, addresses)


class _Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass


def haproxy(lab, site, addresses=LOOPBACK):
    """haproxy serves no files: behind it stands a small HTTP/1.1 server of ours, in this process.

    Debian's haproxy stands on an OpenSSL without its QUIC patches; "limited-quic" is all of it but 0-RTT."""
    port, back, cert = lab.port(), lab.port(), lab.cert()
    backend = http.server.ThreadingHTTPServer(('127.0.0.1', back), lambda *a: _Files(*a, directory=site.folder))
    backend.daemon_threads = True
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    binds = '\n'.join(f'  bind quic{6 if ":" in a else 4}@{a}:{port} ssl crt {cert.pem} alpn h3' for a in addresses)
    conf = write(lab, f'haproxy-{port}.cfg', f'''
global
  log stderr format raw local0 warning
  limited-quic
  tune.quic.frontend.max-streams-bidi 256
defaults
  mode http
  log global
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend quic
{binds}
  default_backend files
backend files
  server one 127.0.0.1:{back}
''')

    def close():
        backend.shutdown()
        backend.server_close()

    proc = lab.start('haproxy', [PEERS, 'run', 'haproxy', '-db', '-f', conf])
    return Server(lab, 'haproxy', proc, port, addresses, close)


def gtlsserver(lab, site, address='127.0.0.1'):
    port, cert = lab.port(), lab.cert()
    proc = lab.start('gtlsserver', [PEERS, 'run', 'gtlsserver', '--quiet', f'--htdocs={site.folder}', address, port, cert.key, cert.cert])
    return Server(lab, 'gtlsserver', proc, port, (address,))


def aioquic(lab, site, address='127.0.0.1'):
    port, cert = lab.port(), lab.cert()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'aioquic_serve.py')
    proc = lab.start('aioquic_serve', [PEERS, 'run', 'python3', script, address, port, cert.cert, cert.key, site.folder])
    return Server(lab, 'aioquic', proc, port, (address,))


ALL = {'nginx': nginx, 'caddy': caddy, 'haproxy': haproxy, 'gtlsserver': gtlsserver, 'aioquic': aioquic}


def plx_serve(lab, site, *options, addresses=LOOPBACK, driver='udp', env=None, netns=None, eal=()):
    """Ours. One engine listens on every address: --listen may be given again. `eal` is what follows "--" with ethdev."""
    port, cert = lab.port(), lab.cert()
    argv = [lab.program('apps/plx-serve')]
    for a in addresses:
        argv += ['--listen', f'{bracket(a)}:{port}']
    argv += ['--driver', driver, '--root', site.folder, '--cert', cert.cert, '--key', cert.key, *options]
    if eal:
        argv += ['--', *eal]
    proc = lab.start('plx-serve', argv, env=env, netns=netns)
    return Server(lab, 'plx-serve', proc, port, addresses, is_kernel=driver == 'udp')
