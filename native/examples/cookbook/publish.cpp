// News for many subscribers. One that is slow misses some, and holds up nobody.
//
// Prints:
//   the quick one has seen 100, the slow one the first 10
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
#include <weft.hpp>

class news {
public:
    using item = std::shared_ptr<const std::string>; // One copy for all.

    weft::chan<item> subscribe(std::size_t backlog)
    {
        weft::chan<item> made(backlog);
        std::lock_guard held(lock_);
        subscribers_.push_back(made);
        return made;
    }
    void publish(std::string text)
    {
        auto one = std::make_shared<const std::string>(std::move(text));
        std::lock_guard held(lock_);
        for (const auto &each : subscribers_)
            each.try_send(one);
    }
    void close()
    {
        std::lock_guard held(lock_);
        for (const auto &each : subscribers_)
            each.close();
        subscribers_.clear();
    }

private:
    weft::mutex lock_;
    std::vector<weft::chan<item>> subscribers_;
};

int main()
{
    weft::runtime runtime;
    news today;
    auto quick = today.subscribe(100), slow = today.subscribe(10);
    weft::task<int> counts = weft::start([=] {
        int seen = 0;
        for (const news::item &each : quick)
            seen += !each->empty();
        return seen;
    });
    for (int i = 0; i < 100; i++)
        today.publish("number " + std::to_string(i));
    today.close();
    int late = 0;
    for (const news::item &each : slow)
        late += *each == "number " + std::to_string(late);
    std::printf("the quick one has seen %d, the slow one the first %d\n", counts.join(), late);
}
