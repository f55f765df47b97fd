"""capture.py -- what a wire saw, and what tshark makes of it with the key log.

Captures are taken in a namespace whose interfaces do no offload, so that each captured packet is one datagram: on the
loopback interface a train of datagrams (GSO) would be captured as one packet that no dissector can read.
"""
import os
import re
import subprocess
import time

from lib import LabError


class Recording:
    """A file of packets, whoever wrote it (plx-get --pcap, say)."""

    def __init__(self, path, port):
        self.path, self.port = path, port

    def count(self, display_filter, keylog=None):
        """How many captured packets fit a display filter."""
        return len(self.fields(display_filter, ['frame.number'], keylog))

    def fields(self, display_filter, names, keylog=None):
        """The named fields of every packet that fits, as lists of text."""
        argv = ['tshark', '-n', '-r', self.path, '-d', f'udp.port=={self.port},quic', '-Y', display_filter, '-T', 'fields']
        if keylog:
            argv += ['-o', f'tls.keylog_file:{keylog}']
        for n in names:
            argv += ['-e', n]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise LabError(f'tshark: {done.stderr.strip()}')
        return [line.split('\t') for line in done.stdout.splitlines()]

    def faults(self, keylog):
        """What a healthy capture has none of: sentences, empty when all is well.

        tshark decrypts packets of a connection only from its first Initial on, and needs every key: so every packet
        must be QUIC, none may fail to decrypt, none may be malformed, and HTTP/3 must be seen inside.
        """
        bad = []
        if not os.path.exists(keylog) or os.path.getsize(keylog) == 0:
            return [f'the key log {keylog} is missing or empty']
        total = self.count('udp')
        kinds = {'that are not QUIC': 'udp && !quic && !icmp && !icmpv6', 'malformed': '_ws.malformed', 'with an error': '_ws.expert.severity == error',
                 'that do not decrypt': 'quic.decryption_failed',
                 'against the protocol': 'quic.protocol_violation || quic.ft.unknown || quic.connection.unknown',
                 'without readable frames': 'quic && !quic.frame && !quic.version == 0 && !quic.long.packet_type == 3'}
        # All at once: to read and decrypt a capture takes long. Of which kind they are is only asked where there are any.
        is_well = self.count(' || '.join(f'({f})' for f in kinds.values()), keylog) == 0
        for what, display_filter in () if is_well else kinds.items():
            found = self.fields(display_filter, ['frame.number', 'frame.len', '_ws.expert.message', '_ws.col.Info'], keylog)
            if found:
                bad.append(f'{len(found)} of {total} packets {what}; the first: {" ".join(found[0])}')
        if not is_well and not bad:
            bad.append('tshark found faults once, and none when it was asked of which kind')
        if total == 0:
            bad.append('nothing was captured')
        if self.count('http3.frame_type == 1', keylog) == 0:
            bad.append('no HTTP/3 header section became readable')
        return bad


class Capture(Recording):
    """What passes an interface of a namespace, from now on until stop()."""

    def __init__(self, lab, netns, device, port):
        super().__init__(lab.path(f'capture-{port}-{len(lab.procs)}.pcapng'), port)
        self.lab = lab
        self.proc = lab.start('dumpcap', ['dumpcap', '-q', '-i', device, '-f', f'udp port {port}', '-B', '64', '-w', self.path], netns=netns)
        self.proc.wait_line(r'^(File:|Capturing on)')
        self.proc.wait_for('capture file', lambda: os.path.exists(self.path) and os.path.getsize(self.path) > 0)
        time.sleep(0.5)

    def stop(self):
        time.sleep(0.5)  # what is in the ring still has to reach the file
        self.proc.signal(2)
        if self.proc.wait(20) is None:
            raise LabError('dumpcap does not end')
        dropped = re.search(r'packets dropped from.*?(\d+)/(\d+)', self.proc.text())
        self.dropped = int(dropped.group(2)) if dropped else 0


def secrets(keylog):
    """The kinds of secrets that a key log holds."""
    with open(keylog) as f:
        return sorted({line.split()[0] for line in f if line.strip() and not line.startswith('#')})
