// C++20: lambdas as goroutines, channels of a struct, a select, a lock, exceptions that stay inside.
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <weft.hpp>

struct point {
    int x, y;
};

int main()
{
    weft::runtime runtime;
    weft::chan<point> points(2);
    weft::chan<long> sums;
    weft::mutex lock;
    long shared = 0;

    weft::go([=] {
        for (int i = 1; i <= 100; i++)
            points.send({i, -i});
        points.close();
    });
    {
        weft::scope workers;
        for (int i = 0; i < 4; i++)
            workers.go([&, points] {
                for (point p : points) {
                    std::lock_guard held(lock);
                    shared += p.x - p.y;
                }
            });
    }
    weft::go([=] { sums.send(shared); });
    long sum = 0;
    weft_case cases[] = {weft::recv_case(sums, sum)};
    weft::selected chosen = weft::select(cases);
    std::printf("%ld %d\n", sum, chosen.index);

    try {
        weft::run([] { throw std::runtime_error("thrown in a goroutine"); });
    } catch (const std::exception &e) {
        std::printf("%s\n", e.what());
    }
    try {
        points.send({0, 0});
    } catch (const weft::error &e) {
        std::printf("%s\n", e.what());
    }
    std::printf("%d\n", weft::select_for(std::chrono::milliseconds(1), cases) ? 1 : 0);
    return 0;
}
