// The nearest stored code of each set (equation 50), row by row: a row's bits are its own.
#pragma once
#include <cstdlib>
#include "vectors.hpp"

namespace XHAT_ISA {

using xhat::Nearest;

constexpr Index CHUNK = 64;  // stored codes whose distances stay in registers

// Squared distances of y to C neighbouring stored codes.
template <class T, Index C>
static inline void distances(const T* __restrict y, const T* __restrict P, T* __restrict out,
                             Index k, Index m) {
    T sum[C] = {};
    for (Index l = 0; l < k; l++)
        for (Index j = 0; j < C; j++) {
            const T difference = y[l] - P[l * m + j];
            sum[j] += difference * difference;
        }
    for (Index j = 0; j < C; j++) out[j] = sum[j];
}

template <class T> int nearest(const Nearest& task) {
    const Index k = task.k, m = task.m, sets = task.sets;
    const T *H = static_cast<const T*>(task.H), *L = static_cast<const T*>(task.metric);
    const T* P = static_cast<const T*>(task.stored);
    T* const y = static_cast<T*>(std::malloc(std::size_t(k + m) * sizeof(T)));
    if (!y) return 1;
    T* const near = y + k;
    for (Index r = 0; r < task.n; r++) {
        for (Index l = 0; l < k; l++) y[l] = 0;
        for (Index i = 0; i < k; i++) {
            const T h = H[r * k + i];
            for (Index l = 0; l < k; l++) y[l] += h * L[i * k + l];
        }
        Index j = 0;
        for (; j + CHUNK <= m; j += CHUNK) distances<T, CHUNK>(y, P + j, near + j, k, m);
        for (; j + 8 <= m; j += 8) distances<T, 8>(y, P + j, near + j, k, m);
        for (Index half = m / 2; half >= sets; half /= 2)
            for (Index i = 0; i < half; i++)
                near[i] = near[i] < near[i + half] ? near[i] : near[i + half];
        for (Index i = 0; i < sets; i++) task.output[r * sets + i] = double(near[i]);
    }
    std::free(y);
    return 0;
}

}  // namespace XHAT_ISA
