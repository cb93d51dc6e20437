// weft.hpp: weft.h for C++20. Owning handles, channels of any movable type, select with lambdas, tasks that are
// joined for their value or exception, times of <chrono>, std::stop_token; errors are exceptions of type weft::error.
//
//   weft::chan<std::string> words;
//   weft::go([=] { words.send("hello"); words.close(); });
//   for (std::string &word : words)
//       std::puts(word.c_str());
//
// Rules that are the same everywhere:
//
//   - chan, context: copies share the object; the last one frees it. Everything else is moved, or stays where it is.
//   - An exception never enters a frame of C, and is never lost. What a function throws that was given to run,
//     blocking, once, task or scope is thrown where its result is asked for; where nobody ever can ask, after go or
//     in a timer, or nobody has, when a task or scope ends unasked, it ends the program as on a thread.
//   - What was not sent is the sender's still: a send that fails leaves the value in the variable it was moved from.
//   - Functions that wait park the goroutine; on a thread they block it.
//   - What ends waits of a goroutine, its context (with_context), the cancellation of its task and task::interrupt,
//     throws canceled, timed_out or interrupted out of what waits there, so that destructors run; locks, once,
//     wait_group and condition variables wait on, unless they have a time. So a destructor may wait in them, and
//     task and scope wait for their goroutines whatever happens.
//   - Not in goroutines: thread_local across a wait (weft::local is what replaces it), std::mutex across a wait
//     (weft::mutex), std::this_thread::get_id. A std::stop_callback of your own must not wait: it compares threads.
//   - weft_exit unwinds nothing. join of a task that has called it throws canceled.

#ifndef WEFT_HPP
#define WEFT_HPP

#if !defined(__cpp_concepts)
#error "weft.hpp needs C++20: compile with -std=c++20, or include weft.h"
#else

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__cpp_impl_coroutine)
#include <coroutine>
#endif

#include <weft.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_HPP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_HPP_ASAN 1
#endif
#endif
#if defined(WEFT_HPP_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace weft {

// --- errors and times ---------------------------------------------------------------------------------------

// What a weft_ function returned, below 0.
class error : public std::exception {
public:
    explicit error(int code) noexcept : code_(code) {}
    int code() const noexcept { return code_; }
    const char *what() const noexcept override { return weft_strerror(code_); }

private:
    int code_;
};

// Those that are caught by themselves.
struct closed : error {
    closed() noexcept : error(WEFT_EPIPE) {}
};
struct timed_out : error {
    timed_out() noexcept : error(WEFT_ETIMEDOUT) {}
};
struct canceled : error {
    canceled() noexcept : error(WEFT_ECANCELED) {}
};
struct interrupted : error {
    interrupted() noexcept : error(WEFT_EINTR) {}
};

[[noreturn]] inline void fail(int code)
{
    switch (code) {
    case WEFT_EPIPE: throw closed();
    case WEFT_ETIMEDOUT: throw timed_out();
    case WEFT_ECANCELED: throw canceled();
    case WEFT_EINTR: throw interrupted();
    default: throw error(code);
    }
}

namespace detail {

// AddressSanitizer has to know on which stack a thread is, to forget what a throw leaves there: where the first frame of
// C++ on it is, told anew after whatever may have changed the thread. Nothing in a program without it.
#if defined(WEFT_HPP_ASAN)
inline int asan_key() noexcept
{
    static const int key = [] {
        int made = -1;
        weft_local_key(&made, nullptr);
        return made;
    }();
    return key;
}

// From now on the thread is on a stack that ends there; nullptr: on its own. Not to be inlined, where the address of a
// thread_local may be another thread's.
[[gnu::noinline]] inline void tell_asan(char *top) noexcept
{
    static thread_local const void *own = nullptr;
    static thread_local std::size_t own_size = 0;
    constexpr std::size_t size = 1024; // Only the end counts.
    if (top == nullptr && own == nullptr)
        return;
    void *fake_stack = nullptr;
    const void *before;
    std::size_t size_before;
    __sanitizer_start_switch_fiber(&fake_stack, top == nullptr ? own : top - size, top == nullptr ? own_size : size);
    __sanitizer_finish_switch_fiber(fake_stack, &before, &size_before);
    if (own == nullptr) {
        own = before;
        own_size = size_before;
    }
}

inline void tell_asan() noexcept
{
    if (weft_self() != 0)
        if (void *top = weft_local_get(asan_key()))
            tell_asan(static_cast<char *>(top));
}

// The first frame of C++ on a goroutine's stack, or one further down.
class first_frame {
public:
    first_frame() noexcept : is_first_(weft_self() != 0 && weft_local_get(asan_key()) == nullptr)
    {
        if (is_first_)
            weft_local_set(asan_key(), static_cast<char *>(__builtin_frame_address(0)) + 16);
        tell_asan();
    }
    ~first_frame()
    {
        if (is_first_)
            tell_asan(nullptr);
    }
    first_frame(const first_frame &) = delete;
    first_frame &operator=(const first_frame &) = delete;

private:
    bool is_first_;
};
#else
inline void tell_asan() noexcept {}
struct first_frame {
    first_frame() noexcept {}
};
#endif

// What a call of C has returned that is not checked.
template <typename I>
I came_back(I result) noexcept
{
    tell_asan();
    return result;
}

} // namespace detail

// The result, unless it is an error.
template <std::signed_integral I>
I check(I result)
{
    detail::tell_asan();
    if (result < 0)
        fail(static_cast<int>(result));
    return result;
}

// steady_clock is the clock of weft_now.
using clock = std::chrono::steady_clock;

inline std::int64_t nanoseconds(std::chrono::nanoseconds time) noexcept { return time.count(); }

namespace detail {

// For a limit: what is past is 0, since below 0 is for ever.
inline std::int64_t limit(std::chrono::nanoseconds time) noexcept { return std::max<std::int64_t>(0, time.count()); }

template <typename Clock, typename Duration>
std::chrono::nanoseconds until(std::chrono::time_point<Clock, Duration> when)
{
    return std::chrono::ceil<std::chrono::nanoseconds>(when - Clock::now());
}

// False for what would have to wait.
inline bool at_once(int result) { return came_back(result) != WEFT_EAGAIN && check(result) >= 0; }

// call(deadline) with what a function whose name ends in _until takes: false when that has passed. The time of the
// goroutine's context, which is the same code, throws.
template <typename Call>
bool in_time(std::chrono::nanoseconds time, Call call)
{
    std::int64_t deadline = weft_after(limit(time));
    int result = came_back(call(deadline));
    if (result != WEFT_ETIMEDOUT)
        return check(result) >= 0;
    if (weft_now() < deadline)
        throw timed_out();
    return false;
}

template <typename H, int (*Free)(H *)>
class handle {
public:
    handle() noexcept = default;
    explicit handle(H *made) noexcept : made_(made) {}
    handle(handle &&other) noexcept : made_(std::exchange(other.made_, nullptr)) {}
    handle &operator=(handle &&other) noexcept
    {
        std::swap(made_, other.made_);
        return *this;
    }
    ~handle()
    {
        if (made_ != nullptr)
            Free(made_);
    }
    H *get() const noexcept { return made_; }

private:
    H *made_ = nullptr;
};

// Calls a function of C++ from one of C: Call(run, argument) gets a function that throws nothing. What F has
// thrown is thrown here, and what it has returned is returned.
template <typename F, typename Call>
std::invoke_result_t<F &> guarded(F &function, Call call)
{
    using R = std::invoke_result_t<F &>;
    struct kept {
        F *function;
        std::optional<std::conditional_t<std::is_void_v<R>, bool, std::conditional_t<std::is_reference_v<R>,
            std::remove_reference_t<R> *, R>>> value;
        std::exception_ptr failure;
    } k{&function, std::nullopt, nullptr};
    call(
        [](void *argument) noexcept {
            auto *k = static_cast<kept *>(argument);
            [[maybe_unused]] first_frame here;
            try {
                if constexpr (std::is_void_v<R>)
                    (*k->function)();
                else if constexpr (std::is_reference_v<R>)
                    k->value = &(*k->function)();
                else
                    k->value.emplace((*k->function)());
            } catch (...) {
                k->failure = std::current_exception();
            }
        },
        &k);
    if (k.failure)
        std::rethrow_exception(k.failure);
    if constexpr (std::is_reference_v<R>)
        return static_cast<R>(**k.value);
    else if constexpr (!std::is_void_v<R>)
        return std::move(*k.value);
}

} // namespace detail

