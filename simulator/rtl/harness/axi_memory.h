// External memory behind an AXI4 port for benches: blueprint/systems/memory_port.py says what it does, and
// simulator/systems/memory.py does the same in Python. Look at what it shows, then call tick.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

namespace ternforge {

inline uint64_t mixed(uint64_t value) {
    value += 0x9E3779B97F4A7C15ull;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
    return value ^ (value >> 31);
}

// Channels that may keep silent, as MemoryPort.silent names them.
enum Channel : uint64_t { AR = 1, R, AW, W, B };

struct MemoryPort {
    uint64_t latency, spread, beats, interval, period, gap, depth, seed, size, poison_begin, poison_end;
    uint64_t channel, after, until;

    // From the numbers of MemoryPort.numbers, one after the other.
    template <class Next>
    static MemoryPort of(Next next) {
        MemoryPort port;
        for (uint64_t* field : {&port.latency, &port.spread, &port.beats, &port.interval, &port.period, &port.gap, &port.depth,
                                &port.seed, &port.size, &port.poison_begin, &port.poison_end, &port.channel,
                                &port.after, &port.until})
            *field = next();
        return port;
    }

    bool opened(uint64_t cycle) const { return !period || cycle % period >= gap; }
    bool moves(uint64_t cycle) const { return opened(cycle) && cycle * beats % interval < beats; }
    bool silent(Channel which, uint64_t made, uint64_t cycle) const {
        return channel == which && made >= after && cycle < until;
    }
    uint64_t wait(uint64_t number) const { return latency + (spread ? mixed(seed + number) % (spread + 1) : 0); }
    uint64_t response(uint64_t address) const {
        if (address >= size) return 3;
        return address >= poison_begin && address < poison_end ? 2 : 0;
    }
};

// What a channel offered and was not yet taken, which must stay as it is (AMBA AXI, A3.2.1).
constexpr const char* STAYS = "what was offered must stay until it is taken";
struct Offer {
    bool waits = false;
    std::vector<uint8_t> what;
    // ``payload`` is asked for only where an offer is not taken at once.
    template <class Payload>
    bool keeps(bool valid, bool ready, Payload payload) {
        if (!waits && (!valid || ready)) return true;
        auto now = payload();
        const bool same = !waits || (valid && now == what);
        waits = valid && !ready;
        what = std::move(now);
        return same;
    }
};
inline auto request(uint64_t address, uint64_t words) {
    return [=] {
        std::vector<uint8_t> bytes(16);
        std::memcpy(bytes.data(), &address, 8);
        std::memcpy(bytes.data() + 8, &words, 8);
        return bytes;
    };
}
inline auto word(const uint8_t* data, const uint8_t* strobes, size_t size, bool last) {
    return [=] {
        std::vector<uint8_t> bytes(data, data + size);
        bytes.insert(bytes.end(), strobes, strobes + (size + 7) / 8);
        bytes.push_back(last);
        return bytes;
    };
}

class Reads {
  public:
    explicit Reads(const MemoryPort& port) : port(port) {}
    bool ready(uint64_t cycle) const {
        return port.opened(cycle) && !port.silent(AR, accepted, cycle) && waiting.size() < port.depth;
    }
    bool valid(uint64_t cycle) {
        bool there = !waiting.empty() && waiting.front().cycle <= cycle;
        return offered = offered || (there && port.moves(cycle) && !port.silent(R, given, cycle));
    }
    uint64_t address() const { return waiting.front().address; }
    bool last() const { return waiting.front().words == 1; }
    void tick(uint64_t cycle, bool request, uint64_t address, uint64_t words, bool taken, uint64_t bytes) {
        if (taken) {
            offered = false;
            ++given;
            waiting.front().address += bytes;
            if (--waiting.front().words == 0) waiting.pop_front();
        }
        if (request) waiting.push_back({address, words, cycle + port.wait(accepted++)});
    }

  private:
    struct Burst {
        uint64_t address, words, cycle;
    };
    MemoryPort port;
    std::deque<Burst> waiting;
    bool offered = false;
    uint64_t accepted = 0, given = 0;
};

class Writes {
  public:
    explicit Writes(const MemoryPort& port) : port(port) {}
    bool ready(uint64_t cycle) const {
        return port.opened(cycle) && !port.silent(AW, requests, cycle) && waiting.size() + answers.size() < port.depth;
    }
    bool takes(uint64_t cycle) const {
        return !waiting.empty() && port.moves(cycle) && !port.silent(W, words_taken, cycle);
    }
    bool answered(uint64_t cycle) const {
        return !answers.empty() && answers.front().cycle <= cycle && !port.silent(B, given, cycle);
    }
    uint64_t answer() const { return answers.front().response; }
    uint64_t address() const { return waiting.front().address; }
    bool last() const { return waiting.front().words == 1; }
    // answered: whether the answer that was shown in this cycle was taken.
    void tick(uint64_t cycle, bool request, uint64_t address, uint64_t words, bool word, bool taken, uint64_t bytes) {
        if (taken) {
            answers.pop_front();
            ++given;
        }
        if (word) {
            ++words_taken;
            Burst& first = waiting.front();
            first.response = std::max(first.response, port.response(first.address));
            first.address += bytes;
            if (--first.words == 0) {
                answers.push_back({cycle + port.wait(accepted++), first.response});
                waiting.pop_front();
            }
        }
        if (request) {
            ++requests;
            waiting.push_back({address, words, 0});
        }
    }

  private:
    struct Burst {
        uint64_t address, words, response;
    };
    struct Answer {
        uint64_t cycle, response;
    };
    MemoryPort port;
    std::deque<Burst> waiting;
    std::deque<Answer> answers;
    uint64_t accepted = 0, requests = 0, words_taken = 0, given = 0;
};

}  // namespace ternforge
