// Drives one design through its AXI ports: reads jobs from a file, writes what happened to another.
//
// "binding.h" names the design's ports; all else is the same for every design and both engines. What a job is, and in
// which cycle a beat is offered, is said in blueprint/axi.py (docs/adr/0010 says why it is written here once more).
// Each cycle: inputs change after the rising edge, outputs are sampled just before the next one.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "binding.h"
#include "numbers.h"

namespace {

// ---- files

class Reader {
  public:
    explicit Reader(const char* path) : file(std::fopen(path, "rb")) {
        if (!file) throw std::runtime_error("error: cannot open the job file");
    }
    ~Reader() { std::fclose(file); }
    uint64_t number() {
        uint64_t value = 0;
        bytes(&value, sizeof value);
        return value;
    }
    std::vector<uint8_t> block(size_t count) {
        std::vector<uint8_t> data(count);
        bytes(data.data(), count);
        return data;
    }

  private:
    void bytes(void* into, size_t count) {
        if (count && std::fread(into, 1, count, file) != count) throw std::runtime_error("error: the job file is cut");
    }
    std::FILE* file;
};

class Writer {
  public:
    explicit Writer(const char* path) : file(std::fopen(path, "wb")) {
        if (!file) throw std::runtime_error("error: cannot open the result file");
    }
    ~Writer() { std::fclose(file); }
    void number(uint64_t value) { block(&value, sizeof value); }
    void block(const void* data, size_t count) { std::fwrite(data, 1, count, file); }

  private:
    std::FILE* file;
};

// ---- streams

// A stall pattern, repeated for ever; an empty one is always open.
struct Pattern {
    std::vector<uint8_t> open;
    size_t phase = 0;
    bool next() {
        if (open.empty()) return true;
        const bool now = open[phase];
        if (++phase == open.size()) phase = 0;
        return now;
    }
};

struct Stream {
    size_t width = 0;  // bytes of a beat
    size_t beats = 0;  // of this job
    Pattern pattern;
    std::vector<uint8_t> data;
    std::vector<int64_t> accepted;  // cycle of each beat
    bool valid = false, ready = false;
    bool done() const { return accepted.size() == beats; }
};

struct Source : Stream {
    std::vector<uint8_t> shown;  // tdata; never the coming beat while tvalid is low
    bool last = false;
    bool fresh = true;  // the port differs from the members
    void offer() {
        const bool open = pattern.next();
        if (valid || done() || !open) return;
        valid = fresh = true;
        last = accepted.size() + 1 == beats;
        std::copy_n(&data[accepted.size() * width], width, shown.begin());
    }
    void withdraw() {
        valid = last = false;
        fresh = true;
        for (auto& byte : shown) byte = ~byte;
    }
};

struct Sink : Stream {
    std::vector<uint8_t> seen, held;
    std::vector<uint8_t> lasts;
    bool seen_last = false, held_last = false, stalled = false;
};

// ---- registers written while streams move

struct Access {
    int64_t cycle;  // in which it is asked for, or the first one in which the port is free
    uint32_t address, value, strobes;
};

// ---- what can go wrong; the numbers are known to the Python side

enum Fault : uint64_t {
    NONE, HUNG, NOT_DONE,
    DROPPED_VALID, CHANGED_DATA, CHANGED_LAST, SURPLUS_BEAT, VALID_IN_RESET,
    NO_WRITE_RESPONSE, EARLY_WRITE_RESPONSE, BAD_WRITE_RESPONSE, DROPPED_WRITE_RESPONSE,
    NO_READ_RESPONSE, EARLY_READ_RESPONSE, BAD_READ_RESPONSE, DROPPED_READ_RESPONSE,
};

struct Failure {
    Fault fault;
    uint64_t where;  // stream or register address
    int64_t cycle;
};

class Bench {
  public:
    std::vector<Source> sources{TERNFORGE_SOURCE_COUNT};
    std::vector<Sink> sinks{TERNFORGE_SINK_COUNT};
    std::vector<Access> accesses;
    double seconds = 0;  // spent in the last job's stream phase
    int64_t cycle = 0;   // of the last job's stream phase

    Bench() {
#define WIDTH(index, bytes, valid_, ready_, data_, last_) sources[index].width = bytes, sources[index].shown.resize(bytes);
        TERNFORGE_SOURCES(WIDTH)
#undef WIDTH
#define WIDTH(index, bytes, valid_, ready_, data_, last_) sinks[index].width = bytes, sinks[index].seen.resize(bytes);
        TERNFORGE_SINKS(WIDTH)
#undef WIDTH
    }

