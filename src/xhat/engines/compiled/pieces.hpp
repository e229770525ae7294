// The parameters cut into pieces and groups, by the shapes alone: what threads share out.
#pragma once
#include "plan.hpp"

namespace XHAT_ISA {

using xhat::Index;
using xhat::Matrix;
using xhat::Plan;

constexpr Index PIECE = 16 * 1024;  // parameters of a piece, about: it stays in cache
constexpr Index GROUP = 1000;       // parameters of a group, at least

// Rows i0 <= i < i1 of a matrix, or (matrix -1) the bias of a node.
struct Piece {
    Index matrix, node, i0, i1, offset, size;
};

// The parameters in fixed pieces, in the order of theta: the bias of a node, or whole rows of a
// matrix (a multiple of the register tile).
inline Index cut_pieces(const Plan& plan, Piece* piece) {
    Index count = 0;
    for (Index offset = 0; offset < plan.size;) {
        const Index start = offset;
        for (Index v = 1; v < plan.nodes; v++) {
            if (plan.node[v].bias != offset) continue;
            if (piece) piece[count] = {-1, v, 0, 0, offset, plan.node[v].width};
            count++;
            offset += plan.node[v].width;
        }
        for (Index m = 0; m < plan.matrices; m++) {
            const Matrix& M = plan.matrix[m];
            if (M.offset != offset) continue;
            Index rows = PIECE / M.cols / 8 * 8;
            rows = rows < 8 ? 8 : rows;
            for (Index i = 0; i < M.rows; i += rows, count++) {
                const Index end = i + rows < M.rows ? i + rows : M.rows;
                if (piece) piece[count] = {m, 0, i, end, M.offset + i * M.cols, (end - i) * M.cols};
            }
            offset += M.rows * M.cols;
        }
        if (offset == start) return 0;  // not a network's layout; the binding refuses it
    }
    return count;
}

// Small pieces in a row share one step of the optimiser: fixed groups, never split between threads.
// At least a third of the parameters or GROUP of them, so that two threads find work.
inline Index cut_groups(const Piece* piece, Index pieces, Index size, Index* group) {
    const Index enough = size / 3 < GROUP ? size / 3 : GROUP;
    Index count = 0;
    for (Index p = 0, begin = 0; p < pieces; p++) {
        if (p > 0 && (piece[p].offset - begin < enough || size - piece[p].offset < enough)) continue;
        begin = piece[p].offset;
        group[count++] = p;
    }
    group[count] = pieces;
    return count;
}

}  // namespace XHAT_ISA
