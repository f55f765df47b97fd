"""origin.py -- where haproxy gets a large body from, once: it then answers from its own cache, and this has ended.

haproxy serves no files. A small body it is told to return; a large one does not fit into a buffer, but into its cache. Whoever measures
asks once for the body, ends this, and asks again: who is asked now does it alone.
"""
import os
import socket
import threading


class Origin:
    """HTTP/1.1 on a socket in the file system, one answer a connection; a context manager."""

    def __init__(self, path, folder):
        self.folder, self.path = folder, path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(conn,), daemon=True).start()

    def _answer(self, conn):
        try:
            with conn:
                head = b''
                while b'\r\n\r\n' not in head:
                    piece = conn.recv(4096)
                    if not piece:
                        return
                    head += piece
                name = os.path.basename(head.split()[1].decode())
                with open(os.path.join(self.folder, name), 'rb') as f:
                    size = os.fstat(f.fileno()).st_size
                    conn.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/octet-stream\r\ncache-control: max-age=86400\r\n'
                                 b'connection: close\r\n\r\n' % size)
                    conn.sendfile(f)
        except OSError:
            pass  # the server has ended, or there is no such file: it says so itself

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
