// How the harness reaches the ports of a model made by Verilator.
#pragma once
#include "Vtop.h"
#include "verilated.h"

class Dut {
  public:
    Vtop ports;
    void eval() { ports.eval(); }
};

template <typename T>
uint8_t* raw(T& port) {
    return reinterpret_cast<uint8_t*>(&port);
}
template <std::size_t words>
uint8_t* raw(VlWide<words>& port) {
    return reinterpret_cast<uint8_t*>(port.data());
}