// --- beginning and end --------------------------------------------------------------------------------------

// Starts Weft for as long as it lives. Not in a goroutine.
class runtime {
public:
    explicit runtime(int maxprocs = 0)
    {
        weft_options options{};
        options.size = sizeof options;
        options.maxprocs = maxprocs;
        check(weft_init(&options));
    }
    ~runtime() { weft_shutdown(); }
    runtime(const runtime &) = delete;
    runtime &operator=(const runtime &) = delete;
};

// weft_main: function(argc, argv) in a goroutine, on a stack of 8 MB. Returns what it returns, throws what it throws.
template <typename F>
    requires std::is_invocable_r_v<int, F &, int, char **>
int run_main(F &&function, int argc, char **argv)
{
    struct call {
        std::remove_reference_t<F> *function;
        int argc;
        char **argv;
        std::exception_ptr failure;
    } c{&function, argc, argv, nullptr};
    int result = weft_main(
        [](int, char **argument) noexcept -> int { // The arguments are passed as they are: there is room for one.
            auto *c = reinterpret_cast<call *>(argument);
            [[maybe_unused]] detail::first_frame here;
            try {
                return (*c->function)(c->argc, c->argv);
            } catch (...) {
                c->failure = std::current_exception();
                return 0;
            }
        },
        argc, reinterpret_cast<char **>(&c));
    if (c.failure)
        std::rethrow_exception(c.failure);
    return result;
}

// --- goroutines ---------------------------------------------------------------------------------------------

// Which stack a goroutine gets, and its name in reports. A movable one starts small and moves when it grows: on it
// no address of a local may be kept anywhere else, and nothing may be thrown.
struct attributes {
    std::size_t stack_size = 0;
    const char *name = nullptr;
    bool movable = false;
};

namespace detail {

inline weft_attr c_attributes(const attributes &a) noexcept
{
    weft_attr attr{};
    attr.size = sizeof attr;
    attr.stack_size = a.stack_size;
    attr.stack_kind = a.movable ? WEFT_STACK_MOVABLE : WEFT_STACK_FIXED;
    attr.name = a.name;
    return attr;
}

} // namespace detail

// Starts a goroutine. An exception that leaves the function ends the program, as on a thread.
template <std::invocable F>
void go(attributes a, F &&function)
{
    using Function = std::decay_t<F>;
    auto owned = std::make_unique<Function>(std::forward<F>(function));
    weft_attr attr = detail::c_attributes(a);
    check(weft_go_with(
        &attr,
        [](void *argument) noexcept {
            std::unique_ptr<Function> run(static_cast<Function *>(argument));
            [[maybe_unused]] detail::first_frame here;
            (*run)();
        },
        owned.get()));
    owned.release(); // It is the goroutine's now.
}

template <std::invocable F>
void go(F &&function)
{
    go(attributes{}, std::forward<F>(function));
}

// Runs the function in a goroutine and waits for it: what it returns or throws.
template <std::invocable F>
decltype(auto) run(F &&function)
{
    return detail::guarded(function, [](auto body, void *argument) { check(weft_run(body, argument)); });
}

// Runs a function that blocks the thread, in place: what it returns or throws.
template <std::invocable F>
decltype(auto) blocking(F &&function)
{
    return detail::guarded(function, [](auto body, void *argument) { check(weft_blocking(body, argument)); });
}

inline void yield() { check(weft_yield()); }
inline void sleep_for(std::chrono::nanoseconds time) { check(weft_sleep(nanoseconds(time))); }
inline void sleep(std::chrono::nanoseconds time) { sleep_for(time); }

template <typename Clock, typename Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> when)
{
    sleep_for(detail::until(when));
}

inline std::int64_t self() noexcept { return weft_self(); }
inline std::int64_t count() noexcept { return weft_count(); }

// How many goroutines may run at once; sets it unless 0 is given.
inline int maxprocs(int count = 0) { return check(weft_maxprocs(count)); }

// What every goroutine does, to a descriptor.
inline void dump(int fd) { check(weft_dump(fd)); }

// While it lives nothing but a time ends waits of the goroutine: for what has to be done after a cancellation.
class shield {
public:
    shield() noexcept : before_(weft_shield(1)) {}
    ~shield()
    {
        if (before_ == 0)
            detail::came_back(weft_shield(0));
    }
    shield(const shield &) = delete;
    shield &operator=(const shield &) = delete;

private:
    int before_; // Below 0 on a thread, of which nothing ends the waits.
};

// Throws canceled or timed_out where a wait would; for code that computes. A shield does not count.
inline void check_canceled()
{
    if (int why = detail::came_back(weft_cancelled()))
        fail(why);
}

// Keeps the goroutine on its thread for as long as it lives.
class thread_lock {
public:
    thread_lock() { check(weft_lock_thread()); }
    ~thread_lock() { weft_unlock_thread(); }
    thread_lock(const thread_lock &) = delete;
    thread_lock &operator=(const thread_lock &) = delete;
};

// A value for each goroutine that asks, destroyed with it: static weft::local<std::string> name; There may be 32.
template <std::default_initializable T>
class local {
public:
    // That of the calling goroutine; on a thread error WEFT_ESRCH.
    T &get()
    {
        if (T *found = find())
            return *found;
        auto made = std::make_unique<T>();
        check(weft_local_set(key(), made.get()));
        return *made.release();
    }
    T &operator*() { return get(); }
    T *operator->() { return &get(); }

    // nullptr where it was not asked for yet.
    T *find() { return static_cast<T *>(weft_local_get(key())); }

private:
    int key()
    {
        int known = key_.load(std::memory_order_acquire);
        if (known == 0) {
            std::lock_guard held(making_);
            known = key_.load(std::memory_order_relaxed);
            if (known == 0) {
                check(weft_local_key(&known, [](void *value) noexcept { delete static_cast<T *>(value); }));
                key_.store(known, std::memory_order_release);
            }
        }
        return known;
    }

    std::atomic<int> key_ = 0;
    std::mutex making_;
};

// --- channels -----------------------------------------------------------------------------------------------

namespace detail {

// Bytes that are their own copy go through the channel as they are; other objects by their address, each in memory
// of its own.
template <typename T>
inline constexpr bool direct = std::is_trivially_copyable_v<T>;

template <typename T>
using element = std::conditional_t<direct<T>, T, T *>;

// Room for what is received.
template <typename T>
class arrival {
public:
    arrival() noexcept {}
    arrival(const arrival &) = delete;
    arrival &operator=(const arrival &) = delete;
    void *address() noexcept { return room_; }

    // Once, after something was received.
    T take()
    {
        auto *received = std::launder(reinterpret_cast<element<T> *>(room_));
        if constexpr (direct<T>) {
            return *received;
        } else {
            std::unique_ptr<T> owned(*received);
            return std::move(*owned);
        }
    }

private:
    alignas(element<T>) unsigned char room_[sizeof(element<T>)];
};

// What is to be sent. If it is not, it goes back to where it came from.
template <typename T>
class parcel {
public:
    explicit parcel(const T &value) : packed_(pack(value)) {}
    explicit parcel(T &&value) : packed_(pack(std::move(value))), origin_(&value) {}
    parcel(const parcel &) = delete;
    parcel &operator=(const parcel &) = delete;
    ~parcel()
    {
        if constexpr (!direct<T>) {
            if (packed_ == nullptr)
                return;
            if constexpr (std::is_nothrow_move_assignable_v<T>) {
                if (origin_ != nullptr)
                    *origin_ = std::move(*packed_);
            }
            delete packed_;
        }
    }
    void *address() noexcept { return const_cast<void *>(static_cast<const volatile void *>(std::addressof(packed_))); }

    // It is the receiver's now.
    void sent() noexcept
    {
        if constexpr (!direct<T>)
            packed_ = nullptr;
    }

private:
    template <typename V>
    static element<T> pack(V &&value)
    {
        if constexpr (direct<T>)
            return value;
        else
            return new T(std::forward<V>(value));
    }

    element<T> packed_;
    T *origin_ = nullptr;
};

} // namespace detail

// A channel of T. Any number of goroutines and threads may use copies of it.
template <typename T>
    requires std::is_object_v<T> && std::move_constructible<T> && std::same_as<T, std::remove_cv_t<T>>
class chan {
public:
    using value_type = T;

    explicit chan(std::size_t capacity = 0)
    {
        weft_chan *made;
        check(weft_chan_make(&made, sizeof(detail::element<T>), capacity));
        shared_ = std::shared_ptr<weft_chan>(made, destroy);
    }