    void reset() {
        for (auto& source : sources) source.withdraw();
        for (auto& sink : sinks) sink.ready = sink.stalled = false;
        put(dut.ports.TERNFORGE_RESET, 0);
        for (int64_t count = 0; count < TERNFORGE_RESET_CYCLES; ++count) {
            settle();
            for (size_t i = 0; count && i < sinks.size(); ++i)
                if (sinks[i].valid) throw Failure{VALID_IN_RESET, i, count};
            for (auto& sink : sinks) sink.stalled = false;  // reset may take back what was offered before it
            edge();
        }
        put(dut.ports.TERNFORGE_RESET, 1);
        settle();
        edge();
    }

    // One AXI4-Lite write; returns after the cycle in which the response is accepted.
    void write(uint32_t address, uint32_t value, uint64_t patience) {
        auto& p = dut.ports;
        put(p.TERNFORGE_AXIL(awaddr), address);
        put(p.TERNFORGE_AXIL(wdata), value);
        put(p.TERNFORGE_AXIL(wstrb), TERNFORGE_ALL_BYTES);
        bool address_sent = false, data_sent = false, taking = false;
        for (bool taken = false; !taken; edge()) {
            put(p.TERNFORGE_AXIL(awvalid), !address_sent);
            put(p.TERNFORGE_AXIL(wvalid), !data_sent);
            put(p.TERNFORGE_AXIL(bready), taking);
            settle();
            address_sent |= get(p.TERNFORGE_AXIL(awready)) != 0;
            data_sent |= get(p.TERNFORGE_AXIL(wready)) != 0;
            const bool response = get(p.TERNFORGE_AXIL(bvalid)) != 0;
            if (response && !(address_sent && data_sent)) throw Failure{EARLY_WRITE_RESPONSE, address, 0};
            if (response && get(p.TERNFORGE_AXIL(bresp))) throw Failure{BAD_WRITE_RESPONSE, address, 0};
            if (taking && !response) throw Failure{DROPPED_WRITE_RESPONSE, address, 0};
            if (!response && patience-- == 0) throw Failure{NO_WRITE_RESPONSE, address, 0};
            taken = taking;
            taking = response;  // a response waits one cycle, to see that it stays
        }
        put(p.TERNFORGE_AXIL(bready), 0);
    }

    uint32_t read(uint32_t address, uint64_t patience) {
        auto& p = dut.ports;
        put(p.TERNFORGE_AXIL(araddr), address);
        bool address_sent = false, taking = false;
        uint32_t value = 0;
        for (bool taken = false; !taken; edge()) {
            put(p.TERNFORGE_AXIL(arvalid), !address_sent);
            put(p.TERNFORGE_AXIL(rready), taking);
            settle();
            address_sent |= get(p.TERNFORGE_AXIL(arready)) != 0;
            const bool response = get(p.TERNFORGE_AXIL(rvalid)) != 0;
            const uint32_t now = get(p.TERNFORGE_AXIL(rdata));
            if (response && !address_sent) throw Failure{EARLY_READ_RESPONSE, address, 0};
            if (response && get(p.TERNFORGE_AXIL(rresp))) throw Failure{BAD_READ_RESPONSE, address, 0};
            if (taking && (!response || now != value)) throw Failure{DROPPED_READ_RESPONSE, address, 0};
            if (!response && patience-- == 0) throw Failure{NO_READ_RESPONSE, address, 0};
            value = now;
            taken = taking;
            taking = response;
        }
        put(p.TERNFORGE_AXIL(rready), 0);
        return value;
    }

    // Cycle 0 is the next cycle; returns after the cycle of the last beat of any stream and of the last access, or
    // before cycle ``cut`` where there is one.
    void stream(uint64_t patience, int64_t cut) {
        const auto began = std::chrono::steady_clock::now();
        uint64_t idle = 0;
        next = 0;
        for (cycle = 0; asking || (cut ? cycle < cut : !(done() && next == accesses.size())); ++cycle) {
            for (auto& source : sources) source.offer();
            for (auto& sink : sinks) sink.ready = sink.pattern.next();
            ask();
            settle();
            bool moved = done();
            listen();
            for (auto& source : sources) moved |= accept(source);
            for (size_t i = 0; i < sinks.size(); ++i) moved |= accept(sinks[i], i);
            idle = moved ? 0 : idle + 1;
            if (idle > patience) throw Failure{HUNG, 0, cycle};
            edge();
        }
        for (auto& source : sources)
            if (source.valid) source.withdraw();  // only where cut: what is offered must not be taken any more
        for (auto& sink : sinks) sink.ready = false;
        put(dut.ports.TERNFORGE_AXIL(bready), 0);
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    }

