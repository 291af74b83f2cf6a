// Drives the top of a whole system between AXI memories and a host that writes control registers; writes what happened.
//
// Cycle 0 of a job is the one after that in which the last write of the host was accepted, which starts the program.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "binding.h"
#include "numbers.h"
#include "axi_memory.h"

static FILE* in;
static uint64_t number() {
    uint64_t value = 0;
    if (std::fread(&value, 8, 1, in) != 1) std::exit(3);
    return value;
}

static void rule(bool holds, const char* what, uint64_t cycle) {
    if (!holds) {
        std::fprintf(stderr, "AXI rule broken in cycle %llu: %s\n", (unsigned long long)cycle, what);
        std::exit(4);
    }
}

static ternforge::MemoryPort port() {
    ternforge::MemoryPort found;
    for (uint64_t* field : {&found.latency, &found.spread, &found.interval, &found.period, &found.gap, &found.depth,
                            &found.seed, &found.size, &found.poison_begin, &found.poison_end})
        *field = number();
    return found;
}

static Dut dut;
static std::vector<uint8_t> contents;
static FILE* out;

static void edge() {
    put(dut.ports.PORT_aclk, 1);
    dut.eval();
    put(dut.ports.PORT_aclk, 0);
}

// Asks for a burst, and holds it to the rules of AXI.
static void asked(const char* who, uint64_t t, uint64_t address, uint64_t words) {
    std::fprintf(out, "%llu %s %llu %llu\n", (unsigned long long)t, who, (unsigned long long)address,
                 (unsigned long long)words);
    rule(address % WORD_BYTES == 0, "a request must begin at a word", t);
    rule(address / 4096 == (address + words * WORD_BYTES - 1) / 4096, "a burst must not cross 4 kB", t);
}

