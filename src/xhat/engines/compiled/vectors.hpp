// Fixed-width vectors (GCC and Clang vector extensions) and the functions of exp computed on them.
//
// Included by kernels.cpp, once per instruction set. Errors, measured by tests/engines: float32
// within 3 ulp, float64 within 1e-15 relative, over the whole range where the result is normal.
#pragma once
#include "plan.hpp"

namespace XHAT_ISA {

using xhat::Index;
using std::int32_t;
using std::int64_t;

template <class T, int BYTES> struct Vectors;
#define XHAT_VECTORS(T, I, BYTES)                                                              \
    template <> struct Vectors<T, BYTES> {                                                     \
        typedef T V __attribute__((vector_size(BYTES)));                                       \
        typedef T U __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));        \
        typedef I W __attribute__((vector_size(BYTES)));                                       \
    };
XHAT_VECTORS(float, int32_t, 16)
XHAT_VECTORS(double, int64_t, 16)
XHAT_VECTORS(float, int32_t, 32)
XHAT_VECTORS(double, int64_t, 32)
XHAT_VECTORS(float, int32_t, 64)
XHAT_VECTORS(double, int64_t, 64)
#undef XHAT_VECTORS

// A vector of L lanes with unaligned loads and stores.
template <class T_, int BYTES_> struct Vec {
    using T = T_;
    static constexpr int BYTES = BYTES_, L = BYTES_ / int(sizeof(T_));
    using V = typename Vectors<T, BYTES>::V;
    using U = typename Vectors<T, BYTES>::U;
    using W = typename Vectors<T, BYTES>::W;

    static inline V load(const T* p) { return *reinterpret_cast<const U*>(p); }
    static inline void store(T* p, V v) { *reinterpret_cast<U*>(p) = v; }
    static inline V all(T x) { return x - V{}; }
    static inline V load_part(const T* p, Index count) {
        V v{};
        for (int i = 0; i < L; i++)
            if (i < count) v[i] = p[i];
        return v;
    }
    static inline void store_part(T* p, V v, Index count) {
        for (int i = 0; i < L; i++)
            if (i < count) p[i] = v[i];
    }
    static inline double sum(V v) {  // in a fixed order, four chains
        double s[4] = {};
        for (int i = 0; i < L; i++) s[i % 4] += double(v[i]);
        return (s[0] + s[1]) + (s[2] + s[3]);
    }
    static inline T largest(V v) {
        T m[4] = {v[0], v[L > 1], v[L > 2 ? 2 : 0], v[L > 3 ? 3 : 0]};
        for (int i = 4; i < L; i++) m[i % 4] = v[i] > m[i % 4] ? v[i] : m[i % 4];
        m[0] = m[0] > m[1] ? m[0] : m[1];
        m[2] = m[2] > m[3] ? m[2] : m[3];
        return m[0] > m[2] ? m[0] : m[2];
    }
    // The lanes `from` of a and b one behind the other.
    template <int... from> static inline V mix(V a, V b) {
#ifdef __clang__
        return __builtin_shufflevector(a, b, from...);
#else
        return __builtin_shuffle(a, b, W{from...});
#endif
    }
    static inline W lanes() {
        W w{};
        for (int i = 0; i < L; i++) w[i] = i;
        return w;
    }
};

#ifndef XHAT_BYTES
#define XHAT_BYTES 16
#endif
constexpr int FULL = XHAT_BYTES;
constexpr int HALF = FULL > 16 ? FULL / 2 : FULL;

// Number formats and polynomials. exp: e^r = 1 + r + r^2 q(r) on |r| <= ln(2)/2; log: 2 atanh(s) =
// s (2 + s^2 g(s^2)) on s <= 1/3. Both by interpolation at Chebyshev nodes, computed in 50 digits;
// errors of the polynomials: 1e-8 and 4e-10 (float), 2e-17 and 2e-19 (double).
template <class T> struct Format;
template <> struct Format<float> {
    static constexpr int MANTISSA = 23, BIAS = 127;
    static constexpr float ROUND = 12582912.0f;                    // 1.5 * 2^23: adding it rounds
    static constexpr float LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;  // Cephes
    static constexpr float LOWEST = -86.5f, HIGHEST = 88.0f;       // e^x stays normal
    static constexpr int Q = 5, G = 5;
    static constexpr float q[Q] = {0.5f, 0.1666657703f, 0.04166655466f, 0.008363173075f,
                                   0.001392617612f};
    static constexpr float g[G] = {0.6666666732f, 0.3999970633f, 0.2859235799f, 0.217065758f,
                                   0.2322432922f};
};
template <> struct Format<double> {
    static constexpr int MANTISSA = 52, BIAS = 1023;
    static constexpr double ROUND = 6755399441055744.0;            // 1.5 * 2^52
    static constexpr double LN2_HIGH = 6.93145751953125e-1, LN2_LOW = 1.42860682030941723212e-6;
    static constexpr double LOWEST = -708.0, HIGHEST = 709.0;
    static constexpr int Q = 10, G = 11;
    static constexpr double q[Q] = {
        0.500000000000000102,    0.166666666666666675,    0.0416666666666241619,
        0.00833333333333006445,  0.00138888889171967191,  0.000198412698630405453,
        0.0000248015213223686933, 2.75572684803100255e-6, 2.76200758799833666e-7,
        2.51003758325612337e-8};
    static constexpr double g[G] = {
        0.666666666666666669, 0.399999999999995225, 0.285714285716000993, 0.222222221982367706,
        0.181818198979627144, 0.153845439648605493, 0.133351786314492558, 0.117342790613031975,
        0.108451783948800148, 0.074921437955507673, 0.156305778009228504};
};

