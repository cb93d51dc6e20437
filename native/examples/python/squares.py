"""Goroutines of Python that share work, and an echo over the network."""
import weft

numbers, squares = weft.Chan(), weft.Chan()


def work():
    done = 0
    for n in numbers:
        squares.send(n * n)
        done += 1
    return done


workers = [weft.go(work) for _ in range(4)]
total = weft.go(lambda: sum(squares))
for n in range(1, 101):
    numbers.send(n)
numbers.close()
shares = [worker.join() for worker in workers]
squares.close()
print(sum(shares), "squares add up to", total.join())

listener = weft.Listener("127.0.0.1:0")


def serve():
    for conn in listener:
        weft.go(lambda c=conn: c.write(c.read().upper()))


server = weft.go(serve)
with weft.dial("127.0.0.1:%d" % listener.port, timeout=5) as conn:
    conn.write(b"an answer")
    print(conn.read().decode())
listener.close()
server.join()
