// Scoring: the loss of every cell in float64, tile by tile, from rows to cells in one go.
#pragma once
#include "infer.hpp"

namespace XHAT_ISA {

using xhat::Scoring;

constexpr Index SCORED = 4096;  // cells whose losses are computed together, about

template <class T> struct Scorer {
    Worker<T> worker;
    Heads<double> heads;
    double *cells, *targets;  // SCORED and a row more for every thread
    const Scoring* task;
    bool squares;  // every head is linear with squared error
};

// The losses of rows of the workspace (A_hat against X) into out.
template <class T>
void score_rows(const Scorer<T>& s, const Net<T>& net, const T* X, const T* M, double* cells,
                double* targets, double* out, Index n) {
    using F = Vec<double, FULL>;
    using H = Vec<double, HALF>;
    const Index d = net.plan->node[0].width, ld = s.heads.ld, from = net.ld[net.plan->nodes - 1];
    const T* A_hat = net.H[net.plan->nodes - 1];
    const double* factor = s.task->factor;
    if (s.squares) {  // the losses are no more than that
        const double* weight = s.heads.weight;
        for (Index r = 0; r < n; r++)
            for (Index j = 0; j < d; j++) {
                const double e = double(A_hat[r * from + j]) - double(X[r * d + j]);
                const double loss = e * e * weight[j] * (factor ? factor[j] : 1);
                out[r * d + j] = M ? loss * double(M[r * d + j]) : loss;
            }
        return;
    }
    const Index group = SCORED / ld > 1 ? SCORED / ld : 1;
    for (Index r0 = 0; r0 < n; r0 += group) {
        const Index rows = n - r0 < group ? n - r0 : group;
        for (Index r = 0; r < rows; r++)
            for (Index j = 0; j < d; j++) {
                cells[r * ld + j] = double(A_hat[(r0 + r) * from + j]);
                targets[r * ld + j] = double(X[(r0 + r) * d + j]);
            }
        if (ld < F::L) cell_rows<H>(s.heads, cells, targets, rows, s.task->excess);
        else cell_rows<F>(s.heads, cells, targets, rows, s.task->excess);
        for (Index r = 0; r < rows; r++) {
            double* to = out + (r0 + r) * d;
            const double *loss = cells + r * ld, *weight = s.heads.weight;
            if (s.task->excess)
                for (Index j = 0; j < d; j++) to[j] = (loss[j] < 0 ? 0 : loss[j]) * weight[j];
            else
                for (Index j = 0; j < d; j++) to[j] = loss[j] * weight[j];
            if (factor)
                for (Index j = 0; j < d; j++) to[j] *= factor[j];
            if (M)
                for (Index j = 0; j < d; j++) to[j] *= double(M[(r0 + r) * d + j]);
        }
    }
}

template <class T> void score_thread(void* context, int thread) {
    Scorer<T>& s = *static_cast<Scorer<T>*>(context);
    Worker<T>& w = s.worker;
    Net<T> net = w.net;  // this thread's view: its own rows at 0
    const Plan& plan = *net.plan;
    const Scoring& task = *s.task;
    const Index d = plan.node[0].width, room = SCORED + s.heads.ld;
    for (Index v = 0; v < plan.nodes; v++) net.H[v] += thread * TILE * net.ld[v];
    T* const shown = net.H[0];
    const Index ld = net.ld[0];
    const T *all = static_cast<const T*>(task.X), *mask = static_cast<const T*>(task.mask);
    const T *low = static_cast<const T*>(task.low), *high = static_cast<const T*>(task.high);
    if (!low) net.ld[0] = d;  // read where it lies
    for (;;) {
        const Index begin = __atomic_fetch_add(&w.next, PORTION, __ATOMIC_RELAXED);
        if (begin >= task.n) return;
        const Index end = begin + PORTION < task.n ? begin + PORTION : task.n;
        for (Index r = begin; r < end; r += TILE) {
            const Index n = end - r < TILE ? end - r : TILE;
            const T* X = all + r * d;
            net.H[0] = low ? shown : const_cast<T*>(X);
            for (Index i = 0; low && i < n; i++)
                for (Index j = 0; j < d; j++) {  // NaN stays NaN
                    const T x = X[i * d + j], y = x < low[j] ? low[j] : x;
                    shown[i * ld + j] = y > high[j] ? high[j] : y;
                }
            for (Index v = 1; v < plan.nodes; v++) forward_node(net, v, 0, n);
            const Index k = plan.node[task.code].width, from = net.ld[task.code];
            for (Index i = 0; task.codes && i < n; i++)
                for (Index j = 0; j < k; j++)
                    static_cast<T*>(task.codes)[(r + i) * k + j] = net.H[task.code][i * from + j];
            score_rows(s, net, X, mask ? mask + r * d : nullptr, s.cells + thread * room,
                       s.targets + thread * room, task.output + r * d, n);
        }
    }
}

template <class T> int score(const Plan& plan, const Scoring& task) {
    Scorer<T> s{};
    char* raw = nullptr;
    char* more = nullptr;
    Arena arena{nullptr, 0};
    const Index ld = padded<double>(plan.node[0].width);
    for (int pass = 0; pass < 2; pass++) {
        take_heads(arena, s.heads, plan, ld);
        s.cells = arena.take<double>(task.threads * (SCORED + ld));
        s.targets = arena.take<double>(task.threads * (SCORED + ld));
        if (pass == 0) arena = {zeroed(arena.used, &more), 0};
        if (!arena.base) return 1;
    }
    s.task = &task;
    s.squares = true;
    for (Index b = 0; b < plan.blocks; b++)
        s.squares = s.squares && plan.block[b].kind == xhat::SQUARED_LINEAR;
    const int status = prepare(s.worker, plan, task.threads, task.theta, false, 0, &raw);
    if (!status && xhat::run_threads(task.threads, score_thread<T>, &s)) score_thread<T>(&s, 0);
    std::free(raw);
    std::free(more);
    return status;
}

}  // namespace XHAT_ISA
