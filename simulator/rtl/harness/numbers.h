// Numbers into and out of ports of any width, for the C++ benches.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "binding.h"

template <typename T>
void put(T& port, uint64_t value) {
    std::memcpy(raw(port), &value, std::min(sizeof(T), sizeof value));
}

template <typename T>
uint64_t get(T& port) {
    uint64_t value = 0;
    std::memcpy(&value, raw(port), std::min(sizeof(T), sizeof value));
    return value;
}

// Bytes to a port, lowest first; 0 above them.
template <typename T>
void put_bytes(T& port, const uint8_t* data, size_t count) {
    std::memset(raw(port), 0, sizeof(T));
    std::memcpy(raw(port), data, count);
}
