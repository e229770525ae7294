// Element by element: activations, corruptions, optimisers.
//
// The compiled twin of maths/activations.py, corruption.py and train/optimizers.py.
#pragma once
#include "vectors.hpp"

namespace XHAT_ISA {

constexpr double NORM_STEPS = 100;  // as in train/optimizers.py

template <int N> struct Constant {
    static constexpr int value = N;
};

// Calls f with a compile-time constant, so that its inner loop holds no switch.
template <class F> inline void with_kind(int kind, F f) {
    switch (kind) {
        case 0: f(Constant<0>{}); break;
        case 1: f(Constant<1>{}); break;
        case 2: f(Constant<2>{}); break;
        case 3: f(Constant<3>{}); break;
        case 4: f(Constant<4>{}); break;
        default: f(Constant<5>{}); break;
    }
}

// Calls f(P{}, i) for vectors P covering 0 <= i < n; n is a multiple of half a vector.
template <class T, class F> inline void sweep(Index n, F f) {
    using P = Vec<T, FULL>;
    Index i = 0;
    for (; i + P::L <= n; i += P::L) f(P{}, i);
    if (i < n) f(Vec<T, HALF>{}, i);
}

// H = g(A) in place; silu also writes g'(A), which H alone does not give (equations 2, 5, 6).
template <class T> void activate_rows(int g, T* H, T* slope, Index n) {
    with_kind(g, [&](auto tag) {
        constexpr int G = decltype(tag)::value;
        if (G == xhat::IDENTITY) return;
        sweep<T>(n, [&](auto p, Index i) {
            using P = decltype(p);
            const auto a = P::load(H + i);
            if (G == xhat::SILU && slope) {
                const auto s = sigmoid<P>(a), h = a * s;
                P::store(H + i, h);
                P::store(slope + i, h * (1 - s) + s);
            } else {
                P::store(H + i, activate<P>(G, a));
            }
        });
    });
}

// g' from H, or from the stored slope for silu.
template <class P, int G>
inline typename P::V derivative(typename P::V h, const typename P::T* slope) {
    switch (G) {
        case xhat::SIGMOID: return h * (1 - h);
        case xhat::TANH: return 1 - h * h;
        case xhat::RELU: return h > 0 ? P::all(1) : P::all(0);
        case xhat::SILU: return P::load(slope);
        default: return P::all(1);
    }
}

// dA = dH * g'(A) in place (equation 20).
template <class T> void derive_rows(int g, const T* H, const T* slope, T* dA, Index n) {
    with_kind(g, [&](auto tag) {
        constexpr int G = decltype(tag)::value;
        if (G == xhat::IDENTITY) return;
        sweep<T>(n, [&](auto p, Index i) {
            using P = decltype(p);
            P::store(dA + i, P::load(dA + i) * derivative<P, G>(P::load(H + i), slope + i));
        });
    });
}

// SplitMix64's finaliser, as in maths/corruption.py.
inline std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}
constexpr std::uint64_t GOLDEN = 0x9E3779B97F4A7C15ull;

// cos(2 pi u), 0 <= u < 1: u = n / 4 + t exactly, |t| <= 1/8 (Chebyshev interpolation, 1e-16).
template <class P> inline typename P::V cos_turn(typename P::V u) {
    using V = typename P::V;
    using W = typename P::W;
    constexpr double S[] = {6.28318530717958648,  -41.3417022403997601, 81.6052492760749307,
                            -76.7058597529981267, 42.0586939289887834,  -15.0946404038915456,
                            3.81978812016321142,  -0.7116358090781666};
    constexpr double C[] = {1.0,                  -19.739208802178717,  64.9393940226679575,
                            -85.4568172065227125, 60.2446413288672933,  -26.426250908622136,
                            7.90309168775169764,  -1.69684947029188268};
    const V shifted = 4 * u + Format<double>::ROUND;
    const W n = (W)shifted;
    const V t = u - (shifted - Format<double>::ROUND) * 0.25, t2 = t * t;
    const V sine = t * polynomial<P>(S, t2), cosine = polynomial<P>(C, t2);
    const V y = (n & 1) != 0 ? sine : cosine;
    const W quarter = n & 3;
    return (quarter == 1) | (quarter == 2) ? -y : y;
}

template <class P> inline typename P::V root(typename P::V x) {
    for (int i = 0; i < P::L; i++) x[i] = __builtin_sqrt(x[i]);
    return x;
}

