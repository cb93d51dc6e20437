// A cache that loads each key once, however many ask at the same time. A load that fails is told to all of them.
//
// Prints:
//   3 loads for 30 questions, 10 of them failed
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <weft.hpp>

template <typename V>
class cache {
public:
    template <typename F>
    V get(const std::string &key, F &&load)
    {
        std::shared_ptr<entry> found;
        {
            std::lock_guard held(lock_);
            auto &place = entries_[key];
            if (!place)
                place = std::make_shared<entry>();
            found = place;
        }
        found->loaded([&] { found->value = load(key); }); // Outside of the lock: other keys go on.
        return found->value;
    }

private:
    struct entry {
        weft::once loaded;
        V value;
    };
    weft::mutex lock_;
    std::map<std::string, std::shared_ptr<entry>> entries_;
};

int main()
{
    weft::runtime runtime;
    cache<std::string> pages;
    std::atomic<int> loads = 0, failed = 0, asked = 0;
    {
        weft::scope all;
        for (int i = 0; i < 30; i++)
            all.go([&, key = std::string(1, static_cast<char>('a' + i % 3))] {
                asked++;
                try {
                    pages.get(key, [&](const std::string &key) {
                        loads++;
                        weft::sleep_for(std::chrono::milliseconds(1));
                        if (key == "c")
                            throw std::runtime_error("no such page");
                        return "the page " + key;
                    });
                } catch (const std::runtime_error &) {
                    failed++;
                }
            });
    }
    std::printf("%d loads for %d questions, %d of them failed\n", loads.load(), asked.load(), failed.load());
}
