# cython: language_level=3, boundscheck=False, wraparound=False
# distutils: language=c++
"""The binding: checks buffers, fills the plan, releases the GIL, calls the kernels.

Knows: how arrays become pointers. Must not know: what is computed (kernels.cpp), nor the Python
objects of xhat.maths (engine.py turns those into numbers).
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int64_t, uint64_t
from libcpp.vector cimport vector


cdef extern from "plan.hpp" namespace "xhat" nogil:
    const int MAX_NODES
    cdef struct Node:
        int64_t width, bias
        int activation
    cdef struct Matrix:
        int64_t offset, rows, cols
        int penalised
    cdef struct Edge:
        int64_t matrix, to
        int64_t origin "from"
        int transposed
    cdef struct Block:
        int64_t start, stop
        int kind
        double weight, limit
    cdef struct CPlan "xhat::Plan":
        int64_t size, nodes, code, edges, matrices, blocks
        const Node* node
        const Edge* edge
        const Matrix* matrix
        const Block* block
        double l2, l1_code, kl_weight, kl_rho, contractive
        int corruption
        double strength
        double visible
        const void* low
        const void* high
        const void* fill
        const int64_t* group
        int optimizer
        double beta1, beta2, eps, weight_decay, clip, momentum
        int nesterov
    cdef struct Rows:
        const void* X
        const void* weight
        const void* mask
        int64_t n
    cdef struct Task:
        Rows rows
        const int64_t* order
        int64_t count, batch_size, batches
        const double* learning_rates
        uint64_t key, first
        void* theta
        void* grad
        void* slot0
        void* slot1
        const void* decay
        double* norm
        int64_t step
        double* losses
        int64_t done
        int threads
    ctypedef int (*TrainKernel)(const CPlan*, Task*, int) noexcept
    cdef struct Inference:
        const void* theta
        const void* input
        void* output
        int64_t n
        int64_t origin "from"
        int64_t to
        int threads
    ctypedef int (*InferKernel)(const CPlan*, Inference*, int) noexcept
    cdef struct Scoring:
        const void* theta
        const void* X
        const void* mask
        const void* low
        const void* high
        const double* factor
        double* output
        void* codes
        int64_t n, code
        int excess
        int threads
    ctypedef int (*ScoreKernel)(const CPlan*, Scoring*, int) noexcept
    cdef struct Nearest:
        const void* X
        const void* stored
        double* output
        int64_t n, d, m, sets, chunk
    ctypedef void (*NearestKernel)(Nearest*, int) noexcept
    cdef struct Kernels:
        const char* name
        TrainKernel train, loss
        InferKernel infer
        ScoreKernel score
        NearestKernel nearest
        void (*evaluate)(int, const void*, void*, int64_t, int) noexcept
        void (*corrupt)(
            const CPlan*, const void*, void*, int64_t, uint64_t, uint64_t, int) noexcept
    const Kernels* choose_kernels(const char*) noexcept


cdef const Kernels* kernels = choose_kernels(b"")

MAX_LAYERS = MAX_NODES - 1


def instruction_set() -> str:
    """Return the name of the instruction set in use."""
    return kernels.name.decode()


def use_instruction_set(at_most: str) -> str:
    """Use the best instruction set up to this one ("": the machine's); for tests."""
    global kernels
    kernels = choose_kernels(at_most.encode())
    return instruction_set()


cdef void* pointer(object array, object kinds, int64_t count, bint writable) except? NULL:
    """Return the address of a C-contiguous buffer of `count` items, or NULL for None."""
    if array is None:
        return NULL
    cdef Py_buffer view
    cdef int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0)
    PyObject_GetBuffer(array, &view, flags)
    cdef void* address = view.buf
    cdef int64_t items = view.len // view.itemsize
    found = view.format.decode()
    PyBuffer_Release(&view)
    if found not in kinds:
        raise TypeError(f"buffer holds items of format {found!r}, expected one of {kinds!r}")
    if items != count:
        raise ValueError(f"buffer holds {items} items, expected {count}")
    return address


cdef int bytes_of(str kind) except -1:
    return {"f": 4, "d": 8}[kind]