// x_tilde of one row, and the emphasis of its cells multiplied into the mask m unless that is
// null; `counter` is the row's position in the epoch.
template <class T>
void corrupt_row(const xhat::Plan& plan, const T* x, T* x_tilde, T* m, Index d, std::uint64_t key,
                 std::uint64_t counter) {
    const std::uint64_t row = mix(key + (counter + 1) * GOLDEN);
    const double p53 = 9007199254740992.0;  // u < p is (z >> 11) < p 2^53, exactly
    if (plan.corruption == xhat::MASKING) {
        const auto below = std::int64_t(__builtin_ceil(plan.strength * p53));
        const T* fill = static_cast<const T*>(plan.fill);
        for (Index j = 0; j < d; j++) {
            const auto u = std::int64_t(mix(row + std::uint64_t(plan.group[j] + 1) * GOLDEN) >> 11);
            x_tilde[j] = u < below ? fill[j] : x[j];
            if (m && u >= below) m[j] *= T(plan.visible);
        }
    } else if (plan.corruption == xhat::SALT_AND_PEPPER) {
        const auto below = std::int64_t(__builtin_ceil(plan.strength * p53));
        const auto half = std::int64_t(__builtin_ceil(plan.strength / 2 * p53));
        const T *low = static_cast<const T*>(plan.low), *high = static_cast<const T*>(plan.high);
        for (Index j = 0; j < d; j++) {
            const auto u = std::int64_t(mix(row + std::uint64_t(j + 1) * GOLDEN) >> 11);
            x_tilde[j] = u < half ? low[j] : u < below ? high[j] : x[j];
        }
    } else {  // GAUSSIAN: Box and Muller
        using P = Vec<double, FULL>;
        for (Index j = 0; j < d; j += P::L) {
            double u1[P::L], u2[P::L];
            for (Index i = 0; i < P::L; i++) {
                const auto first = std::uint64_t(j + i + 1), second = first + std::uint64_t(d);
                u1[i] = double(std::int64_t(mix(row + first * GOLDEN) >> 11));
                u2[i] = double(std::int64_t(mix(row + second * GOLDEN) >> 11));
            }
            const auto u = P::load(u1) * (1 / p53);
            const auto noise = root<P>(-2 * log<P>(1 - u)) * cos_turn<P>(P::load(u2) * (1 / p53));
            for (Index i = 0; i < P::L && j + i < d; i++)
                x_tilde[j + i] = x[j + i] + T(plan.strength * noise[i]);
        }
    }
}

template <class T> double squared_norm(const T* grad, Index n) {
    constexpr Index LANES = 32;  // enough sums to hide what an addition takes
    double sums[LANES] = {};
    Index i = 0;
    for (; i + LANES <= n; i += LANES)
        for (Index j = 0; j < LANES; j++) sums[j] += double(grad[i + j]) * double(grad[i + j]);
    for (; i < n; i++) sums[0] += double(grad[i]) * double(grad[i]);
    for (Index j = 1; j < LANES; j++) sums[0] += sums[j];
    return sums[0];
}

// The factor that makes a gradient's norm plan.clip times the mean of the norms at most; the mean
// (0: none yet) goes on (see train/optimizers.py).
inline double clip_factor(const xhat::Plan& plan, double norm, double& mean) {
    if (mean == 0 && norm - norm == 0) mean = norm;
    const double most = plan.clip * mean, kept = norm <= most ? norm : most;
    mean += (kept - mean) / NORM_STEPS;
    return norm <= most ? 1 : most / norm;
}

// One step of Adam on n parameters, its gradient times factor (see train/optimizers.py); decay
// null: no weight decay.
template <class T>
void adam(const xhat::Plan& plan, double learning_rate, double factor, double correct1,
          double correct2, Index n, T* __restrict theta, const T* __restrict grad,
          T* __restrict mu, T* __restrict nu, const T* __restrict decay) {
    const T b1 = T(plan.beta1), c1 = T(1 - plan.beta1), b2 = T(plan.beta2);
    const double least = sizeof(T) == 4 ? 0x1p-126 : 0x1p-1022;  // what is not taken for 0
    const T c2 = T(1 - plan.beta2), eps = T(plan.eps > least ? plan.eps : least);
    const T rate = T(learning_rate / correct1), unroot = T(1 / __builtin_sqrt(correct2));
    const T shrink = T(learning_rate * plan.weight_decay), scale = T(factor);
    if (decay)
        for (Index i = 0; i < n; i++) theta[i] *= 1 - shrink * decay[i];
    for (Index i = 0; i < n; i++) {
        const T g = scale * grad[i];
        const T m = mu[i] * b1 + c1 * g, v = nu[i] * b2 + c2 * g * g;
        mu[i] = m;
        nu[i] = v;
        const T rooted = sizeof(T) == 4 ? T(__builtin_sqrtf(float(v))) : T(__builtin_sqrt(v));
        theta[i] -= rate * m / (rooted * unroot + eps);
    }
}

// One step of momentum on n parameters.
template <class T>
void sgd(const xhat::Plan& plan, double learning_rate, Index n, T* __restrict theta,
         const T* __restrict grad, T* __restrict velocity) {
    const T momentum = T(plan.momentum), rate = T(learning_rate);
    for (Index i = 0; i < n; i++) {
        const T v = velocity[i] * momentum + grad[i];
        velocity[i] = v;
        theta[i] -= rate * (plan.nesterov ? grad[i] + momentum * v : v);
    }
}

}  // namespace XHAT_ISA
