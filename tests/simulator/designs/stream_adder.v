// Adds a run-time bias to every element of a stream; one output beat per input beat.
// Latency: 1 cycle. Throughput: 1 beat per cycle.
module stream_adder (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire [31:0] s_axis_act_tdata,
    input  wire        s_axis_act_tvalid,
    output wire        s_axis_act_tready,
    input  wire        s_axis_act_tlast,
    input  wire [95:0] s_axis_wgt_tdata,
    input  wire        s_axis_wgt_tvalid,
    output wire        s_axis_wgt_tready,
    input  wire        s_axis_wgt_tlast,
    output reg  [95:0] m_axis_out_tdata,
    output reg         m_axis_out_tvalid,
    input  wire        m_axis_out_tready,
    output reg         m_axis_out_tlast,
    input  wire [5:0]  s_axil_awaddr,
    input  wire [2:0]  s_axil_awprot,
    input  wire        s_axil_awvalid,
    output wire        s_axil_awready,
    input  wire [31:0] s_axil_wdata,
    input  wire [3:0]  s_axil_wstrb,
    input  wire        s_axil_wvalid,
    output wire        s_axil_wready,
    output wire [1:0]  s_axil_bresp,
    output reg         s_axil_bvalid,
    input  wire        s_axil_bready,
    input  wire [5:0]  s_axil_araddr,
    input  wire [2:0]  s_axil_arprot,
    input  wire        s_axil_arvalid,
    output wire        s_axil_arready,
    output reg  [31:0] s_axil_rdata,
    output wire [1:0]  s_axil_rresp,
    output reg         s_axil_rvalid,
    input  wire        s_axil_rready
);
    localparam CONTROL = 4'h0, STATUS = 4'h1, TOKENS = 4'h2, CYCLES = 4'h3, JOBS = 4'h4;

    reg [31:0] tokens, cycles, jobs, sent;
    reg busy, done, counting;

    // AXI4-Lite: address and data are taken together, one transaction at a time.
    wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
    assign s_axil_awready = write;
    assign s_axil_wready = write;
    assign s_axil_bresp = 2'b00;
    wire read = s_axil_arvalid && !s_axil_rvalid;
    assign s_axil_arready = read;
    assign s_axil_rresp = 2'b00;
    wire [3:0] write_word = s_axil_awaddr[5:2];
    wire start = write && write_word == CONTROL && s_axil_wdata[0];

    wire room = !m_axis_out_tvalid || m_axis_out_tready;
    wire both = s_axis_act_tvalid && s_axis_wgt_tvalid;
    assign s_axis_act_tready = busy && room && both && sent != tokens;
    assign s_axis_wgt_tready = s_axis_act_tready;
    wire take = s_axis_act_tready;
    wire first = busy && !counting && (s_axis_act_tready || s_axis_wgt_tready);
    wire last_out = m_axis_out_tvalid && m_axis_out_tready && m_axis_out_tlast;

    always @(posedge aclk) begin
        if (write) s_axil_bvalid <= 1'b1;
        else if (s_axil_bready) s_axil_bvalid <= 1'b0;
        if (write && write_word == TOKENS) tokens <= s_axil_wdata;

        if (read) begin
            s_axil_rvalid <= 1'b1;
            case (s_axil_araddr[5:2])
                STATUS: s_axil_rdata <= {30'b0, done, busy};
                TOKENS: s_axil_rdata <= tokens;
                CYCLES: s_axil_rdata <= cycles;
                JOBS: s_axil_rdata <= jobs;
                default: s_axil_rdata <= 32'b0;
            endcase
        end else if (s_axil_rready) s_axil_rvalid <= 1'b0;

        if (room) m_axis_out_tvalid <= take;
        if (take) begin
            m_axis_out_tdata <= s_axis_wgt_tdata + {64'b0, s_axis_act_tdata};
            m_axis_out_tlast <= sent + 32'd1 == tokens;
            sent <= sent + 32'd1;
        end
        if (first) counting <= 1'b1;
        if (first || counting) cycles <= cycles + 32'd1;
        if (last_out) begin
            busy <= 1'b0;
            done <= 1'b1;
            counting <= 1'b0;
            jobs <= jobs + 32'd1;
        end
        if (start) begin
            busy <= 1'b1;
            done <= 1'b0;
            sent <= 32'd0;
            cycles <= 32'd0;
        end
        if (!aresetn) begin
            s_axil_bvalid <= 1'b0;
            s_axil_rvalid <= 1'b0;
            m_axis_out_tvalid <= 1'b0;
            busy <= 1'b0;
            done <= 1'b0;
            counting <= 1'b0;
            tokens <= 32'd0;
            cycles <= 32'd0;
            jobs <= 32'd0;
            sent <= 32'd0;
        end
    end

    wire unused = &{1'b0, s_axil_awprot, s_axil_arprot, s_axil_wstrb, s_axis_act_tlast, s_axis_wgt_tlast,
                    s_axil_awaddr[1:0], s_axil_araddr[1:0]};
endmodule
