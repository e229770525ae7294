// What does not depend on the instruction set: choosing it, and the threads of one call.
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "plan.hpp"

namespace xhat_base { extern const xhat::Kernels kernels; }
#ifdef XHAT_X86
namespace xhat_avx2 { extern const xhat::Kernels kernels; }
namespace xhat_avx512 { extern const xhat::Kernels kernels; }
#endif

namespace xhat {

const Kernels* choose_kernels(const char* at_most) {
#ifdef XHAT_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512bw");
    if (!std::strcmp(at_most, xhat_base::kernels.name)) return &xhat_base::kernels;
    if (avx512 && std::strcmp(at_most, xhat_avx2::kernels.name)) return &xhat_avx512::kernels;
    if (avx2) return &xhat_avx2::kernels;
#else
    (void)at_most;
#endif
    return &xhat_base::kernels;
}

// Threads are started here and joined before return, so that none is alive across a fork. Nobody
// works before all are there: work waits for every thread that it was promised.
int run_threads(int threads, void (*work)(void*, int), void* context) {
    enum { WAIT, GO, LEAVE };
    std::atomic<int> word{WAIT};
    std::vector<std::thread> team;
    bool complete = true;
    try {
        team.reserve(std::size_t(threads));
        for (int i = 1; i < threads; i++)
            team.emplace_back([&word, work, context, i] {
                while (word.load(std::memory_order_acquire) == WAIT) std::this_thread::yield();
                if (word.load(std::memory_order_acquire) == GO) work(context, i);
            });
    } catch (...) {  // the system has no thread or no memory left
        complete = false;
    }
    word.store(complete ? GO : LEAVE, std::memory_order_release);
    if (complete) work(context, 0);
    for (auto& member : team) member.join();
    return complete ? 0 : 1;
}

// Spins a little, then gives the core away: the other thread may be waiting for it.
void wait_while(const int* phase, int value) {
    for (int spin = 0; __atomic_load_n(phase, __ATOMIC_ACQUIRE) == value; spin++) {
        if (spin < 4000) {
#ifdef XHAT_X86
            __builtin_ia32_pause();
#endif
        } else {
            std::this_thread::yield();
        }
    }
}

}  // namespace xhat
