"""Everything of native/examples/python/weft.py. WEFT_LIBRARY names the library.

   python_test.py DIRECTORY_OF_WEFT_PY [ends waiting|ends running|unjoined]
"""
import ctypes
import errno
import sys
import threading
import time

sys.path.insert(0, sys.argv[1])
import weft  # noqa: E402


def raises(kind, function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except kind as error:
        return error
    raise AssertionError("%r does not raise %s" % (function, kind))


def tasks():
    assert weft.go(lambda a, b=0: a + b, 1, b=2).join() == 3
    assert str(raises(ValueError, weft.go(int, "x").join)).startswith("invalid literal")
    slow = weft.go(weft.sleep, 10)
    raises(TimeoutError, slow.join, timeout=0.001)
    index, value, is_open = weft.select(weft.go(lambda: None).done.receiving())
    assert (index, value, is_open) == (0, None, False)
    before = weft.now()
    weft.sleep(0.002)
    weft.yield_()
    assert weft.now() - before >= 0.002 and weft.count() >= 1


def ends_of_waits():
    never, full = weft.Chan(), weft.Chan()
    listener = weft.Listener("127.0.0.1:0")
    conn = weft.dial("127.0.0.1:%d" % listener.port)
    waits = [never.recv, lambda: never.recv(timeout=60), lambda: full.send(object()), lambda: weft.sleep(60),
             lambda: weft.select(never.receiving(), full.sending(object())), never.__iter__().__next__,
             lambda: conn.read(1), weft.Listener("127.0.0.1:0").accept, weft.go(never.recv).join]
    for wait in waits:
        task = weft.go(wait)
        weft.sleep(0.002)
        task.cancel()
        assert raises(weft.Cancelled, task.join).errno == errno.ECANCELED
    assert not full._kept

    def interrupted():
        raises(InterruptedError, answers.recv)
        return answers.recv()

    answers = weft.Chan()
    task = weft.go(interrupted)
    weft.sleep(0.002)
    task.interrupt()
    answers.send("after it")
    assert task.join() == "after it"

    def cleans_up():
        try:
            weft.sleep(60)
        finally:
            cleaned.send(1, timeout=0)  # Needs no wait.

    cleaned = weft.Chan(1)
    task = weft.go(cleans_up)
    task.cancel()  # Before it runs, perhaps.
    raises(weft.Cancelled, task.join)
    assert cleaned.recv() == 1
    task.cancel()


def channels():
    objects = weft.Chan(2)
    kept = object()
    objects.send(kept)
    objects.send([1, 2])
    assert len(objects) == 2 and objects
    raises(TimeoutError, objects.send, "x", timeout=0.001)
    assert objects.recv() is kept and objects.recv(timeout=1) == [1, 2]
    raises(TimeoutError, objects.recv, timeout=0)
    assert not objects._kept
    objects.close()
    raises(weft.Closed, objects.recv)
    raises(weft.Closed, objects.recv, timeout=1)
    raises(weft.Closed, objects.send, 1)
    raises(weft.Closed, objects.send, 1, timeout=1)
    raises(weft.Closed, objects.close)
    assert not objects._kept
    assert raises(weft.WeftError, weft.Chan, 1 << 40).errno == errno.EINVAL

    numbers = weft.Chan(type=ctypes.c_int32)
    weft.go(numbers.send, -5)
    assert numbers.recv() == -5

    # A select, and who of many gets what.
    a, b = weft.Chan(1), weft.Chan(1)
    assert weft.select(a.receiving(), b.receiving(), timeout=0) == (None, None, False)
    b.send("b")
    assert weft.select(a.receiving(), b.receiving()) == (1, "b", True)
    assert weft.select(a.sending("a"), b.receiving()) == (0, None, True)
    assert weft.select(a.sending("lost"), b.receiving(), timeout=0.001) == (None, None, False)
    assert len(a._kept) == 1

    words, total = weft.Chan(), []
    lock = threading.Lock()

    def collect():
        for word in words:
            with lock:
                total.append(word)

    threads = [threading.Thread(target=collect) for _ in range(3)]
    for thread in threads:
        thread.start()
    collectors = [weft.go(collect) for _ in range(3)]
    senders = [weft.go(lambda n=n: [words.send((n, i)) for i in range(100)]) for n in range(4)]
    for each in senders:
        each.join()
    words.close()
    for each in threads + collectors:
        each.join()
    assert sorted(total) == [(n, i) for n in range(4) for i in range(100)]


def network():
    listener = weft.Listener("127.0.0.1:0")
    address = "127.0.0.1:%d" % listener.port

    def echo(conn):
        with conn:
            while data := conn.read():
                conn.write(data)

    def serve():
        for conn in listener:
            weft.go(echo, conn)

    server = weft.go(serve)

    def client(number):
        with weft.dial(address, timeout=10) as conn:
            for i in range(10):
                text = b"%d of %d" % (i, number)
                conn.write(text)
                assert conn.read() == text
            conn.deadline(0.001)
            raises(TimeoutError, conn.read)

    for each in [weft.go(client, i) for i in range(10)]:
        each.join()
    listener.close()
    server.join()
    assert raises(weft.WeftError, weft.dial, address, timeout=10).errno == errno.ECONNREFUSED
    raises(weft.WeftError, weft.Listener, "nonsense")


# Goroutines that C has started and nobody has locked: the first call of the module does. What is known of the thread,
# and Python's own state, is there after each wait.
def unlocked():
    failures, done = [], weft.Chan(200)
    library = ctypes.CDLL(weft.os.environ["WEFT_LIBRARY"])

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def callback(_):
        try:
            me = threading.get_ident()
            own = threading.local()
            own.value = me
            for _ in range(20):
                weft.yield_()
                weft.sleep(0.0001)
                assert threading.get_ident() == me and own.value == me, "another thread"
        except BaseException as error:
            failures.append(error)
        done.send(None)

    class Attributes(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("stack_size", ctypes.c_size_t), ("rest", ctypes.c_uint64 * 2)]

    attributes = Attributes(ctypes.sizeof(Attributes), 8 << 20)
    for _ in range(50):
        assert library.weft_go_with(ctypes.byref(attributes), callback, None) == 0
    for _ in range(50):
        done.recv()
    assert not failures, failures
    weft.sleep(0.01)  # The last ones leave the callback.


def ends(how):
    if how == "waiting":
        weft.go(weft.Chan().recv)
    else:
        started = weft.Chan()

        def run():
            started.send(1)
            while True:
                pass

        weft.go(run)
        started.recv()
    weft.sleep(0.001)
    print("ended", flush=True)


if sys.argv[2:3] == ["ends"]:
    ends(sys.argv[3])
elif sys.argv[2:3] == ["unjoined"]:
    weft.go(int, "not a number")
    time.sleep(0.2)
else:
    for test in tasks, ends_of_waits, channels, network, unlocked:
        test()
        weft.go(test).join()
    print("passed")