    // Waits while it is full. Throws closed; the value is as it was then.
    void send(const T &value) const
        requires std::copy_constructible<T>
    {
        detail::parcel<T> out(value);
        sent(out, check(weft_chan_send(get(), out.address())) == 0);
    }
    void send(T &&value) const
    {
        detail::parcel<T> out(std::move(value));
        sent(out, check(weft_chan_send(get(), out.address())) == 0);
    }

    // False when that would have to wait.
    bool try_send(const T &value) const
        requires std::copy_constructible<T>
    {
        detail::parcel<T> out(value);
        return sent(out, detail::at_once(weft_chan_try_send(get(), out.address())));
    }
    bool try_send(T &&value) const
    {
        detail::parcel<T> out(std::move(value));
        return sent(out, detail::at_once(weft_chan_try_send(get(), out.address())));
    }

    // False when the time has passed first.
    bool send_for(std::chrono::nanoseconds time, const T &value) const
        requires std::copy_constructible<T>
    {
        detail::parcel<T> out(value);
        return sent(out, detail::in_time(time, [&](std::int64_t by) { return weft_chan_send_until(get(), out.address(), by); }));
    }
    bool send_for(std::chrono::nanoseconds time, T &&value) const
    {
        detail::parcel<T> out(std::move(value));
        return sent(out, detail::in_time(time, [&](std::int64_t by) { return weft_chan_send_until(get(), out.address(), by); }));
    }
    template <typename Clock, typename Duration, typename V>
    bool send_until(std::chrono::time_point<Clock, Duration> when, V &&value) const
    {
        return send_for(detail::until(when), std::forward<V>(value));
    }

    // Waits while it is empty; nothing when it is closed and drained.
    std::optional<T> recv() const
    {
        detail::arrival<T> in;
        return received(in, detail::came_back(weft_chan_recv(get(), in.address())));
    }

    // Nothing when there is nothing, or it is closed.
    std::optional<T> try_recv() const
    {
        detail::arrival<T> in;
        int result = detail::came_back(weft_chan_try_recv(get(), in.address()));
        return result == WEFT_EAGAIN ? std::nullopt : received(in, result);
    }

    // Nothing when it is closed and drained; throws timed_out when the time has passed first.
    std::optional<T> recv_for(std::chrono::nanoseconds time) const
    {
        detail::arrival<T> in;
        bool closed = false;
        if (!detail::in_time(time, [&](std::int64_t by) {
                int result = weft_chan_recv_until(get(), in.address(), by);
                closed = result == WEFT_EPIPE;
                return closed ? 0 : result;
            }))
            throw timed_out();
        return closed ? std::nullopt : std::optional<T>(in.take());
    }
    template <typename Clock, typename Duration>
    std::optional<T> recv_until(std::chrono::time_point<Clock, Duration> when) const
    {
        return recv_for(detail::until(when));
    }

    void close() const { check(weft_chan_close(get())); }
    std::size_t size() const { return static_cast<std::size_t>(check(weft_chan_len(get()))); }
    std::size_t capacity() const { return static_cast<std::size_t>(check(weft_chan_cap(get()))); }
    weft_chan *get() const noexcept { return shared_.get(); }

    // An input range: until it is closed and drained. The value may be moved from.
    class iterator {
    public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        explicit iterator(const chan *from) : from_(from) { ++*this; }
        T &operator*() const { return *value_; }
        iterator &operator++()
        {
            value_.reset();
            if (std::optional<T> next = from_->recv())
                value_.emplace(std::move(*next));
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const noexcept { return !value_; }

    private:
        const chan *from_;
        mutable std::optional<T> value_;
    };
    iterator begin() const { return iterator(this); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    static bool sent(detail::parcel<T> &out, bool is_so)
    {
        if (is_so)
            out.sent();
        return is_so;
    }

    static std::optional<T> received(detail::arrival<T> &in, int result)
    {
        if (result == WEFT_EPIPE)
            return std::nullopt;
        check(result);
        return in.take();
    }

    // The last copy: what is in it still has no owner but this.
    static void destroy(weft_chan *handle) noexcept
    {
        if constexpr (!detail::direct<T>) {
            weft_chan_close(handle);
            T *left;
            while (weft_chan_try_recv(handle, &left) == 0)
                delete left;
        }
        weft_chan_free(handle);
    }

    std::shared_ptr<weft_chan> shared_;
};

// --- contexts and stop tokens -------------------------------------------------------------------------------

// Names a value of contexts: static weft::context_key<user> who;
template <typename T>
struct context_key {
    context_key() = default;
    context_key(const context_key &) = delete;
    context_key &operator=(const context_key &) = delete;
};

// Cancelled by cancel, after its time, or with its parent; by a stop token too. The last copy cancels it.
class context {
public:
    context() : context(nullptr, WEFT_FOREVER) {}
    explicit context(std::chrono::nanoseconds timeout) : context(nullptr, detail::limit(timeout)) {}
    template <typename Clock, typename Duration>
    explicit context(std::chrono::time_point<Clock, Duration> deadline) : context(detail::until(deadline))
    {
    }

    // Cancelled when a stop is requested.
    explicit context(std::stop_token token) : context()
    {
        // The handle is checked by who gets it, so the callback needs nothing that could be gone.
        weft_ctx *handle = get();
        shared_->stops.emplace(std::move(token), cancel_it{handle});
    }

    context child() const { return context(this, WEFT_FOREVER); }
    context child(std::chrono::nanoseconds timeout) const { return context(this, detail::limit(timeout)); }
    template <typename Clock, typename Duration>
    context child(std::chrono::time_point<Clock, Duration> deadline) const
    {
        return child(detail::until(deadline));
    }

    // A child with a value that it and its children find.
    template <typename T>
    context with(const context_key<T> &key, std::shared_ptr<T> value) const
    {
        context made(nullptr);
        check(weft_ctx_with_value(&made.shared_->handle, get(), &key, value.get()));
        made.shared_->parent = shared_;
        made.shared_->value = std::move(value);
        return made;
    }
    template <typename T>
    T *value(const context_key<T> &key) const
    {
        return static_cast<T *>(weft_ctx_value(get(), &key));
    }

    // Cancels it and its children, and requests a stop.
    void cancel() const
    {
        check(weft_ctx_cancel(get()));
        if (shared_->watched.load(std::memory_order_acquire))
            shared_->stop.request_stop();
    }

    // 0, WEFT_ECANCELED or WEFT_ETIMEDOUT.
    int err() const
    {
        int why = weft_ctx_err(get());
        return why == WEFT_ECANCELED || why == WEFT_ETIMEDOUT ? why : check(why);
    }
    bool is_canceled() const { return err() != 0; }

    // Throws canceled or timed_out if it is.
    void check_canceled() const
    {
        if (int why = err())
            fail(why);
    }

    // Until its deadline or that of a parent; nanoseconds::max() if there is none.
    std::chrono::nanoseconds remaining() const
    {
        return std::chrono::nanoseconds(check(weft_ctx_remaining(get())));
    }

    // A stop is requested when it is cancelled, by a goroutine that waits for that.
    std::stop_token stop_token() const
    {
        if (!shared_->watched.exchange(true, std::memory_order_acq_rel))
            go(attributes{.name = "weft::context"}, [done = done(), stop = shared_->stop]() mutable {
                detail::came_back(weft_chan_recv(done, nullptr));
                stop.request_stop();
            });
        return shared_->stop.get_token();
    }

    // Closed when it is cancelled; for weft_select. It belongs to the context.
    weft_chan *done() const
    {
        weft_chan *chan;
        check(weft_ctx_done(get(), &chan));
        return chan;
    }
    weft_ctx *get() const noexcept { return shared_->handle; }

private:
    struct cancel_it {
        weft_ctx *handle;
        void operator()() const noexcept { weft_ctx_cancel(handle); }
    };
    struct state {
        weft_ctx *handle = nullptr;
        std::shared_ptr<state> parent; // Its values may be asked for.
        std::shared_ptr<void> value;
        std::stop_source stop;
        std::atomic<bool> watched = false;
        std::optional<std::stop_callback<cancel_it>> stops;
        ~state()
        {
            stops.reset();
            if (handle != nullptr)
                weft_ctx_free(handle);
        }
    };

