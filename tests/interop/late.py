"""late.py -- a wire with a whim, for one client and one server on loopback: the handshake comes late.

Of what the server says in long headers all but the first datagram is held back, so that whoever waits for it has one of its timers come
due in the middle. Only on the first connection, or on the first few: a second attempt meets a plain wire.
"""
import select
import socket
import threading
import time


class Late(threading.Thread):
    """Listens on 127.0.0.1:port and passes on to a server's port there; connections are told apart by the client's address."""

    def __init__(self, port, server_port, delay, count=1):
        super().__init__(daemon=True)
        self.port, self.server_port, self.delay, self.count = port, server_port, delay, count
        self.front = self._socket()
        self.front.bind(('127.0.0.1', port))
        self.backs, self.said, self.waiting, self.is_over = {}, {}, [], False  # by client: socket to the server, long headers heard
        self.start()

    @staticmethod
    def _socket():
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _back(self, client):
        if client not in self.backs:
            s = self._socket()
            s.connect(('127.0.0.1', self.server_port))
            self.backs[client], self.said[client] = s, 0
        return self.backs[client]

    def _delay_of(self, client, data):
        if not data[0] & 0x80 or list(self.backs).index(client) >= self.count:
            return 0
        self.said[client] += 1
        return self.delay if self.said[client] > 1 else 0

    def _step(self):
        clients = {s: c for c, s in self.backs.items()}
        first = min((at for at, _, _ in self.waiting), default=time.monotonic() + 0.1)
        for s in select.select([self.front, *clients], [], [], max(0, first - time.monotonic()))[0]:
            try:
                if s is self.front:
                    data, client = s.recvfrom(65536)
                    self._back(client).send(data)
                else:
                    data = s.recv(65536)
                    self.waiting.append((time.monotonic() + self._delay_of(clients[s], data), clients[s], data))
            except OSError:
                pass  # one of the two is gone
        now = time.monotonic()
        for item in [i for i in self.waiting if i[0] <= now]:
            self.waiting.remove(item)
            self.front.sendto(item[2], item[1])

    def run(self):
        while not self.is_over:
            self._step()

    def stop(self):
        self.is_over = True
        self.join()
        for s in (self.front, *self.backs.values()):
            s.close()