  private:
    Dut dut;
    size_t next = 0;      // access that is asked for next
    bool asking = false;  // one is under way
    bool address_left = false, data_left = false;

    // The next access, once it is due; its response is taken at once.
    void ask() {
        auto& p = dut.ports;
        if (!asking && next < accesses.size() && accesses[next].cycle <= cycle) {
            put(p.TERNFORGE_AXIL(awaddr), accesses[next].address);
            put(p.TERNFORGE_AXIL(wdata), accesses[next].value);
            put(p.TERNFORGE_AXIL(wstrb), accesses[next].strobes);
            put(p.TERNFORGE_AXIL(bready), 1);
            asking = address_left = data_left = true;
        }
        put(p.TERNFORGE_AXIL(awvalid), address_left);
        put(p.TERNFORGE_AXIL(wvalid), data_left);
    }

    void listen() {
        if (!asking) return;
        auto& p = dut.ports;
        const uint32_t address = accesses[next].address;
        address_left &= get(p.TERNFORGE_AXIL(awready)) == 0;
        data_left &= get(p.TERNFORGE_AXIL(wready)) == 0;
        if (!get(p.TERNFORGE_AXIL(bvalid))) return;
        if (address_left || data_left) throw Failure{EARLY_WRITE_RESPONSE, address, cycle};
        if (get(p.TERNFORGE_AXIL(bresp))) throw Failure{BAD_WRITE_RESPONSE, address, cycle};
        asking = false;
        ++next;
    }

    bool done() const {
        const auto is_done = [](const Stream& stream) { return stream.done(); };
        return std::all_of(sources.begin(), sources.end(), is_done) && std::all_of(sinks.begin(), sinks.end(), is_done);
    }

    void settle() {
        auto& p = dut.ports;
#define DRIVE(index, bytes, valid_, ready_, data_, last_)                    \
    if (sources[index].fresh) {                                              \
        put(p.valid_, sources[index].valid);                                 \
        put(p.last_, sources[index].last);                                   \
        std::memcpy(raw(p.data_), sources[index].shown.data(), bytes);       \
        sources[index].fresh = false;                                        \
    }
        TERNFORGE_SOURCES(DRIVE)
#undef DRIVE
#define READY(index, bytes, valid_, ready_, data_, last_) put(p.ready_, sinks[index].ready);
        TERNFORGE_SINKS(READY)
#undef READY
        put(p.TERNFORGE_CLOCK, 0);
        dut.eval();
#define READY(index, bytes, valid_, ready_, data_, last_) sources[index].ready = get(p.ready_) != 0;
        TERNFORGE_SOURCES(READY)
#undef READY
#define SAMPLE(index, bytes, valid_, ready_, data_, last_)                    \
    sinks[index].valid = get(p.valid_) != 0;                                  \
    if (sinks[index].valid) {                                                 \
        std::memcpy(sinks[index].seen.data(), raw(p.data_), bytes);           \
        sinks[index].seen_last = get(p.last_) != 0;                           \
    }
        TERNFORGE_SINKS(SAMPLE)
#undef SAMPLE
        for (size_t i = 0; i < sinks.size(); ++i) check(sinks[i], i);
    }

    void edge() {
        put(dut.ports.TERNFORGE_CLOCK, 1);
        dut.eval();
    }

    bool accept(Source& source) {
        if (!source.valid || !source.ready) return false;
        source.accepted.push_back(cycle);
        source.withdraw();
        return true;
    }

    bool accept(Sink& sink, size_t index) {
        if (!sink.valid || !sink.ready) return false;
        if (sink.done()) throw Failure{SURPLUS_BEAT, index, cycle};
        sink.accepted.push_back(cycle);
        sink.data.insert(sink.data.end(), sink.seen.begin(), sink.seen.end());
        sink.lasts.push_back(sink.seen_last);
        return true;
    }