    explicit context(std::nullptr_t) : shared_(std::make_shared<state>()) {}
    context(const context *parent, std::int64_t timeout) : shared_(std::make_shared<state>())
    {
        check(weft_ctx_make(&shared_->handle, parent != nullptr ? parent->get() : nullptr, timeout));
        if (parent != nullptr)
            shared_->parent = parent->shared_;
    }

    std::shared_ptr<state> shared_;
};

// While it lives waits of the goroutine end with the context: they throw canceled or timed_out. Tasks that start
// meanwhile begin with it. It replaces the one before; a child of that has both.
class with_context {
public:
    explicit with_context(context held) : held_(std::move(held)) { check(weft_with(held_.get(), &before_)); }
    ~with_context() { detail::came_back(weft_with(before_, nullptr)); }
    with_context(const with_context &) = delete;
    with_context &operator=(const with_context &) = delete;

private:
    context held_;
    weft_ctx *before_;
};

// --- timers -------------------------------------------------------------------------------------------------

// Gives the time after delay, and then each period unless that is 0.
class timer {
public:
    explicit timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds period = {})
    {
        weft_timer *made;
        check(weft_timer_make(&made, nanoseconds(delay), nanoseconds(period), nullptr, nullptr));
        handle_ = detail::handle<weft_timer, weft_timer_free>(made);
    }

    clock::time_point recv() const
    {
        std::int64_t now;
        check(weft_chan_recv(done(), &now));
        return clock::time_point(std::chrono::nanoseconds(now));
    }

    // True: it was set, and nobody has seen it fire.
    bool stop() const { return check(weft_timer_stop(get())) != 0; }
    bool reset(std::chrono::nanoseconds delay, std::chrono::nanoseconds period = {}) const
    {
        return check(weft_timer_reset(get(), nanoseconds(delay), nanoseconds(period))) != 0;
    }

    // Its channel of one int64_t, weft_now(); for weft_select.
    weft_chan *done() const
    {
        weft_chan *chan;
        check(weft_timer_chan(get(), &chan));
        return chan;
    }
    weft_timer *get() const noexcept { return handle_.get(); }

private:
    detail::handle<weft_timer, weft_timer_free> handle_;
};

namespace detail {

// One goroutine waits for the timer's channel, which its end closes, and owns the function until then. (A timer of
// C with a function could not tell when nobody will call it any more.)
template <typename F>
timer calls(timer made, F &&function)
{
    go(attributes{.name = "weft::timer"},
        [chan = made.done(), shared = std::make_shared<std::decay_t<F>>(std::forward<F>(function))] {
            std::int64_t now;
            while (detail::came_back(weft_chan_recv(chan, &now)) == 0)
                go([shared] { (*shared)(); });
        });
    return made;
}

} // namespace detail

// Calls the function in a new goroutine after the time, or each period, unless the timer that it returns ends before.
template <std::invocable F>
[[nodiscard]] timer call_after(std::chrono::nanoseconds delay, F &&function)
{
    return detail::calls(timer(delay), std::forward<F>(function));
}
template <std::invocable F>
[[nodiscard]] timer call_every(std::chrono::nanoseconds period, F &&function)
{
    return detail::calls(timer(period, period), std::forward<F>(function));
}

// --- locks and the like -------------------------------------------------------------------------------------

// For std::lock_guard and std::unique_lock.
class mutex {
public:
    mutex() { check(weft_mutex_make(&handle_)); }
    ~mutex() { weft_mutex_free(handle_); }
    mutex(const mutex &) = delete;
    mutex &operator=(const mutex &) = delete;
    void lock() { check(weft_mutex_lock(handle_)); }
    void unlock() { check(weft_mutex_unlock(handle_)); }
    bool try_lock() { return detail::at_once(weft_mutex_try_lock(handle_)); }
    bool try_lock_for(std::chrono::nanoseconds time)
    {
        return detail::in_time(time, [&](std::int64_t by) { return weft_mutex_lock_until(handle_, by); });
    }
    template <typename Clock, typename Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> when)
    {
        return try_lock_for(detail::until(when));
    }
    weft_mutex *get() const noexcept { return handle_; }

private:
    weft_mutex *handle_;
};

// Many readers or one writer; for std::shared_lock and std::unique_lock.
class shared_mutex {
public:
    shared_mutex() { check(weft_rwlock_make(&handle_)); }
    ~shared_mutex() { weft_rwlock_free(handle_); }
    shared_mutex(const shared_mutex &) = delete;
    shared_mutex &operator=(const shared_mutex &) = delete;
    void lock() { check(weft_rwlock_wrlock(handle_)); }
    void unlock() { check(weft_rwlock_wrunlock(handle_)); }
    bool try_lock() { return detail::at_once(weft_rwlock_try_wrlock(handle_)); }
    void lock_shared() { check(weft_rwlock_rdlock(handle_)); }
    void unlock_shared() { check(weft_rwlock_rdunlock(handle_)); }
    bool try_lock_shared() { return detail::at_once(weft_rwlock_try_rdlock(handle_)); }
    bool try_lock_for(std::chrono::nanoseconds time)
    {
        return detail::in_time(time, [&](std::int64_t by) { return weft_rwlock_wrlock_until(handle_, by); });
    }
    bool try_lock_shared_for(std::chrono::nanoseconds time)
    {
        return detail::in_time(time, [&](std::int64_t by) { return weft_rwlock_rdlock_until(handle_, by); });
    }
    template <typename Clock, typename Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> when)
    {
        return try_lock_for(detail::until(when));
    }
    template <typename Clock, typename Duration>
    bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> when)
    {
        return try_lock_shared_for(detail::until(when));
    }
    weft_rwlock *get() const noexcept { return handle_; }

private:
    weft_rwlock *handle_;
};

// Of one mutex, which has to live longer.
class condition_variable {
public:
    explicit condition_variable(mutex &owner) : owner_(&owner) { check(weft_cond_make(&handle_, owner.get())); }
    ~condition_variable() { weft_cond_free(handle_); }
    condition_variable(const condition_variable &) = delete;
    condition_variable &operator=(const condition_variable &) = delete;

    // The lock is one of that mutex, and held: else error WEFT_EPERM.
    void wait(std::unique_lock<mutex> &lock)
    {
        check_held(lock);
        check(weft_cond_wait(handle_));
    }

    // False when the time has passed first. The lock is held again, also where canceled or interrupted is thrown.
    bool wait_for(std::unique_lock<mutex> &lock, std::chrono::nanoseconds time)
    {
        check_held(lock);
        return detail::in_time(time, [&](std::int64_t by) { return weft_cond_wait_until(handle_, by); });
    }
    template <typename Clock, typename Duration>
    bool wait_until(std::unique_lock<mutex> &lock, std::chrono::time_point<Clock, Duration> when)
    {
        return wait_for(lock, detail::until(when));
    }

    // Whether it is so, by then.
    template <std::predicate P>
    bool wait_for(std::unique_lock<mutex> &lock, std::chrono::nanoseconds time, P &&is_so)
    {
        return wait_until(lock, clock::now() + time, std::forward<P>(is_so));
    }
    template <typename Clock, typename Duration, std::predicate P>
    bool wait_until(std::unique_lock<mutex> &lock, std::chrono::time_point<Clock, Duration> when, P &&is_so)
    {
        while (!is_so())
            if (!wait_until(lock, when))
                return is_so();
        return true;
    }
    template <std::predicate P>
    void wait(std::unique_lock<mutex> &lock, P &&is_so)
    {
        while (!is_so())
            wait(lock);
    }
    void notify_one() { check(weft_cond_signal(handle_)); }
    void notify_all() { check(weft_cond_broadcast(handle_)); }
    weft_cond *get() const noexcept { return handle_; }

private:
    void check_held(const std::unique_lock<mutex> &lock) const
    {
        if (lock.mutex() != owner_ || !lock.owns_lock())
            fail(WEFT_EPERM);
    }

    mutex *owner_;
    weft_cond *handle_;
};

// Units of something, which are taken in order of arrival.
class semaphore {
public:
    explicit semaphore(std::int64_t units) { check(weft_sem_make(&handle_, units)); }
    ~semaphore() { weft_sem_free(handle_); }
    semaphore(const semaphore &) = delete;
    semaphore &operator=(const semaphore &) = delete;
    void acquire(std::int64_t count = 1) { check(weft_sem_acquire(handle_, count)); }
    bool try_acquire(std::int64_t count = 1) { return detail::at_once(weft_sem_try_acquire(handle_, count)); }
    bool try_acquire_for(std::chrono::nanoseconds time, std::int64_t count = 1)
    {
        return detail::in_time(time, [&](std::int64_t by) { return weft_sem_acquire_until(handle_, count, by); });
    }
    template <typename Clock, typename Duration>
    bool try_acquire_until(std::chrono::time_point<Clock, Duration> when, std::int64_t count = 1)
    {
        return try_acquire_for(detail::until(when), count);
    }
    void release(std::int64_t count = 1) { check(weft_sem_release(handle_, count)); }
    weft_sem *get() const noexcept { return handle_; }

private:
    weft_sem *handle_;
};

