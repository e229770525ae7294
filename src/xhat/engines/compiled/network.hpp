// One batch through the network: the twin of maths/objective.py, same names, same order.
//
// Knows: rows r0 <= r < r1 of the workspace, the parameters. Must not know: threads, batches.
#pragma once
#include "cells.hpp"
#include "heads.hpp"
#include "products.hpp"

namespace XHAT_ISA {

using xhat::Edge;
using xhat::MAX_NODES;
using xhat::Matrix;
using xhat::Node;
using xhat::Plan;
using xhat::Rows;

constexpr Index BLOCK_ROWS = 32;  // rows that go through all layers together; J's partial sums

// A workspace: everything a run needs, allocated once. `capacity` rows at a time.
template <class T> struct Net {
    const Plan* plan;
    Index capacity;
    Index ld[MAX_NODES];      // padded widths
    T* H[MAX_NODES];          // x_tilde, H_1 .. h .. A_hat (then dA_hat)
    T* dA[MAX_NODES];         // of the nodes in between; the last is H's
    T* slope[MAX_NODES];      // g'(A), silu only
    T* A[MAX_NODES];          // pre-activation, kept for g'' only
    T *X, *M, *scale;         // clean rows (x_tilde itself if clean), mask or null, weight / n
    T* across[2 * MAX_NODES];    // matrix M as B(p, q) = M[q][p]
    T* straight[2 * MAX_NODES];  // matrix M as B(p, q) = M[p][q]
    T* bias[MAX_NODES];
    T* norms;                 // ||W_j||^2, contractive penalty only
    T* kl_slope;              // d KL / d rho_hat_j, times the penalty's weight
    T row_sum;                // sum of scale over the batch, KL only
    Heads<T> heads;
};

// Row r of the rows in use: where it lies in the data.
inline Index source(const Index* order, Index r) { return order ? order[r] : r; }

// Rows that will be gathered next, brought into cache a few at a time between the products: a core
// waits for some 20 lines at once, so asking for all of them together would stall.
struct Ahead {
    const char* X;
    Index bytes;  // of a row
    const Index* order;
    Index next, end;

