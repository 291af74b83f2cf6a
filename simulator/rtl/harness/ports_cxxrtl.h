// How the harness reaches the ports of a model made by Yosys's CXXRTL.
#pragma once
#include "model.cc"

class Dut {
  public:
    cxxrtl_design::TERNFORGE_TOP ports;
    void eval() { ports.step(); }
};

template <size_t bits>
uint8_t* raw(cxxrtl::value<bits>& port) {
    return reinterpret_cast<uint8_t*>(port.data);
}
template <size_t bits>
uint8_t* raw(cxxrtl::wire<bits>& port) {
    return reinterpret_cast<uint8_t*>(port.curr.data);
}
