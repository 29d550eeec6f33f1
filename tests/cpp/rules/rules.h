// Support of the rules program: rows "this call gives this code", what was called, helpers.
#ifndef OPENBITS_TESTS_RULES_H
#define OPENBITS_TESTS_RULES_H

#include "../../../examples/cpp/text.h"

#include <openbits/bits.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

// ---- rows ----

extern int rows, failures;
// Says what every call gave; the runner compares it with the codes that the tables of the specification allow.
HRESULT noted(const char *method, const char *arguments, HRESULT hr, int line);
void want(HRESULT wanted, const char *method, const char *arguments, HRESULT got, int line);
void want_null_refused(const char *method, const char *arguments, HRESULT got, int line);
void check(bool good, const char *what, int line);

// WANT(code, interface, pointer, Method, (arguments));
#define WANT(code, I, p, method, arguments) WANT_NAMED(code, I, p, method, arguments)
#define WANT_NAMED(code, I, p, method, arguments) want(code, #I "::" #method, #arguments, (p)->method arguments, __LINE__)
// For calls that only have to succeed on the way.
#define MUST(I, p, method, arguments) WANT(S_OK, I, p, method, arguments)
// A NULL where a pointer must be: section 4.4 allows two codes.
#define NULL_REFUSED(I, p, method, arguments) NULL_REFUSED_NAMED(I, p, method, arguments)
#define NULL_REFUSED_NAMED(I, p, method, arguments)                                                                    \
    want_null_refused(#I "::" #method, #arguments, (p)->method arguments, __LINE__)
#define CHECK(condition) check((condition), #condition, __LINE__)

// ---- the place of the test ----

extern std::string origin;  // base URL with a slash at the end: small, big, slow, busy, forbidden; nothing else is there
extern std::string folder;  // full path with a slash at the end
extern std::string uploads; // base URL of an upload server with an application that answers "well received", or empty

inline WideText url(const char *name) { return wide((origin + name).c_str()); }
inline WideText path(const char *name) { return wide((folder + name).c_str()); }
WideText repeated(WCHAR unit, size_t count);

// ---- pointers ----

template <class T> class Held {
    T *pointer;

public:
    Held(T *from = nullptr) : pointer(from) {}
    Held(const Held &) = delete;
    Held &operator=(const Held &) = delete;
    Held(Held &&other) noexcept : pointer(other.pointer) { other.pointer = nullptr; }
    ~Held() { reset(); }
    void reset() {
        if (pointer != nullptr) {
            pointer->Release();
            pointer = nullptr;
        }
    }
    T **out() {
        reset();
        return &pointer;
    }
    T *get() const { return pointer; }
    T *operator->() const {
        if (pointer == nullptr) {
            std::printf("FAIL: a pointer that the rest of the case needs is NULL\n");
            std::exit(1);
        }
        return pointer;
    }
};

template <class Q, class T> Held<Q> as(T *pointer) {
    Q *out = nullptr;
    pointer->QueryInterface(&out);
    CHECK(out != nullptr);
    return Held<Q>(out);
}

IBackgroundCopyManager *the_manager();

// A new job, cancelled at the end of the case if it is not final.
class Job {
    Held<IBackgroundCopyJob> job;

public:
    GUID id;
    explicit Job(BG_JOB_TYPE type = BG_JOB_TYPE_DOWNLOAD);
    Job(const Job &) = delete;
    Job &operator=(const Job &) = delete;
    ~Job();
    IBackgroundCopyJob *get() const { return job.get(); }
    IBackgroundCopyJob *operator->() const { return job.get(); }
    BG_JOB_STATE state() const;
    // Waits at most 30 s for the state; false if another final or error state came instead.
    bool until(BG_JOB_STATE wanted) const;
    HRESULT error(BG_ERROR_CONTEXT *context = nullptr) const;
    Held<IBackgroundCopyFile> file(ULONG index = 0) const;
};

std::string content_of(const std::string &path);
bool exists(const std::string &path);
// Asks every 20 ms for at most so many milliseconds.
bool soon(unsigned milliseconds, const std::function<bool()> &condition);

// ---- cases ----

struct Case {
    const char *name;
    void (*run)();
};
extern std::vector<Case> &cases();
struct Registered {
    Registered(const char *name, void (*run)()) { cases().push_back({name, run}); }
};
#define CASE(name)                                                                                                     \
    static void case_##name();                                                                                         \
    static Registered registered_##name(#name, case_##name);                                                           \
    static void case_##name()

#endif
