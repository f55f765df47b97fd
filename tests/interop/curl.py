"""curl.py -- runs curl, keeps what it says about its streams, and knows the fault of its own that it has.

Debian 13's curl (8.14) speaks HTTP/3 over OpenSSL's QUIC. When one of OpenSSL's timers comes due while the handshake is under way
(a probe timeout: a busy machine, a late or lost datagram), curl tries to write its control stream and both QPACK streams too
early, is told to wait, and never tries again, because it only ever looks again at streams of requests. The connection then lives on
without them: a request whose fields are all in the static table is answered, and every later one refers to insertions that
the server never hears of. So the server waits for them, as RFC 9204 section 2.1.2 says, and curl for its answers, until somebody loses
patience. Against any server: test_lab.py shows it with nginx.

curl's own trace tells it: "[6] send 1 bytes to QUIC blocked", and never "ok" for that stream. Such a run is no run: it is told, and
repeated. Whatever else goes wrong is reported, with what each stream has sent and got.
"""
import os
import re
import shutil
import time


PATIENCE = 10  # seconds, after which a run that has lost its streams is not waited for any longer
TRIES = 3
TRACE = ['--verbose', '--trace-config', 'http/3']
UNI = ('2', '6', '10')  # a client's first unidirectional streams: control, QPACK encoder and decoder


class Trace:
    """What curl said about its HTTP/3 streams, as far as it has come."""

    def __init__(self, path):
        self.path, self.text = path, ''
        if os.path.exists(path):
            with open(path, errors='replace') as f:
                self.text = f.read()

    def errors(self):
        return '\n'.join(re.findall(r'^curl: .*', self.text, re.M))

    def lost_streams(self):
        """Of a connection that stands, the streams that were never sent though curl wanted to."""
        if 'handshake complete' not in self.text:
            return []
        last = dict(re.findall(r'\[(\d+)\] send \d+ bytes to QUIC (ok|blocked)', self.text))
        return [s for s in UNI if last.get(s) == 'blocked']

    def streams(self):
        """A line for each stream: octets sent and got."""
        sent, got = {}, dict(re.findall(r'\[(\d+)\] DATA len=\d+, total=(\d+)', self.text))
        for stream, count, how in re.findall(r'\[(\d+)\] send (\d+) bytes to QUIC (ok|blocked)', self.text):
            sent[stream] = sent.get(stream, 0) + (int(count) if how == 'ok' else 0)
        return '\n'.join(f'curl: stream {s} sent {sent.get(s, 0)} octets, got {got.get(s, 0)} of a body'
                         for s in sorted(set(sent) | set(got), key=int))


def _once(lab, argv, timeout, netns, at_stall):
    """(exit status, what it said, seconds, its Trace)."""
    path = lab.path(f'curl-{len(lab.procs)}.trace')
    begun, told = time.monotonic(), ''
    proc = lab.start('curl', [*argv, *TRACE, '--stderr', path], netns=netns)
    code = proc.wait(min(timeout, PATIENCE))
    while code is None and time.monotonic() - begun < timeout and not Trace(path).lost_streams():
        code = proc.wait(min(timeout - (time.monotonic() - begun), PATIENCE))
    if code is None:
        took = time.monotonic() - begun
        if at_stall and not Trace(path).lost_streams():
            told = at_stall()
        proc.stop()
        told = f'{told}\n[no end after {took:.0f} s]'
    trace = Trace(path)
    if code != 0 and os.path.exists(path):
        shutil.move(path, proc.log + '.trace')
    elif os.path.exists(path):
        os.unlink(path)
    text = '\n'.join(part for part in (proc.text(), trace.errors(), told) if part)
    return -1 if code is None else code, text, time.monotonic() - begun, trace


def run(lab, argv, timeout, netns=None, at_stall=None):
    """Runs it to its end: (exit status, what it said, seconds, how often its own fault made it begin again).

    at_stall is called while a run that does not end still stands, before it is stopped; what it returns is part of what was said."""
    for again in range(TRIES):
        code, text, took, trace = _once(lab, argv, timeout, netns, at_stall)
        lost = trace.lost_streams() if code != 0 else []
        if not lost or again == TRIES - 1:
            break
        lab.say(f'curl never sent its streams {", ".join(lost)}, a fault of its own (see curl.py), and waited {took:.0f} s for nothing: again')
    if code != 0:
        text += '\n' + trace.streams()
    return code, text, took, again
