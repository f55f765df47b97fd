"""clients.py -- other people's HTTP/3 clients, and ours. Each fetches URLs into a folder and says how it went.

A Got holds where the files are, the exit status, what the program said, and the seconds it took.
"""
import json
import os
import time
from urllib.parse import urlsplit

import curl as curl_run
from lib import PEERS, sha256_file

HERE = os.path.dirname(os.path.abspath(__file__))


class Got:
    def __init__(self, folder, code, text, took, again=0):
        """again: how often it had to be repeated, for a fault of the client's own that it owned up to."""
        self.folder, self.code, self.text, self.took, self.again = folder, code, text, took, again

    def file(self, name):
        return os.path.join(self.folder, name)

    def is_same(self, site, *names):
        """All of these files arrived, byte for byte."""
        return self.code == 0 and not self.wrong(site, *names)

    def wrong(self, site, *names):
        bad = []
        for n in names:
            if not os.path.exists(self.file(n)):
                bad.append(f'{n} is missing')
            elif os.path.getsize(self.file(n)) != site.sizes[n]:
                bad.append(f'{n} has {os.path.getsize(self.file(n))} bytes, not {site.sizes[n]}')
            elif sha256_file(self.file(n)) != site.hashes[n]:
                bad.append(f'{n} has the right length and other content')
        return bad

    def explain(self, site, *names):
        return '\n'.join([f'exit status {self.code} after {self.took:.1f} s', *self.wrong(site, *names), self.text[-3000:]])


def _call(lab, name, argv, folder, timeout, **more):
    begun = time.monotonic()
    code, text = lab.call(name, argv, timeout, **more)
    return Got(folder, code, text, time.monotonic() - begun)


def _name(url):
    return os.path.basename(urlsplit(url).path) or 'index.html'


def curl(lab, urls, *options, timeout=180, netns=None, at_stall=None):
    """All URLs over one connection, side by side. The text names the HTTP version of each: "http=3". at_stall: see curl.py."""
    urls, folder = [urls] if isinstance(urls, str) else list(urls), lab.make_folder('curl')
    argv = [PEERS, 'run', 'curl', '--http3-only', '--silent', '--show-error', '--fail', '--cacert', lab.cert().ca,
            '--write-out', 'http=%{http_version} code=%{http_code} size=%{size_download} %{url}\\n', *options]
    if len(urls) > 1:
        argv += ['--parallel', '--parallel-max', '200']
    for u in urls:
        argv += ['--output', os.path.join(folder, _name(u)), u]
    return Got(folder, *curl_run.run(lab, argv, timeout, netns, at_stall))


def gtlsclient(lab, urls, *options, timeout=180, netns=None):
    """ngtcp2's client; it connects to the host of the first URL and does not verify the certificate."""
    urls, folder = [urls] if isinstance(urls, str) else list(urls), lab.make_folder('gtlsclient')
    first = urlsplit(urls[0])
    # The GnuTLS of this client reads its own windows from the command line only: wide enough for one large file.
    argv = [PEERS, 'run', 'gtlsclient', '--quiet', '--exit-on-all-streams-close', f'--download={folder}', *options,
            first.hostname, first.port, *urls]
    return _call(lab, 'gtlsclient', argv, folder, timeout, netns=netns)


def aioquic(lab, urls, *options, timeout=240, netns=None):
    """An aioquic client of ours (aioquic_get.py): one connection, all URLs side by side, chain and name verified."""
    urls, folder = [urls] if isinstance(urls, str) else list(urls), lab.make_folder('aioquic')
    argv = [PEERS, 'run', 'python3', os.path.join(HERE, 'aioquic_get.py'), '--ca', lab.cert().ca, '--folder', folder, *options, *urls]
    return _call(lab, 'aioquic_get', argv, folder, timeout, netns=netns)


def aioquic_lines(got):
    """What aioquic_get reports about each URL, as dictionaries."""
    return [json.loads(line) for line in got.text.splitlines() if line.startswith('{')]


ALL = {'curl': curl, 'gtlsclient': gtlsclient, 'aioquic': aioquic}


def plx_get(lab, urls, *options, timeout=120, netns=None, env=None, ca=True, eal=()):
    """Ours. One URL goes into its file with -o; several are written into the working folder under their own names. `eal` follows "--"."""
    urls, folder = [urls] if isinstance(urls, str) else list(urls), lab.make_folder('plx-get')
    argv = [lab.program('apps/plx-get'), '-v', *options]
    if ca:
        argv += ['--cacert', lab.cert().ca]
    for u in urls:
        argv += ['-o', os.path.join(folder, _name(u))]
    argv += [*urls, *(['--', *eal] if eal else [])]
    return _call(lab, 'plx-get', argv, folder, timeout, netns=netns, env=env)
