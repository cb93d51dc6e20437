// Everything of weft.hpp, on a goroutine and on a thread.
//
//   hpp_test PROCS
//   hpp_test lost go|task|scope|timer     an exception that nobody can take, or has taken: it ends the program
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <ranges>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <weft.hpp>

#include "check.h"

using namespace std::chrono_literals;

#define THROWS(type, expression)                                                        \
    do {                                                                                \
        bool thrown_ = false;                                                           \
        try {                                                                           \
            (void)(expression);                                                         \
        } catch (const type &) {                                                        \
            thrown_ = true;                                                             \
        }                                                                               \
        if (!thrown_) {                                                                 \
            fprintf(stderr, "%s:%d: %s does not throw %s\n", __FILE__, __LINE__,        \
                    #expression, #type);                                                \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

static int code_of(auto &&function)
{
    try {
        function();
        return 0;
    } catch (const weft::error &e) {
        return e.code();
    }
}

// Counts how many there are, so that a lost or doubled one shows. May only be moved.
struct counted {
    static inline std::atomic<int> live = 0;
    int number = 0;
    explicit counted(int number = 0) : number(number) { live++; }
    counted(counted &&other) noexcept : number(std::exchange(other.number, -1)) { live++; }
    counted &operator=(counted &&other) noexcept
    {
        number = std::exchange(other.number, -1);
        return *this;
    }
    ~counted() { live--; }
};

struct alignas(64) wide {
    std::array<int, 30> numbers;
};

static_assert(std::ranges::input_range<weft::chan<int>>);
static_assert(std::ranges::input_range<weft::chan<std::unique_ptr<int>>>);
static_assert(!std::is_copy_constructible_v<weft::conn> && std::is_nothrow_move_constructible_v<weft::conn>);

static void channels()
{
    weft::chan<std::string> words(2);
    words.send("a string that is longer than what fits inside");
    std::string kept = "another string that is longer than what fits";
    words.send(kept);
    CHECK(kept.size() > 40);
    CHECK(words.size() == 2 && words.capacity() == 2);

    // What is not sent is still there.
    CHECK(!words.try_send(std::move(kept)) && kept.size() > 40);
    CHECK(!words.send_for(1ms, std::move(kept)) && kept.size() > 40);
    CHECK(!words.send_until(std::chrono::system_clock::now() + 1ms, kept) && kept.size() > 40);
    CHECK(words.recv()->starts_with("a string"));
    CHECK(words.try_recv()->starts_with("another"));
    CHECK(!words.try_recv());
    THROWS(weft::timed_out, words.recv_for(1ms));
    THROWS(weft::timed_out, words.recv_for(0ms));
    THROWS(weft::timed_out, words.recv_for(-1h));
    THROWS(weft::timed_out, words.recv_until(weft::clock::now() + 1ms));
    CHECK(words.send_for(1h, std::move(kept)) && kept.empty());
    words.close();
    kept = "kept";
    THROWS(weft::closed, words.send(std::move(kept)));
    CHECK(kept == "kept");
    THROWS(weft::closed, words.try_send("x"));
    CHECK(words.recv_for(1h)->starts_with("another"));
    CHECK(!words.recv() && !words.recv_for(1h) && !words.try_recv());
    THROWS(weft::closed, words.close());

    // Values that are left in a channel end with it.
    CHECK(counted::live == 0);
    {
        weft::chan<counted> some(5);
        for (int i = 0; i < 5; i++)
            some.send(counted(i));
        CHECK(counted::live == 5);
        CHECK(some.recv()->number == 0);
        CHECK(counted::live == 4);
    }
    CHECK(counted::live == 0);

    // Ranges, and what can only be moved.
    weft::chan<std::unique_ptr<int>> pointers;
    weft::go([pointers] {
        for (int i = 1; i <= 10; i++)
            pointers.send(std::make_unique<int>(i));
        pointers.close();
    });
    int sum = 0;
    for (std::unique_ptr<int> &each : pointers) {
        std::unique_ptr<int> mine = std::move(each);
        sum += *mine;
    }
    CHECK(sum == 55);
    weft::chan<int> numbers(3);
    weft::go([numbers] {
        for (int i = 0; i < 10; i++)
            numbers.send(i);
        numbers.close();
    });
    sum = 0;
#if !defined(__clang__) || __clang_major__ >= 16 // Older ones cannot compile libstdc++'s views.
    for (int each : numbers | std::views::filter([](int n) { return n % 2 == 1; }) | std::views::transform([](int n) {
             return n * 10;
         }))
        sum += each;
#else
    for (int each : numbers)
        sum += each % 2 == 1 ? each * 10 : 0;
#endif
    CHECK(sum == 250);

    weft::chan<wide> widest(1);
    widest.send(wide{{1, 2, 3}});
    CHECK(widest.recv()->numbers[2] == 3);
    weft::chan<void (*)()> functions(1);
    functions.send(channels);
    CHECK(functions.recv() == channels);
}

static void selects()
{
    weft::chan<int> a(1);
    weft::chan<counted> b(1);
    int got = 0;
    a.send(7);
    std::size_t index = weft::select(weft::on_recv(b, [&](counted) { got = -1; }), weft::on_recv(a, [&](int n) { got = n; }));
    CHECK(index == 1 && got == 7);

    // A value that is not the one goes back.
    counted mine(5);
    b.send(counted(4));
    index = weft::select(weft::on_send(b, std::move(mine), [&] { got = -1; }), weft::otherwise([&] { got = 8; }));
    CHECK(index == 1 && got == 8 && mine.number == 5);
    CHECK(b.recv()->number == 4);
    index = weft::select(weft::on_timeout(1h, [&] { got = -1; }), weft::on_send(b, std::move(mine), [&] { got = 9; }));
    CHECK(index == 1 && got == 9 && mine.number == -1);
    index = weft::select(weft::on_recv(b, [&](std::optional<counted> c) { got = c ? c->number : 0; }));
    CHECK(got == 5);
    index = weft::select(weft::on_recv(b, [&](counted) {}), weft::on_timeout(1ms, [&] { got = 10; }));
    CHECK(index == 1 && got == 10);
    index = weft::select(
        weft::on_timeout(weft::clock::now() - 1h, [&] { got = 11; }), weft::on_recv(b, [&](counted) {}));
    CHECK(index == 0 && got == 11);

    // Closed channels.
    b.close();
    weft::select(weft::on_recv(b, [&](std::optional<counted> c) { got = c ? 1 : 12; }));
    CHECK(got == 12);
    THROWS(weft::closed, weft::select(weft::on_recv(b, [](counted) {})));
    THROWS(weft::closed, weft::select(weft::on_send(b, std::move(mine), [] {})));

    // What the function throws, after its case was done.
    weft::chan<std::string> words(1);
    words.send("thrown");
    try {
        weft::select(weft::on_recv(words, [](std::string word) { throw std::runtime_error(word); }));
        CHECK(false);
    } catch (const std::runtime_error &e) {
        CHECK(e.what() == std::string("thrown"));
    }
    weft::select(weft::on_send(words, "converted", [] {}));
    CHECK(words.recv() == "converted");

    // Contexts, tasks and timers beside channels.
    weft::context soon(2ms);
    weft::select(weft::on_recv(words, [](std::string) {}), weft::on_done(soon, [&] { got = 13; }));
    CHECK(got == 13 && soon.err() == WEFT_ETIMEDOUT);
    weft::task<int> task = weft::start([] { return 3; });
    weft::select(weft::on_recv(words, [](std::string) {}), weft::on_done(task, [&] { got = task.join(); }));
    CHECK(got == 3);
    weft::timer tick(2ms);
    weft::clock::time_point then;
    weft::select(weft::on_recv(words, [](std::string) {}), weft::on_done(tick, [&](weft::clock::time_point t) { then = t; }));
    CHECK(weft::clock::now() >= then && weft::clock::now() - then < 10s);

    // As many as there are, in the form of C.
    std::vector<weft::chan<int>> many(20);
    std::vector<int> values(20);
    std::vector<weft_case> cases;
    for (std::size_t i = 0; i < many.size(); i++)
        cases.push_back(weft::recv_case(many[i], values[i]));
    CHECK(!weft::select_for(1ms, cases));
    weft::go([&] { many[13].send(99); });
    CHECK(weft::select(cases).index == 13 && values[13] == 99);
}

static void tasks()
{
    CHECK(weft::start([](int a, int b) { return a * b; }, 6, 7).join() == 42);
    weft::start([] {}).join();
    int there = 1;
    CHECK(&weft::start([&]() -> int & { return there; }).join() == &there);
    CHECK(*weft::start([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(9)).join() == 9);
    weft::task<int> fails = weft::start([]() -> int { throw std::runtime_error("of a task"); });
    fails.wait();
    CHECK(fails.wait_for(0ms) && fails.joinable());
    try {
        fails.join();
        CHECK(false);
    } catch (const std::runtime_error &e) {
        CHECK(e.what() == std::string("of a task"));
    }
    CHECK(!fails.joinable());
    CHECK(code_of([&] { fails.join(); }) == WEFT_EINVAL);

    // A stop, asked for and by the end of its life, which cancels too: destructors run.
    std::atomic<int> stopped = 0;
    struct counts {
        std::atomic<int> &ends;
        ~counts() { ends++; }
    };
    auto until_stopped = [&](std::stop_token token) {
        counts here{stopped};
        while (!token.stop_requested())
            weft::sleep_for(100us);
        return 5;
    };
    weft::task<int> asked = weft::start(until_stopped);
    CHECK(!asked.wait_for(1ms) && !asked.wait_until(weft::clock::now() + 1ms));
    asked.request_stop();
    CHECK(asked.join() == 5);
    {
        weft::task<int> forgotten = weft::start(weft::attributes{.stack_size = 64 << 10, .name = "forgotten"}, until_stopped);
        forgotten = weft::start(until_stopped); // The first one ends here.
        CHECK(stopped == 2);
    }
    CHECK(stopped == 3);

    // What ends waits: it is thrown, where the wait is.
    weft::chan<int> never;
    weft::task<int> waits = weft::start([&]() -> int {
        try {
            never.recv();
        } catch (const weft::interrupted &) {
            stopped += 10;
        }
        never.recv();
        return 1;
    });
    waits.interrupt();
    while (stopped != 13)
        weft::sleep_for(100us);
    CHECK(waits.joinable() && !waits.wait_for(1ms));
    waits.cancel();
    THROWS(weft::canceled, waits.join());
    weft::task<void> cleans = weft::start([&] {
        try {
            never.recv();
        } catch (const weft::canceled &) {
            THROWS(weft::canceled, weft::check_canceled());
            weft::shield held;
            weft::sleep_for(1ms);
            CHECK(!never.send_for(1ms, 3));
        }
        THROWS(weft::canceled, never.recv());
    });
    cleans.cancel();
    cleans.join();
    weft::start([&] {
        weft::task<int> held = weft::start([&] { return never.recv().value_or(0); });
        THROWS(weft::canceled, held.join()); // Who waits is cancelled; what it waits for is there, and ends after it.
        CHECK(held.joinable());
    }).cancel();
#if !defined(__SANITIZE_ADDRESS__) // What is on its stack is lost.
    weft::task<int> exits = weft::start([]() -> int {
        weft_exit();
        return 1;
    });
    THROWS(weft::canceled, exits.join());
#endif

    // run and blocking return and throw.
    CHECK(weft::run([] { return std::make_unique<int>(4); }) != nullptr);
    CHECK(&weft::run([&]() -> int & { return there; }) == &there);
    CHECK(weft::blocking([] { return usleep(100); }) == 0);
    THROWS(std::logic_error, weft::run([] { throw std::logic_error("x"); }));
    THROWS(std::logic_error, weft::blocking([] { throw std::logic_error("x"); }));

    // On a movable stack.
    weft::chan<int> from_movable;
    weft::go(weft::attributes{.movable = true}, [from_movable] { from_movable.send(17); });
    CHECK(from_movable.recv() == 17);
    CHECK(code_of([] { weft::go(weft::attributes{.stack_size = 5}, [] {}); }) == WEFT_EINVAL);
}

static void scopes()
{
    std::atomic<int> ended = 0;
    {
        weft::scope some;
        for (int i = 0; i < 20; i++)
            some.go([&] {
                weft::sleep_for(100us);
                ended++;
            });
    }
    CHECK(ended == 20);

    // One that throws cancels the others, and what it threw is thrown by wait.
    weft::scope fails;
    fails.go([&] {
        try {
            weft::sleep_for(1min);
        } catch (const weft::canceled &) {
            ended++;
            throw; // No failure.
        }
    });
    fails.go([&](std::stop_token token) {
        while (!token.stop_requested())
            weft::yield();
        ended++;
    });
    fails.go([] { throw std::runtime_error("the one"); });
    try {
        fails.wait();
        CHECK(false);
    } catch (const std::runtime_error &e) {
        CHECK(e.what() == std::string("the one"));
    }
    CHECK(ended == 22 && fails.context().is_canceled());

    weft::mutex gate;
    gate.lock();
    weft::scope several;
    for (int i = 0; i < 3; i++)
        several.go([&] {
            std::lock_guard held(gate); // Waits on, where the first one has cancelled it.
            throw std::logic_error("one of them");
        });
    several.go([&] {
        std::lock_guard held(gate);
        throw weft::timed_out();
    });
    gate.unlock();
    try {
        several.wait();
        CHECK(false);
    } catch (const weft::exceptions &e) {
        CHECK(e.all().size() == 4);
    }
    several.wait(); // They were taken.

    // canceled without a cancellation is a failure.
    weft::scope alone;
    alone.go([] { throw weft::canceled(); });
    THROWS(weft::canceled, alone.wait());

    // Two at once: a third waits for a place, and need not.
    weft::scope few;
    weft::chan<int> gate_of_few;
    few.limit(2);
    for (int i = 0; i < 2; i++)
        few.go([&] { gate_of_few.recv(); });
    CHECK(!few.try_go([] {}));
    auto third = weft::start([&] { few.go([] {}); });
    third.cancel();
    THROWS(weft::canceled, third.join());
    gate_of_few.send(1);
    few.go([&] { ended++; }); // When one has ended.
    gate_of_few.send(2);
    few.wait();
    CHECK(few.try_go([&] { ended++; }));
    few.wait();
    CHECK(ended == 24);

    weft::context above;
    weft::scope below(above);
    below.go([] { weft::sleep_for(1min); });
    above.cancel();
    below.wait();
    weft::scope timed(1ms);
    for (int i = 0; i < 3; i++)
        timed.go([] { weft::sleep_for(1min); });
    THROWS(weft::timed_out, timed.wait());
    timed.wait();
    weft::scope canceled;
    canceled.go([] { weft::chan<int>().recv(); });
    canceled.cancel();
}

static void contexts()
{
    static weft::context_key<std::string> name;
    static weft::context_key<int> other;
    weft::context root;
    weft::context named = root.with(name, std::make_shared<std::string>("value"));
    weft::context child = named.child(1h);
    root = weft::context(); // The parents live as long as the children.
    CHECK(*child.value(name) == "value" && child.value(other) == nullptr);
    CHECK(child.remaining() > 59min && child.remaining() <= 1h);
    CHECK(named.remaining() == std::chrono::nanoseconds::max());
    CHECK(child.err() == 0);
    child.check_canceled();
    named.cancel();
    CHECK(child.err() == WEFT_ECANCELED);
    THROWS(weft::canceled, child.check_canceled());
    weft::context past(weft::clock::now() - 1s);
    weft::select(weft::on_done(past, [] {}));
    THROWS(weft::timed_out, past.check_canceled());

    // Waits in a goroutine end with its context, but for those of locks; a time of the call's own is another one.
    weft::run([] {
        weft::chan<int> never;
        // A wait that the context ended stays that when the task is cancelled before anybody has caught it.
        {
            weft::context passes(1ms);
            weft::with_context held(passes);
            std::atomic<bool> unwinds = false;
            auto task = weft::start([&](std::stop_token stop) {
                struct slow {
                    std::stop_token stop;
                    std::atomic<bool> &unwinds;
                    ~slow()
                    {
                        weft::shield held;
                        unwinds = true;
                        while (!stop.stop_requested())
                            weft::yield();
                        weft::sleep_for(1ms); // The cancellation follows at once.
                    }
                } last{stop, unwinds};
                weft::sleep_for(1min);
            });
            while (!unwinds)
                weft::yield();
        }
        weft::context alive, ends(2ms);
        {
            weft::with_context held(alive);
            CHECK(!never.send_for(0ms, 1));
        }
        {
            weft::with_context held(ends);
            THROWS(weft::timed_out, never.send(1));
            THROWS(weft::timed_out, never.send_for(1min, 1));
            THROWS(weft::timed_out, never.recv_for(1min));
            THROWS(weft::timed_out, weft::select(weft::on_recv(never, [](int) {}), weft::on_timeout(1min, [] {})));
            THROWS(weft::timed_out, weft::sleep_for(1min));
            THROWS(weft::timed_out, weft::start([] { weft::sleep_for(1min); }).join());
            weft::mutex lock;
            std::lock_guard locked(lock);
        }
        weft::sleep_for(1us);
    });
    CHECK(code_of([] { weft::with_context held{weft::context()}; }) == (weft::self() == 0 ? WEFT_ESRCH : 0));

    // From a stop token, and to one.
    std::stop_source source;
    weft::context of_token(source.get_token());
    CHECK(!of_token.is_canceled());
    source.request_stop();
    CHECK(of_token.is_canceled());
    CHECK(weft::context(source.get_token()).is_canceled());
    { weft::context gone(std::stop_source().get_token()); }

    weft::context parent;
    weft::context to_token = parent.child();
    std::stop_token token = to_token.stop_token();
    CHECK(token.stop_possible() && !token.stop_requested() && token == to_token.stop_token());
    weft::chan<int> called(1);
    std::stop_callback callback(token, [&] { called.send(1); });
    parent.cancel();
    CHECK(called.recv_for(10s) == 1 && token.stop_requested());
    weft::context at_once;
    std::stop_token its = at_once.stop_token();
    at_once.cancel();
    CHECK(its.stop_requested());
    std::stop_token late;
    {
        weft::context freed;
        late = freed.stop_token();
    }
    while (!late.stop_requested())
        weft::sleep_for(100us);
}

static void looks()
{
    CHECK(weft::maxprocs() >= 1 && weft::count() >= (weft::self() != 0));
    int fds[2];
    CHECK(pipe(fds) == 0);
    weft::dump(fds[1]);
    close(fds[1]);
    weft::conn from = weft::conn::adopt(fds[0]);
    char text[4];
    CHECK(weft::self() == 0 || from.read(text, sizeof text) > 0);
    CHECK(code_of([] { weft::dump(-1); }) == WEFT_EINVAL);
}

static void times()
{
    auto before = weft::clock::now();
    weft::sleep_for(2ms);
    weft::sleep_until(std::chrono::system_clock::now() + 2ms);
    weft::sleep_until(weft::clock::now() - 1h);
    CHECK(weft::clock::now() - before >= 4ms);
    CHECK(std::abs(weft_now() - weft::nanoseconds(weft::clock::now().time_since_epoch())) < 1'000'000'000);
    weft::timer every(1ms, 1ms);
    auto first = every.recv();
    CHECK(every.recv() > first);
    every.stop();
    CHECK(!every.reset(1h) && every.stop());
    CHECK(code_of([] { weft::timer(1ms, -1ms); }) == WEFT_EINVAL);

    weft::chan<int> calls(100);
    auto counting = std::make_shared<int>(0);
    {
        weft::timer once = weft::call_after(1ms, [calls, counting] { calls.send(1); });
        CHECK(calls.recv() == 1);
        weft::timer often = weft::call_every(1ms, [calls, counting] { calls.send(2); });
        CHECK(calls.recv() == 2 && calls.recv() == 2);
        weft::timer never = weft::call_after(1h, [calls, counting] { calls.send(3); });
    }
    while (counting.use_count() > 1) // The functions end with their timers.
        weft::sleep_for(100us);
    while (std::optional<int> call = calls.try_recv())
        CHECK(call == 2);
}

static void locks()
{
    weft::mutex lock;
    weft::condition_variable changed(lock);
    int turn = 0;
    {
        weft::scope two;
        for (int me = 0; me < 2; me++)
            two.go([&, me] {
                for (int i = 0; i < 50; i++) {
                    std::unique_lock held(lock);
                    changed.wait(held, [&] { return turn % 2 == me; });
                    turn++;
                    changed.notify_all();
                }
            });
    }
    CHECK(turn == 100);
    CHECK(lock.try_lock() && !lock.try_lock());
    CHECK(!lock.try_lock_for(1ms) && !lock.try_lock_until(weft::clock::now()));
    {
        std::unique_lock had(lock, std::adopt_lock);
        CHECK(!changed.wait_for(had, 1ms) && !changed.wait_until(had, weft::clock::now() + 1ms));
        CHECK(!changed.wait_for(had, 1ms, [] { return false; }) && changed.wait_for(had, 0ms, [] { return true; }));
        CHECK(had.owns_lock());
        std::unique_lock second(lock, 1ms);
        CHECK(!second);
        had.release();
    }
    weft::mutex another;
    std::unique_lock wrong(another);
    CHECK(code_of([&] { changed.wait(wrong); }) == WEFT_EPERM);
    std::unique_lock not_held(lock, std::defer_lock);
    CHECK(code_of([&] { changed.wait(not_held); }) == WEFT_EPERM);
    lock.unlock();
    CHECK(code_of([&] { lock.unlock(); }) == WEFT_EPERM);

    weft::shared_mutex many;
    {
        std::shared_lock one(many), two(many);
        CHECK(!many.try_lock() && many.try_lock_shared());
        many.unlock_shared();
    }
    {
        std::unique_lock writer(many);
        CHECK(!many.try_lock_shared());
        CHECK(!many.try_lock_shared_for(1ms) && !many.try_lock_for(1ms));
        CHECK(!many.try_lock_shared_until(weft::clock::now() + 1ms) && !many.try_lock_until(weft::clock::now() + 1ms));
    }

    weft::semaphore units(2);
    units.acquire(2);
    CHECK(!units.try_acquire());
    CHECK(!units.try_acquire_for(1ms) && !units.try_acquire_until(weft::clock::now() + 1ms, 2));
    units.release();
    CHECK(units.try_acquire());
    CHECK(code_of([&] { units.acquire(3); }) == WEFT_EINVAL);
    units.release(2);

    weft::wait_group group;
    group.add(3);
    CHECK(!group.wait_for(1ms) && !group.wait_until(weft::clock::now() + 1ms));
    for (int i = 0; i < 3; i++)
        weft::go([&] { group.done(); });
    group.wait();
    CHECK(code_of([&] { group.done(); }) == WEFT_EPERM);

    weft::once first, fails;
    std::atomic<int> calls = 0;
    {
        weft::scope all;
        for (int i = 0; i < 10; i++)
            all.go([&] {
                first([&] {
                    weft::sleep_for(1ms);
                    calls++;
                });
                CHECK(calls == 1);
                THROWS(std::logic_error, fails([] { throw std::logic_error("once"); }));
            });
    }

    static weft::local<counted> mine;
    CHECK(mine.find() == nullptr);
    {
        weft::scope all;
        for (int i = 1; i <= 10; i++)
            all.go([i] {
                mine->number = i;
                weft::yield();
                CHECK(mine->number == i && mine.find()->number == i);
            });
    }
    while (counted::live > 0) // After the end of the scope the goroutines end.
        weft::sleep_for(100us);
    weft::run([] {
        weft::thread_lock held;
        std::thread::id before = std::this_thread::get_id();
        weft::sleep_for(1ms);
        CHECK(std::this_thread::get_id() == before);
    });
}

static void network()
{
    weft::listener server("127.0.0.1:0");
    std::string address = "127.0.0.1:" + std::to_string(server.port());
    weft::task<int> serving = weft::start([&] {
        int served = 0;
        try {
            for (;; served++)
                weft::go([peer = server.accept()] {
                    std::array<char, 100> buffer;
                    try {
                        while (std::size_t n = peer.read(std::span(buffer)))
                            peer.write(std::string_view(buffer.data(), n));
                    } catch (const weft::error &e) { // The client ends without reading the last answer.
                        CHECK(e.code() == -ECONNRESET || e.code() == WEFT_EPIPE);
                    }
                });
        } catch (const weft::error &e) {
            CHECK(e.code() == WEFT_EBADF);
        }
        return served;
    });
    {
        weft::conn client = weft::dial(address), other;
        client.write("hello");
        std::string answer(5, ' ');
        std::size_t got = 0;
        while (got < answer.size())
            got += client.read(std::span(answer).subspan(got));
        CHECK(answer == "hello");
        client.deadline(1ms);
        THROWS(weft::timed_out, client.read(std::span(answer)));
        client.deadline(weft::clock::now() + 1h);
        client.no_deadline();
        other = std::move(client);
        other.write(std::as_bytes(std::span(answer)));
        other.close();
        CHECK(code_of([&] { other.write("x"); }) != 0);
        weft::dial(address, 10s).close();
    }
    server.close();
    CHECK(serving.join() >= 1);
    CHECK(code_of([&] { weft::dial(address, 10s); }) == -ECONNREFUSED);
    CHECK(code_of([] { weft::listener("nonsense"); }) < 0);

    int fds[2];
    CHECK(pipe(fds) == 0);
    CHECK(!weft::wait_readable(fds[0], 1ms) && weft::wait_writable(fds[1], 1ms));
    CHECK(write(fds[1], "x", 1) == 1);
    weft::wait_readable(fds[0]);
    weft::wait_writable(fds[1]);
    close(fds[0]);
    close(fds[1]);
    CHECK(code_of([&] { weft::wait_readable(fds[0]); }) == WEFT_EBADF);
}

// Buffers, half-closed connections, datagrams, addresses, descriptors of others.
static void more_network()
{
    weft::listener server("127.0.0.1:0");
    std::string address = server.local().text();
    CHECK(address == "127.0.0.1:" + std::to_string(server.port()) && server.fd() >= 0);
    server.deadline(1ms);
    THROWS(weft::timed_out, server.accept());
    server.deadline(1h);
    weft::task<std::string> serving = weft::start([&] {
        weft::conn peer = server.accept();
        weft::reader lines(peer);
        std::string all;
        while (std::optional<std::string> line = lines.line())
            all += *line + "|";
        peer.write({"got ", all});
        return peer.local().text();
    });
    weft::conn client = weft::dial(address);
    std::string peer = client.peer().text();
    CHECK(client.local().text() != peer);
    client.write({"one\n", "two\r\n", "three"});
    client.close_write();
    weft::reader rest(client);
    char text[100];
    CHECK(std::string(text, rest.read_full(text, sizeof text)) == "got one|two|three|");
    CHECK(rest.read(text, sizeof text) == 0 && !rest.line());
    CHECK(serving.join() == peer);
    client.read_deadline(1h);
    client.write_deadline(1h);
    int gone = code_of([&] { client.close_read(); });
    CHECK(client.fd() >= 0 && (gone == 0 || gone == -ENOTCONN));
    int mine = client.release();
    CHECK(close(mine) == 0 && code_of([&] { client.write("x"); }) == WEFT_EBADF);
    CHECK(weft::resolve(address).at(0).text() == address);

    int fds[2];
    CHECK(pipe(fds) == 0);
    weft::conn in = weft::conn::adopt(fds[0]), out = weft::conn::adopt(fds[1]);
    out.write("a long line\n");
    CHECK(code_of([&] { weft::reader(in).line(3); }) == WEFT_EMSGSIZE);

    weft::packets one("127.0.0.1:0"), two("127.0.0.1:0");
    one.send("ping", two.local());
    auto [length, from] = two.recv(text, sizeof text);
    CHECK(std::string(text, length) == "ping" && from.text() == one.local().text() && two.fd() >= 0);
    two.deadline(1ms);
    THROWS(weft::timed_out, two.recv(text, sizeof text));
}

static void processes()
{
    weft::command cat{.arguments = {"cat"}, .input = WEFT_PIPE, .output = WEFT_PIPE};
    weft::process started(cat);
    CHECK(started.id() > 0 && !started.wait_for(1ms));
    weft::conn in = started.input(), out = started.output();
    in.write("through another process\n");
    in.close();
    CHECK(weft::reader(out).line() == "through another process");
    CHECK(WIFEXITED(started.wait()) && WEXITSTATUS(*started.wait_for(1h)) == 0);
    weft::process shell({.arguments = {"sh", "-c", "echo $A; pwd >&2; exec sleep 100"},
        .environment = std::vector<std::string>{"A=b", "PATH=/usr/bin:/bin"}, .directory = "/",
        .output = WEFT_PIPE, .error = WEFT_PIPE});
    CHECK(weft::reader(shell.output()).line() == "b" && weft::reader(shell.error()).line() == "/");
    shell.kill(SIGTERM);
    int status = shell.wait();
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    if (!UNDER_QEMU) // Its vfork is a fork: the parent does not learn of the error.
        CHECK(code_of([] { weft::process({.arguments = {"/no such program"}}); }) == -ENOENT);

    char name[] = "/tmp/weft-hpp-XXXXXX", text[10];
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0);
    weft::write_file(fd, "0123456789");
    weft::write_file(fd, "ab", 3);
    weft::sync_file(fd);
    CHECK(std::string(text, weft::read_file(fd, text, 4, 2)) == "2ab5");
    close(fd);
    CHECK(code_of([&] { weft::read_file(fd, text, 4); }) == WEFT_EBADF);

    weft::signals quits{SIGUSR1, SIGUSR2};
    kill(getpid(), SIGUSR2);
    CHECK(quits.recv() == SIGUSR2);
    int got = 0;
    kill(getpid(), SIGUSR1);
    weft::select(weft::on_recv(quits, [&](int signal) { got = signal; }), weft::on_timeout(1min, [] {}));
    CHECK(got == SIGUSR1);
}

#if defined(__cpp_impl_coroutine)

struct coroutine {
    struct promise_type {
        coroutine get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

static coroutine doubles(weft::chan<std::string> in, weft::chan<std::string> out, weft::chan<bool> over)
{
    while (std::optional<std::string> word = co_await weft::async_recv(in))
        co_await weft::async_send(out, *word + *word);
    out.close();
    try {
        co_await weft::async_send(out, std::string("lost"));
        CHECK(false);
    } catch (const weft::closed &) {
    }
    over.send(true);
}

static void coroutines()
{
    weft::chan<std::string> in, out;
    weft::chan<bool> over;
    doubles(in, out, over);
    in.send("ab");
    CHECK(out.recv() == "abab");
    in.send("cd");
    CHECK(out.recv() == "cdcd");
    in.close();
    CHECK(!out.recv() && over.recv());
}

#else
static void coroutines() {}
#endif

// Threads and goroutines on channels of objects: none is lost, none comes twice.
static void many()
{
    weft::chan<counted> numbers(10);
    std::atomic<long> sum = 0;
    auto send = [&](int from) {
        for (int i = from; i < from + 1000; i++)
            weft::select(weft::on_send(numbers, counted(i), [] {}), weft::on_timeout(1min, [] { CHECK(false); }));
    };
    auto receive = [&] {
        for (counted &each : numbers)
            sum += each.number;
    };
    std::thread receiver(receive);
    {
        weft::scope receivers;
        receivers.go(receive);
        receivers.go(receive);
        {
            std::thread sender([&] { send(0); });
            weft::scope senders;
            senders.go([&] { send(1000); });
            senders.go([&] { send(2000); });
            sender.join();
        }
        numbers.close();
    }
    receiver.join();
    CHECK(sum == 3000L * 2999 / 2);
    CHECK(counted::live == 0);
}

static void everything()
{
    channels();
    selects();
    tasks();
    scopes();
    contexts();
    looks();
    times();
    locks();
    network();
    more_network();
    processes();
}

static int lost(const std::string &where)
{
    auto fails = [] { throw std::runtime_error("lost"); };
    weft::runtime runtime;
    std::set_terminate([] {
        if (std::current_exception())
            std::fputs("terminate: an exception\n", stderr);
        std::abort();
    });
    if (where == "go") {
        weft::go(fails);
        weft::sleep_for(10s);
    } else if (where == "task") {
        weft::task<void> task = weft::start(fails);
    } else if (where == "scope") {
        weft::scope scope;
        scope.go(fails);
    } else {
        weft::timer timer = weft::call_after(1ms, fails);
        weft::sleep_for(10s);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return lost(argv[2]);
    setenv("WEFT_MAXPROCS", argv[1], 1);
    THROWS(std::runtime_error, weft::run_main([](int, char **) -> int { throw std::runtime_error("of main"); }, argc, argv));
    CHECK(weft::run_main([&](int count, char **arguments) { return count == argc && arguments == argv ? 3 : 4; }, argc, argv) == 3);
    {
        weft::runtime runtime(std::atoi(argv[1]));
        everything(); // On a thread.
        weft::run(everything);
        coroutines();
        many();
    }
    std::puts("passed");
}
