// Drives one mover between the AXI memory of the benches and a stream; writes what happened, and what is in memory.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "binding.h"
#include "numbers.h"
#include "axi_memory.h"

using ternforge::mixed;

static FILE* in;
static uint64_t number() {
    uint64_t value = 0;
    if (std::fread(&value, 8, 1, in) != 1) std::exit(3);
    return value;
}
static std::vector<uint8_t> block(size_t count) {
    std::vector<uint8_t> data(count);
    if (count && std::fread(data.data(), 1, count, in) != count) std::exit(3);
    return data;
}

struct Pattern {
    uint64_t seed, rate;
    bool open(uint64_t cycle) const { return mixed(seed + cycle) % 256 < rate; }
};

struct Source {
    Pattern pattern;
    bool held = false;
    bool valid(uint64_t cycle, bool more) { return held = more && (held || pattern.open(cycle)); }
    void tick(bool taken) { held = held && !taken; }
};

static void rule(bool holds, const char* what, uint64_t cycle) {
    if (!holds) {
        std::fprintf(stderr, "AXI rule broken in cycle %llu: %s\n", (unsigned long long)cycle, what);
        std::exit(4);
    }
}

int main(int, char** arguments) {
    in = std::fopen(arguments[1], "rb");
    FILE* out = std::fopen(arguments[2], "w");
    const auto port = ternforge::MemoryPort::of(number);
    Pattern stream{number(), 0};
    stream.rate = number();
    Source index;
    index.pattern.seed = number();
    index.pattern.rate = number();
    const size_t transfers = number(), transfer_bytes = number();
    const auto words = block(transfers * transfer_bytes);
    std::vector<uint64_t> indices(number());
    for (auto& value : indices) value = number();
    std::vector<uint64_t> frames(number());
    for (auto& value : frames) value = number();
    auto memory = block(number());
    const auto beats = block(number());
    const uint64_t limit = number();

    Dut dut;
    auto& p = dut.ports;
    put(p.PORT_rst, 1);
    for (int edge = 0; edge < 8; ++edge) {
        put(p.PORT_clk, edge & 1);
        dut.eval();
    }
    put(p.PORT_clk, 0);
    put(p.PORT_rst, 0);
    size_t taken = 0, fetched = 0, ended = 0, moved = 0, frame = 0, in_frame = 0;
    std::vector<uint8_t> got;
    ternforge::Offer asks, gives;
#if READS
    ternforge::Reads half(port);
#else
    ternforge::Writes half(port);
    Source source{stream};
#endif
    for (uint64_t t = 0; ended < transfers && t < limit; ++t) {
        auto note = [&](const char* kind, uint64_t a, uint64_t b) {
            std::fprintf(out, "%llu %s %llu %llu\n", (unsigned long long)t, kind, (unsigned long long)a,
                         (unsigned long long)b);
        };
        auto load = [&](uint64_t address, uint8_t* into) {
            for (size_t i = 0; i < WORD_BYTES; ++i) into[i] = address + i < memory.size() ? memory[address + i] : 0;
        };
        put(p.PORT_transfer_valid, taken < transfers);
        if (taken < transfers) put_bytes(p.PORT_transfer, &words[taken * transfer_bytes], transfer_bytes);
        const bool index_valid = index.valid(t, fetched < indices.size());
        put(p.PORT_index_valid, index_valid);
        put(p.PORT_index, index_valid ? indices[fetched] : mixed(t));
        const bool ready = half.ready(t);
#if READS
        put(p.PORT_m_axi_arready, ready);
        const bool word = half.valid(t);
        put(p.PORT_m_axi_rvalid, word);
        uint8_t data[WORD_BYTES];
        if (word) load(half.address(), data);
        if (word) put_bytes(p.PORT_m_axi_rdata, data, WORD_BYTES);
        put(p.PORT_m_axi_rlast, word && half.last());
        put(p.PORT_m_axi_rresp, word ? port.response(half.address()) : 0);
        put(p.PORT_tready, stream.open(t));
#else
        put(p.PORT_m_axi_awready, ready);
        put(p.PORT_m_axi_wready, half.takes(t));
        const bool answered = half.answered(t);
        put(p.PORT_m_axi_bvalid, answered);
        put(p.PORT_m_axi_bresp, answered ? half.answer() : 0);
        const bool offered = source.valid(t, frame < frames.size());
        put(p.PORT_tvalid, offered);
        put(p.PORT_tlast, offered && in_frame + 1 == frames[frame]);
        if (offered) put_bytes(p.PORT_tdata, &beats[moved * BEAT_BYTES], BEAT_BYTES);
#endif
        dut.eval();
#if READS
        const bool request = (get(p.PORT_m_axi_arvalid) & MASK_m_axi_arvalid) && ready;
        const uint64_t address = (get(p.PORT_m_axi_araddr) & MASK_m_axi_araddr), length = (get(p.PORT_m_axi_arlen) & MASK_m_axi_arlen) + 1;
        rule(!word || (get(p.PORT_m_axi_rready) & MASK_m_axi_rready), "a word that was asked for must be taken", t);
#else
        const bool request = (get(p.PORT_m_axi_awvalid) & MASK_m_axi_awvalid) && ready;
        const uint64_t address = (get(p.PORT_m_axi_awaddr) & MASK_m_axi_awaddr), length = (get(p.PORT_m_axi_awlen) & MASK_m_axi_awlen) + 1;
        const bool written = (get(p.PORT_m_axi_wvalid) & MASK_m_axi_wvalid) && half.takes(t);
#endif
#if READS
        rule(asks.keeps(get(p.PORT_m_axi_arvalid) & MASK_m_axi_arvalid, ready, ternforge::request(address, length)),
             ternforge::STAYS, t);
#else
        rule(asks.keeps(get(p.PORT_m_axi_awvalid) & MASK_m_axi_awvalid, ready, ternforge::request(address, length)),
             ternforge::STAYS, t);
        const auto word = ternforge::word(raw(p.PORT_m_axi_wdata), raw(p.PORT_m_axi_wstrb), WORD_BYTES,
                                          get(p.PORT_m_axi_wlast) & MASK_m_axi_wlast);
        rule(gives.keeps(get(p.PORT_m_axi_wvalid) & MASK_m_axi_wvalid, half.takes(t), word), ternforge::STAYS, t);
#endif
        if (request) {
            note("request", address, length);
            rule(address % WORD_BYTES == 0, "a request must begin at a word", t);
            rule(address / 4096 == (address + length * WORD_BYTES - 1) / 4096, "a burst must not cross 4 kB", t);
        }
        if ((get(p.PORT_refused) & MASK_refused)) note("refused", 0, 0), ++ended;
        if ((get(p.PORT_transfer_ready) & MASK_transfer_ready) && taken < transfers) ++taken;
        const bool fetches = index_valid && (get(p.PORT_index_ready) & MASK_index_ready);
        fetched += fetches;
        index.tick(fetches);
#if READS
        if ((get(p.PORT_tvalid) & MASK_tvalid) && stream.open(t)) {
            note("beat", (get(p.PORT_tlast) & MASK_tlast), 0);
            got.insert(got.end(), raw(p.PORT_tdata), raw(p.PORT_tdata) + BEAT_BYTES);
        }
        if ((get(p.PORT_done) & MASK_done)) note("done", (get(p.PORT_error) & MASK_error), 0), ++ended;
        half.tick(t, request, address, length, word, WORD_BYTES);
#else
        const bool moves = offered && (get(p.PORT_tready) & MASK_tready);
        if ((get(p.PORT_done) & MASK_done)) note("done", (get(p.PORT_error) & MASK_error), (get(p.PORT_misframed) & MASK_misframed)), ++ended;
        if (moves) {
            note("beat", 0, 0);
            ++moved;
            if (++in_frame == frames[frame]) in_frame = 0, ++frame;
        }
        source.tick(moves);
        if (written) {
            rule((get(p.PORT_m_axi_wlast) & MASK_m_axi_wlast) == half.last(), "wlast must be with the last word", t);
            const uint64_t begin = half.address();
            const uint8_t *strobes = raw(p.PORT_m_axi_wstrb), *data = raw(p.PORT_m_axi_wdata);
            for (size_t i = 0; i < WORD_BYTES; ++i)
                if ((strobes[i / 8] >> (i % 8) & 1) && begin + i < memory.size() && !port.response(begin))
                    memory[begin + i] = data[i];
        }
        half.tick(t, request, address, length, written, answered && (get(p.PORT_m_axi_bready) & MASK_m_axi_bready), WORD_BYTES);
#endif
        put(p.PORT_clk, 1);
        dut.eval();
        put(p.PORT_clk, 0);
    }
    std::fclose(out);
    FILE* image = std::fopen(arguments[3], "wb");
    const auto& shown = READS ? got : memory;
    std::fwrite(shown.data(), 1, shown.size(), image);
    std::fclose(image);
    return ended < transfers ? 2 : 0;
}
