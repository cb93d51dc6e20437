// Some of weft-bench's questions, asked of Boost.Fiber on one thread: the same names, arguments and lines
// (bench/Answers.cs, Measure.cs). A fiber belongs to a thread unless a scheduler is written that shares them, so
// there are no rows with more processors.
#include <algorithm>
#include <boost/fiber/all.hpp>
#include <boost/version.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace fibers = boost::fibers;

static const int samples = 9;
static const double sample_takes = 1e8; // ns

static double now()
{
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static void check(bool condition, const char *what)
{
    if (!condition) {
        std::fprintf(stderr, "weft-bench-boost: %s\n", what);
        std::exit(1);
    }
}

static void two(const std::function<void()> &first, const std::function<void()> &second)
{
    fibers::fiber a(first), b(second);
    a.join();
    b.join();
}

// Each does something about n times, and returns how many times in all.

static long yield(long n)
{
    auto times = [n] {
        for (long i = 0; i < n; i++)
            boost::this_fiber::yield();
    };
    two(times, times);
    return 2 * n;
}

static long ping_pong(long n)
{
    fibers::unbuffered_channel<long> ping, pong;
    long last = 0;
    two([&] {
        for (long i = 0; i < n; i++) {
            ping.push(last);
            last = pong.value_pop();
        }
    }, [&] {
        for (long i = 0; i < n; i++)
            pong.push(ping.value_pop() + 1);
    });
    check(last == n, "messages lost");
    return 2 * n;
}

static long stream(long n)
{
    fibers::buffered_channel<long> channel(128);
    long sum = 0;
    two([&] {
        for (long i = 0; i < n; i++)
            channel.push(1);
    }, [&] {
        for (long i = 0; i < n; i++)
            sum += channel.value_pop();
    });
    check(sum == n, "messages lost");
    return n;
}

static long lock(long n)
{
    fibers::mutex mutex;
    for (long i = 0; i < n; i++) {
        mutex.lock();
        mutex.unlock();
    }
    return n;
}

static const struct question {
    const char *name;
    long (*run)(long n);
} questions[] = {
    { "switch_1p", yield },
    { "chan_unbuf_1p", ping_pong },
    { "chan_buf128_1p1c_1p", stream },
    { "mutex_unc_1p", lock },
};

static double timed(const question &q, long n)
{
    double start = now();
    long operations = q.run(n);
    return (now() - start) / static_cast<double>(operations);
}

static void answer(const question &q, bool print_samples)
{
    long n = 64;
    while (timed(q, n) * static_cast<double>(n) < sample_takes / 2)
        n *= 2;
    std::vector<double> values;
    for (int i = 0; i < samples; i++)
        values.push_back(timed(q, n));
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    std::printf("%s\t%.3g\tns\t%.3g\t%.3g", q.name, sorted[samples / 2], sorted[0], sorted[samples - 1]);
    for (double value : values)
        if (print_samples)
            std::printf("\t%.9g", value);
    std::printf("\n");
}

int main(int argc, char **argv)
{
    std::vector<std::string> args(argv + 1, argv + argc);
    if (args.size() == 1 && args[0] == "version") {
        std::printf("Boost.Fiber %d.%d\n", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
        return 0;
    }
    bool print_samples = !args.empty() && args[0] == "--samples";
    for (const std::string &name : args) {
        bool found = name == "--samples";
        for (const question &q : questions) {
            if (name == "list")
                std::printf("%-25s ns  as weft-bench's\n", q.name);
            else if (name == q.name)
                answer(q, print_samples);
            found |= name == "list" || name == q.name;
        }
        if (!found) {
            std::fprintf(stderr, "weft-bench-boost: no row is named '%s'; weft-bench-boost list prints the names\n",
                name.c_str());
            return 2;
        }
    }
    return 0;
}
