// Small matrix products, tiled in registers: C = A B, with every sum in one fixed order.
//
// Each output C[i][j] is one chain of multiply-adds over p = 0, 1, ..., whatever the size of the
// tile it falls into: its bits do not depend on the other rows, on the position of its row, or on
// how outputs are split between threads.
#pragma once
#include <utility>

#include "vectors.hpp"

namespace XHAT_ISA {

enum Start { ZERO, BIAS, ADD };  // what a sum starts from: 0, a row of biases, C itself

constexpr int TILE_ROWS = FULL == 64 ? 8 : 4;  // 8 x 3 of 32 registers, or 4 x 3 of 16
constexpr int TILE_VECTORS = 3;

// Columns padded to whole vectors; one half vector will do for the narrowest.
template <class T> inline Index padded(Index width) {
    const Index full = FULL / Index(sizeof(T)), half = HALF / Index(sizeof(T));
    if (width <= half) return half;
    return (width + full - 1) / full * full;
}

template <class T> struct Product {
    Index M, N, K;        // C (M, N) = A (M, K) B (K, N)
    const T* A;           // A(i, p) = A[i * ai + p * ap]
    Index ai, ap;
    const T* B;           // packed panels (see pack), or rows of stride bp
    Index bp;             // 0: packed
    T* C;                 // OUT
    Index ci;             // row stride of C
    Index valid;          // columns of C that may be written, >= N
    Start start;
    const T* bias;        // padded, for BIAS
};

template <class P, int R, int NV>
inline void tile(const Product<typename P::T>& g, Index i, Index j, const typename P::T* B,
                 Index bp) {
    using V = typename P::V;
    using T = typename P::T;
    V c[R][NV];
    const T* A = g.A + i * g.ai;
    T* C = g.C + i * g.ci + j;
    const bool whole = j + NV * P::L <= g.valid;
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int v = 0; v < NV; v++) {
            const Index left = g.valid - j - v * P::L;
            if (g.start == ZERO) c[r][v] = V{};
            else if (g.start == BIAS) c[r][v] = P::load(g.bias + j + v * P::L);
            else if (whole) c[r][v] = P::load(C + r * g.ci + v * P::L);
            else c[r][v] = P::load_part(C + r * g.ci + v * P::L, left);
        }
    const Index ai = g.ai, ap = g.ap, K = g.K;
    for (Index p = 0; p < K; p++) {
        V b[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; v++) b[v] = P::load(B + v * P::L);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const T a = A[r * ai];
#pragma GCC unroll 4
            for (int v = 0; v < NV; v++) c[r][v] += a * b[v];
        }
        A += ap;
        B += bp;
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int v = 0; v < NV; v++) {
            T* to = C + r * g.ci + v * P::L;
            if (whole) P::store(to, c[r][v]);
            else P::store_part(to, c[r][v], g.valid - j - v * P::L);
        }
}

template <class P, int NV>
inline void column_of_tiles(const Product<typename P::T>& g, Index j, const typename P::T* B,
                            Index bp) {
    Index i = 0;
    for (; i + TILE_ROWS <= g.M; i += TILE_ROWS) tile<P, TILE_ROWS, NV>(g, i, j, B, bp);
    if (TILE_ROWS > 4 && i + 4 <= g.M) tile<P, 4, NV>(g, i, j, B, bp), i += 4;
    if (i + 2 <= g.M) tile<P, 2, NV>(g, i, j, B, bp), i += 2;
    if (i < g.M) tile<P, 1, NV>(g, i, j, B, bp);
}

// Width in vectors of the next panel when `vectors` are left: 3s, and 2 + 2 rather than 3 + 1.
inline int panel_vectors(Index vectors) {
    return vectors == 4 ? 2 : vectors >= TILE_VECTORS ? TILE_VECTORS : int(vectors);
}

template <class T> void multiply(const Product<T>& g) {
    using P = Vec<T, FULL>;
    using H = Vec<T, HALF>;
    Index left = (g.N + P::L - 1) / P::L;
    for (Index j = 0; j < g.N;) {
        const int vectors = panel_vectors(left);
        const bool half = vectors == 1 && g.N - j <= H::L;
        const Index width = half ? H::L : vectors * P::L;
        const T* B = g.bp ? g.B + j : g.B + j * g.K;
        const Index bp = g.bp ? g.bp : width;
        if (half) column_of_tiles<H, 1>(g, j, B, bp);
        else if (vectors == 1) column_of_tiles<P, 1>(g, j, B, bp);
        else if (vectors == 2) column_of_tiles<P, 2>(g, j, B, bp);
        else column_of_tiles<P, 3>(g, j, B, bp);
        left -= vectors;
        j += width;
    }
}