// One master that reads: what the memory shows, and what it saw. A word that is offered is taken in the same cycle.
#define SHOW_READ(half, name)                                                                                       \
    const bool name##_ready = half.ready(t), name##_word = half.valid(t);                                           \
    put(p.PORT_m_axi_##name##_arready, name##_ready);                                                               \
    put(p.PORT_m_axi_##name##_rvalid, name##_word);                                                                 \
    if (name##_word) {                                                                                              \
        uint8_t data[WORD_BYTES];                                                                                   \
        for (size_t i = 0; i < WORD_BYTES; ++i)                                                                     \
            data[i] = half.address() + i < contents.size() ? contents[half.address() + i] : 0;                          \
        put_bytes(p.PORT_m_axi_##name##_rdata, data, WORD_BYTES);                                                   \
    }                                                                                                               \
    put(p.PORT_m_axi_##name##_rlast, name##_word && half.last());                                                   \
    put(p.PORT_m_axi_##name##_rresp, name##_word ? half.shown().response(half.address()) : 0);

#define SEE_READ(half, name)                                                                                        \
    {                                                                                                               \
        const bool request = GET(m_axi_##name##_arvalid) && name##_ready;                                           \
        const uint64_t address = GET(m_axi_##name##_araddr), words = GET(m_axi_##name##_arlen) + 1;                 \
        rule(!name##_word || GET(m_axi_##name##_rready), "a word that was asked for must be taken", t);             \
        if (request) asked(#name, t, address, words);                                                               \
        half.tick(t, request, address, words, name##_word, WORD_BYTES);                                             \
    }

#define GET(name) (get(p.PORT_##name) & MASK_##name)
// A port of the AXI4-Lite bus.
#define HOST(name) (get(p.PORT_HOST_##name) & MASK_HOST_##name)

struct Port : ternforge::Reads {
    explicit Port(const ternforge::MemoryPort& behavior) : Reads(behavior), behavior(behavior) {}
    const ternforge::MemoryPort& shown() const { return behavior; }
    ternforge::MemoryPort behavior;
};

// Nothing of a job that was cut is left at the ports.
static void silent() {
    auto& p = dut.ports;
    put(p.PORT_m_axi_fetch_arready, 0);
    put(p.PORT_m_axi_fetch_rvalid, 0);
    put(p.PORT_m_axi_load_arready, 0);
    put(p.PORT_m_axi_load_rvalid, 0);
    put(p.PORT_m_axi_store_awready, 0);
    put(p.PORT_m_axi_store_wready, 0);
    put(p.PORT_m_axi_store_bvalid, 0);
    put(p.PORT_HOST_awvalid, 0);
    put(p.PORT_HOST_wvalid, 0);
}

static void reset() {
    auto& p = dut.ports;
    put(p.PORT_aresetn, 0);
    for (int cycle = 0; cycle < RESET_CYCLES; ++cycle) {
        dut.eval();
        edge();
    }
    put(p.PORT_aresetn, 1);
}

// A write of a register; returns in the cycle after that in which it was accepted.
static void host_write(uint64_t address, uint64_t value) {
    auto& p = dut.ports;
    put(p.PORT_HOST_awvalid, 1);
    put(p.PORT_HOST_wvalid, 1);
    put(p.PORT_HOST_awaddr, address);
    put(p.PORT_HOST_wdata, value);
    put(p.PORT_HOST_wstrb, 15);
    for (bool taken = false; !taken;) {
        dut.eval();
        taken = HOST(awready) && HOST(wready);
        edge();
    }
    put(p.PORT_HOST_awvalid, 0);
    put(p.PORT_HOST_wvalid, 0);
}

static uint64_t host_read(uint64_t address) {
    auto& p = dut.ports;
    put(p.PORT_HOST_arvalid, 1);
    put(p.PORT_HOST_araddr, address);
    for (bool taken = false; !taken;) {
        dut.eval();
        taken = HOST(arready);
        edge();
    }
    put(p.PORT_HOST_arvalid, 0);
    for (;;) {
        dut.eval();
        const bool there = HOST(rvalid);
        const uint64_t value = HOST(rdata);
        edge();
        if (there) return value;
    }
}

// Runs to the interrupt, or for so many cycles; ``stop``: in this cycle the host begins to write 2 to control.
static bool run(uint64_t limit, uint64_t stop) {
    auto& p = dut.ports;
    const auto behaviors = {port(), port(), port()};
    Port fetch(behaviors.begin()[0]), load(behaviors.begin()[1]);
    const ternforge::MemoryPort storing = behaviors.begin()[2];
    ternforge::Writes store(storing);
    for (uint64_t t = 0; t < limit; ++t) {
        SHOW_READ(fetch, fetch)
        SHOW_READ(load, load)
        const bool ready = store.ready(t), takes = store.takes(t), answered = store.answered(t);
        put(p.PORT_m_axi_store_awready, ready);
        put(p.PORT_m_axi_store_wready, takes);
        put(p.PORT_m_axi_store_bvalid, answered);
        put(p.PORT_m_axi_store_bresp, answered ? store.answer() : 0);
        if (t == stop) {
            put(p.PORT_HOST_awvalid, 1);
            put(p.PORT_HOST_wvalid, 1);
            put(p.PORT_HOST_awaddr, 0);
            put(p.PORT_HOST_wdata, 2);
        }
        dut.eval();
        SEE_READ(fetch, fetch)
        SEE_READ(load, load)
        const bool request = GET(m_axi_store_awvalid) && ready, written = GET(m_axi_store_wvalid) && takes;
        const uint64_t address = GET(m_axi_store_awaddr), words = GET(m_axi_store_awlen) + 1;
        if (request) asked("store", t, address, words);
        if (written) {
            rule(GET(m_axi_store_wlast) == store.last(), "wlast must be with the last word", t);
            const uint64_t begin = store.address();
            const uint8_t *strobes = raw(p.PORT_m_axi_store_wstrb), *data = raw(p.PORT_m_axi_store_wdata);
            for (size_t i = 0; i < WORD_BYTES; ++i)
                if ((strobes[i / 8] >> (i % 8) & 1) && begin + i < contents.size() && !storing.response(begin))
                    contents[begin + i] = data[i];
        }
        store.tick(t, request, address, words, written, answered && GET(m_axi_store_bready), WORD_BYTES);
        const uint64_t begins = GET(begins), ends = GET(ends);
        if (begins | ends)
            std::fprintf(out, "%llu units %llu %llu\n", (unsigned long long)t, (unsigned long long)begins,
                         (unsigned long long)ends);
        const bool over = GET(irq);
        if (HOST(awready)) {
            edge();
            put(p.PORT_HOST_awvalid, 0);
            put(p.PORT_HOST_wvalid, 0);
        } else {
            edge();
        }
        if (over) {
            std::fprintf(out, "%llu interrupt 0 0\n", (unsigned long long)t);
            return true;
        }
    }
    return false;
}

// Input: memory, then jobs: reset or not, writes (address, value), limit, stop, three memories.
int main(int, char** arguments) {
    in = std::fopen(arguments[1], "rb");
    out = std::fopen(arguments[2], "w");
    contents.resize(number());
    if (!contents.empty() && std::fread(contents.data(), 1, contents.size(), in) != contents.size()) return 3;
    const uint64_t registers = number(), jobs = number();
    auto& p = dut.ports;
    put(p.PORT_HOST_bready, 1);
    put(p.PORT_HOST_rready, 1);
    for (uint64_t job = 0; job < jobs; ++job) {
        silent();
        if (number()) reset();
        const uint64_t writes = number();
        for (uint64_t i = 0; i < writes; ++i) {
            const uint64_t address = number();
            host_write(address, number());
        }
        const uint64_t limit = number(), stop = number();
        const bool ended = run(limit, stop);
        silent();
        std::fprintf(out, "0 %s %llu 0\n", ended ? "over" : "cut", (unsigned long long)job);
        if (ended)
            for (uint64_t i = 0; i < registers; ++i)
                std::fprintf(out, "0 register %llu %llu\n", (unsigned long long)(4 * i), (unsigned long long)host_read(4 * i));
    }
    std::fclose(out);
    FILE* image = std::fopen(arguments[3], "wb");
    std::fwrite(contents.data(), 1, contents.size(), image);
    std::fclose(image);
    return 0;
}