class wait_group {
public:
    wait_group() { check(weft_wg_make(&handle_)); }
    ~wait_group() { weft_wg_free(handle_); }
    wait_group(const wait_group &) = delete;
    wait_group &operator=(const wait_group &) = delete;
    void add(int delta = 1) { check(weft_wg_add(handle_, delta)); }
    void done() { check(weft_wg_done(handle_)); }
    void wait() { check(weft_wg_wait(handle_)); }
    bool wait_for(std::chrono::nanoseconds time)
    {
        return detail::in_time(time, [&](std::int64_t by) { return weft_wg_wait_until(handle_, by); });
    }
    template <typename Clock, typename Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> when)
    {
        return wait_for(detail::until(when));
    }
    weft_wg *get() const noexcept { return handle_; }

private:
    weft_wg *handle_;
};

// A function that is called once. What it throws all callers get, those that come later too.
class once {
public:
    template <std::invocable F>
    void operator()(F &&function)
    {
        struct call {
            std::remove_reference_t<F> *function;
            once *self;
        } c{&function, this};
        check(weft_once_do(
            &state_,
            [](void *argument) noexcept {
                auto *c = static_cast<call *>(argument);
                try {
                    (*c->function)();
                } catch (...) {
                    c->self->failure_ = std::current_exception();
                }
            },
            &c));
        if (failure_)
            std::rethrow_exception(failure_);
    }

private:
    weft_once state_ = WEFT_ONCE_INIT;
    std::exception_ptr failure_;
};

// --- tasks --------------------------------------------------------------------------------------------------

namespace detail {

// Whether that is why waits of this goroutine end: its context may have ended before it was cancelled.
inline bool ends_waits(int code) noexcept
{
    weft_ctx *own;
    if (code == weft_cancelled())
        return true;
    if (weft_with(nullptr, &own) != 0 || own == nullptr)
        return false;
    bool ends = code == weft_ctx_err(own);
    came_back(weft_with(own, nullptr));
    return ends;
}

// What a task has come to. A bool stands for nothing, an address for a reference.
template <typename R>
struct task_state {
    using kept = std::conditional_t<std::is_void_v<R>, bool,
        std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R> *, R>>;
    std::stop_source stop;
    std::optional<kept> value;
    std::exception_ptr failure;
    bool was_ended = false; // The failure is that of a wait which was ended: cancelled, or by its context.

    template <typename F, typename... A>
    void run(F &function, A &...arguments) noexcept
    {
        try {
            if constexpr (std::is_void_v<R>) {
                std::invoke(std::move(function), std::move(arguments)...);
                value = true;
            } else if constexpr (std::is_reference_v<R>) {
                value = &std::invoke(std::move(function), std::move(arguments)...);
            } else {
                value.emplace(std::invoke(std::move(function), std::move(arguments)...));
            }
        } catch (const error &e) {
            was_ended = ends_waits(e.code());
            failure = std::current_exception();
        } catch (...) {
            failure = std::current_exception();
        }
    }
};

template <typename F, typename... A>
using task_result = typename std::conditional_t<std::is_invocable_v<F, std::stop_token, A...>,
    std::invoke_result<F, std::stop_token, A...>, std::invoke_result<F, A...>>::type;

} // namespace detail

// A goroutine that is waited for. Destroying one that was not joined requests a stop, cancels it and waits for its
// end; an exception that it has thrown ends the program then, unless it was that of a wait which had to end.
template <typename R>
class task {
public:
    task() noexcept = default;
    task(task &&) noexcept = default;
    task &operator=(task &&other) noexcept
    {
        task ended(std::move(*this));
        state_ = std::move(other.state_);
        handle_ = std::move(other.handle_);
        return *this;
    }
    ~task() noexcept
    {
        if (!state_)
            return;
        shield held; // Who waits may be cancelled itself.
        state_->stop.request_stop();
        weft_task_cancel(handle_.get());
        detail::came_back(weft_task_join(handle_.get(), nullptr));
        if (state_->failure && !state_->was_ended)
            std::rethrow_exception(state_->failure); // To std::terminate, which shows it.
    }

    // Waits for its end: what it has returned, or thrown. Once.
    R join()
    {
        check(weft_task_join(have(), nullptr)); // If that throws, the task is still there.
        auto state = std::move(state_);
        if (state->failure)
            std::rethrow_exception(state->failure);
        if (!state->value)
            throw canceled();
        if constexpr (std::is_reference_v<R>)
            return static_cast<R>(**state->value);
        else if constexpr (!std::is_void_v<R>)
            return std::move(*state->value);
    }

    bool joinable() const noexcept { return state_ != nullptr; }

    // Whether it has ended by then.
    bool wait_for(std::chrono::nanoseconds time) const
    {
        return detail::in_time(time, [&](std::int64_t by) {
            int result = weft_chan_recv_until(done(), nullptr, by);
            return result == WEFT_EPIPE ? 0 : result;
        });
    }
    template <typename Clock, typename Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> when) const
    {
        return wait_for(detail::until(when));
    }
    void wait() const
    {
        int result = detail::came_back(weft_chan_recv(done(), nullptr));
        if (result != WEFT_EPIPE)
            check(result);
    }

    bool request_stop() const
    {
        have();
        return state_->stop.request_stop();
    }
    std::stop_token stop_token() const
    {
        have();
        return state_->stop.get_token();
    }

    // From now on its waits throw canceled; and a stop is requested.
    void cancel() const
    {
        check(weft_task_cancel(have()));
        state_->stop.request_stop();
    }

    // The wait that it is in, or its next one, throws interrupted; once.
    void interrupt() const { check(weft_task_interrupt(have())); }

    // Closed when it has ended; for weft_select. It belongs to the task.
    weft_chan *done() const
    {
        weft_chan *chan;
        check(weft_task_chan(have(), &chan));
        return chan;
    }

private:
    template <typename F, typename... A>
    friend task<detail::task_result<std::decay_t<F>, std::decay_t<A>...>> start(attributes, F &&, A &&...);

    // Invalid is what a joined handle is, so to free it again does nothing.
    weft_task *have() const
    {
        if (!state_)
            fail(WEFT_EINVAL);
        return handle_.get();
    }

    std::shared_ptr<detail::task_state<R>> state_;
    detail::handle<weft_task, weft_task_free> handle_;
};

// Starts function(arguments...) in a goroutine; with a std::stop_token first if it takes one, as std::jthread does.
// It begins with the caller's context.
template <typename F, typename... A>
[[nodiscard]] task<detail::task_result<std::decay_t<F>, std::decay_t<A>...>> start(
    attributes a, F &&function, A &&...arguments)
{
    using R = detail::task_result<std::decay_t<F>, std::decay_t<A>...>;
    struct call {
        std::shared_ptr<detail::task_state<R>> state;
        std::decay_t<F> function;
        std::tuple<std::decay_t<A>...> arguments;
    };
    task<R> made;
    auto state = std::make_shared<detail::task_state<R>>();
    auto owned = std::unique_ptr<call>(
        new call{state, std::forward<F>(function), std::tuple<std::decay_t<A>...>(std::forward<A>(arguments)...)});
    weft_task *handle;
    weft_attr attr = detail::c_attributes(a);
    check(weft_task_go(
        &handle, &attr,
        [](void *argument) noexcept -> void * {
            std::unique_ptr<call> run(static_cast<call *>(argument));
            [[maybe_unused]] detail::first_frame here;
            std::apply(
                [&](auto &...each) {
                    if constexpr (std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<A>...>) {
                        std::stop_token token = run->state->stop.get_token();
                        run->state->run(run->function, token, each...);
                    } else {
                        run->state->run(run->function, each...);
                    }
                },
                run->arguments);
            return nullptr;
        },
        owned.get()));
    owned.release(); // It is the goroutine's now.
    made.handle_ = detail::handle<weft_task, weft_task_free>(handle);
    made.state_ = std::move(state);
    return made;
}

