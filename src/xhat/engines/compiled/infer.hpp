// Inference in tiles of rows: codes, pre-activations and losses without large temporaries.
#pragma once
#include "train.hpp"

namespace XHAT_ISA {

constexpr Index TILE = BLOCK_ROWS;      // rows in flight per thread
constexpr Index PORTION = 16 * TILE;    // rows a thread takes at a time

template <class T> struct Worker {
    Net<T> net;  // rows thread * TILE .. belong to one thread
    const Inference* task;
    Task* loss;
    double* partial;
    Index next;  // first row nobody has taken
};

template <class T> void infer_thread(void* context, int thread) {
    Worker<T>& w = *static_cast<Worker<T>*>(context);
    Net<T> net = w.net;  // this thread's view: its own rows at 0
    const Plan& plan = *net.plan;
    const Inference& task = *w.task;
    for (Index v = 0; v < plan.nodes; v++) net.H[v] += thread * TILE * net.ld[v];
    const Index in = plan.node[task.from].width, out = plan.node[task.to].width;
    net.ld[task.from] = in;  // read where it lies
    for (;;) {
        const Index begin = __atomic_fetch_add(&w.next, PORTION, __ATOMIC_RELAXED);
        if (begin >= task.n) return;
        const Index end = begin + PORTION < task.n ? begin + PORTION : task.n;
        for (Index r = begin; r < end; r += TILE) {
            const Index n = end - r < TILE ? end - r : TILE;
            net.H[task.from] = const_cast<T*>(static_cast<const T*>(task.input)) + r * in;
            for (Index v = task.from + 1; v <= task.to; v++) forward_node(net, v, 0, n);
            T* to = static_cast<T*>(task.output) + r * out;
            for (Index i = 0; i < n; i++)
                copy_row(to + i * out, net.H[task.to] + i * net.ld[task.to], out);
        }
    }
}

template <class T> void loss_thread(void* context, int thread) {
    Worker<T>& w = *static_cast<Worker<T>*>(context);
    Net<T>& net = w.net;
    const Plan& plan = *net.plan;
    const Task& task = *w.loss;
    const Index r0 = thread * TILE;
    for (;;) {
        const Index begin = __atomic_fetch_add(&w.next, TILE, __ATOMIC_RELAXED);
        if (begin >= task.count) return;
        const Index n = task.count - begin < TILE ? task.count - begin : TILE;
        gather(net, task.rows, task.order, begin, r0, r0 + n, T(1), 0,
               task.first + std::uint64_t(begin));
        for (Index v = 1; v < plan.nodes; v++) forward_node(net, v, r0, r0 + n);
        w.partial[2 * (begin / TILE)] = heads<T, false>(net, r0, r0 + n);
        double weight = 0;
        for (Index r = r0; r < r0 + n; r++) weight += double(net.scale[r]);
        w.partial[2 * (begin / TILE) + 1] = weight;
    }
}

template <class T> int prepare(Worker<T>& w, const Plan& plan, int threads, const void* theta,
                               bool masked, Index partials, char** raw) {
    Arena arena{nullptr, 0};
    for (int pass = 0; pass < 2; pass++) {
        take_net(arena, w.net, plan, threads * TILE, false, masked);
        w.partial = arena.take<double>(partials);
        if (pass == 0) arena = {zeroed(arena.used, raw), 0};
        if (!arena.base) return 1;
    }
    for (Index m = 0; m < plan.matrices; m++)
        refresh(w.net, static_cast<const T*>(theta), m, 0, 0, plan.matrix[m].rows);
    for (Index v = 1; v < plan.nodes; v++)
        refresh(w.net, static_cast<const T*>(theta), -1, v, 0, 0);
    w.next = 0;
    return 0;
}

template <class T> int infer(const Plan& plan, const Inference& task) {
    Worker<T> w{};
    char* raw = nullptr;
    if (prepare(w, plan, task.threads, task.theta, false, 0, &raw)) return 1;
    w.task = &task;
    if (xhat::run_threads(task.threads, infer_thread<T>, &w)) infer_thread<T>(&w, 0);
    std::free(raw);
    return 0;
}

// losses[0] = sum of weight * loss over the rows, losses[1] = sum of the weights.
template <class T> int loss(const Plan& plan, Task& task) {
    Worker<T> w{};
    char* raw = nullptr;
    const Index tiles = (task.count + TILE - 1) / TILE;
    const bool masked = task.rows.mask || plan.visible != 1;
    if (prepare(w, plan, task.threads, task.theta, masked, 2 * tiles, &raw)) return 1;
    w.loss = &task;
    if (xhat::run_threads(task.threads, loss_thread<T>, &w)) loss_thread<T>(&w, 0);
    task.losses[0] = task.losses[1] = 0;
    for (Index i = 0; i < tiles; i++) {
        task.losses[0] += w.partial[2 * i];
        task.losses[1] += w.partial[2 * i + 1];
    }
    std::free(raw);
    return 0;
}

}  // namespace XHAT_ISA
