// Drives the top of a whole system between AXI memories and a host that writes control registers; writes what happened.
//
// Cycle 0 of a job is the one after that in which the last write of the host was accepted, which starts the program.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

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

static Dut dut;
static std::vector<uint8_t> contents;
static FILE* out;

static void edge() {
    put(dut.ports.PORT_aclk, 1);
    dut.eval();
    put(dut.ports.PORT_aclk, 0);
}

// No cycle of a run.
constexpr uint64_t UNTOLD = ~0ull;

// Asks for a burst, and holds it to the rules of AXI.
static void asked(const char* who, uint64_t address, uint64_t words, uint64_t shown) {
    if (shown != UNTOLD)
        std::fprintf(out, "%llu %s %llu %llu\n", (unsigned long long)shown, who, (unsigned long long)address,
                     (unsigned long long)words);
    rule(address % WORD_BYTES == 0, "a request must begin at a word", shown);
    rule(address / 4096 == (address + words * WORD_BYTES - 1) / 4096, "a burst must not cross 4 kB", shown);
}

#define GET(name) (get(p.PORT_##name) & MASK_##name)
// A port of the AXI4-Lite bus.
#define HOST(name) (get(p.PORT_HOST_##name) & MASK_HOST_##name)

struct Port : ternforge::Reads {
    explicit Port(const ternforge::MemoryPort& behavior) : Reads(behavior), behavior(behavior) {}
    const ternforge::MemoryPort& shown() const { return behavior; }
    ternforge::MemoryPort behavior;
    ternforge::Offer asks;
};

// The memories of a job, and their time; they go on between jobs until those of another one take their place.
struct World {
    Port fetch, load;
    ternforge::MemoryPort storing;
    ternforge::Writes store;
    ternforge::Offer asks, gives;
    uint64_t t = 0;
    World(const ternforge::MemoryPort& f, const ternforge::MemoryPort& l, const ternforge::MemoryPort& s)
        : fetch(f), load(l), storing(s), store(s) {}
};
static std::unique_ptr<World> world;

