// Adds every pair of a range of operands in the RTL and in an oracle that shares nothing with it.
// Arguments: exponent bits, fraction bits, first a, number of a's. Output: one line per a, the FNV-1a hash of its
// 65536 results (in order of b); then one line "mismatches N", and on standard error the first few that differ.
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#ifdef SOAK_CXXRTL
#include "model.cc"
struct Adder {
  cxxrtl_design::SOAK_TOP top;
  inline uint32_t operator()(uint32_t a, uint32_t b) {
    top.p_a.set<uint32_t>(a);
    top.p_b.set<uint32_t>(b);
    top.step();
    return top.p_result.get<uint32_t>();
  }
};
#else
#include "Vtop.h"
#include "verilated.h"
struct Adder {
  VerilatedContext context;
  Vtop top{&context};
  inline uint32_t operator()(uint32_t a, uint32_t b) {
    top.a = a;
    top.b = b;
    top.eval();
    return top.result;
  }
};
#endif

static int E, F;

// The number of a pattern, as a double, which holds it exactly.
static double decode(uint32_t word) {
  uint32_t field = (word >> F) & ((1u << E) - 1), fraction = word & ((1u << F) - 1);
  int bias = (1 << (E - 1)) - 1;
  double value;
  if (field == (1u << E) - 1) value = fraction ? NAN : INFINITY;
  else if (field == 0) value = std::ldexp((double)fraction, 1 - bias - F);
  else value = std::ldexp((double)(fraction | 1u << F), (int)field - bias - F);
  return word >> (E + F) & 1 ? -value : value;
}

// The pattern nearest to a double, ties to even. Sums of two such numbers are exact in double, or so far apart that
// the rounding to 53 bits before the one to F + 1 bits changes nothing (53 >= 2 (F + 1) + 2).
static inline uint32_t encode(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, 8);
  uint32_t sign = (uint32_t)(bits >> 63) << (E + F), top = ((1u << E) - 1) << F;
  uint64_t magnitude = bits & ~(1ull << 63);
  if (magnitude > 0x7FFull << 52) return top | 1u << (F - 1);
  int bias = (1 << (E - 1)) - 1, field = (int)(magnitude >> 52) - 1023 + bias;
  if (field >= 1) {
    // Exponent and fraction rebased, then rounded as one integer: a carry out of the fraction raises the exponent.
    uint64_t rebased = magnitude - ((uint64_t)(1023 - bias) << 52);
    uint64_t kept = rebased >> (52 - F), rest = rebased << (12 + F), half = 1ull << 63;
    kept += rest > half || (rest == half && (kept & 1));
    return sign | (uint32_t)(kept >= top ? top : kept);
  }
  if (magnitude == 0) return sign;
  int shift = 52 - F + 1 - field;
  uint64_t significand = (magnitude & ((1ull << 52) - 1)) | 1ull << 52;
  if (shift > 54) return sign;
  uint64_t kept = significand >> shift, rest = significand & ((1ull << shift) - 1), half = 1ull << (shift - 1);
  return sign | (uint32_t)(kept + (rest > half || (rest == half && (kept & 1))));
}

int main(int, char **arguments) {
  E = std::atoi(arguments[1]);
  F = std::atoi(arguments[2]);
  uint32_t first = (uint32_t)std::strtoul(arguments[3], nullptr, 10);
  uint32_t count = (uint32_t)std::strtoul(arguments[4], nullptr, 10);
  static Adder adder;
  static double number[65536];
  for (uint32_t word = 0; word < 65536; word++) number[word] = decode(word);
  uint64_t mismatches = 0;
  for (uint32_t a = first; a < first + count; a++) {
    uint64_t hash = 0xCBF29CE484222325ull;
    for (uint32_t b = 0; b < 65536; b++) {
      uint32_t found = adder(a, b), wanted = encode(number[a] + number[b]);
      hash = (hash ^ found) * 0x100000001B3ull;
      if (found != wanted && ++mismatches <= 5)
        std::fprintf(stderr, "%04x + %04x must be %04x, not %04x\n", a, b, wanted, found);
    }
    std::printf("%016" PRIx64 "\n", hash);
  }
  std::printf("mismatches %" PRIu64 "\n", mismatches);
  return 0;
}
