// What Boost.Context and Boost.Fiber take for what costs.c asks of libweft: ns for one operation, the median of
// five rounds. All on one thread, as Fiber's scheduler is by default.
#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

namespace ctx = boost::context;
namespace fib = boost::fibers;

template <class Work>
void measure(const char *name, Work work, int n)
{
    std::vector<double> each;
    work(n / 10);
    for (int round = 0; round < 5; round++) {
        auto start = std::chrono::steady_clock::now();
        work(n);
        std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
        each.push_back(took.count() / n);
    }
    std::sort(each.begin(), each.end());
    std::printf("%s\t%.1f\t%.1f\t%.1f\n", name, each[2], each.front(), each.back());
}

void switch_context(int n)
{
    ctx::fiber other([](ctx::fiber &&back) {
        for (;;)
            back = std::move(back).resume();
        return std::move(back);
    });
    for (int i = 0; i < n / 2; i++)
        other = std::move(other).resume();
}

void yield(int n)
{
    bool end = false;
    fib::fiber other([&end] {
        while (!end)
            boost::this_fiber::yield();
    });
    for (int i = 0; i < n / 2; i++)
        boost::this_fiber::yield();
    end = true;
    other.join();
}

void ping_pong(int n)
{
    fib::unbuffered_channel<std::int64_t> to, back;
    fib::fiber other([&] {
        for (std::int64_t value; to.pop(value) == fib::channel_op_status::success;)
            back.push(value);
    });
    for (int i = 0; i < n; i++) {
        std::int64_t value = i;
        to.push(value);
        back.pop(value);
    }
    to.close();
    other.join();
}

void send_receive(int n)
{
    fib::buffered_channel<std::int64_t> channel(16);
    for (int i = 0; i < n; i++) {
        std::int64_t value = i;
        channel.push(value);
        channel.pop(value);
    }
}

void lock_unlock(int n)
{
    fib::mutex mutex;
    for (int i = 0; i < n; i++) {
        mutex.lock();
        mutex.unlock();
    }
}

void spawn(int n)
{
    std::vector<fib::fiber> fibers(64);
    for (int i = 0; i < n; i += 64) {
        for (auto &each : fibers)
            each = fib::fiber([] {});
        for (auto &each : fibers)
            each.join();
    }
}

} // namespace

int main()
{
    measure("Boost.Context: switch", switch_context, 1000000);
    measure("Boost.Fiber: yield between two", yield, 1000000);
    measure("Boost.Fiber: send and receive, buffered", send_receive, 500000);
    measure("Boost.Fiber: round trip, unbuffered", ping_pong, 100000);
    measure("Boost.Fiber: mutex", lock_unlock, 1000000);
    measure("Boost.Fiber: start and end, 64 at a time", spawn, 6400);
}
