// Heads: losses and their gradients on pre-activations, the twin of maths/heads.py.
//
// Knows: the head, weight and limit of every column. Must not know: layers, batches, threads.
// A vector of columns is worked through once for every head found in it, so that a table of many
// small blocks costs little more than one of a single block.
#pragma once
#include "cells.hpp"

namespace XHAT_ISA {

// Carves aligned arrays out of one zeroed allocation; the first pass (base null) only counts.
struct Arena {
    char* base;
    std::size_t used;
    template <class U> U* take(Index count) {
        U* p = reinterpret_cast<U*>(base + used);
        used += (std::size_t(count) * sizeof(U) + 127) / 64 * 64;  // one line apart
        return base ? p : nullptr;
    }
};

// One head in the vector of columns at offset `at`. A softmax covers `parts` vectors in a row,
// lanes first <= lane < last of each; the other heads cover the lanes marked with their kind.
struct Segment {
    Index at;
    int kind, parts, first, last;
};

template <class T> struct Heads {
    Index ld, count;
    T *kind, *weight, *limit;  // (ld,)
    Segment* segments;
};

template <class T>
void take_heads(Arena& arena, Heads<T>& heads, const xhat::Plan& plan, Index ld) {
    const Index L = ld < Vec<T, FULL>::L ? Vec<T, HALF>::L : Vec<T, FULL>::L;
    heads.ld = ld;
    heads.count = 0;
    heads.kind = arena.take<T>(ld);
    heads.weight = arena.take<T>(ld);
    heads.limit = arena.take<T>(ld);
    heads.segments = arena.take<Segment>((plan.blocks + ld / L) * 6 + ld);
    if (!arena.base) return;
    for (Index j = 0; j < ld; j++) heads.kind[j] = -1;
    for (Index i = 0; i < plan.blocks; i++) {
        const xhat::Block& b = plan.block[i];
        for (Index j = b.start; j < b.stop; j++) {
            heads.kind[j] = T(b.kind);
            heads.weight[j] = T(b.weight);
            heads.limit[j] = T(b.limit);
        }
        if (b.kind != xhat::SOFTMAX) continue;
        const int parts = int((b.stop - b.start + L - 1) / L);
        for (Index j = b.start; j < b.stop; j += L) {
            const Index at = j + L <= ld ? j : ld - L;  // within the row
            const Index last = b.stop < j + L ? b.stop : j + L;
            heads.segments[heads.count++] = {at, b.kind, parts, int(j - at), int(last - at)};
        }
    }
    for (Index at = 0; at < ld; at += L)
        for (int kind = 0; kind <= xhat::POISSON; kind++) {
            bool found = false;
            for (Index j = at; j < at + L; j++) found = found || heads.kind[j] == T(kind);
            if (found && kind != xhat::SOFTMAX) heads.segments[heads.count++] = {at, kind, 1, 0, int(L)};
        }
}

// x log x, and 0 at 0.
template <class P> inline typename P::V xlogx(typename P::V x) {
    return x > 0 ? x * log<P>(x) : P::all(0);
}

// Loss and d loss / d a_hat of one vector of cells (equations 7, 9, 14, 16, 48, 49).
template <class P, int KIND>
inline void cell(typename P::V a, typename P::V x, const typename P::T* limits,
                 typename P::V& loss, typename P::V& grad) {
    using V = typename P::V;
    if (KIND == xhat::SQUARED_LINEAR) {
        const V r = a - x;
        loss = r * r;
        grad = r + r;
    } else if (KIND == xhat::SQUARED_LOGISTIC || KIND == xhat::SQUARED_TANH) {
        const bool logistic = KIND == xhat::SQUARED_LOGISTIC;
        const V y = logistic ? sigmoid<P>(a) : tanh<P>(a), r = y - x;
        loss = r * r;
        grad = (r + r) * (logistic ? y * (1 - y) : 1 - y * y);
    } else if (KIND == xhat::BINARY) {
        const V e = exp<P>(-absolute<P>(a));
        loss = (a <= 0 ? P::all(0) : a) - x * a + log1p<P>(e);
        grad = (a < 0 ? e : P::all(1)) / (1 + e) - x;
    } else {  // POISSON; comparisons written so that NaN stays NaN
        const V limit = P::load(limits), low = a > limit ? limit : a;
        const V growth = a > limit ? 1 + (a - limit) : P::all(1), slope = exp<P>(low);
        loss = xlogx<P>(x) - x - x * (low + log<P>(growth)) + slope * growth;
        grad = slope - x / growth;
    }
}

// The loss at x_hat = x.
template <class P, int KIND> inline typename P::V lowest(typename P::V x) {
    if (KIND == xhat::BINARY) return -xlogx<P>(x) - xlogx<P>(1 - x);
    if (KIND == xhat::SOFTMAX) return -xlogx<P>(x);
    return P::all(0);
}

// Lanes of a vector that a head covers.
template <class P> inline typename P::W lanes_of(const Heads<typename P::T>& heads, const Segment& s) {
    if (s.kind != xhat::SOFTMAX) return P::load(heads.kind + s.at) == typename P::T(s.kind);
    using I = decltype(P::lanes()[0] + 0);
    return (P::lanes() >= I(s.first)) & (P::lanes() < I(s.last));
}

// Rows of A_hat against X over one segment: A_hat becomes dA_hat = grad * scale, and the sum of
// loss * scale is returned. M null: every cell is observed.
template <class P, int KIND, bool WRITE>
double segment_rows(const Heads<typename P::T>& heads, const Segment& s, typename P::T* A_hat,
                    const typename P::T* X, const typename P::T* M, const typename P::T* scale,
                    Index n) {
    using V = typename P::V;
    using T = typename P::T;
    const auto inside = lanes_of<P>(heads, s);
    const V weight = P::load(heads.weight + s.at);
    V total{};
    for (Index r = 0; r < n; r++) {
        const Index at = r * heads.ld + s.at;
        T* to = A_hat + at;
        V a = P::load(to), loss, grad, factor = weight * scale[r];
        cell<P, KIND>(a, P::load(X + at), heads.limit + s.at, loss, grad);
        if (M) factor = factor * P::load(M + at);
        total += inside ? loss * factor : P::all(0);
        if (WRITE) P::store(to, inside ? grad * factor : a);
    }
    return P::sum(total);
}

// The largest of one row's pre-activations under one softmax.
template <class P>
inline typename P::T softmax_top(const Heads<typename P::T>& heads, const Segment* s,
                                 const typename P::T* a) {
    typename P::V top = P::all(typename P::T(-__builtin_inf()));
    for (int p = 0; p < s->parts; p++) {
        const auto v = P::load(a + s[p].at);
        top = lanes_of<P>(heads, s[p]) & (v > top) ? v : top;
    }
    return P::largest(top);
}

// A softmax over the columns of one block, one categorical column of the table (equations 45, 46).
template <class P, bool WRITE>
double softmax_rows(const Heads<typename P::T>& heads, const Segment* s, typename P::T* A_hat,
                    const typename P::T* X, const typename P::T* M, const typename P::T* scale,
                    Index n) {
    using V = typename P::V;
    using T = typename P::T;
    constexpr Index ROWS = 32;  // whose logarithms are taken together
    const T weight = heads.weight[s->at + s->first];
    V total{};
    for (Index r0 = 0; r0 < n; r0 += ROWS) {
        T sums[ROWS], known[ROWS];
        for (Index i = 0; i < ROWS; i++) sums[i] = 1, known[i] = 0;
        for (Index i = 0; i < ROWS && r0 + i < n; i++) {
            const Index at = (r0 + i) * heads.ld;
            T* a = A_hat + at;
            const T factor = weight * scale[r0 + i], top = softmax_top<P>(heads, s, a);
            V sum{}, all{}, observed{};
            for (int p = 0; p < s->parts; p++) {
                const auto inside = lanes_of<P>(heads, s[p]);
                const V v = P::load(a + s[p].at), e = exp<P>(v - top);
                const V x = inside ? P::load(X + at + s[p].at) : V{};
                const V seen = M ? x * P::load(M + at + s[p].at) : x;
                sum += inside ? e : V{};
                all += x;
                observed += seen;
                total -= inside ? seen * (v - top) * factor : V{};
                if (WRITE) P::store(a + s[p].at, inside ? e : v);
            }
            sums[i] = P::sum(sum);
            known[i] = T(P::sum(observed)) * factor;
            if (!WRITE) continue;
            const T share = T(P::sum(all)) / sums[i];
            for (int p = 0; p < s->parts; p++) {
                const V e = P::load(a + s[p].at);
                V f = P::all(factor);
                if (M) f = f * P::load(M + at + s[p].at);
                const V grad = (e * share - P::load(X + at + s[p].at)) * f;
                P::store(a + s[p].at, lanes_of<P>(heads, s[p]) ? grad : e);
            }
        }
        for (Index i = 0; i < ROWS; i += P::L)
            total += log<P>(P::load(sums + i)) * P::load(known + i);
    }
    return P::sum(total);
}

// All heads over n rows: returns the sum of loss * scale; WRITE turns A_hat into dA_hat.
template <class T, bool WRITE>
double head_rows(const Heads<T>& heads, T* A_hat, const T* X, const T* M, const T* scale, Index n) {
    using F = Vec<T, FULL>;
    using H = Vec<T, HALF>;
    double J = 0;
    for (Index i = 0; i < heads.count; i += heads.segments[i].parts) {
        const Segment* s = heads.segments + i;
        with_kind(s->kind, [&](auto tag) {
            constexpr int KIND = decltype(tag)::value;
            if constexpr (KIND == xhat::SOFTMAX) {
                J += heads.ld < F::L ? softmax_rows<H, WRITE>(heads, s, A_hat, X, M, scale, n)
                                     : softmax_rows<F, WRITE>(heads, s, A_hat, X, M, scale, n);
            } else {
                J += heads.ld < F::L
                         ? segment_rows<H, KIND, WRITE>(heads, *s, A_hat, X, M, scale, n)
                         : segment_rows<F, KIND, WRITE>(heads, *s, A_hat, X, M, scale, n);
            }
        });
    }
    return J;
}

// The loss of every cell of n rows, in place of A_hat; excess: above the lowest possible.
template <class P>
void cell_rows(const Heads<typename P::T>& heads, typename P::T* A_hat, const typename P::T* X,
               Index n, bool excess) {
    using V = typename P::V;
    using T = typename P::T;
    for (Index i = 0; i < heads.count; i += heads.segments[i].parts) {
        const Segment* s = heads.segments + i;
        with_kind(s->kind, [&](auto tag) {
            constexpr int KIND = decltype(tag)::value;
            for (Index r = 0; r < n; r++) {
                T* a = A_hat + r * heads.ld;
                const T* x = X + r * heads.ld;
                if constexpr (KIND == xhat::SOFTMAX) {
                    const T top = softmax_top<P>(heads, s, a);
                    V sum{};
                    for (int p = 0; p < s->parts; p++)
                        sum += lanes_of<P>(heads, s[p]) ? exp<P>(P::load(a + s[p].at) - top) : V{};
                    const V log_sum = top + log<P>(P::all(T(P::sum(sum))));
                    for (int p = 0; p < s->parts; p++) {
                        const V b = P::load(a + s[p].at), y = P::load(x + s[p].at);
                        V loss = y * (log_sum - b);
                        if (excess) loss = loss - lowest<P, KIND>(y);
                        P::store(a + s[p].at, lanes_of<P>(heads, s[p]) ? loss : b);
                    }
                } else {
                    const V b = P::load(a + s->at), y = P::load(x + s->at);
                    V loss, grad;
                    cell<P, KIND>(b, y, heads.limit + s->at, loss, grad);
                    if (excess) loss = loss - lowest<P, KIND>(y);
                    P::store(a + s->at, lanes_of<P>(heads, *s) ? loss : b);
                }
            }
        });
    }
}

}  // namespace XHAT_ISA
