"""browser.py -- headless Chromium, driven over its debugging pipe, fetching files over HTTP/3.

The pipe (--remote-debugging-pipe) is the DevTools protocol without a web socket: JSON messages that end in a zero octet, read
by the browser from descriptor 3 and written to descriptor 4. A page of the server under test runs a script that fetches
each file, hashes it with WebCrypto, and reports the protocol that the browser's own performance log names.
"""
import json
import os
import select
import time

from lib import LabError

SCRIPT = '''
(async (names, atOnce) => {
  const out = [];
  const one = async (name) => {
    const begun = performance.now();
    const r = await fetch('/' + name + '?' + Math.random(), {cache: 'no-store'});
    const body = await r.arrayBuffer();
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
    const entry = performance.getEntriesByName(r.url)[0];
    out.push({name, status: r.status, length: body.byteLength, ms: performance.now() - begun,
              protocol: entry ? entry.nextHopProtocol : '',
              sha256: Array.from(hash, (b) => b.toString(16).padStart(2, '0')).join('')});
  };
  if (atOnce) await Promise.all(names.map(one));
  else for (const n of names) await one(n);
  return JSON.stringify(out);
})
'''


class Browser:
    def __init__(self, lab, port, host='localhost', address=None, netns=None):
        self.host, self.port = host, port
        self.id = 0
        self.pending = b''
        self.session = None
        to_read, self.out = os.pipe()
        self.inn, to_write = os.pipe()

        def arrange():  # in the child: the two ends where Chromium looks for them, by way of numbers out of their way
            a, b = os.dup2(to_read, 100), os.dup2(to_write, 101)
            os.dup2(a, 3)
            os.dup2(b, 4)

        profile = lab.make_folder('chromium')
        argv = ['chromium', '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
                '--disable-component-update', '--disable-sync', '--disable-extensions', '--disable-default-apps', '--no-proxy-server',
                '--enable-quic', f'--origin-to-force-quic-on={host}:{port}',
                f'--ignore-certificate-errors-spki-list={lab.cert().spki_hash()}', f'--user-data-dir={profile}',
                '--remote-debugging-pipe', 'about:blank']
        if address:
            argv.insert(-1, f'--host-resolver-rules=MAP {host} {"[" + address + "]" if ":" in address else address}')
        self.proc = lab.start('chromium', argv, env={'HOME': profile}, netns=netns, pass_fds=(3, 4, to_read, to_write), preexec=arrange)
        os.close(to_read)
        os.close(to_write)

    def receive(self, until):
        while b'\0' not in self.pending:
            left = until - time.monotonic()
            if left <= 0 or not self.proc.is_alive():
                raise LabError(f'Chromium does not answer; it said:\n{self.proc.tail()}')
            if select.select([self.inn], [], [], min(left, 1))[0]:
                piece = os.read(self.inn, 1 << 16)
                if not piece:
                    raise LabError(f'Chromium closed its pipe; it said:\n{self.proc.tail()}')
                self.pending += piece
        message, _, self.pending = self.pending.partition(b'\0')
        return json.loads(message)

    def command(self, method, params=None, timeout=30):
        self.id += 1
        message = {'id': self.id, 'method': method, 'params': params or {}}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.out, json.dumps(message).encode() + b'\0')
        until = time.monotonic() + timeout
        while True:
            answer = self.receive(until)
            if answer.get('id') == self.id:
                if 'error' in answer:
                    raise LabError(f'Chromium: {method}: {answer["error"]}')
                return answer['result']

    def open(self, path=''):
        """Opens a page of the server, so that scripts run in its origin."""
        target = self.command('Target.createTarget', {'url': 'about:blank'}, 60)['targetId']
        self.session = self.command('Target.attachToTarget', {'targetId': target, 'flatten': True})['sessionId']
        self.command('Page.enable')
        result = self.command('Page.navigate', {'url': f'https://{self.host}:{self.port}/{path}'}, 60)
        if result.get('errorText'):
            raise LabError(f'Chromium cannot open the page: {result["errorText"]}')
        end = time.monotonic() + 30
        while self.evaluate('document.readyState') != 'complete':
            if time.monotonic() > end:
                raise LabError('Chromium: the page does not finish loading')
            time.sleep(0.1)

    def evaluate(self, expression, timeout=30):
        result = self.command('Runtime.evaluate', {'expression': expression, 'awaitPromise': True, 'returnByValue': True}, timeout)
        if 'exceptionDetails' in result:
            raise LabError('Chromium: ' + json.dumps(result['exceptionDetails'])[:600])
        return result['result'].get('value')

    def fetch(self, names, at_once=False, timeout=180):
        """[{name, status, length, sha256, protocol, ms}], one for each name."""
        return json.loads(self.evaluate(f'{SCRIPT}({json.dumps(list(names))}, {json.dumps(at_once)})', timeout))

    def page_protocol(self):
        return self.evaluate('performance.getEntriesByType("navigation")[0].nextHopProtocol')

    def close(self):
        self.proc.stop()
        os.close(self.out)
        os.close(self.inn)


def wrong(site, results, names):
    """What of it is not as it should be: lengths, hashes, and the protocol, which must be h3."""
    bad = [f'{n} is missing' for n in names if n not in [r['name'] for r in results]]
    for r in results:
        if r['length'] != site.sizes[r['name']] or r['sha256'] != site.hashes[r['name']]:
            bad.append(f'{r["name"]}: status {r["status"]}, {r["length"]} bytes, or other content')
        if r['protocol'] != 'h3':
            bad.append(f'{r["name"]} came over {r["protocol"]!r}, not h3')
    return bad