// Elements of a packed (K, N) matrix.
template <class T> inline Index packed_size(Index K, Index N) {
    const Index L = FULL / Index(sizeof(T));
    return K * ((N + L - 1) / L * L);
}

// Swaps the blocks off the diagonal of squares of 2 `half` rows; `lanes` are 0, 1, .., L - 1.
template <class P, int half, int... lanes>
inline void swap_blocks(typename P::V (&row)[P::L], std::integer_sequence<int, lanes...>) {
#pragma GCC unroll 16
    for (int i = 0; i < P::L; i++) {
        if (i & half) continue;
        const typename P::V a = row[i], b = row[i + half];
        row[i] = P::template mix<(lanes & half ? lanes - half + P::L : lanes)...>(a, b);
        row[i + half] = P::template mix<(lanes & half ? lanes + P::L : lanes + half)...>(a, b);
    }
}

// to[i * to_stride + j] = from[j * from_stride + i], a square of L x L, by halves of its halves.
template <class P>
inline void transpose_square(typename P::T* to, Index to_stride, const typename P::T* from,
                             Index from_stride) {
    constexpr auto lanes = std::make_integer_sequence<int, P::L>{};
    typename P::V row[P::L];
#pragma GCC unroll 16
    for (int i = 0; i < P::L; i++) row[i] = P::load(from + i * from_stride);
    if constexpr (P::L > 8) swap_blocks<P, 8>(row, lanes);
    if constexpr (P::L > 4) swap_blocks<P, 4>(row, lanes);
    if constexpr (P::L > 2) swap_blocks<P, 2>(row, lanes);
    swap_blocks<P, 1>(row, lanes);
#pragma GCC unroll 16
    for (int i = 0; i < P::L; i++) P::store(to + i * to_stride, row[i]);
}

// to[i * to_stride + j] = from[j * from_stride + i], i < rows, j < cols.
template <class T>
void transpose(T* to, Index to_stride, const T* from, Index from_stride, Index rows, Index cols) {
    using P = Vec<T, HALF>;
    const Index whole = rows / P::L * P::L;
    Index j = 0;
    for (; j + P::L <= cols; j += P::L) {
        for (Index i = 0; i < whole; i += P::L)
            transpose_square<P>(to + i * to_stride + j, to_stride, from + j * from_stride + i,
                                from_stride);
        for (Index i = whole; i < rows; i++)
            for (Index c = j; c < j + P::L; c++) to[i * to_stride + c] = from[c * from_stride + i];
    }
    for (; j < cols; j++)
        for (Index i = 0; i < rows; i++) to[i * to_stride + j] = from[j * from_stride + i];
}

// Writes rows p0 <= p < p1, columns q0 <= q < q1 of B (K, N), B(p, q) = M[p * mp + q * mq] (one of
// mp, mq is 1), into its panels. Padding columns stay as they are (zero).
template <class T>
void pack(T* panels, const T* M, Index K, Index N, Index mp, Index mq, Index p0, Index p1,
          Index q0, Index q1) {
    const Index L = FULL / Index(sizeof(T)), HL = HALF / Index(sizeof(T));
    Index left = (N + L - 1) / L;
    for (Index j = 0; j < N;) {
        const int vectors = panel_vectors(left);
        const Index width = vectors == 1 && N - j <= HL ? HL : vectors * L;
        const Index a = j > q0 ? j : q0, b = j + width < q1 ? j + width : q1;
        T* to = panels + j * K - j;
        if (mq == 1) {
            for (Index p = p0; p < p1; p++)
                for (Index q = a; q < b; q++) to[p * width + q] = M[p * mp + q];
        } else {
            if (a < b)
                transpose(to + p0 * width + a, width, M + p0 + a * mq, mq, p1 - p0, b - a);
        }
        left -= vectors;
        j += width;
    }
}

}  // namespace XHAT_ISA
