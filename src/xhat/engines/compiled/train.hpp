// Runs of batches: rows split between threads, then parameters split between threads.
//
// Same bytes for any number of threads: blocks of rows and pieces of parameters are fixed by the
// shapes alone, each output is computed by one thread in one order, and the partial sums of J are
// added in the order of the blocks.
#pragma once
#include <cstdlib>
#include <cstring>

#include "network.hpp"
#include "pieces.hpp"

namespace XHAT_ISA {

using xhat::Inference;
using xhat::Task;

constexpr Index CHUNK_ROWS = 1024;     // rows whose activations are held at a time

struct Barrier {
    int threads;
    int arrived;
    int phase;
};

inline void wait_for_all(Barrier& b) {
    if (b.threads == 1) return;
    const int phase = __atomic_load_n(&b.phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&b.arrived, 1, __ATOMIC_ACQ_REL) == b.threads) {
        __atomic_store_n(&b.arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&b.phase, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    xhat::wait_while(&b.phase, phase);
}

template <class T> struct Trainer {
    Net<T> net;
    Task* task;
    Barrier barrier;
    Index pieces, groups;
    Piece* piece;
    Index* group;  // first piece of each, and the end
    double *partial_J, *partial_l2, *partial_norm, *rho;
    double kl;
    T* grad;
};

// Takes the workspace of `capacity` rows from the arena.
template <class T>
void take_net(Arena& arena, Net<T>& net, const Plan& plan, Index capacity, bool training,
              bool masked) {
    net.plan = &plan;
    net.capacity = capacity;
    const bool contractive = training && plan.contractive != 0;
    for (Index v = 0; v < plan.nodes; v++) {
        const Node& node = plan.node[v];
        net.ld[v] = padded<T>(node.width);
        if (net.ld[v] * Index(sizeof(T)) % 4096 == 0) net.ld[v] += FULL / Index(sizeof(T));
        const Index n = capacity * net.ld[v];
        const bool inner = v > 0 && v + 1 < plan.nodes;
        const bool silu = training && inner && node.activation == xhat::SILU;
        net.H[v] = arena.take<T>(n);
        net.dA[v] = inner && training ? arena.take<T>(n) : v ? net.H[v] : nullptr;
        net.slope[v] = silu ? arena.take<T>(n) : nullptr;
        net.A[v] = silu && contractive && v == plan.code ? arena.take<T>(n) : nullptr;
        net.bias[v] = v ? arena.take<T>(net.ld[v]) : nullptr;
    }
    const Index cells = capacity * net.ld[0];
    net.X = plan.corruption == xhat::CLEAN ? net.H[0] : arena.take<T>(cells);
    net.M = masked ? arena.take<T>(cells) : nullptr;
    net.scale = arena.take<T>(capacity);
    for (Index m = 0; m < plan.matrices; m++) {
        const Matrix& M = plan.matrix[m];
        bool across = false, straight = false;
        for (Index e = 0; e < plan.edges; e++) {
            if (plan.edge[e].matrix != m) continue;
            const bool back = training && plan.edge[e].from > 0;
            const bool t = plan.edge[e].transposed;
            across = across || !t || back;
            straight = straight || t || back;
        }
        net.across[m] = across ? arena.take<T>(packed_size<T>(M.cols, M.rows)) : nullptr;
        net.straight[m] = straight ? arena.take<T>(packed_size<T>(M.rows, M.cols)) : nullptr;
    }
    net.norms = contractive ? arena.take<T>(plan.node[1].width) : nullptr;
    net.kl_slope = plan.kl_weight != 0 ? arena.take<T>(plan.node[plan.code].width) : nullptr;
    net.row_sum = 1;
    take_heads(arena, net.heads, plan, net.ld[0]);
}

// Brings rows i0 .. i1 of matrix m into the packed copies; with m = -1 the bias of `node`.
template <class T>
double refresh(Net<T>& net, const T* theta, Index m, Index node, Index i0, Index i1) {
    const Plan& plan = *net.plan;
    if (m < 0) {
        const Node& v = plan.node[node];
        std::memcpy(net.bias[node], theta + v.bias, sizeof(T) * std::size_t(v.width));
        return 0;
    }
    const Matrix& M = plan.matrix[m];
    const T* W = theta + M.offset;
    if (net.across[m]) pack(net.across[m], W, M.cols, M.rows, 1, M.cols, 0, M.cols, i0, i1);
    if (net.straight[m]) pack(net.straight[m], W, M.rows, M.cols, M.cols, 1, i0, i1, 0, M.cols);
    double squares = 0;
    if (net.norms && m == 0)
        for (Index i = i0; i < i1; i++) {
            double s = 0;
            for (Index j = 0; j < M.cols; j++) s += double(W[i * M.cols + j]) * W[i * M.cols + j];
            net.norms[i] = T(s);
        }
    if (plan.l2 != 0 && M.penalised)
        for (Index i = i0 * M.cols; i < i1 * M.cols; i++) squares += double(W[i]) * W[i];
    return squares;
}

// First group of a thread: those whose middle lies in its share of theta.
template <class T> inline Index first_group(const Trainer<T>& t, int thread) {
    const Index size = t.net.plan->size, goal = size * thread / t.barrier.threads;
    Index g = 0;
    for (; g < t.groups; g++) {
        const Index begin = t.piece[t.group[g]].offset;
        const Index end = g + 1 < t.groups ? t.piece[t.group[g + 1]].offset : size;
        if ((begin + end) / 2 >= goal) break;
    }
    return thread == t.barrier.threads ? t.groups : g;
}

template <class T> void refresh_group(Trainer<T>& t, Index g) {
    for (Index p = t.group[g]; p < t.group[g + 1]; p++) {
        const Piece& piece = t.piece[p];
        t.partial_l2[p] = refresh(t.net, static_cast<const T*>(t.task->theta), piece.matrix,
                                  piece.node, piece.i0, piece.i1);
    }
}

// Adds what is not a product to the gradient of a piece: L2 (29) and contractive (35).
template <class T>
void add_penalties(Trainer<T>& t, const Piece& p, Index n, bool last_chunk) {
    Net<T>& net = t.net;
    const Plan& plan = *net.plan;
    if (p.matrix < 0) return;
    const T* W = static_cast<const T*>(t.task->theta) + p.offset;
    T* dW = t.grad + p.offset;
    if (plan.contractive != 0 && p.matrix == 0) {
        const Index cols = plan.matrix[0].cols;
        for (Index i = p.i0; i < p.i1; i++) {
            T sum = 0;
            for (Index r = 0; r < n; r++) {
                const T slope = scalar_slope(net, 1, r * net.ld[1] + i);
                sum += T(plan.contractive) * net.scale[r] * slope * slope;
            }
            for (Index j = 0; j < cols; j++)
                dW[(i - p.i0) * cols + j] += 2 * sum * W[(i - p.i0) * cols + j];
        }
    }
    if (last_chunk && plan.l2 != 0 && plan.matrix[p.matrix].penalised)
        for (Index i = 0; i < p.size; i++) dW[i] += T(2 * plan.l2) * W[i];
}

template <class T>
void optimise(const Trainer<T>& t, Index g, double learning_rate, double factor, double correct1,
              double correct2) {
    const Plan& plan = *t.net.plan;
    const Piece& last = t.piece[t.group[g + 1] - 1];
    const Index offset = t.piece[t.group[g]].offset, size = last.offset + last.size - offset;
    T* theta = static_cast<T*>(t.task->theta) + offset;
    T* slot0 = static_cast<T*>(t.task->slot0) + offset;
    const T* grad = t.grad + offset;
    if (plan.optimizer == xhat::SGD) {
        sgd(plan, learning_rate, size, theta, grad, slot0);
        return;
    }
    const T* decay = static_cast<const T*>(t.task->decay);
    adam(plan, learning_rate, factor, correct1, correct2, size, theta, grad, slot0,
         static_cast<T*>(t.task->slot1) + offset, decay ? decay + offset : nullptr);
}

// Runs f(r0, r1, block) over this thread's share of the blocks of n rows.
template <class F> inline void share_rows(Index n, int thread, int threads, F f) {
    const Index blocks = (n + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (Index b = blocks * thread / threads; b < blocks * (thread + 1) / threads; b++) {
        const Index r0 = b * BLOCK_ROWS, r1 = r0 + BLOCK_ROWS;
        f(r0, r1 < n ? r1 : n, b);
    }
}

template <class T> struct Chunk {
    Index batch_first, batch_rows, first, rows;  // positions in the order
    bool last;
};

template <class T>
void gather_block(Trainer<T>& t, const Chunk<T>& c, Index r0, Index r1) {
    const Task& task = *t.task;
    const Index first = c.first + r0;
    gather(t.net, task.rows, task.order, first, r0, r1, T(c.batch_rows), task.key,
           task.first + std::uint64_t(first));
}

// The rows that will stand in this block of the next chunk: far enough ahead for any memory.
template <class T> Ahead next_rows(const Trainer<T>& t, const Chunk<T>& c, Index r0, Index r1) {
    const Task& task = *t.task;
    const Index next = c.first + c.rows + r0, last = c.first + c.rows + r1;
    Index end = last < task.count ? last : task.count;
    if (!task.order || next > end) end = next;
    const Index bytes = t.net.plan->node[0].width * Index(sizeof(T));
    return {static_cast<const char*>(task.rows.X), bytes, task.order, next, end};
}

// The batch mean of the code, before anything that needs it (equation 31).
template <class T> void mean_activity(Trainer<T>& t, const Chunk<T>& batch, int thread) {
    Net<T>& net = t.net;
    const Plan& plan = *net.plan;
    const Index k = plan.node[plan.code].width, ld = net.ld[plan.code];
    const int threads = t.barrier.threads;
    double sum = 0;
    if (thread == 0) std::memset(t.rho, 0, sizeof(double) * std::size_t(k));
    for (Index done = 0; done < batch.batch_rows; done += net.capacity) {
        Chunk<T> c = batch;
        c.first = batch.batch_first + done;
        c.rows = batch.batch_rows - done < net.capacity ? batch.batch_rows - done : net.capacity;
        share_rows(c.rows, thread, threads, [&](Index r0, Index r1, Index) {
            gather_block(t, c, r0, r1);
            for (Index v = 1; v <= plan.code; v++) forward_node(net, v, r0, r1);
        });
        wait_for_all(t.barrier);
        if (thread == 0)
            for (Index r = 0; r < c.rows; r++) {
                sum += double(net.scale[r]);
                for (Index j = 0; j < k; j++)
                    t.rho[j] += double(net.scale[r]) * double(net.H[plan.code][r * ld + j]);
            }
        wait_for_all(t.barrier);
    }
    if (thread == 0) {
        const double eps = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52, rho = plan.kl_rho;
        net.row_sum = T(sum);
        t.kl = 0;
        for (Index j = 0; j < k; j++) {
            double q = t.rho[j] / sum;
            q = q < eps ? eps : q > 1 - eps ? 1 - eps : q;
            net.kl_slope[j] = T(plan.kl_weight * ((1 - rho) / (1 - q) - rho / q));
            t.kl += plan.kl_weight * (rho * __builtin_log(rho / q) +
                                      (1 - rho) * __builtin_log((1 - rho) / (1 - q)));
        }
    }
    wait_for_all(t.barrier);
}

// One batch: loss, gradient and, unless only the gradient is wanted, the optimiser's step.
// Returns J, the same on every thread.
template <class T> double step(Trainer<T>& t, Index i, int thread) {
    Net<T>& net = t.net;
    const Plan& plan = *net.plan;
    Task& task = *t.task;
    const int threads = t.barrier.threads;
    const Index start = i * task.batch_size;
    const Index n = task.count - start < task.batch_size ? task.count - start : task.batch_size;
    const Index g0 = first_group(t, thread), g1 = first_group(t, thread + 1);
    const bool optimises = plan.optimizer != xhat::GRADIENT_ONLY;
    const double taken = double(task.step + i + 1);
    const double correct1 = 1 - __builtin_pow(plan.beta1, taken);
    const double correct2 = 1 - __builtin_pow(plan.beta2, taken);
    const bool clips = optimises && plan.clip != 0;
    double J = 0;
    Chunk<T> c{start, n, start, 0, false};
    if (plan.kl_weight != 0) mean_activity(t, c, thread);
    for (Index done = 0; done < n; done += net.capacity) {
        c.first = start + done;
        c.rows = n - done < net.capacity ? n - done : net.capacity;
        c.last = done + c.rows == n;
        const bool encoded = plan.kl_weight != 0 && c.rows == n;
        share_rows(c.rows, thread, threads, [&](Index r0, Index r1, Index block) {
            if (!encoded) gather_block(t, c, r0, r1);
            Ahead ahead = next_rows(t, c, r0, r1);
            const Index share = (ahead.end - ahead.next + plan.nodes - 1) / plan.nodes;
            for (Index v = encoded ? plan.code + 1 : 1; v < plan.nodes; v++) {
                ahead.fetch(share);
                forward_node(net, v, r0, r1);
            }
            ahead.fetch(share);
            double partial = heads<T, true>(net, r0, r1);
            ahead.fetch(share);
            partial += backward_rows(net, r0, r1);
            t.partial_J[done / BLOCK_ROWS + block] = partial;
        });
        wait_for_all(t.barrier);
        if (c.last) {
            for (Index b = 0; b < (n + BLOCK_ROWS - 1) / BLOCK_ROWS; b++) J += t.partial_J[b];
            double squares = 0;
            for (Index p = 0; p < t.pieces; p++) squares += t.partial_l2[p];
            J += plan.l2 * squares + (plan.kl_weight != 0 ? t.kl : 0);
            if (optimises && !(J - J == 0)) return J;  // not finite: no step
        }
        if (threads > 1 && c.last && plan.l2 != 0) wait_for_all(t.barrier);  // partial_l2 is read
        for (Index g = g0; g < g1; g++) {
            for (Index p = t.group[g]; p < t.group[g + 1]; p++) {
                const Piece& piece = t.piece[p];
                if (piece.matrix < 0) bias_gradient(net, piece.node, c.rows, done > 0, t.grad);
                else matrix_gradient(net, piece.matrix, piece.i0, piece.i1, c.rows, done > 0, t.grad);
                add_penalties(t, piece, c.rows, c.last);
                if (clips && c.last)
                    t.partial_norm[p] = squared_norm(t.grad + piece.offset, piece.size);
            }
            if (!c.last || !optimises || clips) continue;
            optimise(t, g, task.learning_rates[i], 1, correct1, correct2);
            refresh_group(t, g);
        }
        wait_for_all(t.barrier);
    }
    if (clips) {  // steps wait for the norm of the whole gradient
        double mean = *task.norm, squares = 0;
        for (Index p = 0; p < t.pieces; p++) squares += t.partial_norm[p];
        const double factor = clip_factor(plan, __builtin_sqrt(squares), mean);
        for (Index g = g0; g < g1; g++) {
            optimise(t, g, task.learning_rates[i], factor, correct1, correct2);
            refresh_group(t, g);
        }
        wait_for_all(t.barrier);
        if (thread == 0) *task.norm = mean;  // the others read it after their next wait
    }
    return J;
}

// While it lives, numbers too small for full precision are 0 on this thread. Moments whose gradient
// has vanished fade into such numbers, and many processors take a hundred times as long for them.
struct NoSubnormals {
#ifdef __SSE__
    const unsigned before = __builtin_ia32_stmxcsr();
    NoSubnormals() { __builtin_ia32_ldmxcsr(before | 0x8040); }  // results and operands
    ~NoSubnormals() { __builtin_ia32_ldmxcsr(before); }
#endif
};

template <class T> void train_thread(void* context, int thread) {
    [[maybe_unused]] const NoSubnormals none;
    Trainer<T>& t = *static_cast<Trainer<T>*>(context);
    for (Index g = first_group(t, thread); g < first_group(t, thread + 1); g++) refresh_group(t, g);
    wait_for_all(t.barrier);
    for (Index i = 0; i < t.task->batches; i++) {
        const double J = step(t, i, thread);
        const bool finite = J - J == 0;
        if (thread == 0) {
            t.task->losses[i] = J;
            t.task->done = i + 1;
        }
        if (!finite && t.net.plan->optimizer != xhat::GRADIENT_ONLY) return;
    }
}

inline char* zeroed(std::size_t bytes, char** raw) {
    *raw = static_cast<char*>(std::calloc(bytes + 64, 1));
    return *raw ? *raw + (64 - reinterpret_cast<std::uintptr_t>(*raw) % 64) : nullptr;
}

// Returns 0, or 1 when memory is short.
template <class T> int train(const Plan& plan, Task& task) {
    const Index batch = task.batch_size < task.count ? task.batch_size : task.count;
    const Index capacity = batch < CHUNK_ROWS ? batch : CHUNK_ROWS;
    Trainer<T> t{};
    Arena arena{nullptr, 0};
    char* raw = nullptr;
    for (int pass = 0; pass < 2; pass++) {
        take_net(arena, t.net, plan, capacity, true, task.rows.mask || plan.visible != 1);
        t.pieces = cut_pieces(plan, nullptr);
        t.piece = arena.take<Piece>(t.pieces);
        t.group = arena.take<Index>(t.pieces + 1);
        t.partial_J = arena.take<double>(batch / BLOCK_ROWS + 1);
        t.partial_l2 = arena.take<double>(t.pieces);
        t.partial_norm = arena.take<double>(t.pieces);
        t.rho = arena.take<double>(plan.node[plan.code].width);
        t.grad = task.grad ? static_cast<T*>(task.grad) : arena.take<T>(plan.size);
        if (pass == 0) arena = {zeroed(arena.used, &raw), 0};
        if (!arena.base) return 1;
    }
    cut_pieces(plan, t.piece);
    t.groups = cut_groups(t.piece, t.pieces, plan.size, t.group);
    t.task = &task;
    t.barrier = {task.threads, 0, 0};
    task.done = 0;
    if (xhat::run_threads(task.threads, train_thread<T>, &t)) {
        t.barrier.threads = 1;
        train_thread<T>(&t, 0);
    }
    std::free(raw);
    return 0;
}

}  // namespace XHAT_ISA