    // AXI4-Stream: once offered, a beat stays as it is until accepted.
    void check(Sink& sink, size_t index) {
        if (sink.stalled) {
            if (!sink.valid) throw Failure{DROPPED_VALID, index, cycle};
            if (sink.seen != sink.held) throw Failure{CHANGED_DATA, index, cycle};
            if (sink.seen_last != sink.held_last) throw Failure{CHANGED_LAST, index, cycle};
        }
        sink.stalled = sink.valid && !sink.ready;
        if (sink.stalled) {
            sink.held = sink.seen;
            sink.held_last = sink.seen_last;
        }
    }
};

// ---- jobs

struct Write {
    uint32_t address, value;
};

struct Job {
    bool reset;
    uint64_t patience;
    std::vector<Write> writes;
    int64_t cut;                        // stop before this cycle and ask nothing more; 0: go on to the end
    uint32_t done_address, done_mask;  // no mask: nothing to wait for
    std::vector<uint32_t> reads;
};

void load(Reader& file, Stream& stream) {
    stream.beats = file.number();
    stream.pattern.open = file.block(file.number());
    stream.pattern.phase = 0;
    stream.accepted.clear();
    stream.data.clear();
}

Job load(Reader& file, Bench& bench) {
    Job job{};
    job.reset = file.number() != 0;
    job.patience = file.number();
    for (uint64_t count = file.number(); count; --count) {
        const uint32_t address = file.number();
        job.writes.push_back({address, static_cast<uint32_t>(file.number())});
    }
    bench.accesses.clear();
    for (uint64_t count = file.number(); count; --count) {
        Access access{};
        access.cycle = file.number();
        access.address = file.number();
        access.value = file.number();
        access.strobes = file.number();
        bench.accesses.push_back(access);
    }
    job.cut = file.number();
    job.done_address = file.number();
    job.done_mask = file.number();
    for (uint64_t count = file.number(); count; --count) job.reads.push_back(file.number());
    for (auto& source : bench.sources) {
        load(file, source);
        source.data = file.block(source.beats * source.width);
    }
    for (auto& sink : bench.sinks) {
        load(file, sink);
        sink.lasts.clear();
    }
    return job;
}

void expect_silence(const Bench& bench) {
    for (size_t i = 0; i < bench.sinks.size(); ++i)
        if (bench.sinks[i].valid) throw Failure{SURPLUS_BEAT, i, bench.cycle};
}

void finish(const Job& job, Bench& bench, std::vector<uint32_t>& values) {
    uint64_t patience = job.patience;
    while (!job.cut && job.done_mask && !(bench.read(job.done_address, job.patience) & job.done_mask)) {
        expect_silence(bench);
        if (patience-- == 0) throw Failure{NOT_DONE, job.done_address, 0};
    }
    for (uint32_t address : job.reads) values.push_back(bench.read(address, job.patience));
    if (!job.cut) expect_silence(bench);
}

Failure perform(const Job& job, Bench& bench, std::vector<uint32_t>& values) try {
    if (job.reset) bench.reset();
    for (const auto& write : job.writes) bench.write(write.address, write.value, job.patience);
    bench.stream(job.patience, job.cut);
    finish(job, bench, values);
    return {NONE, 0, bench.cycle};
} catch (const Failure& failure) {
    return failure;
}

void save(Writer& file, const Stream& stream) {
    file.number(stream.accepted.size());
    file.number(stream.valid);
    file.number(stream.ready);
    file.block(stream.accepted.data(), stream.accepted.size() * sizeof(int64_t));
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 3) throw std::runtime_error("error: needs a job file and a result file");
    Reader jobs(argv[1]);
    Writer results(argv[2]);
    Bench bench;
    for (uint64_t count = jobs.number(); count; --count) {
        const Job job = load(jobs, bench);
        std::vector<uint32_t> values;
        const Failure failure = perform(job, bench, values);
        for (uint64_t word : {uint64_t(failure.fault), failure.where, uint64_t(failure.cycle)}) results.number(word);
        results.block(&bench.seconds, sizeof bench.seconds);
        results.number(values.size());
        for (uint32_t value : values) results.number(value);
        for (const auto& source : bench.sources) save(results, source);
        for (const auto& sink : bench.sinks) {
            save(results, sink);
            results.block(sink.data.data(), sink.data.size());
            results.block(sink.lasts.data(), sink.lasts.size());
        }
        if (failure.fault != NONE) break;
    }
    return 0;
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
}