template <typename F, typename... A>
    requires(!std::same_as<std::decay_t<F>, attributes>)
[[nodiscard]] auto start(F &&function, A &&...arguments)
{
    return start(attributes{}, std::forward<F>(function), std::forward<A>(arguments)...);
}

// Several exceptions of a scope.
class exceptions : public std::exception {
public:
    explicit exceptions(std::vector<std::exception_ptr> all) : all_(std::move(all)) {}
    const char *what() const noexcept override { return "several goroutines of a scope have thrown"; }
    const std::vector<std::exception_ptr> &all() const noexcept { return all_; }

private:
    std::vector<std::exception_ptr> all_;
};

// Waits for the goroutines that it starts, at the end of its life at the latest. They begin with its context: one that
// throws, cancel, and the time of the scope cancel it, which ends the others' waits. wait throws what was thrown,
// several as exceptions, and timed_out if the time has stopped somebody; at the end of its life what nobody has asked
// for ends the program. That a cancelled goroutine says so, by throwing canceled, is no failure. With a limit no more
// than so many run at once: go waits for a place, and throws what ends that wait; try_go starts nothing instead. It is
// set before the first starts, and not by those that the scope has started, which would wait for themselves.
class scope {
public:
    scope() = default;
    explicit scope(const context &parent) : context_(parent.child()) {}
    explicit scope(std::chrono::nanoseconds timeout) : context_(timeout) {}
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;
    ~scope() noexcept
    {
        group_.wait();
        try {
            throw_them();
        } catch (...) {
            std::terminate(); // Here, where it is the current exception, which is shown.
        }
    }

    // 0: as many as are started.
    void limit(std::int64_t most)
    {
        places_.reset();
        if (most != 0)
            places_.emplace(most);
    }

    // The function may take the scope's context, as weft::context, or a std::stop_token.
    template <typename F>
        requires std::invocable<F> || std::invocable<F, weft::context> || std::invocable<F, std::stop_token>
    void go(attributes a, F &&function)
    {
        if (places_)
            check(weft_sem_acquire_until(places_->get(), 1, WEFT_NEVER));
        begin(a, std::forward<F>(function));
    }
    template <typename F>
    void go(F &&function)
    {
        go(attributes{}, std::forward<F>(function));
    }

    // False where the limit is reached.
    template <typename F>
        requires std::invocable<F> || std::invocable<F, weft::context> || std::invocable<F, std::stop_token>
    bool try_go(attributes a, F &&function)
    {
        if (places_ && !places_->try_acquire())
            return false;
        begin(a, std::forward<F>(function));
        return true;
    }
    template <typename F>
    bool try_go(F &&function)
    {
        return try_go(attributes{}, std::forward<F>(function));
    }

    void wait()
    {
        group_.wait();
        throw_them();
    }
    void cancel() { context_.cancel(); }
    const weft::context &context() const noexcept { return context_; }

private:
    // The place is the goroutine's.
    template <typename F>
    void begin(attributes a, F &&function)
    {
        group_.add();
        try {
            weft::go(a, [this, f = std::decay_t<F>(std::forward<F>(function))]() mutable { run(f); });
        } catch (...) {
            leave();
            throw;
        }
    }

    void leave() noexcept
    {
        if (places_)
            weft_sem_release(places_->get(), 1);
        weft_wg_done(group_.get()); // After it there may be no scope.
    }

    template <typename F>
    void run(F &function) noexcept
    {
        try {
            check(weft_with(context_.get(), nullptr));
            if constexpr (std::invocable<F &, weft::context>)
                function(context_);
            else if constexpr (std::invocable<F &, std::stop_token>)
                function(context_.stop_token());
            else
                function();
        } catch (const canceled &) {
            if (!context_.is_canceled())
                keep();
        } catch (const timed_out &) {
            if (context_.err() == WEFT_ETIMEDOUT)
                stopped_by_time_.store(true, std::memory_order_relaxed);
            else
                keep();
        } catch (...) {
            keep();
        }
        leave();
    }

    // In a catch block.
    void keep()
    {
        {
            std::lock_guard held(failing_);
            failures_.push_back(std::current_exception());
        }
        context_.cancel();
    }

    void throw_them()
    {
        std::vector<std::exception_ptr> all;
        {
            std::lock_guard held(failing_);
            all.swap(failures_);
        }
        if (all.size() == 1)
            std::rethrow_exception(all.front());
        if (!all.empty())
            throw exceptions(std::move(all));
        if (stopped_by_time_.exchange(false, std::memory_order_relaxed))
            throw timed_out();
    }

    weft::context context_;
    wait_group group_;
    std::optional<semaphore> places_;
    std::atomic<bool> stopped_by_time_ = false;
    std::mutex failing_; // Not held across a wait.
    std::vector<std::exception_ptr> failures_;
};

// --- select -------------------------------------------------------------------------------------------------

namespace detail {

struct choice {
    choice() = default;
    choice(const choice &) = delete;
    choice &operator=(const choice &) = delete;
    static constexpr bool is_limit = false;
    std::int64_t time() const noexcept { return WEFT_FOREVER; }
};

template <typename T, typename F>
struct receives : choice {
    receives(weft_chan *from, F function) : from(from), function(std::move(function)) {}
    weft_case prepare() noexcept { return {from, in.address(), WEFT_RECV, 0}; }
    void chosen(int result)
    {
        if constexpr (std::is_invocable_v<F &, std::optional<T>>) {
            if (result == 0)
                function(std::optional<T>(in.take()));
            else
                function(std::optional<T>());
        } else {
            check(result);
            function(in.take());
        }
    }
    weft_chan *from;
    F function;
    arrival<T> in;
};

template <typename T, typename F>
struct sends : choice {
    template <typename V>
    sends(weft_chan *to, V &&value, F function) : to(to), function(std::move(function)), out(std::forward<V>(value))
    {
    }
    weft_case prepare() noexcept { return {to, out.address(), WEFT_SEND, 0}; }
    void chosen(int result)
    {
        check(result);
        out.sent();
        function();
    }
    weft_chan *to;
    F function;
    parcel<T> out;
};

// A channel that belongs to a context, a timer or a task.
template <typename F>
struct ends : choice {
    ends(weft_chan *done, F function) : done(done), function(std::move(function)) {}
    weft_case prepare() noexcept { return {done, &ignored, WEFT_RECV, 0}; }
    void chosen(int)
    {
        if constexpr (std::is_invocable_v<F &, clock::time_point>)
            function(clock::time_point(std::chrono::nanoseconds(ignored)));
        else
            function();
    }
    weft_chan *done;
    F function;
    std::int64_t ignored = 0;
};

template <typename F>
struct passes : choice {
    static constexpr bool is_limit = true;
    passes(std::int64_t nanoseconds, F function) : nanoseconds(nanoseconds), function(std::move(function)) {}
    weft_case prepare() noexcept { return {nullptr, nullptr, WEFT_RECV, 0}; } // Never ready.
    std::int64_t time() const noexcept { return nanoseconds; }
    void chosen(int) { function(); }
    std::int64_t nanoseconds;
    F function;
};

// WEFT_EAGAIN also when the time has passed.
inline int among(std::span<weft_case> cases, std::int64_t time)
{
    int count = static_cast<int>(cases.size());
    if (time <= 0)
        return came_back(weft_select(cases.data(), count, time));
    int index = -1;
    bool chosen = in_time(std::chrono::nanoseconds(time),
        [&](std::int64_t by) { return index = weft_select_until(cases.data(), count, by); });
    return chosen ? index : WEFT_EAGAIN;
}

} // namespace detail

// The cases of a select; each with what is called if it is the one.
//
// function(value), where a closed channel throws closed, or function(optional), where it is nothing.
template <typename T, typename F>
auto on_recv(const chan<T> &from, F function)
{
    return detail::receives<T, F>(from.get(), std::move(function));
}

// A value that is moved here, and not sent, goes back.
template <typename T, typename V, typename F>
    requires std::convertible_to<V, T>
auto on_send(const chan<T> &to, V &&value, F function)
{
    if constexpr (std::same_as<std::remove_cvref_t<V>, T>)
        return detail::sends<T, F>(to.get(), std::forward<V>(value), std::move(function));
    else
        return detail::sends<T, F>(to.get(), static_cast<const T &>(T(std::forward<V>(value))), std::move(function));
}