    inline void fetch(Index count) {
        for (; count > 0 && next < end; count--, next++) {
            const char* row = X + order[next] * bytes;
            for (Index b = 0; b < bytes + 63 && b < 512; b += 64) __builtin_prefetch(row + b, 0, 2);
        }
    }
};

template <class T> inline void copy_row(T* to, const T* from, Index d) {
    using P = Vec<T, FULL>;
    using H = Vec<T, 16>;
    if (d >= P::L) {
        for (Index j = 0; j + P::L < d; j += P::L) P::store(to + j, P::load(from + j));
        P::store(to + d - P::L, P::load(from + d - P::L));
    } else if (d >= H::L) {
        for (Index j = 0; j + H::L < d; j += H::L) H::store(to + j, H::load(from + j));
        H::store(to + d - H::L, H::load(from + d - H::L));
    } else {
        for (Index j = 0; j < d; j++) to[j] = from[j];
    }
}

// Brings rows order[first ..] into workspace rows r0 .. r1: X, x_tilde, mask and scale.
template <class T>
void gather(Net<T>& net, const Rows& rows, const Index* order, Index first, Index r0, Index r1,
            T divisor, std::uint64_t key, std::uint64_t counter) {
    const Plan& plan = *net.plan;
    const Index d = plan.node[0].width, ld = net.ld[0];
    const T* X = static_cast<const T*>(rows.X);
    const T* M = static_cast<const T*>(rows.mask);
    const T* weight = static_cast<const T*>(rows.weight);
    const T unweighted = T(1) / divisor;
    for (Index r = r0; r < r1; r++) {
        const Index from = source(order, first + r - r0);
        copy_row(net.X + r * ld, X + from * d, d);
        T* mask = net.M ? net.M + r * ld : nullptr;
        if (M) copy_row(mask, M + from * d, d);
        else if (mask) for (Index j = 0; j < d; j++) mask[j] = 1;
        net.scale[r] = weight ? weight[from] / divisor : unweighted;
        if (plan.corruption != xhat::CLEAN)
            corrupt_row(plan, net.X + r * ld, net.H[0] + r * ld, mask, d, key,
                        counter + std::uint64_t(r - r0));
    }
}

// A_v = bias + sum of H_u W' over the edges into v; H_v = g(A_v) (equations 1 to 4, 25, 26).
template <class T> void forward_node(Net<T>& net, Index v, Index r0, Index r1) {
    const Plan& plan = *net.plan;
    const Index ld = net.ld[v];
    T* out = net.H[v] + r0 * ld;
    Start start = BIAS;
    for (Index e = 0; e < plan.edges; e++) {
        const Edge& edge = plan.edge[e];
        if (edge.to != v) continue;
        const Index u = edge.from;
        const T* B = edge.transposed ? net.straight[edge.matrix] : net.across[edge.matrix];
        multiply<T>({r1 - r0, plan.node[v].width, plan.node[u].width, net.H[u] + r0 * net.ld[u],
                     net.ld[u], 1, B, 0, out, ld, ld, start, net.bias[v]});
        start = ADD;
    }
    const Index n = (r1 - r0) * ld;
    if (net.A[v]) __builtin_memcpy(net.A[v] + r0 * ld, out, sizeof(T) * n);
    if (v + 1 < plan.nodes)
        activate_rows(plan.node[v].activation, out, net.slope[v] ? net.slope[v] + r0 * ld : nullptr,
                      n);
}

// The heads: returns sum of loss * scale; WRITE turns A_hat into dA_hat (equations 14, 16).
template <class T, bool WRITE> double heads(Net<T>& net, Index r0, Index r1) {
    const Index ld = net.heads.ld, at = r0 * ld;
    return head_rows<T, WRITE>(net.heads, net.H[net.plan->nodes - 1] + at, net.X + at,
                               net.M ? net.M + at : nullptr, net.scale + r0, r1 - r0);
}

// Penalties on the code: adds to dH, returns their value (equations 30, 31).
template <class T> double code_penalties(Net<T>& net, Index r0, Index r1) {
    const Plan& plan = *net.plan;
    const Index v = plan.code, k = plan.node[v].width, ld = net.ld[v];
    double value = 0;
    for (Index r = r0; r < r1; r++) {
        const T* h = net.H[v] + r * ld;
        T* dh = net.dA[v] + r * ld;
        if (plan.l1_code != 0) {
            const T w = T(plan.l1_code) * net.scale[r];
            T sum = 0;
            for (Index j = 0; j < k; j++) {
                dh[j] += h[j] > 0 ? w : h[j] < 0 ? -w : T(0);
                sum += h[j] < 0 ? -h[j] : h[j];
            }
            value += double(w * sum);
        }
        if (plan.kl_weight != 0) {
            const T mean_row = net.scale[r] / net.row_sum;
            for (Index j = 0; j < k; j++) dh[j] += mean_row * net.kl_slope[j];
        }
    }
    return value;
}

template <class T> inline T scalar_slope(const Net<T>& net, Index v, Index at) {
    const T h = net.H[v][at];
    switch (net.plan->node[v].activation) {
        case xhat::SIGMOID: return h * (1 - h);
        case xhat::TANH: return 1 - h * h;
        case xhat::RELU: return T(h > 0);
        case xhat::SILU: return net.slope[v][at];
        default: return 1;
    }
}

template <class T> inline T scalar_second(const Net<T>& net, Index v, Index at) {
    const T h = net.H[v][at];
    switch (net.plan->node[v].activation) {
        case xhat::SIGMOID: return h * (1 - h) * (1 - 2 * h);
        case xhat::TANH: return -2 * h * (1 - h * h);
        case xhat::SILU: {
            using P = Vec<T, 16>;
            const T a = net.A[v][at], s = sigmoid<P>(P::all(a))[0];
            return s * (1 - s) * (2 + a * (1 - 2 * s));
        }
        default: return 0;
    }
}

// The contractive penalty of one layer: adds to dA, returns its value (equations 33, 34).
template <class T> double contract(Net<T>& net, Index r0, Index r1) {
    const Plan& plan = *net.plan;
    const Index v = plan.code, k = plan.node[v].width, ld = net.ld[v];
    double value = 0;
    for (Index r = r0; r < r1; r++)
        for (Index j = 0; j < k; j++) {
            const Index at = r * ld + j;
            const T slope = scalar_slope(net, v, at);
            const T weighted = T(plan.contractive) * net.scale[r] * slope;
            net.dA[v][at] += 2 * weighted * scalar_second(net, v, at) * net.norms[j];
            value += double(weighted * slope * net.norms[j]);
        }
    return value;
}

// From dA_hat to the dA of every node but x (equations 19, 20); returns the penalties' value.
template <class T> double backward_rows(Net<T>& net, Index r0, Index r1) {
    const Plan& plan = *net.plan;
    double value = 0;
    for (Index u = plan.nodes - 2; u > 0; u--) {
        const Index ld = net.ld[u];
        Start start = ZERO;
        for (Index e = 0; e < plan.edges; e++) {
            const Edge& edge = plan.edge[e];
            if (edge.from != u) continue;
            const Index v = edge.to;
            const T* B = edge.transposed ? net.across[edge.matrix] : net.straight[edge.matrix];
            multiply<T>({r1 - r0, plan.node[u].width, plan.node[v].width,
                         net.dA[v] + r0 * net.ld[v], net.ld[v], 1, B, 0, net.dA[u] + r0 * ld, ld,
                         ld, start, nullptr});
            start = ADD;
        }
        if (u == plan.code && (plan.l1_code != 0 || plan.kl_weight != 0))
            value += code_penalties(net, r0, r1);
        derive_rows(plan.node[u].activation, net.H[u] + r0 * ld,
                    net.slope[u] ? net.slope[u] + r0 * ld : nullptr, net.dA[u] + r0 * ld,
                    (r1 - r0) * ld);
        if (u == plan.code && plan.contractive != 0) value += contract(net, r0, r1);
    }
    return value;
}

// Rows i0 <= i < i1 of dM over n rows of the workspace (equations 17, 21, 27, 28).
template <class T>
void matrix_gradient(Net<T>& net, Index m, Index i0, Index i1, Index n, bool add, T* grad) {
    const Plan& plan = *net.plan;
    const Matrix& M = plan.matrix[m];
    T* dM = grad + M.offset + i0 * M.cols;
    for (Index e = 0; e < plan.edges; e++) {
        const Edge& edge = plan.edge[e];
        if (edge.matrix != m) continue;
        const Index rows = edge.transposed ? edge.from : edge.to;
        const Index cols = edge.transposed ? edge.to : edge.from;
        const T* left = edge.transposed ? net.H[rows] : net.dA[rows];
        const T* right = edge.transposed ? net.dA[cols] : net.H[cols];
        multiply<T>({i1 - i0, M.cols, n, left + i0, 1, net.ld[rows], right, net.ld[cols], dM,
                     M.cols, M.cols, add ? ADD : ZERO, nullptr});
        add = true;
    }
}

// db or dc over n rows (equations 18, 22): four interleaved sums per column, in a fixed order.
template <class T> void bias_gradient(Net<T>& net, Index v, Index n, bool add, T* grad) {
    const Index width = net.plan->node[v].width, ld = net.ld[v];
    const T* dA = net.dA[v];
    T* out = grad + net.plan->node[v].bias;
    sweep<T>(ld, [&](auto p, Index j) {
        using P = decltype(p);
        typename P::V s0{}, s1{}, s2{}, s3{};
        Index r = 0;
        for (; r + 4 <= n; r += 4) {
            const T* at = dA + r * ld + j;
            s0 += P::load(at);
            s1 += P::load(at + ld);
            s2 += P::load(at + 2 * ld);
            s3 += P::load(at + 3 * ld);
        }
        for (; r < n; r++) s0 += P::load(dA + r * ld + j);
        const Index left = width - j;
        typename P::V sum = (s0 + s1) + (s2 + s3);
        if (add) sum += P::load_part(out + j, left);
        P::store_part(out + j, sum, left);
    });
}

}  // namespace XHAT_ISA