template <class P> inline typename P::V select(typename P::W where, typename P::V a,
                                               typename P::V b) {
    return where ? a : b;
}

template <class P> inline typename P::V absolute(typename P::V x) { return x < 0 ? -x : x; }

template <class P, int N> inline typename P::V polynomial(const typename P::T (&c)[N],
                                                          typename P::V x) {
    typename P::V y = P::all(c[N - 1]);
    for (int i = N - 2; i >= 0; i--) y = y * x + c[i];
    return y;
}

// x = n ln 2 + r; returns 2^n and writes e^r - 1.
template <class P> inline typename P::V split_exp(typename P::V x, typename P::V& em1) {
    using F = Format<typename P::T>;
    using V = typename P::V;
    using W = typename P::W;
    const typename P::T log2e = typename P::T(1.44269504088896340736);
    x = x < F::LOWEST ? P::all(F::LOWEST) : x;  // written so that NaN stays NaN
    x = x > F::HIGHEST ? P::all(F::HIGHEST) : x;
    V shifted = x * log2e + F::ROUND;
    V n = shifted - F::ROUND;
    V r = x - n * F::LN2_HIGH - n * F::LN2_LOW;
    em1 = r * r * polynomial<P>(F::q, r) + r;
    W bits = (W)shifted - (W)P::all(F::ROUND) + F::BIAS;
    return (V)(bits << F::MANTISSA);
}

template <class P> inline typename P::V exp(typename P::V x) {
    typename P::V em1, scale = split_exp<P>(x, em1);
    return em1 * scale + scale;
}

template <class P> inline typename P::V expm1(typename P::V x) {
    typename P::V em1, scale = split_exp<P>(x, em1);
    return em1 * scale + (scale - 1);
}

// s(x) = 1 / (1 + e^-x), from e^-|x| so that nothing overflows.
template <class P> inline typename P::V sigmoid(typename P::V x) {
    typename P::V e = exp<P>(-absolute<P>(x));
    return (x < 0 ? e : P::all(1)) / (1 + e);
}

template <class P> inline typename P::V tanh(typename P::V x) {
    typename P::V t = expm1<P>(-2 * absolute<P>(x));
    typename P::V y = -t / (2 + t);
    return x < 0 ? -y : y;
}

// log(1 + z) on 0 <= z <= 1, as 2 atanh(z / (2 + z)).
template <class P> inline typename P::V log1p(typename P::V z) {
    typename P::V s = z / (2 + z), t = s * s;
    return s * t * polynomial<P>(Format<typename P::T>::g, t) + 2 * s;
}

// log(x), x positive and normal: x = 2^e m with m in [sqrt(1/2), sqrt(2)).
template <class P> inline typename P::V log(typename P::V x) {
    using F = Format<typename P::T>;
    using V = typename P::V;
    using W = typename P::W;
    const W root_half = (W)P::all(typename P::T(0.70710678118654752440));
    W e = ((W)x - root_half) >> F::MANTISSA;
    V m = (V)((W)x - (e << F::MANTISSA));
    V n = __builtin_convertvector(e, V);
    V s = (m - 1) / (m + 1), t = s * s;
    return n * F::LN2_HIGH + (s * t * polynomial<P>(F::g, t) + n * F::LN2_LOW + 2 * s);
}

template <class P> inline typename P::V activate(int g, typename P::V a) {
    switch (g) {
        case xhat::SIGMOID: return sigmoid<P>(a);
        case xhat::TANH: return tanh<P>(a);
        case xhat::RELU: return a <= 0 ? P::all(0) : a;
        case xhat::SILU: return a * sigmoid<P>(a);
        default: return a;
    }
}

}  // namespace XHAT_ISA
