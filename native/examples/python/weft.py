"""Goroutines, channels, select and the network of libweft, from Python. Needs nothing but ctypes.

    import weft

    words = weft.Chan()
    task = weft.go(lambda: [words.send(w) for w in ("hello", "from", "a goroutine")] and words.close())
    print(*words)
    task.join()

The rule of hosts that keep a lock and the state of a thread, as Python does with the GIL: what runs Python code must
not change threads while it waits. A goroutine of C may, after every call of Weft. So each call here locks a goroutine
to its thread before it does anything else, for good (_lib, below): there is no other way from this module to the
library, and it does not matter who started the goroutine. weft_lock_thread is the one function that cannot change
threads itself, and it is called with the GIL held.

What follows from it: a goroutine that runs Python costs a thread while it lives, and a wait in it lets others run, of
Python (the GIL is released) and of C. What it gives is one channel, select and network for both sides. Times are in
seconds. A wait of another module's, time.sleep or a lock of threading's, stops its own goroutine only.

The library is libweft.so.0, or what WEFT_LIBRARY says. Call nothing of this module in a signal handler of C, and after
os.fork() only os.exec...().
"""
import atexit
import ctypes
import errno
import itertools
import os
import sys
import threading
import time
import traceback

__all__ = ["Cancelled", "Chan", "Closed", "Conn", "Listener", "Task", "WeftError", "count", "dial", "go", "now",
           "select", "sleep", "yield_"]

_FOREVER = -1
_RECV, _SEND = 0, 1
_STACK = 8 << 20  # As a thread of Python has. Only touched pages are memory.


class WeftError(OSError):
    """A function of Weft has failed; errno says why."""


class Closed(WeftError):
    """The channel is closed."""


class Cancelled(WeftError):
    """Task.cancel: the goroutine's waits raise this from then on."""


_KINDS = {errno.EPIPE: Closed, errno.ECANCELED: Cancelled, errno.ETIMEDOUT: TimeoutError,
          errno.EINTR: InterruptedError}


class _Library:
    """The functions of the library, each behind the lock of the goroutine to its thread."""

    def __init__(self, path):
        self._waits = ctypes.CDLL(path)  # Releases the GIL for the call.
        self._holds = ctypes.PyDLL(path)  # Keeps it.
        self._of_thread = threading.local()  # Of the state that the GIL belongs to: new in each callback of C.
        self._waits.weft_strerror.restype = ctypes.c_char_p

    def stay(self):
        """From now on the caller stays on its thread."""
        if not getattr(self._of_thread, "stays", False):
            code = self._holds.weft_lock_thread()  # ESRCH: a thread, which stays what it is.
            if code not in (0, -errno.ESRCH):
                self._fail(code)
            self._of_thread.stays = True

    def __call__(self, name, *arguments, result=ctypes.c_int):
        self.stay()
        function = getattr(self._waits, name)
        function.restype = result
        return function(*arguments)

    def check(self, name, *arguments, result=ctypes.c_int):
        code = self(name, *arguments, result=result)
        if code < 0:
            self._fail(code)
        return code

    def _fail(self, code):
        raise _KINDS.get(-code, WeftError)(-code, self._waits.weft_strerror(code).decode())


_lib = _Library(os.environ.get("WEFT_LIBRARY", "libweft.so.0"))
_lib.check("weft_init", None)


def _nanoseconds(seconds):
    return ctypes.c_int64(_FOREVER if seconds is None else max(0, int(seconds * 1e9)))


# --- goroutines -----------------------------------------------------------------------------------------------------

class _Attributes(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("stack_size", ctypes.c_size_t), ("stack_kind", ctypes.c_int),
                ("flags", ctypes.c_uint32), ("name", ctypes.c_char_p)]


