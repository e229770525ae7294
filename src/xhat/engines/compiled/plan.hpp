// What a run needs to know, as plain data: filled by the binding, read by every kernel file.
//
// Knows: shapes, offsets in theta, kinds. Must not know: how anything is computed.
// Plain pointers only: the kernel files are compiled for several instruction sets, and a shared
// inline function of the standard library could then run instructions the machine lacks.
#pragma once
#include <cstdint>

namespace xhat {

using Index = std::int64_t;

enum Activation : int { SIGMOID, TANH, RELU, SILU, IDENTITY };
enum HeadKind : int { SQUARED_LINEAR, SQUARED_LOGISTIC, SQUARED_TANH, BINARY, SOFTMAX, POISSON };
enum CorruptionKind : int { CLEAN, MASKING, GAUSSIAN, SALT_AND_PEPPER };
enum OptimizerKind : int { GRADIENT_ONLY, ADAM, SGD };

constexpr Index MAX_NODES = 64;  // layers of a network, x included

// A layer's output: x, the hidden layers, the code h, the mirrored layers, a_hat.
struct Node {
    Index width;
    Index bias;  // offset in theta; -1: none
    int activation;
};

// A weight matrix (rows, cols) in theta, and whether L2 penalises it.
struct Matrix {
    Index offset, rows, cols;
    int penalised;
};

// A_to += H_from M' (or H_from M where transposed: a tied decoder).
struct Edge {
    Index matrix, from, to;
    int transposed;
};

// One head over the columns start <= j < stop, its loss times weight; limit: Poisson's.
struct Block {
    Index start, stop;
    int kind;
    double weight, limit;
};

struct Plan {
    Index size;  // of theta
    Index nodes, code, edges, matrices, blocks;
    const Node* node;
    const Edge* edge;
    const Matrix* matrix;
    const Block* block;
    double l2, l1_code, kl_weight, kl_rho, contractive;  // 0: absent
    int corruption;
    double strength;          // p or sigma
    double visible;           // what the loss of a cell that is not hidden counts
    const void *low, *high, *fill;  // (d,): range, and what stands for a hidden cell
    const Index* group;       // (d,): number of the table's column; its cells are hidden together
    int optimizer;
    double beta1, beta2, eps, weight_decay, clip, momentum;  // clip 0: never
    int nesterov;
};

// Resident rows; weight and mask may be null.
struct Rows {
    const void *X, *weight, *mask;
    Index n;
};

// One call of run, loss_and_grad or loss. order null: the rows as they lie.
struct Task {
    Rows rows;
    const Index* order;
    Index count, batch_size, batches;
    const double* learning_rates;
    std::uint64_t key, first;
    void *theta, *grad, *slot0, *slot1;
    const void* decay;
    double* norm;          // IN, OUT: mean of the gradient's norm so far; null unless clip
    std::int64_t step;     // IN, OUT: steps taken by the optimiser
    double* losses;        // OUT: one per batch
    Index done;            // OUT: losses written
    int threads;
};

// One call of encode or decode: nodes from .. to of the network.
struct Inference {
    const void *theta, *input;
    void* output;
    Index n, from, to;
    int threads;
};

// One call of cells: the loss of every cell of rows X.
struct Scoring {
    const void *theta, *X, *mask;  // mask may be null
    const void *low, *high;        // what the encoder is shown at most; null: everything
    const double* factor;          // (d,), null: 1
    double* output;                // (n, d)
    void* codes;                   // (n, k), null: not wanted
    Index n, code;                 // the node of the code
    int excess;                    // 1: what is above the smallest loss possible
    int threads;
};

// One call of nearest: rows X (n, d) against m stored rows, in chunks that lie column by column.
struct Nearest {
    const void *X, *stored;        // (n, d), (m / chunk, d, chunk)
    double* output;                // (n, sets): the least of the stored rows s, s + sets, ...
    Index n, d, m, sets, chunk;    // powers of two, 16 <= sets <= chunk <= m; chunk up to 64
};

// Each returns 0, or 1 when memory is short. type_bytes: 4 float, 8 double.
typedef int (*TrainKernel)(const Plan*, Task*, int type_bytes);
typedef int (*InferKernel)(const Plan*, Inference*, int type_bytes);
typedef int (*ScoreKernel)(const Plan*, Scoring*, int type_bytes);
typedef void (*NearestKernel)(Nearest*, int type_bytes);

// The kernels of one instruction set.
struct Kernels {
    const char* name;
    TrainKernel train, loss;
    InferKernel infer;
    ScoreKernel score;
    NearestKernel nearest;
    // For tests: y = function(x), 0 exp, 1 sigmoid, 2 tanh, 3 log1p on [0, 1], 4 silu, 5 log.
    void (*evaluate)(int function, const void* x, void* y, Index n, int type_bytes);
    void (*corrupt)(const Plan*, const void* x, void* y, Index n, std::uint64_t key,
                    std::uint64_t first, int type_bytes);
};

const Kernels* choose_kernels(const char* at_most);  // "": the best this machine runs

// Runs work(context, thread) on threads 0 .. threads-1, thread 0 being the caller. Returns 1, and
// has done nothing, where the system cannot start so many.
int run_threads(int threads, void (*work)(void*, int), void* context);

// Returns once *phase differs from value.
void wait_while(const int* phase, int value);

}  // namespace xhat
