// The kernels of one instruction set: compiled once per set with -DXHAT_ISA=name -DXHAT_BYTES=n.
#include "nearest.hpp"
#include "score.hpp"

namespace XHAT_ISA {

using xhat::Kernels;

static int train_any(const Plan* plan, Task* task, int bytes) {
    return bytes == 4 ? train<float>(*plan, *task) : train<double>(*plan, *task);
}

static int loss_any(const Plan* plan, Task* task, int bytes) {
    return bytes == 4 ? loss<float>(*plan, *task) : loss<double>(*plan, *task);
}

static int infer_any(const Plan* plan, Inference* task, int bytes) {
    return bytes == 4 ? infer<float>(*plan, *task) : infer<double>(*plan, *task);
}

static int score_any(const Plan* plan, Scoring* task, int bytes) {
    return bytes == 4 ? score<float>(*plan, *task) : score<double>(*plan, *task);
}

static void nearest_any(Nearest* task, int bytes) {
    bytes == 4 ? nearest<float>(*task) : nearest<double>(*task);
}

template <class T> static void evaluate(int function, const T* x, T* y, Index n) {
    using P = Vec<T, FULL>;
    for (Index i = 0; i < n; i += P::L) {
        const auto v = P::load_part(x + i, n - i);
        auto w = v;
        switch (function) {
            case 0: w = exp<P>(v); break;
            case 1: w = sigmoid<P>(v); break;
            case 2: w = tanh<P>(v); break;
            case 3: w = log1p<P>(v); break;
            case 4: w = activate<P>(xhat::SILU, v); break;
            default: w = log<P>(v);
        }
        P::store_part(y + i, w, n - i);
    }
}

static void evaluate_any(int function, const void* x, void* y, Index n, int bytes) {
    if (bytes == 4)
        evaluate(function, static_cast<const float*>(x), static_cast<float*>(y), n);
    else
        evaluate(function, static_cast<const double*>(x), static_cast<double*>(y), n);
}

template <class T>
static void corrupt(const Plan& plan, const T* x, T* y, Index n, std::uint64_t key,
                    std::uint64_t first) {
    const Index d = plan.node[0].width;
    for (Index r = 0; r < n; r++)
        corrupt_row<T>(plan, x + r * d, y + r * d, nullptr, d, key, first + std::uint64_t(r));
}

static void corrupt_any(const Plan* plan, const void* x, void* y, Index n, std::uint64_t key,
                        std::uint64_t first, int bytes) {
    if (bytes == 4)
        corrupt(*plan, static_cast<const float*>(x), static_cast<float*>(y), n, key, first);
    else
        corrupt(*plan, static_cast<const double*>(x), static_cast<double*>(y), n, key, first);
}

extern const Kernels kernels;
const Kernels kernels = {XHAT_NAME, train_any,    loss_any,    infer_any,
                         score_any, nearest_any,  evaluate_any, corrupt_any};

}  // namespace XHAT_ISA