class Task:
    """A goroutine that was started by go."""

    def __init__(self, function, arguments, keywords):
        self._call = function, arguments, keywords
        self._done = Chan(type=ctypes.c_char)
        self._handle = ctypes.c_void_p()
        self._value = self._error = None

    def _run(self):
        function, arguments, keywords = self._call
        del self._call
        try:
            self._value = function(*arguments, **keywords)
        except BaseException as error:  # join raises it, or __del__ shows it. Without this frame, which has self.
            self._error = error.with_traceback(error.__traceback__.tb_next)
        self._done.close()

    def cancel(self):
        """From now on its waits raise Cancelled; what needs no wait is done all the same. It goes on, and should end.
        Not those of other modules, time.sleep say. Does not wait."""
        _lib.check("weft_task_cancel", self._handle)

    def interrupt(self):
        """The wait that it is in, or its next one, raises InterruptedError, once. Does not wait."""
        _lib.check("weft_task_interrupt", self._handle)

    def join(self, timeout=None):
        """Waits for its end: what the function has returned, or raised. TimeoutError when the time has passed."""
        try:
            self._done.recv(timeout)
        except Closed:
            pass
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        return self._value

    @property
    def done(self):
        """A channel that is closed at its end, for select."""
        return self._done

    def __del__(self):
        if sys.is_finalizing():
            return
        if getattr(self, "_handle", None):
            _lib("weft_task_free", self._handle)
        if not isinstance(getattr(self, "_error", None), (type(None), Cancelled)):
            print("weft: in a goroutine that nobody has joined:", file=sys.stderr)
            traceback.print_exception(type(self._error), self._error, self._error.__traceback__)


_tasks = {}  # Those that have not begun yet.
_ends = False
_numbers = itertools.count(1)


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def _start(number):
    # Python code is on a goroutine from here on. It cannot change threads before it first calls Weft: that is this.
    _lib.stay()
    _tasks.pop(number)._run()


@atexit.register
def _let_all_begin():
    # Python ends the threads of those that want the GIL once it is going away, which is right for goroutines only
    # that are locked to theirs.
    global _ends
    _ends = True
    while _tasks:
        time.sleep(0.0001)


def go(function, *arguments, **keywords):
    """Starts function(*arguments, **keywords) in a goroutine, and returns a Task."""
    if _ends:
        raise RuntimeError("no goroutine can be started while Python ends")
    task = Task(function, arguments, keywords)
    number = next(_numbers)
    _tasks[number] = task
    name = getattr(function, "__name__", "python").encode()
    attributes = _Attributes(ctypes.sizeof(_Attributes), _STACK, 0, 0, name)
    try:
        _lib.check("weft_task_go", ctypes.byref(task._handle), ctypes.byref(attributes), _start,
                   ctypes.c_void_p(number))
    except BaseException:
        del _tasks[number]
        raise
    return task


def yield_():
    """Lets other goroutines run."""
    _lib.check("weft_yield")


def sleep(seconds):
    _lib.check("weft_sleep", _nanoseconds(seconds))


def now():
    """The monotonic clock."""
    return _lib("weft_now", result=ctypes.c_int64) / 1e9


def count():
    """How many goroutines exist."""
    return _lib("weft_count", result=ctypes.c_int64)


# --- channels -------------------------------------------------------------------------------------------------------

class Chan:
    """A channel of any objects; with type, of ctypes, one of elements that C can send and receive. Usable from
    goroutines and from threads. handle: one that C has made, which stays C's."""

    def __init__(self, capacity=0, type=None, handle=None):
        self._type = type
        self._kept = None if type else {}  # What is on its way; the channel carries the keys.
        self._owned = handle is None
        self.handle = ctypes.c_void_p(handle)
        if self._owned:
            size = ctypes.sizeof(type or ctypes.c_int64)
            _lib.check("weft_chan_make", ctypes.byref(self.handle), ctypes.c_size_t(size), ctypes.c_size_t(capacity))

    def _pack(self, value):
        if self._type:
            return value if isinstance(value, self._type) else self._type(value)
        key = next(_numbers)
        self._kept[key] = value
        return ctypes.c_int64(key)

    def _unpack(self, element):
        if not self._type:
            return self._kept.pop(element.value)
        return getattr(element, "value", element)

    def _room(self):
        return (self._type or ctypes.c_int64)()

    def _forget(self, element):
        if not self._type:
            self._kept.pop(element.value, None)

    def send(self, value, timeout=None):
        """Waits while it is full. Closed, or TimeoutError when the time has passed: it was not sent then."""
        if timeout is not None:
            if select(self.sending(value), timeout=timeout)[0] is None:
                raise TimeoutError(errno.ETIMEDOUT, "the time has passed")
            return
        element = self._pack(value)
        try:
            _lib.check("weft_chan_send", self.handle, ctypes.byref(element))
        except BaseException:
            self._forget(element)
            raise

    def recv(self, timeout=None):
        """Waits while it is empty. Closed when it is closed and drained; TimeoutError when the time has passed."""
        if timeout is not None:
            index, value, is_open = select(self.receiving(), timeout=timeout)
            if index is None:
                raise TimeoutError(errno.ETIMEDOUT, "the time has passed")
            if not is_open:
                raise Closed(errno.EPIPE, "the channel is closed")
            return value
        element = self._room()
        _lib.check("weft_chan_recv", self.handle, ctypes.byref(element))
        return self._unpack(element)

    def __iter__(self):
        """Until it is closed and drained."""
        while True:
            try:
                yield self.recv()
            except Closed:
                return

    def __len__(self):
        return _lib.check("weft_chan_len", self.handle, result=ctypes.c_int64)

    def __bool__(self):
        return True

    def close(self):
        _lib.check("weft_chan_close", self.handle)

    def receiving(self):
        """A case of select."""
        return self, _RECV, self._room

    def sending(self, value):
        """A case of select."""
        return self, _SEND, lambda: self._pack(value)

    def __del__(self):
        if getattr(self, "_owned", False) and self.handle and not sys.is_finalizing():
            _lib("weft_chan_free", self.handle)


