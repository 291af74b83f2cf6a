// a comment
module top(input a);
endmodule
