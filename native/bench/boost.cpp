// What Boost.Fiber takes for what costs.c asks of libweft, and Boost.Context for a bare switch: all on one thread, as
// Fiber's scheduler is by default. It has no select.
#include "measure.h"
#include <boost/context/fiber.hpp>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <vector>

namespace {

namespace ctx = boost::context;
namespace fib = boost::fibers;

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

void sleep_1ms()
{
    boost::this_fiber::sleep_for(std::chrono::milliseconds(1));
}

} // namespace

int main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : wanted;
    measure("Boost.Context: switch", switch_context, 50000);
    measure(YIELD, yield, 50000);
    measure(BUFFERED, send_receive, 25000);
    measure(ROUND_TRIP, ping_pong, 5000);
    measure(LOCK, lock_unlock, 50000);
    measure(START, spawn, 320);
    measure_late(sleep_1ms);
}