// When a context is cancelled, a task has ended, or a timer fires: function() or function(time).
template <typename F>
auto on_done(const context &when, F function)
{
    return detail::ends<F>(when.done(), std::move(function));
}
template <typename R, typename F>
auto on_done(const task<R> &when, F function)
{
    return detail::ends<F>(when.done(), std::move(function));
}
template <typename F>
auto on_done(const timer &when, F function)
{
    return detail::ends<F>(when.done(), std::move(function));
}

// When nothing else was ready for so long, or until then; or at once. One of them in a select.
template <std::invocable F>
auto on_timeout(std::chrono::nanoseconds time, F function)
{
    return detail::passes<F>(detail::limit(time), std::move(function));
}
template <typename Clock, typename Duration, std::invocable F>
auto on_timeout(std::chrono::time_point<Clock, Duration> when, F function)
{
    return on_timeout(detail::until(when), std::move(function));
}
template <std::invocable F>
auto otherwise(F function)
{
    return detail::passes<F>(0, std::move(function));
}

// Does one of the cases, calls its function and returns its index.
template <typename... C>
    requires(std::derived_from<std::remove_cvref_t<C>, detail::choice> && ...)
std::size_t select(C &&...choices)
{
    static_assert(sizeof...(C) > 0);
    static_assert((0 + ... + std::remove_cvref_t<C>::is_limit) <= 1, "one on_timeout or otherwise in a select");
    weft_case cases[] = {choices.prepare()...};
    std::int64_t time = WEFT_FOREVER;
    int index = 0, limit = -1;
    ((std::remove_cvref_t<C>::is_limit ? (time = choices.time(), limit = index++) : index++), ...);
    int chosen = detail::among(cases, time);
    if (limit >= 0 && chosen == WEFT_EAGAIN)
        chosen = limit;
    check(chosen);
    index = 0;
    ((index++ == chosen ? choices.chosen(cases[chosen].result) : void()), ...);
    return static_cast<std::size_t>(chosen);
}

// The same in the form of weft.h, for as many as there are. The addressed value must live until the select returns,
// and is one that can be copied as bytes.
template <typename T>
    requires detail::direct<T>
weft_case recv_case(const chan<T> &from, T &value)
{
    return {from.get(), &value, WEFT_RECV, 0};
}
template <typename T>
    requires detail::direct<T>
weft_case send_case(const chan<T> &to, const T &value)
{
    return {to.get(), const_cast<T *>(&value), WEFT_SEND, 0};
}

// The index of the case that was done, and whether its channel was open.
struct selected {
    int index;
    bool open;
};

inline selected select(std::span<weft_case> cases)
{
    int index = check(weft_select(cases.data(), static_cast<int>(cases.size()), WEFT_FOREVER));
    return {index, cases[static_cast<std::size_t>(index)].result == 0};
}

// Nothing when the time has passed first.
inline std::optional<selected> select_for(std::chrono::nanoseconds time, std::span<weft_case> cases)
{
    int index = detail::among(cases, detail::limit(time));
    if (index == WEFT_EAGAIN)
        return std::nullopt;
    check(index);
    return selected{index, cases[static_cast<std::size_t>(index)].result == 0};
}

// --- network ------------------------------------------------------------------------------------------------

// Whether the descriptor is ready by then.
inline bool wait_readable(int fd, std::chrono::nanoseconds time)
{
    return detail::in_time(time, [&](std::int64_t) { return weft_fd_wait(fd, WEFT_READABLE, detail::limit(time)); });
}
inline bool wait_writable(int fd, std::chrono::nanoseconds time)
{
    return detail::in_time(time, [&](std::int64_t) { return weft_fd_wait(fd, WEFT_WRITABLE, detail::limit(time)); });
}
inline void wait_readable(int fd) { check(weft_fd_wait(fd, WEFT_READABLE, WEFT_FOREVER)); }
inline void wait_writable(int fd) { check(weft_fd_wait(fd, WEFT_WRITABLE, WEFT_FOREVER)); }

// Of a socket, as the system has it.
class address : public weft_addr {
public:
    address() noexcept : weft_addr{} {}
    explicit address(const weft_addr &other) noexcept : weft_addr(other) {}

    // "127.0.0.1:80", "[::1]:80" or a path.
    std::string text() const
    {
        char room[160];
        return std::string(room, static_cast<std::size_t>(check(weft_addr_text(this, room, sizeof room))));
    }
};

namespace detail {

template <typename H>
address address_of(int (*ask)(H *, weft_addr *), H *handle)
{
    address found;
    check(ask(handle, &found));
    return found;
}

} // namespace detail

// What an address means in a network, in the order to try.
inline std::vector<address> resolve(const std::string &text, const char *network = "tcp")
{
    std::vector<address> found(16);
    std::size_t count = static_cast<std::size_t>(
        check(weft_resolve(network, text.c_str(), found.data(), static_cast<int>(found.size()))));
    found.resize(std::min(count, found.size()));
    return found;
}

// A connection, closed at the end of its life.
class conn {
public:
    conn() noexcept = default;
    explicit conn(weft_conn *made) noexcept : handle_(made) {}

    // What there is, up to the size of the buffer; 0 at the end.
    std::size_t read(void *buffer, std::size_t size) const
    {
        return static_cast<std::size_t>(check(weft_read(get(), buffer, size)));
    }
    template <typename E, std::size_t N>
        requires std::is_trivially_copyable_v<E>
    std::size_t read(std::span<E, N> buffer) const
    {
        return read(buffer.data(), buffer.size_bytes()) / sizeof(E);
    }

    // All of it.
    void write(const void *buffer, std::size_t size) const { check(weft_write(get(), buffer, size)); }
    void write(std::string_view text) const { write(text.data(), text.size()); }
    template <typename E, std::size_t N>
        requires std::is_trivially_copyable_v<E>
    void write(std::span<E, N> buffer) const
    {
        write(buffer.data(), buffer.size_bytes());
    }

    // All of the parts, one after the other.
    void write(std::initializer_list<std::string_view> parts) const
    {
        std::vector<weft_vec> all;
        for (std::string_view part : parts)
            all.push_back({part.data(), part.size()});
        check(weft_writev(get(), all.data(), static_cast<int>(all.size())));
    }

    // Reads and writes throw timed_out from then on, those under way too.
    void deadline(std::chrono::nanoseconds time) const { check(weft_conn_deadline(get(), detail::limit(time))); }
    template <typename Clock, typename Duration>
    void deadline(std::chrono::time_point<Clock, Duration> when) const
    {
        deadline(detail::until(when));
    }
    void no_deadline() const { check(weft_conn_deadline(get(), WEFT_FOREVER)); }
    void read_deadline(std::chrono::nanoseconds time) const
    {
        check(weft_conn_read_deadline(get(), detail::limit(time)));
    }
    void write_deadline(std::chrono::nanoseconds time) const
    {
        check(weft_conn_write_deadline(get(), detail::limit(time)));
    }

    // The peer reads the rest and then the end; or this side reads the end.
    void close_write() const { check(weft_conn_close_write(get())); }
    void close_read() const { check(weft_conn_close_read(get())); }

    address local() const { return detail::address_of(weft_conn_local, get()); }
    address peer() const { return detail::address_of(weft_conn_peer, get()); }

    // Owns the descriptor from then on; or gives one, which the caller has to close.
    static conn adopt(int fd)
    {
        weft_conn *made;
        check(weft_conn_adopt(&made, fd));
        return conn(made);
    }
    int release() const { return check(weft_conn_release(get())); }

    // The one below; not to be closed.
    int fd() const { return check(weft_conn_fd(get())); }

    // Who waits in it gets error WEFT_EBADF, as do later calls: others may use it meanwhile.
    void close() const { check(weft_conn_close(get())); }
    weft_conn *get() const noexcept { return handle_.get(); }

private:
    detail::handle<weft_conn, weft_conn_close> handle_;
};

// Connects; throws timed_out when the time has passed first.
inline conn dial(const std::string &address, const char *network = "tcp")
{
    weft_conn *made;
    check(weft_dial(&made, network, address.c_str(), WEFT_FOREVER));
    return conn(made);
}
inline conn dial(const std::string &address, std::chrono::nanoseconds time, const char *network = "tcp")
{
    weft_conn *made;
    check(weft_dial(&made, network, address.c_str(), detail::limit(time)));
    return conn(made);
}

