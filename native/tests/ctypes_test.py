"""libweft from Python: goroutines that are Python functions, and threads of Python's on the same channel.

   ctypes_test.py LIBRARY
"""
import ctypes
import sys
import threading

weft = ctypes.CDLL(sys.argv[1])
weft.weft_strerror.restype = ctypes.c_char_p
weft.weft_self.restype = ctypes.c_int64
for name in ("send", "recv"):
    getattr(weft, "weft_chan_" + name).argtypes = [ctypes.c_void_p, ctypes.c_void_p]
FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def check(result):
    if result < 0:
        raise OSError(-result, weft.weft_strerror(result).decode())


check(weft.weft_init(None))
channel = ctypes.c_void_p()
check(weft.weft_chan_make(ctypes.byref(channel), ctypes.c_size_t(8), ctypes.c_size_t(0)))
numbers = []


@FUNCTION
def produce(_):
    for i in range(100):
        check(weft.weft_chan_send(channel, ctypes.byref(ctypes.c_int64(i))))
    numbers.append(weft.weft_self())


# A stack for the interpreter; and, before anything waits, a thread of its own: Python keeps its state there. It
# stays locked until it ends.
class Attributes(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("stack_size", ctypes.c_size_t), ("stack_kind", ctypes.c_int),
                ("flags", ctypes.c_uint32), ("name", ctypes.c_char_p)]


@FUNCTION
def on_own_thread(_):
    check(weft.weft_lock_thread())
    produce(None)


attributes = Attributes(ctypes.sizeof(Attributes), 8 << 20, 0, 0, b"producer")
for _ in range(3):
    check(weft.weft_go_with(ctypes.byref(attributes), on_own_thread, None))

total = 0
lock = threading.Lock()


def receive():
    global total
    value = ctypes.c_int64()
    for _ in range(100):
        check(weft.weft_chan_recv(channel, ctypes.byref(value)))
        with lock:
            total += value.value


threads = [threading.Thread(target=receive) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert total == 3 * sum(range(100)), total
assert weft.weft_self() == 0
try:
    check(weft.weft_chan_recv(None, None))
    raise AssertionError("null was accepted")
except OSError as error:
    assert "null" in str(error), error
print("passed")
