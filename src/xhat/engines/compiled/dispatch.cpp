// What does not depend on the instruction set: choosing it, and the threads of one call.
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

// Threads are started here and joined before return, so that none is alive across a fork.
void run_threads(int threads, void (*work)(void*, int), void* context) {
    std::vector<std::thread> team;
    for (int i = 1; i < threads; i++) team.emplace_back(work, context, i);
    work(context, 0);
    for (auto& member : team) member.join();
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
