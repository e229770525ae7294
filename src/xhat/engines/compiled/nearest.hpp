// The nearest stored row of each set (equation 50), row by row: a row's bits are its own.
#pragma once
#include "vectors.hpp"

namespace XHAT_ISA {

using xhat::Nearest;

// Squared distances of x to C stored rows, whose columns lie beside each other; the least of each
// set goes into `least`, beside what is there unless these are the first.
template <class T, Index C>
static inline void nearest_of(const T* __restrict x, const T* __restrict P, Index d, Index sets,
                              bool first, double* __restrict least) {
    T sum[C] = {};
    for (Index l = 0; l < d; l++)
        for (Index j = 0; j < C; j++) {
            const T difference = x[l] - P[l * C + j];
            sum[j] += difference * difference;
        }
    for (Index half = C / 2; half >= sets; half /= 2)
        for (Index i = 0; i < half; i++) sum[i] = sum[i] < sum[i + half] ? sum[i] : sum[i + half];
    for (Index i = 0; i < sets; i++)
        least[i] = first || double(sum[i]) < least[i] ? double(sum[i]) : least[i];
}

// Chunk after chunk of stored rows: one stays in cache while all rows pass.
template <class T, Index C> void nearest_in_chunks(const Nearest& task) {
    const Index d = task.d;
    for (Index j = 0; j < task.m; j += C) {
        const T* P = static_cast<const T*>(task.stored) + j * d;
        for (Index r = 0; r < task.n; r++)
            nearest_of<T, C>(static_cast<const T*>(task.X) + r * d, P, d, task.sets, j == 0,
                             task.output + r * task.sets);
    }
}

template <class T> void nearest(const Nearest& task) {
    switch (task.chunk) {
        case 64: nearest_in_chunks<T, 64>(task); break;
        case 32: nearest_in_chunks<T, 32>(task); break;
        default: nearest_in_chunks<T, 16>(task);
    }
}

}  // namespace XHAT_ISA