cdef class Plan:
    """The shapes of a network and everything else a run needs to know.

    Parameters
    ----------
    nodes : list of (width, bias offset, activation)
    matrices : list of (offset, rows, cols, penalised)
    edges : list of (matrix, from, to, transposed)
    blocks : list of (start, stop, head, weight, limit)
    numbers : dict of str to float
        The scalar fields of plan.hpp.
    columns : tuple of arrays or None
        Low, high and fill of each column, and its group: int64, number of the table's column.
    kind : "f" or "d"
        Type of every array.
    """

    cdef CPlan plan
    cdef vector[Node] node
    cdef vector[Edge] edge
    cdef vector[Matrix] matrix
    cdef vector[Block] block
    cdef object kept
    cdef str kind

    def __init__(
        self, list nodes, list matrices, list edges, list blocks, dict numbers,
        object columns, str kind,
    ):
        cdef Node node
        cdef Matrix matrix
        cdef Edge edge
        cdef Block block
        self.kind = kind
        low, high, fill, group = self.kept = columns or (None, None, None, None)
        self.plan.size = 0
        for node.width, node.bias, node.activation in nodes:
            self.node.push_back(node)
            self.plan.size += node.width if node.bias >= 0 else 0
        for matrix.offset, matrix.rows, matrix.cols, matrix.penalised in matrices:
            self.matrix.push_back(matrix)
            self.plan.size += matrix.rows * matrix.cols
        for edge.matrix, edge.origin, edge.to, edge.transposed in edges:
            self.edge.push_back(edge)
        for block.start, block.stop, block.kind, block.weight, block.limit in blocks:
            self.block.push_back(block)
        self.plan.node = self.node.data()
        self.plan.matrix = self.matrix.data()
        self.plan.edge = self.edge.data()
        self.plan.block = self.block.data()
        self.plan.nodes = self.node.size()
        self.plan.matrices = self.matrix.size()
        self.plan.edges = self.edge.size()
        self.plan.blocks = self.block.size()
        self.plan.code = (self.node.size() - 1) // 2
        self.plan.l2 = numbers.get("l2", 0.0)
        self.plan.l1_code = numbers.get("l1_code", 0.0)
        self.plan.kl_weight = numbers.get("kl_weight", 0.0)
        self.plan.kl_rho = numbers.get("kl_rho", 0.0)
        self.plan.contractive = numbers.get("contractive", 0.0)
        self.plan.corruption = numbers.get("corruption", 0)
        self.plan.strength = numbers.get("strength", 0.0)
        self.plan.visible = numbers.get("visible", 1.0)
        self.plan.low = pointer(low, kind, self.node[0].width, False)
        self.plan.high = pointer(high, kind, self.node[0].width, False)
        self.plan.fill = pointer(fill, kind, self.node[0].width, False)
        self.plan.group = <const int64_t*>pointer(group, "lq", self.node[0].width, False)
        self.plan.optimizer = numbers.get("optimizer", 0)
        self.plan.beta1 = numbers.get("beta1", 0.0)
        self.plan.beta2 = numbers.get("beta2", 0.0)
        self.plan.eps = numbers.get("eps", 0.0)
        self.plan.weight_decay = numbers.get("weight_decay", 0.0)
        self.plan.clip = numbers.get("clip", 0.0)
        self.plan.momentum = numbers.get("momentum", 0.0)
        self.plan.nesterov = numbers.get("nesterov", 0)

    cdef Task task(self, object theta, object X, object weight, object mask, bint writable) except *:
        cdef Task task
        cdef int64_t n = len(X), d = self.node[0].width
        task.rows.X = pointer(X, self.kind, n * d, False)
        task.rows.weight = pointer(weight, self.kind, n, False)
        task.rows.mask = pointer(mask, self.kind, n * d, False)
        task.rows.n = n
        task.order = NULL
        task.count = task.batch_size = n
        task.batches = 1
        task.learning_rates = NULL
        task.key = task.first = 0
        task.theta = pointer(theta, self.kind, self.plan.size, writable)
        task.grad = task.slot0 = task.slot1 = NULL
        task.decay = NULL
        task.norm = NULL
        task.step = task.done = 0
        task.losses = NULL
        task.threads = 1
        return task

    def run(
        self, object theta, object X, object weight, object mask, object order,
        int64_t batch_size, object learning_rates, uint64_t key, uint64_t first, int64_t step,
        object slot0, object slot1, object decay, object norm, object losses, int threads,
    ) -> int:
        """Take one step per learning rate; return how many losses were written."""
        cdef Task task = self.task(theta, X, weight, mask, True)
        task.count = len(order)
        task.order = <const int64_t*>pointer(order, "lq", task.count, False)
        task.batch_size = batch_size
        task.batches = len(learning_rates)
        if batch_size < 1 or task.batches > (task.count + batch_size - 1) // batch_size:
            raise ValueError(f"{task.batches} batches of {batch_size} rows, {task.count} given")
        cdef int64_t i
        for i in range(task.count):
            if not 0 <= task.order[i] < task.rows.n:
                raise IndexError(f"order[{i}] is {task.order[i]}, there are {task.rows.n} rows")
        task.learning_rates = <const double*>pointer(learning_rates, "d", task.batches, False)
        task.key = key
        task.first = first
        task.step = step
        task.slot0 = pointer(slot0, self.kind, self.plan.size, True)
        task.slot1 = pointer(slot1, self.kind, self.plan.size, True)
        task.decay = pointer(decay, self.kind, self.plan.size, False)
        task.norm = <double*>pointer(norm, "d", 1, True)
        if task.norm == NULL and self.plan.clip != 0:
            raise ValueError("a step that clips needs the mean of the norm")
        task.losses = <double*>pointer(losses, "d", task.batches, True)
        task.threads = threads
        self._call(kernels.train, &task)
        return task.done

    def loss_and_grad(
        self, object theta, object X, object weight, object mask, object grad, int threads
    ) -> float:
        """Return J over the rows as they lie and write its gradient."""
        cdef Task task = self.task(theta, X, weight, mask, False)
        cdef double J = 0
        task.grad = pointer(grad, self.kind, self.plan.size, True)
        task.losses = &J
        task.threads = threads
        self._call(kernels.train, &task)
        return J

    def loss(
        self, object theta, object X, object weight, object mask, uint64_t first, int threads
    ) -> tuple:
        """Return the sum of weight * loss over the rows, and the sum of the weights."""
        cdef Task task = self.task(theta, X, weight, mask, False)
        task.first = first
        cdef double[2] sums
        task.losses = sums
        task.threads = threads
        self._call(kernels.loss, &task)
        return sums[0], sums[1]

    cdef int _call(self, TrainKernel work, Task* task) except -1:
        cdef int status, size = bytes_of(self.kind)
        with nogil:
            status = work(&self.plan, task, size)
        if status:
            raise MemoryError("no memory for the workspace of the compiled engine")
        return 0

    def infer(
        self, object theta, object rows, object out, int64_t origin, int64_t to, int threads
    ) -> None:
        """Write H of node `to`, computed from the rows of node `origin`, into out."""
        cdef Inference task
        cdef int status, size = bytes_of(self.kind)
        if not 0 <= origin < to < self.plan.nodes:
            raise ValueError(f"no way from node {origin} to node {to}")
        task.n = len(rows)
        task.theta = pointer(theta, self.kind, self.plan.size, False)
        task.input = pointer(rows, self.kind, task.n * self.node[origin].width, False)
        task.output = pointer(out, self.kind, task.n * self.node[to].width, True)
        task.origin = origin
        task.to = to
        task.threads = threads
        with nogil:
            status = kernels.infer(&self.plan, &task, size)
        if status:
            raise MemoryError("no memory for the workspace of the compiled engine")

    def cells(
        self, object theta, object X, object mask, object low, object high, object factor,
        object out, object codes, int code, bint excess, int threads,
    ) -> None:
        """Write the loss of every cell into out, float64, and the codes, if not None."""
        cdef Scoring task
        cdef int64_t d = self.node[0].width
        cdef int status, size = bytes_of(self.kind)
        task.n = len(X)
        task.theta = pointer(theta, self.kind, self.plan.size, False)
        task.X = pointer(X, self.kind, task.n * d, False)
        task.mask = pointer(mask, self.kind, task.n * d, False)
        task.low = pointer(low, self.kind, d, False)
        task.high = pointer(high, self.kind, d, False)
        task.factor = <const double*>pointer(factor, "d", d, False)
        task.output = <double*>pointer(out, "d", task.n * d, True)
        task.code = code
        task.codes = pointer(codes, self.kind, task.n * self.node[code].width, True)
        task.excess = excess
        task.threads = threads
        with nogil:
            status = kernels.score(&self.plan, &task, size)
        if status:
            raise MemoryError("no memory for the workspace of the compiled engine")

    def corrupt(self, object X, object out, uint64_t key, uint64_t first) -> None:
        """Write x_tilde of every row into out; for tests."""
        cdef int64_t n = len(X), cells = n * self.node[0].width
        kernels.corrupt(&self.plan, pointer(X, self.kind, cells, False),
                        pointer(out, self.kind, cells, True), n, key, first,
                        bytes_of(self.kind))


def nearest(object X, object stored, object out, str kind) -> None:
    """Write the squared distance of rows X to the nearest stored row of each set.

    ``stored`` is (chunks, d, rows in each), in each chunk column by column.
    """
    cdef Nearest task
    cdef int size = bytes_of(kind)
    task.n, task.d = X.shape
    task.chunk, task.sets = stored.shape[2], out.shape[1]
    task.m = stored.shape[0] * task.chunk
    if task.chunk not in (16, 32, 64) or task.sets < 16 or task.chunk % task.sets:
        raise ValueError(f"{task.sets} sets of stored rows in chunks of {task.chunk}")
    task.X = pointer(X, kind, task.n * task.d, False)
    task.stored = pointer(stored, kind, task.d * task.m, False)
    task.output = <double*>pointer(out, "d", task.n * task.sets, True)
    with nogil:
        kernels.nearest(&task, size)


def evaluate(str function, object x, object y, str kind) -> None:
    """Write function(x) into y, element by element; for tests."""
    names = ("exp", "sigmoid", "tanh", "log1p", "silu", "log")
    cdef int64_t n = len(x)
    kernels.evaluate(names.index(function), pointer(x, kind, n, False),
                     pointer(y, kind, n, True), n, bytes_of(kind))
