// Several channels into one, which ends when all of them have.
//
// Prints:
//   A1 A2 A3 B1 B2 B3 C1 C2 C3
#include <cstdio>
#include <set>
#include <string>
#include <vector>
#include <weft.hpp>

static weft::chan<std::string> words(char letter)
{
    weft::chan<std::string> out;
    weft::go([=] {
        for (int i = 1; i <= 3; i++)
            out.send(letter + std::to_string(i));
        out.close();
    });
    return out;
}

static weft::chan<std::string> merge(std::vector<weft::chan<std::string>> from)
{
    weft::chan<std::string> out;
    weft::go([=] {
        weft::scope all;
        for (const auto &each : from)
            all.go([=] {
                for (std::string &word : each)
                    out.send(std::move(word));
            });
        all.wait();
        out.close();
    });
    return out;
}

int main()
{
    weft::runtime runtime;
    std::set<std::string> sorted;
    for (std::string &word : merge({words('a'), words('b'), words('c')})) {
        word[0] = static_cast<char>(word[0] - 'a' + 'A');
        sorted.insert(std::move(word));
    }
    const char *gap = "";
    for (const std::string &word : sorted) {
        std::printf("%s%s", gap, word.c_str());
        gap = " ";
    }
    std::printf("\n");
}
