"""The supervisor's loop: frames in, work done, frames out, commands watched, and a lease."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
import time

from sandbox import protocol
from sandbox.supervisor import accounts, controls, files, paths, processes, records
from sandbox.supervisor.background import Background
from sandbox.supervisor.egress import WayOut
from sandbox.supervisor.light import READ, WRITE, Ignoring, Selector, dumps, loads, signal
from sandbox.supervisor.pristine import Pristine
from sandbox.supervisor.running import Running
from sandbox.supervisor.stream import HIGH_WATER, Outbox, Upload, answering_nothing
from sandbox.supervisor.terminal import Terminal
from sandbox.supervisor.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

WRITING = frozenset(("run", "shell", "write", "remove", "apply"))
LATER = ("fnmatch", "hashlib", "re", "warnings")  # what is loaded when it is needed
READ_SIZE = 256 * 1024
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
PIPE_SIZE = 1 << 20


class Supervisor:
    """Serves one host over two descriptors until the stream ends or the lease runs out."""

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._decoder = protocol.Decoder(protocol.HOST_KINDS | protocol.LINK_KINDS)
        self._outbox = Outbox(target)
        self._arrived = bytearray(READ_SIZE)
        self._target = target
        self._selector = Selector()
        self._background: dict[int, Background] = {}
        self._uploads: dict[int, Upload] = {}
        self._streams: dict[int, Iterator[bytes]] = {}
        self._account = processes.Account(0)
        self._tree = Tree(self._account)
        self._pristine: Pristine | None = None
        self._way_out = WayOut(self._selector, self._outbox.send, lambda: self._outbox.crowded)
        self._running = Running(self._selector, self._outbox, self._way_out.something_closed)
        self._environment: dict[str, str] = {}
        self._lease = 60.0
        self._heard = time.monotonic()
        self._writing = False

    def serve(self) -> None:
        """Work until the host is gone. Ends by SystemExit."""
        for fd in (self._source, self._target):
            os.set_blocking(fd, False)
            with Ignoring(OSError):  # the system may allow no more
                fcntl.fcntl(fd, SET_PIPE_SIZE, PIPE_SIZE)
        self._selector.register(self._source, READ, self._read_host)
        while True:
            self._pump_streams()
            self._outbox.flush()
            self._watch_target()
            if not self._outbox.crowded:
                self._running.release()
                self._way_out.read_on()
            self._selector.work(self._patience())
            self._check_time()

    # -- the host's side ----------------------------------------------------------------------

    def _read_host(self) -> None:
        try:
            # Into one buffer that stays: memory for each large read would have to be mapped anew.
            size = os.readv(self._source, [self._arrived])
        except BlockingIOError:
            return
        if not size:
            raise SystemExit(0)
        self._heard = time.monotonic()
        for kind, ident, payload in self._decoder.feed(memoryview(self._arrived)[:size]):
            self._take(kind, ident, payload)

    def _take(self, kind: int, ident: int, payload: bytes) -> None:
        if kind == protocol.REQUEST:
            request = loads(payload)
            self._answer(ident, lambda: self._begin(ident, request))
        elif kind in protocol.LINK_KINDS:
            self._way_out.take(kind, ident, payload)
        elif kind == protocol.PING:
            self._outbox.send(protocol.PONG, ident)
        elif kind == protocol.INPUT and ident in self._uploads:
            self._uploads[ident].feed(payload)
        elif kind == protocol.END and ident in self._uploads:
            upload = self._uploads.pop(ident)
            self._answer(ident, upload.finish)
        elif ident in self._running.commands:
            self._running.take(self._running.commands[ident], kind, payload)

    def _answer(self, ident: int, work: Callable[[], Any]) -> None:
        """Do a request's work and reply with its result; None means that the reply comes later."""
        try:
            result = work()
        except processes.UNDOABLE as error:
            result = {"error": processes.describe(error)}
        if result is not None:
            self._outbox.send(protocol.REPLY, ident, dumps(result).encode())

    def _begin(self, ident: int, request: dict[str, Any]) -> Any:
        if request["op"] in WRITING:
            self._tree.expect_writes()
        return getattr(self, "_op_" + request["op"])(ident, request)

    def _stream(self, ident: int, chunks: Iterator[bytes]) -> None:
        """Send chunks as the stream takes them; the reply follows the last one."""
        self._streams[ident] = chunks

    def _pump_streams(self) -> None:
        for ident in list(self._streams):
            while self._outbox.size < HIGH_WATER and ident in self._streams:
                self._answer(ident, lambda ident=ident: self._next_chunk(ident))  # type: ignore[misc]

    def _next_chunk(self, ident: int) -> dict[str, Any] | None:
        try:
            with self._account.acting():
                chunk = next(self._streams[ident])
        except StopIteration:
            del self._streams[ident]
            return {}
        except processes.UNDOABLE:
            del self._streams[ident]
            raise
        self._outbox.send_all(protocol.OUTPUT, ident, chunk)
        return None

    # -- requests: set-up ---------------------------------------------------------------------

    def _op_init(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        controls.hand_over(request["hand_over"], request["give_up"])
        self._account = processes.Account(request["uid"])
        os.makedirs(request["workspace"], exist_ok=True)
        paths.ROOT = os.path.realpath(request["workspace"])
        if request["owned"] and os.stat(paths.ROOT).st_uid != request["uid"]:  # a volume
            os.chown(paths.ROOT, request["uid"], request["uid"])
        self._tree = Tree(self._account)
        self._environment = accounts.environment(request["env"], request["home"])
        if request["profile"]:  # there is none where the image's files are to stay as they are
            with self._account.acting():
                accounts.write_profile(request["profile"], self._environment["PATH"])
        if not request["uid"]:
            load_no_more()
        self._running.adopts = request["look_for_reaper"] and not processes.has_subreapers()
        self._lease = request["lease"]
        self._running.prepare_shim()
        for name, text in request["accounts"].items():
            accounts.write_account(name, text)
        return {"python": sys.version.split()[0], "seen": controls.seen(**request["look_at"])}

    def _op_way_out(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        self._way_out.listen(request["port"], request["limit"])
        return {}

    def _op_load(self, ident: int, request: dict[str, Any]) -> None:
        loader = records.Loader(paths.ROOT, request["moment_ns"], self._tree)
        self._uploads[ident] = Upload(self._acting(loader.feed), answering_nothing(loader.finish))

    def _op_support(self, ident: int, request: dict[str, Any]) -> None:
        loader = records.Loader(request["root"], request["moment_ns"])
        self._uploads[ident] = Upload(loader.feed, answering_nothing(loader.finish))

    def _op_remember(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        if request["walk"]:
            self._tree.remember()
        gc.freeze()
        gc.enable()
        return {}

    def _op_before_rebuild(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        self._tree.before_rebuild()
        return {}

    def _op_after_rebuild(self, ident: int, request: dict[str, Any]) -> None:
        self._stream(ident, iter([dumps(self._tree.after_rebuild()).encode()]))

    def _op_identify(self, ident: int, request: dict[str, Any]) -> None:
        self._with_names(ident, lambda names: self._tree.identify(names) or {})  # type: ignore[func-returns-value]

    def _op_pack(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        self._pristine = Pristine(self._account)
        return {}

    # -- requests: the tree -------------------------------------------------------------------

    def _op_changes(self, ident: int, request: dict[str, Any]) -> None:
        found = self._tree.changes(request["limit"])
        if not self._running.commands:
            self._tree.suspect = False
        self._stream(ident, iter([dumps(found).encode()]))

    def _op_fetch(self, ident: int, request: dict[str, Any]) -> None:
        limit = request["limit"]

        def begin(names: list[str]) -> None:
            self._stream(ident, self._tree.fetch(names, limit))

        self._with_names(ident, begin)

    def _op_apply(self, ident: int, request: dict[str, Any]) -> None:
        applier = records.Applier()
        self._uploads[ident] = Upload(self._acting(applier.feed), answering_nothing(applier.finish))

    def _op_reset(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        if self._pristine is None:
            raise OSError("this sandbox was not opened as resettable")
        self._running.end_all()
        self._background.clear()
        self._way_out.close_all()
        self._tree.refresh(self._pristine.restore())
        return {}

    # -- requests: files and commands ---------------------------------------------------------

    def _op_read(self, ident: int, request: dict[str, Any]) -> None:
        self._stream(ident, files.read_chunks(request["path"], request["limit"]))

    def _op_write(self, ident: int, request: dict[str, Any]) -> None:
        content = bytearray()

        def finish() -> dict[str, Any]:
            with self._account.acting():
                files.write(request["path"], bytes(content), request["executable"])
            return {}

        self._uploads[ident] = Upload(content.extend, finish)

    def _op_remove(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        with self._account.acting():
            files.remove(request["path"])
        return {}

    def _op_list(self, ident: int, request: dict[str, Any]) -> None:
        with self._account.acting():
            found = files.listing(request["path"], request["depth"], request["limit"])
        self._stream(ident, iter([dumps(found).encode()]))

    def _op_search(self, ident: int, request: dict[str, Any]) -> None:
        self._running.start(ident, self._account, {"search": request}, self._whole(request))

    def _op_run(self, ident: int, request: dict[str, Any]) -> None:
        self._tree.suspect = True
        what = {"argv": request["argv"]}
        self._running.start(ident, self._account, what, self._whole(request))

    def _op_shell(self, ident: int, request: dict[str, Any]) -> None:
        self._tree.suspect = True
        terminal = Terminal(ident, self._running.free_shim(), request, self._outbox.send)
        terminal.open(self._account, request["argv"], self._whole(request))
        self._running.watch(terminal)

    def _op_start(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        self._tree.suspect = True
        command = Background(ident, self._running.free_shim(), request, self._outbox.send)
        command.start(self._account.uid, {"argv": request["argv"]}, self._whole(request))
        command.end_input()
        command.write_input()
        self._background[request["handle"]] = command
        self._running.watch(command)
        return {}

    def _op_poll(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        command = self._background[request["handle"]]
        if request["since"] is not None:
            self._outbox.send_all(protocol.OUTPUT, ident, command.output(request["since"]))
        return command.state()

    def _op_kill(self, ident: int, request: dict[str, Any]) -> dict[str, Any] | None:
        """The reply comes when nothing of the command is left."""
        command = self._background[request["handle"]]
        if command.result is not None:
            return {}
        command.waiting = ident
        command.stop("cancelled")
        return None

    def _op_resize(self, ident: int, request: dict[str, Any]) -> dict[str, Any]:
        terminal = self._running.commands.get(request["target"])
        if isinstance(terminal, Terminal):
            terminal.resize(terminal.out, request["rows"], request["columns"])
        return {}

    # -- time and helpers ---------------------------------------------------------------------

    def _patience(self) -> float:
        if self._streams and self._outbox.size < HIGH_WATER:
            return 0.0
        nearest = self._running.nearest(self._heard + self._lease)
        return max(0.0, nearest - time.monotonic())

    def _check_time(self) -> None:
        now = time.monotonic()
        if now - self._heard > self._lease:
            raise SystemExit(0)
        self._running.stop_overdue(now)

    def _watch_target(self) -> None:
        if bool(self._outbox.size) == self._writing:
            return
        self._writing = bool(self._outbox.size)
        if self._writing:
            self._selector.register(self._target, WRITE, self._outbox.flush)
        else:
            self._selector.unregister(self._target)

    def _whole(self, request: dict[str, Any]) -> dict[str, Any]:
        """A request for a command with all the variables that this finds."""
        request["env"] = {**self._environment, **request["env"]}
        return request

    def _acting(self, work: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def under_account(data: bytes) -> None:
            with self._account.acting():
                work(data)

        return under_account

    def _with_names(self, ident: int, work: Callable[[list[str]], Any]) -> None:
        """Collect a JSON list of paths that follows the request, then work on it."""
        text = bytearray()
        self._uploads[ident] = Upload(text.extend, lambda: work(loads(bytes(text))))


def load_no_more() -> None:
    """Load what else may be needed, and nothing afterwards: commands that are root where the
    image's folders can be written could put their own in its place."""
    for name in LATER:
        __import__(name)
    sys.path.clear()


def main() -> None:
    """Be PID 1. Everything in the container ends with it."""
    os.umask(0o022)
    os.setgroups([])
    processes.set_process_option(processes.PR_SET_DUMPABLE, 0)
    # The kernel then keeps them from PID 1, also when commands are root and may send any.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What OpenSSL's settings name would be loaded with `hashlib`. Commands get `os.environ`, which
    # this leaves as it is.
    os.putenv("OPENSSL_CONF", os.devnull)
    try:
        Supervisor(0, 1).serve()
    except (SystemExit, BrokenPipeError) as end:
        os._exit(end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
