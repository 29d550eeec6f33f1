// What the programs that put load on the library share: failures, objects that notice calls after their death, a race in four threads.
#ifndef OPENBITS_TESTS_LOAD_H
#define OPENBITS_TESTS_LOAD_H

#include "objects.h"

#include <openbits/com.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <unistd.h>
#include <vector>

typedef std::chrono::steady_clock Clock;

static std::atomic<int> failures{0};
inline void failed(const char *what, HRESULT hr) {
    if (failures++ < 20) {
        std::printf("FAIL %s: 0x%08X\n", what, static_cast<unsigned>(hr));
    }
}
inline void must(const char *what, HRESULT hr) {
    if (hr != S_OK) {
        failed(what, hr);
    }
}

// The manager of a class; without one there is no test.
template <class M> M *connected(REFCLSID id) {
    M *manager = nullptr;
    const HRESULT hr = CoCreateInstance(id, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager));
    if (FAILED(hr)) {
        failed("CoCreateInstance", hr);
        std::exit(1);
    }
    return manager;
}

// Objects that live, calls of them, and those of which came after their death.
static std::atomic<int> objects{0}, calls{0}, after_death{0};

template <class I> class Living : public Counted<I> {
    std::atomic<unsigned> living{0xA11FE};

protected:
    // At the beginning of every call.
    void enter() {
        if (living != 0xA11FE) {
            after_death++;
        }
        calls++;
    }

public:
    Living() { objects++; }
    ~Living() override {
        living = 0xDEAD;
        objects--;
    }
};

// Runs `one` in four threads, each with a manager, until the time is over or something failed: with the number of the thread, that of the
// round, and a number by chance. In the end no object may be left. What a program of the test returns.
template <class M>
int race_in_threads(const char *what, REFCLSID id, int seconds, unsigned seed,
                    const std::function<void(M *, unsigned number, int round, unsigned draw)> &one) {
    const Clock::time_point end = Clock::now() + std::chrono::seconds(seconds);
    std::atomic<int> rounds{0};
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < 4; number++) {
        threads.emplace_back([&, number] {
            M *manager = connected<M>(id);
            unsigned draw = seed + number;
            for (int round = 0; Clock::now() < end && failures == 0; round++) {
                draw = draw * 1103515245u + 12345u;
                one(manager, number, round, draw >> 8);
                rounds++;
            }
            manager->Release();
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    for (int waited = 0; objects > 0 && waited < 100; waited++) {
        usleep(100 * 1000);
    }
    std::printf("%d %s, %d calls, %d objects left\n", rounds.load(), what, calls.load(), objects.load());
    if (after_death > 0 || objects != 0 || calls == 0) {
        failed("objects of the program", after_death);
    }
    return failures == 0 ? 0 : 1;
}

#endif
