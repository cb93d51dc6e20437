// Many tasks, of which the first failure cancels the rest and is thrown where they are waited for.
//
// Prints:
//   part 3 is broken
//   the other 7 were stopped
#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <weft.hpp>

int main()
{
    using namespace std::chrono_literals;
    weft::runtime runtime;
    std::atomic<int> stopped = 0;
    weft::scope parts(1min); // Nothing takes longer than that.
    for (int i = 0; i < 8; i++)
        parts.go([&, i] {
            if (i == 3) {
                weft::sleep_for(2ms);
                throw std::runtime_error("part " + std::to_string(i) + " is broken");
            }
            try {
                weft::sleep_for(50s); // Where a real one would wait for the network.
            } catch (const weft::canceled &) {
                stopped++;
                throw; // It is no failure of its own.
            }
        });
    try {
        parts.wait();
    } catch (const std::exception &e) {
        std::printf("%s\n", e.what());
    }
    std::printf("the other %d were stopped\n", stopped.load());
}