// One master that reads: what the memory shows, and what it saw. A word that is offered is taken in the same cycle.
#define SHOW_READ(half, name)                                                                                       \
    const bool name##_ready = half.ready(t), name##_word = half.valid(t);                                           \
    put(p.PORT_m_axi_##name##_arready, name##_ready);                                                               \
    put(p.PORT_m_axi_##name##_rvalid, name##_word);                                                                 \
    if (name##_word) {                                                                                              \
        uint8_t data[WORD_BYTES];                                                                                   \
        for (size_t i = 0; i < WORD_BYTES; ++i)                                                                     \
            data[i] = half.address() + i < contents.size() ? contents[half.address() + i] : 0;                      \
        put_bytes(p.PORT_m_axi_##name##_rdata, data, WORD_BYTES);                                                   \
    }                                                                                                               \
    put(p.PORT_m_axi_##name##_rlast, name##_word && half.last());                                                   \
    put(p.PORT_m_axi_##name##_rresp, name##_word ? half.shown().response(half.address()) : 0);

#define SEE_READ(half, name)                                                                                        \
    {                                                                                                               \
        const bool valid = GET(m_axi_##name##_arvalid), request = valid && name##_ready;                            \
        const uint64_t address = GET(m_axi_##name##_araddr), words = GET(m_axi_##name##_arlen) + 1;                 \
        rule(half.asks.keeps(valid, name##_ready, ternforge::request(address, words)), ternforge::STAYS, t);        \
        rule(!name##_word || GET(m_axi_##name##_rready), "a word that was asked for must be taken", t);             \
        if (request) asked(#name, address, words, shown);                                                           \
        half.tick(t, request, address, words, name##_word, WORD_BYTES);                                             \
    }

// Without memories nothing moves at the ports.
static void silent() {
    auto& p = dut.ports;
    put(p.PORT_m_axi_fetch_arready, 0);
    put(p.PORT_m_axi_fetch_rvalid, 0);
    put(p.PORT_m_axi_load_arready, 0);
    put(p.PORT_m_axi_load_rvalid, 0);
    put(p.PORT_m_axi_store_awready, 0);
    put(p.PORT_m_axi_store_wready, 0);
    put(p.PORT_m_axi_store_bvalid, 0);
}

// Signals follow from registers and from what the memories show; what passed their ports is seen, and requests told of
// as those of the cycle ``shown`` of a run.
static void serve(uint64_t shown = UNTOLD) {
    auto& p = dut.ports;
    if (!world) {
        silent();
        dut.eval();
        return;
    }
    World& w = *world;
    const uint64_t t = w.t++;
    SHOW_READ(w.fetch, fetch)
    SHOW_READ(w.load, load)
    const bool ready = w.store.ready(t), takes = w.store.takes(t), answered = w.store.answered(t);
    put(p.PORT_m_axi_store_awready, ready);
    put(p.PORT_m_axi_store_wready, takes);
    put(p.PORT_m_axi_store_bvalid, answered);
    put(p.PORT_m_axi_store_bresp, answered ? w.store.answer() : 0);
    dut.eval();
    SEE_READ(w.fetch, fetch)
    SEE_READ(w.load, load)
    const bool asks = GET(m_axi_store_awvalid), gives = GET(m_axi_store_wvalid);
    const bool request = asks && ready, written = gives && takes;
    const uint64_t address = GET(m_axi_store_awaddr), words = GET(m_axi_store_awlen) + 1;
    rule(w.asks.keeps(asks, ready, ternforge::request(address, words)), ternforge::STAYS, t);
    const uint8_t *strobes = raw(p.PORT_m_axi_store_wstrb), *data = raw(p.PORT_m_axi_store_wdata);
    const bool stays = w.gives.keeps(gives, takes, ternforge::word(data, strobes, WORD_BYTES, GET(m_axi_store_wlast)));
    rule(stays, ternforge::STAYS, t);
    if (request) asked("store", address, words, shown);
    if (written) {
        rule(GET(m_axi_store_wlast) == w.store.last(), "wlast must be with the last word", t);
        const uint64_t begin = w.store.address();
        for (size_t i = 0; i < WORD_BYTES; ++i)
            if ((strobes[i / 8] >> (i % 8) & 1) && begin + i < contents.size() && !w.storing.response(begin))
                contents[begin + i] = data[i];
    }
    w.store.tick(t, request, address, words, written, answered && GET(m_axi_store_bready), WORD_BYTES);
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
        serve();
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
        serve();
        taken = HOST(arready);
        edge();
    }
    put(p.PORT_HOST_arvalid, 0);
    for (;;) {
        serve();
        const bool there = HOST(rvalid);
        const uint64_t value = HOST(rdata);
        edge();
        if (there) return value;
    }
}

// What the host begins to write in a cycle of a run.
struct Late {
    uint64_t cycle, address, value;
};

// Runs to the interrupt, or for so many cycles.
static bool run(uint64_t limit, const Late& late) {
    auto& p = dut.ports;
    for (uint64_t t = 0; t < limit; ++t) {
        if (t == late.cycle) {
            put(p.PORT_HOST_awvalid, 1);
            put(p.PORT_HOST_wvalid, 1);
            put(p.PORT_HOST_awaddr, late.address);
            put(p.PORT_HOST_wdata, late.value);
        }
        serve(t);
        const uint64_t begins = GET(begins), ends = GET(ends);
        if (begins | ends)
            std::fprintf(out, "%llu units %llu %llu\n", (unsigned long long)t, (unsigned long long)begins,
                         (unsigned long long)ends);
        const bool over = GET(irq), taken = HOST(awready);
        edge();
        if (taken) {
            put(p.PORT_HOST_awvalid, 0);
            put(p.PORT_HOST_wvalid, 0);
        }
        if (over) {
            std::fprintf(out, "%llu interrupt 0 0\n", (unsigned long long)t);
            return true;
        }
    }
    return false;
}

// One job: reset or not, cycles before the host writes, writes (address, value), limit, what it writes late, and three
// memories, or none where those of the job before go on.
static void job(uint64_t number_of_job, uint64_t registers) {
    auto& p = dut.ports;
    if (number()) {
        world.reset();
        silent();
        reset();
    }
    for (uint64_t pause = number(); pause; --pause) {
        serve();
        edge();
    }
    const uint64_t writes = number();
    for (uint64_t i = 0; i < writes; ++i) {
        const uint64_t address = number();
        host_write(address, number());
    }
    const uint64_t limit = number();
    Late late;
    for (uint64_t* field : {&late.cycle, &late.address, &late.value}) *field = number();
    if (number()) {
        const auto fetch = ternforge::MemoryPort::of(number), load = ternforge::MemoryPort::of(number);
        world.reset(new World(fetch, load, ternforge::MemoryPort::of(number)));
    }
    const bool ended = run(limit, late);
    put(p.PORT_HOST_awvalid, 0);
    put(p.PORT_HOST_wvalid, 0);
    std::fprintf(out, "0 %s %llu 0\n", ended ? "over" : "cut", (unsigned long long)number_of_job);
    if (ended)
        for (uint64_t i = 0; i < registers; ++i)
            std::fprintf(out, "0 register %llu %llu\n", (unsigned long long)(4 * i), (unsigned long long)host_read(4 * i));
}

// Input: memory, the number of registers, then jobs.
int main(int, char** arguments) {
    in = std::fopen(arguments[1], "rb");
    out = std::fopen(arguments[2], "w");
    contents.resize(number());
    if (!contents.empty() && std::fread(contents.data(), 1, contents.size(), in) != contents.size()) return 3;
    const uint64_t registers = number(), jobs = number();
    put(dut.ports.PORT_HOST_bready, 1);
    put(dut.ports.PORT_HOST_rready, 1);
    for (uint64_t one = 0; one < jobs; ++one) job(one, registers);
    std::fclose(out);
    FILE* image = std::fopen(arguments[3], "wb");
    std::fwrite(contents.data(), 1, contents.size(), image);
    std::fclose(image);
    return 0;
}
