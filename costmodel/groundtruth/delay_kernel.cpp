// Gates with inertial delays, event by event: counts how often every net switches after one clock edge.
//
// Reads the arrays that costmodel/groundtruth/waves.py writes, and answers with arrays (see `write` at the end).
// Time is in ticks. All events of a tick happen together, then every gate that saw one is evaluated once. A gate has
// at most one event to come: a change of mind before it happens cancels it, so pulses shorter than a gate's delay
// end there.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using Number = int32_t;
constexpr Number NONE = -1;

template <class T>
std::vector<T> take(FILE *file, size_t count) {
  std::vector<T> found(count);
  if (count && std::fread(found.data(), sizeof(T), count, file) != count) {
    std::fprintf(stderr, "error: the job file is too short\n");
    std::exit(2);
  }
  return found;
}

template <class T>
void write(FILE *file, const std::vector<T> &values) {
  std::fwrite(values.data(), sizeof(T), values.size(), file);
}

bool bit(const uint8_t *row, Number place) { return row[place >> 3] >> (place & 7) & 1; }

// A netlist without loops: gates with truth tables, and sources that switch by themselves at every clock edge.
struct Netlist {
  size_t gates, nets, pins, words, sources, transitions;
  std::vector<Number> first, pin_net, pin_delay, out, table_at, source_net, source_delay;
  std::vector<uint64_t> table;
  std::vector<double> weight;
  std::vector<Number> fanout_first, fanout_gate, fanout_pin;

  explicit Netlist(FILE *file) {
    auto head = take<int64_t>(file, 6);
    gates = head[0], nets = head[1], pins = head[2], words = head[3], sources = head[4], transitions = head[5];
    first = take<Number>(file, gates + 1);
    pin_net = take<Number>(file, pins);
    pin_delay = take<Number>(file, 2 * pins);
    out = take<Number>(file, gates);
    table_at = take<Number>(file, gates);
    table = take<uint64_t>(file, words);
    source_net = take<Number>(file, sources);
    source_delay = take<Number>(file, 2 * sources);
    weight = take<double>(file, nets);
    fan_out();
  }

  // The pins that every net drives.
  void fan_out() {
    fanout_first.assign(nets + 1, 0);
    for (Number net : pin_net) fanout_first[net + 1]++;
    for (size_t net = 0; net < nets; net++) fanout_first[net + 1] += fanout_first[net];
    fanout_gate.resize(pins), fanout_pin.resize(pins);
    std::vector<Number> next(fanout_first.begin(), fanout_first.end() - 1);
    for (size_t gate = 0; gate < gates; gate++)
      for (Number pin = first[gate]; pin < first[gate + 1]; pin++) {
        Number place = next[pin_net[pin]]++;
        fanout_gate[place] = Number(gate), fanout_pin[place] = pin - first[gate];
      }
  }
};

struct Machine {
  const Netlist &n;
  std::vector<uint8_t> value;
  std::vector<uint32_t> index, seen;  // inputs of a gate as a number; those that switched in this tick
  std::vector<Number> touched;
  std::vector<Number> slot, next, before, when;  // the wheel: lists of drivers (gates, then sources) by tick
  size_t mask;
  int64_t waiting = 0, events = 0, evaluations = 0, cancelled = 0;
  std::vector<int64_t> toggles;
  double energy = 0;

  explicit Machine(const Netlist &netlist) : n(netlist) {
    Number longest = 1;
    for (Number delay : n.pin_delay) longest = delay > longest ? delay : longest;
    for (Number delay : n.source_delay) longest = delay > longest ? delay : longest;
    size_t size = 2;
    while (size <= size_t(longest)) size *= 2;
    mask = size - 1;
    slot.assign(size, NONE);
    size_t drivers = n.gates + n.sources;
    next.assign(drivers, NONE), before.assign(drivers, NONE), when.assign(drivers, NONE);
    value.assign(n.nets, 0), toggles.assign(n.nets, 0);
    index.assign(n.gates, 0), seen.assign(n.gates, 0);
  }

