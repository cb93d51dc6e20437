// weft.hpp: weft.h for C++20. Owning handles, channels of any trivially copyable type, functions of any kind;
// errors are exceptions of type weft::error.
//
//   weft::chan<int> numbers;
//   weft::go([=] { numbers.send(42); });
//   std::printf("%d\n", *numbers.recv());
//
// Copies of a handle share the object; the last one frees it.

#ifndef WEFT_HPP
#define WEFT_HPP

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <weft.h>

#if !defined(__cpp_concepts)
#error "weft.hpp needs C++20: compile with -std=c++20, or include weft.h"
#else

namespace weft {

// What a weft_ function returned, below 0.
class error : public std::exception {
public:
    explicit error(int code) : code_(code) {}
    int code() const noexcept { return code_; }
    const char *what() const noexcept override { return weft_strerror(code_); }

private:
    int code_;
};

// The result, unless it is an error.
inline int check(int result)
{
    if (result < 0)
        throw error(result);
    return result;
}

inline std::int64_t nanoseconds(std::chrono::nanoseconds time) { return time.count(); }

// Starts Weft for as long as it lives.
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

// Which stack a goroutine gets, and its name in reports.
struct attributes {
    std::size_t stack_size = 0;
    const char *name = nullptr;
};

// Starts a goroutine. An exception that leaves the function ends the program, as on a thread.
template <std::invocable F>
void go(attributes a, F &&function)
{
    using Function = std::decay_t<F>;
    auto owned = std::make_unique<Function>(std::forward<F>(function));
    weft_attr attr{};
    attr.size = sizeof attr;
    attr.stack_size = a.stack_size;
    attr.name = a.name;
    check(weft_go_with(
        &attr,
        [](void *argument) noexcept {
            std::unique_ptr<Function> run(static_cast<Function *>(argument));
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

// Runs the function in a goroutine and waits for it; what it throws is thrown here.
template <std::invocable F>
void run(F &&function)
{
    struct call {
        std::remove_reference_t<F> *function;
        std::exception_ptr failure;
    } c{&function, nullptr};
    check(weft_run(
        [](void *argument) noexcept {
            auto *c = static_cast<call *>(argument);
            try {
                (*c->function)();
            } catch (...) {
                c->failure = std::current_exception();
            }
        },
        &c));
    if (c.failure)
        std::rethrow_exception(c.failure);
}

// Runs a function that blocks the thread; what it throws is thrown here.
template <std::invocable F>
void blocking(F &&function)
{
    struct call {
        std::remove_reference_t<F> *function;
        std::exception_ptr failure;
    } c{&function, nullptr};
    check(weft_blocking(
        [](void *argument) noexcept {
            auto *c = static_cast<call *>(argument);
            try {
                (*c->function)();
            } catch (...) {
                c->failure = std::current_exception();
            }
        },
        &c));
    if (c.failure)
        std::rethrow_exception(c.failure);
}

inline void yield() { check(weft_yield()); }
inline void sleep(std::chrono::nanoseconds time) { check(weft_sleep(nanoseconds(time))); }
inline std::int64_t self() noexcept { return weft_self(); }

// A channel of T. Any number of goroutines and threads may use copies of it.
template <typename T>
    requires std::is_trivially_copyable_v<T>
class chan {
public:
    explicit chan(std::size_t capacity = 0)
    {
        weft_chan *made;
        check(weft_chan_make(&made, sizeof(T), capacity));
        handle_ = std::shared_ptr<weft_chan>(made, [](weft_chan *c) { weft_chan_free(c); });
    }

    // Waits while it is full. Throws WEFT_EPIPE when it is closed.
    void send(const T &value) const { check(weft_chan_send(get(), &value)); }

    // False when that would have to wait.
    bool try_send(const T &value) const
    {
        int result = weft_chan_try_send(get(), &value);
        return result != WEFT_EAGAIN && check(result) == 0;
    }

    // Waits while it is empty; nothing when it is closed and drained.
    std::optional<T> recv() const { return received([this](T *v) { return weft_chan_recv(get(), v); }); }

    // Nothing when there is nothing, or it is closed.
    std::optional<T> try_recv() const
    {
        return received([this](T *v) { return weft_chan_try_recv(get(), v); });
    }

    void close() const { check(weft_chan_close(get())); }
    std::size_t size() const { return static_cast<std::size_t>(weft_chan_len(get())); }
    std::size_t capacity() const { return static_cast<std::size_t>(weft_chan_cap(get())); }
    weft_chan *get() const noexcept { return handle_.get(); }

    // for (int n : numbers): until it is closed and drained.
    class iterator {
    public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        explicit iterator(const chan *from) : from_(from) { ++*this; }
        const T &operator*() const { return *value_; }
        iterator &operator++()
        {
            value_ = from_->recv();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const { return !value_; }

    private:
        const chan *from_;
        std::optional<T> value_;
    };
    iterator begin() const { return iterator(this); }
    std::default_sentinel_t end() const { return {}; }

private:
    template <typename F>
    static std::optional<T> received(F &&receive)
    {
        alignas(T) unsigned char room[sizeof(T)];
        T *value = reinterpret_cast<T *>(room);
        int result = receive(value);
        if (result == WEFT_EPIPE || result == WEFT_EAGAIN)
            return std::nullopt;
        check(result);
        return *std::launder(value);
    }

    std::shared_ptr<weft_chan> handle_;
};

// Cases of a select. The addressed value must live until the select returns.
template <typename T>
weft_case recv_case(const chan<T> &from, T &value)
{
    return {from.get(), &value, WEFT_RECV, 0};
}

template <typename T>
weft_case send_case(const chan<T> &to, const T &value)
{
    return {to.get(), const_cast<T *>(&value), WEFT_SEND, 0};
}

// The index of the case that was done, and whether its channel was open.
struct selected {
    int index;
    bool open;
};

template <std::size_t N>
selected select(weft_case (&cases)[N])
{
    int index = check(weft_select(cases, static_cast<int>(N), WEFT_FOREVER));
    return {index, cases[index].result == 0};
}

// Nothing when the time has passed first.
template <std::size_t N>
std::optional<selected> select_for(std::chrono::nanoseconds time, weft_case (&cases)[N])
{
    int index = weft_select(cases, static_cast<int>(N), nanoseconds(time));
    if (index == WEFT_ETIMEDOUT || index == WEFT_EAGAIN)
        return std::nullopt;
    check(index);
    return selected{index, cases[index].result == 0};
}

// For std::lock_guard and std::unique_lock.
class mutex {
public:
    mutex() { check(weft_mutex_make(&handle_)); }
    ~mutex() { weft_mutex_free(handle_); }
    mutex(const mutex &) = delete;
    mutex &operator=(const mutex &) = delete;
    void lock() { check(weft_mutex_lock(handle_)); }
    void unlock() { check(weft_mutex_unlock(handle_)); }
    bool try_lock()
    {
        int result = weft_mutex_try_lock(handle_);
        return result != WEFT_EAGAIN && check(result) == 0;
    }
    weft_mutex *get() const noexcept { return handle_; }

private:
    weft_mutex *handle_;
};

// Waits for the goroutines that it starts, at the end of its life at the latest.
class scope {
public:
    scope() { check(weft_wg_make(&handle_)); }
    ~scope()
    {
        weft_wg_wait(handle_);
        weft_wg_free(handle_);
    }
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;

    template <std::invocable F>
    void go(F &&function)
    {
        check(weft_wg_add(handle_, 1));
        try {
            weft::go([wg = handle_, f = std::forward<F>(function)]() mutable {
                f();
                weft_wg_done(wg);
            });
        } catch (...) {
            weft_wg_done(handle_);
            throw;
        }
    }
    void wait() { check(weft_wg_wait(handle_)); }

private:
    weft_wg *handle_;
};

} // namespace weft

#endif // __cpp_concepts
#endif // WEFT_HPP