class listener {
public:
    explicit listener(const std::string &address, const char *network = "tcp")
    {
        weft_listener *made;
        check(weft_listen(&made, network, address.c_str()));
        handle_ = detail::handle<weft_listener, weft_listener_close>(made);
    }
    conn accept() const
    {
        weft_conn *made;
        check(weft_accept(get(), &made));
        return conn(made);
    }
    int port() const { return check(weft_listener_port(get())); }
    address local() const { return detail::address_of(weft_listener_addr, get()); }
    void deadline(std::chrono::nanoseconds time) const { check(weft_listener_deadline(get(), detail::limit(time))); }
    int fd() const { return check(weft_listener_fd(get())); }

    // Who waits in accept gets error WEFT_EBADF, as do later calls.
    void close() const { check(weft_listener_close(get())); }
    weft_listener *get() const noexcept { return handle_.get(); }

private:
    detail::handle<weft_listener, weft_listener_close> handle_;
};

// Reads from a connection through a buffer. The connection has to live longer.
class reader {
public:
    explicit reader(const conn &from, std::size_t size = 0)
    {
        weft_reader *made;
        check(weft_reader_make(&made, from.get(), size));
        handle_ = detail::handle<weft_reader, weft_reader_free>(made);
    }

    // What there is, up to so much; 0 at the end.
    std::size_t read(void *buffer, std::size_t size) const
    {
        return static_cast<std::size_t>(check(weft_reader_read(get(), buffer, size)));
    }

    // All of it; less at the end only.
    std::size_t read_full(void *buffer, std::size_t size) const
    {
        return static_cast<std::size_t>(check(weft_reader_full(get(), buffer, size)));
    }

    // A line without its end; nothing at the end. Throws error WEFT_EMSGSIZE if it is longer than most.
    std::optional<std::string> line(std::size_t most = 4000) const
    {
        std::string text(most, '\0');
        std::int64_t length = detail::came_back(weft_reader_line(get(), text.data(), most + 1));
        if (length == WEFT_ENODATA)
            return std::nullopt;
        text.resize(static_cast<std::size_t>(check(length)));
        return text;
    }
    weft_reader *get() const noexcept { return handle_.get(); }

private:
    detail::handle<weft_reader, weft_reader_free> handle_;
};

// A socket for datagrams.
class packets {
public:
    explicit packets(const std::string &at, const char *network = "udp")
    {
        weft_packets *made;
        check(weft_packets_open(&made, network, at.c_str()));
        handle_ = detail::handle<weft_packets, weft_packets_close>(made);
    }

    // One, of which what does not fit is lost: its length, and who sent it.
    std::pair<std::size_t, address> recv(void *buffer, std::size_t size) const
    {
        address from;
        std::int64_t length = check(weft_packets_recv(get(), buffer, size, &from));
        return {static_cast<std::size_t>(length), from};
    }
    void send(std::string_view text, const address &to) const
    {
        check(weft_packets_send(get(), text.data(), text.size(), &to));
    }
    address local() const { return detail::address_of(weft_packets_local, get()); }
    void deadline(std::chrono::nanoseconds time) const { check(weft_packets_deadline(get(), detail::limit(time))); }
    int fd() const { return check(weft_packets_fd(get())); }
    weft_packets *get() const noexcept { return handle_.get(); }

private:
    detail::handle<weft_packets, weft_packets_close> handle_;
};

// --- files, processes, signals -------------------------------------------------------------------------------

// At an offset, or where the file stands if it is below 0; up to so much, 0 at the end. The thread blocks, and not the
// others.
inline std::size_t read_file(int fd, void *buffer, std::size_t size, std::int64_t offset = -1)
{
    return static_cast<std::size_t>(check(weft_file_read(fd, buffer, size, offset)));
}
inline void write_file(int fd, std::string_view text, std::int64_t offset = -1)
{
    check(weft_file_write(fd, text.data(), text.size(), offset));
}
inline void sync_file(int fd) { check(weft_file_sync(fd)); }

// What a process is started with; a stream is WEFT_INHERIT, WEFT_PIPE, WEFT_NULL, WEFT_FD(fd), or WEFT_OUTPUT of
// the errors.
struct command {
    std::vector<std::string> arguments;                  // The program first, which is looked for in PATH.
    std::optional<std::vector<std::string>> environment = {}; // "NAME=value"; nothing: that of this process.
    std::string directory = {};                          // "": where this process is.
    int input = WEFT_INHERIT;
    int output = WEFT_INHERIT;
    int error = WEFT_INHERIT;
    std::vector<int> descriptors = {};                   // Which it has as 3, 4 and so on; -1: none there.
};

// A process that was started. It goes on when this ends.
class process {
public:
    explicit process(const command &what)
    {
        auto texts = [](const std::vector<std::string> &from) {
            std::vector<const char *> all;
            for (const std::string &each : from)
                all.push_back(each.c_str());
            all.push_back(nullptr);
            return all;
        };
        std::vector<const char *> arguments = texts(what.arguments);
        std::vector<const char *> environment;
        if (what.environment)
            environment = texts(*what.environment);
        weft_command raw{};
        raw.size = sizeof raw;
        raw.arguments = arguments.data();
        raw.environment = what.environment ? environment.data() : nullptr;
        raw.directory = what.directory.empty() ? nullptr : what.directory.c_str();
        raw.input = what.input;
        raw.output = what.output;
        raw.error = what.error;
        raw.descriptors = what.descriptors.data();
        raw.descriptor_count = what.descriptors.size();
        weft_process *made;
        check(weft_spawn(&made, &raw));
        handle_ = detail::handle<weft_process, weft_process_free>(made);
    }
    int id() const { return check(weft_process_id(get())); }

    // This side's end of a pipe; each once.
    conn input() const { return pipe(0); }
    conn output() const { return pipe(1); }
    conn error() const { return pipe(2); }

    // Its status, as waitpid has it: WIFEXITED and so on.
    int wait() const
    {
        int status;
        check(weft_process_wait(get(), &status));
        return status;
    }
    std::optional<int> wait_for(std::chrono::nanoseconds time) const
    {
        int status;
        if (!detail::in_time(time, [&](std::int64_t by) { return weft_process_wait_until(get(), &status, by); }))
            return std::nullopt;
        return status;
    }
    void kill(int signal) const { check(weft_process_kill(get(), signal)); }
    weft_process *get() const noexcept { return handle_.get(); }

private:
    conn pipe(int stream) const
    {
        weft_conn *made;
        check(weft_process_pipe(get(), stream, &made));
        return conn(made);
    }

    detail::handle<weft_process, weft_process_free> handle_;
};

// While it lives these signals come here, and do nothing else.
class signals {
public:
    explicit signals(std::initializer_list<int> which)
    {
        weft_chan *made;
        check(weft_signal_chan(&made, which.begin(), static_cast<int>(which.size())));
        handle_ = detail::handle<weft_chan, weft_signal_stop>(made);
    }
    int recv() const
    {
        int signal;
        check(weft_chan_recv(get(), &signal));
        return signal;
    }
    weft_chan *get() const noexcept { return handle_.get(); }

private:
    detail::handle<weft_chan, weft_signal_stop> handle_;
};

// A case of a select: function(signal).
template <typename F>
auto on_recv(const signals &from, F function)
{
    return detail::receives<int, F>(from.get(), std::move(function));
}

// --- coroutines ---------------------------------------------------------------------------------------------

#if defined(__cpp_impl_coroutine)

namespace detail {

template <typename F>
struct awaits {
    using R = std::invoke_result_t<F &>;
    F function;
    std::optional<R> value = {};
    std::exception_ptr failure = {};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting)
    {
        go(attributes{.stack_size = 1 << 20, .name = "weft::coroutine"}, [this, waiting] {
            try {
                value.emplace(function());
            } catch (...) {
                failure = std::current_exception();
            }
            waiting.resume();
        });
    }
    R await_resume()
    {
        if (failure)
            std::rethrow_exception(failure);
        return std::move(*value);
    }
};

} // namespace detail

// For coroutines, which need not be in a goroutine: co_await weft::async_recv(chan). They go on in one.
template <typename T>
auto async_recv(chan<T> from)
{
    auto receive = [from = std::move(from)] { return from.recv(); };
    return detail::awaits<decltype(receive)>{std::move(receive)};
}

// True; throws closed.
template <typename T>
auto async_send(chan<T> to, T value)
{
    auto send = [to = std::move(to), value = std::move(value)]() mutable {
        to.send(std::move(value));
        return true;
    };
    return detail::awaits<decltype(send)>{std::move(send)};
}

#endif

} // namespace weft

#endif // C++20
#endif // WEFT_HPP