  void put(Number driver, int64_t time) {
    Number place = Number(time & mask);
    when[driver] = place, next[driver] = slot[place], before[driver] = NONE;
    if (slot[place] != NONE) before[slot[place]] = driver;
    slot[place] = driver;
    waiting++;
  }

  void drop(Number driver) {
    Number place = when[driver];
    if (before[driver] == NONE) slot[place] = next[driver];
    else next[before[driver]] = next[driver];
    if (next[driver] != NONE) before[next[driver]] = before[driver];
    when[driver] = NONE;
    waiting--;
  }

  void toggle(Number net) {
    value[net] ^= 1, toggles[net]++, events++, energy += n.weight[net];
    for (Number place = n.fanout_first[net]; place < n.fanout_first[net + 1]; place++) {
      Number gate = n.fanout_gate[place];
      uint32_t pin = 1u << n.fanout_pin[place];
      index[gate] ^= pin;
      if (!seen[gate]) touched.push_back(gate);
      seen[gate] |= pin;
    }
  }

  void evaluate(Number gate, int64_t time) {
    evaluations++;
    uint32_t switched = seen[gate];
    seen[gate] = 0;
    bool wanted = n.table[n.table_at[gate] + (index[gate] >> 6)] >> (index[gate] & 63) & 1;
    bool pending = when[gate] != NONE;
    if (wanted == (bool(value[n.out[gate]]) != pending)) return;
    if (pending) {
      drop(gate);
      cancelled++;
      return;
    }
    Number least = INT32_MAX;
    for (Number pin = 0; switched >> pin; pin++)
      if (switched >> pin & 1) {
        Number delay = n.pin_delay[2 * (n.first[gate] + pin) + !wanted];
        least = delay < least ? delay : least;
      }
    put(gate, time + (least > 1 ? least : 1));
  }

  // One clock edge: from settled values to settled values. Returns the time of the last event.
  int64_t run(const uint8_t *from, const uint8_t *to) {
    for (size_t net = 0; net < n.nets; net++) value[net] = bit(from, Number(net));
    for (size_t gate = 0; gate < n.gates; gate++) {
      index[gate] = 0;
      for (Number pin = n.first[gate]; pin < n.first[gate + 1]; pin++)
        index[gate] |= uint32_t(value[n.pin_net[pin]]) << (pin - n.first[gate]);
    }
    for (size_t source = 0; source < n.sources; source++) {
      bool wanted = bit(to, n.source_net[source]);
      if (wanted != bool(value[n.source_net[source]]))
        put(Number(n.gates + source), n.source_delay[2 * source + !wanted]);
    }
    int64_t time = 0, last = 0;
    for (; waiting; time++) {
      Number &head = slot[time & mask];
      if (head == NONE) continue;
      last = time;
      while (head != NONE) {
        Number driver = head;
        drop(driver);
        toggle(driver < Number(n.gates) ? n.out[driver] : n.source_net[driver - n.gates]);
      }
      for (Number gate : touched) evaluate(gate, time);
      touched.clear();
    }
    return last;
  }
};

}  // namespace

int main(int count, char **names) {
  if (count != 3) return 2;
  FILE *job = std::fopen(names[1], "rb");
  if (!job) return 2;
  Netlist netlist(job);
  Machine machine(netlist);
  size_t row = (netlist.nets + 7) / 8;
  std::vector<double> energies;
  std::vector<int64_t> settled, wrong;
  for (size_t number = 0; number < netlist.transitions; number++) {
    auto from = take<uint8_t>(job, row), to = take<uint8_t>(job, row);
    machine.energy = 0;
    settled.push_back(machine.run(from.data(), to.data()));
    energies.push_back(machine.energy);
    int64_t misses = 0;
    for (size_t net = 0; net < netlist.nets; net++) misses += bool(machine.value[net]) != bit(to.data(), Number(net));
    wrong.push_back(misses);
  }
  FILE *answer = std::fopen(names[2], "wb");
  if (!answer) return 2;
  write(answer, machine.toggles);
  write(answer, energies);
  write(answer, settled);
  write(answer, wrong);
  write(answer, std::vector<int64_t>{machine.events, machine.evaluations, machine.cancelled});
  return std::fclose(answer) ? 2 : 0;
}