class _Case(ctypes.Structure):
    _fields_ = [("chan", ctypes.c_void_p), ("elem", ctypes.c_void_p), ("op", ctypes.c_int), ("result", ctypes.c_int)]


def select(*cases, timeout=None):
    """Does one of chan.receiving() and chan.sending(value): (its index, what was received, whether it is open).
    A send to a closed channel raises Closed. (None, None, False) when the time has passed first."""
    made = [make() for _, _, make in cases]
    array = (_Case * len(cases))()
    for entry, element, (chan, op, _) in zip(array, made, cases):
        entry.chan, entry.elem, entry.op = chan.handle, ctypes.addressof(element), op
    index = -1
    try:
        index = _lib("weft_select", array, len(cases), _nanoseconds(timeout))
    finally:
        for i, (element, (chan, op, _)) in enumerate(zip(made, cases)):
            if op == _SEND and (i != index or array[i].result != 0):
                chan._forget(element)
    if index in (-errno.EAGAIN, -errno.ETIMEDOUT):
        return None, None, False
    if index < 0:
        _lib._fail(index)
    chan, op, _ = cases[index]
    if op == _SEND:
        if array[index].result != 0:
            _lib._fail(array[index].result)
        return index, None, True
    is_open = array[index].result == 0
    return index, chan._unpack(made[index]) if is_open else None, is_open


# --- network --------------------------------------------------------------------------------------------------------

class Conn:
    """A connection, closed by with, close, or when nobody has it any more."""

    def __init__(self, handle):
        self._handle = handle

    def read(self, count=65536):
        """What there is, up to count bytes; b"" at the end."""
        buffer = ctypes.create_string_buffer(count)
        got = _lib.check("weft_read", self._handle, buffer, ctypes.c_size_t(count), result=ctypes.c_int64)
        return buffer.raw[:got]

    def write(self, data):
        """All of it."""
        data = bytes(data)
        _lib.check("weft_write", self._handle, data, ctypes.c_size_t(len(data)), result=ctypes.c_int64)

    def deadline(self, seconds):
        """Reads and writes raise TimeoutError from then on; None: never."""
        _lib.check("weft_conn_deadline", self._handle, _nanoseconds(seconds))

    def close(self):
        handle, self._handle = self._handle, None
        if handle:
            _lib("weft_conn_close", handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if not sys.is_finalizing():
            self.close()


def dial(address, timeout=None, network="tcp"):
    """Connects to "host:port", or to the path of a socket with "unix"."""
    handle = ctypes.c_void_p()
    _lib.check("weft_dial", ctypes.byref(handle), network.encode(), address.encode(), _nanoseconds(timeout))
    return Conn(handle)


class Listener:
    """Listens at "host:port"; port 0 takes a free one. Iterating gives connections until it is closed."""

    def __init__(self, address, network="tcp"):
        self._handle = ctypes.c_void_p()
        _lib.check("weft_listen", ctypes.byref(self._handle), network.encode(), address.encode())
        self.port = _lib.check("weft_listener_port", self._handle)

    def accept(self):
        handle = ctypes.c_void_p()
        _lib.check("weft_accept", self._handle, ctypes.byref(handle))
        return Conn(handle)

    def __iter__(self):
        while True:
            try:
                yield self.accept()
            except WeftError as error:
                if error.errno == errno.EBADF:
                    return
                raise

    def close(self):
        _lib("weft_listener_close", self._handle)
