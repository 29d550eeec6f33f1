// Every row "call -> code" of the specification through the vtables, against a running service.
//
// rules ORIGIN FOLDER UPLOADS [CASE]     UPLOADS may be "-"
#include "rules.h"

#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

int rows = 0, failures = 0;
std::string origin, folder, uploads;
static const char *current = "";

std::vector<Case> &cases() {
    static std::vector<Case> all;
    return all;
}

HRESULT noted(const char *method, const char *arguments, HRESULT hr, int line) {
    std::printf("CALL %s 0x%08X %d %s\n", method, static_cast<unsigned>(hr), line, arguments);
    return hr;
}
static void failed(const char *method, const char *arguments, HRESULT got, const char *wanted, int line) {
    std::printf("FAIL %s line %d: %s%s gave 0x%08X, not %s\n", current, line, method, arguments,
                static_cast<unsigned>(got), wanted);
    failures++;
}
void want(HRESULT wanted, const char *method, const char *arguments, HRESULT got, int line) {
    rows++;
    noted(method, arguments, got, line);
    if (got != wanted) {
        char text[16];
        std::snprintf(text, sizeof text, "0x%08X", static_cast<unsigned>(wanted));
        failed(method, arguments, got, text, line);
    }
}
void want_null_refused(const char *method, const char *arguments, HRESULT got, int line) {
    rows++;
    // Not noted: these codes are the transport's, and no method's table has to list them. Pages of Delivery Optimization name none.
    const bool is_delivery = std::strncmp(method, "IDO", 3) == 0 || std::strncmp(method, "IDelivery", 9) == 0 ||
                             std::strncmp(method, "IEnumUnknown", 12) == 0;
    if (got != E_INVALIDARG && got != HRESULT_FROM_WIN32(RPC_X_NULL_REF_POINTER) && !(is_delivery && got == E_POINTER)) {
        failed(method, arguments, got, "E_INVALIDARG or RPC_X_NULL_REF_POINTER", line);
    }
}
void check(bool good, const char *what, int line) {
    rows++;
    if (!good) {
        std::printf("FAIL %s line %d: %s\n", current, line, what);
        failures++;
    }
}

WideText repeated(WCHAR unit, size_t count) { return WideText(count, unit); }

IBackgroundCopyManager *the_manager() {
    static IBackgroundCopyManager *manager = nullptr;
    if (manager == nullptr) {
        HRESULT hr = CoCreateInstance(CLSID_BackgroundCopyManager, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager));
        if (FAILED(hr)) {
            std::printf("FAIL: no manager: 0x%08X\n", static_cast<unsigned>(hr));
            std::exit(1);
        }
    }
    return manager;
}

Job::Job(BG_JOB_TYPE type) {
    HRESULT hr = the_manager()->CreateJob(OLESTR("rules"), type, &id, job.out());
    if (FAILED(hr)) {
        std::printf("FAIL %s: no job: 0x%08X\n", current, static_cast<unsigned>(hr));
        std::exit(1);
    }
}
Job::~Job() { job->Cancel(); }
BG_JOB_STATE Job::state() const {
    BG_JOB_STATE state = static_cast<BG_JOB_STATE>(-1);
    CHECK(job->GetState(&state) == S_OK);
    return state;
}
bool Job::until(BG_JOB_STATE wanted) const {
    BG_JOB_STATE last = wanted;
    soon(30000, [&] {
        last = state();
        return last == wanted || last >= BG_JOB_STATE_TRANSFERRED || last == BG_JOB_STATE_ERROR;
    });
    if (last != wanted) {
        std::printf("FAIL %s: state %d instead of %d, error 0x%08X\n", current, last, wanted,
                    static_cast<unsigned>(error()));
        failures++;
    }
    return last == wanted;
}
HRESULT Job::error(BG_ERROR_CONTEXT *context) const {
    Held<IBackgroundCopyError> record;
    HRESULT hr = job->GetError(record.out());
    if (FAILED(hr)) {
        return hr;
    }
    BG_ERROR_CONTEXT where = BG_ERROR_CONTEXT_NONE;
    HRESULT code = S_OK;
    CHECK(record->GetError(&where, &code) == S_OK);
    if (context != nullptr) {
        *context = where;
    }
    return code;
}
Held<IBackgroundCopyFile> Job::file(ULONG index) const {
    Held<IEnumBackgroundCopyFiles> files;
    IBackgroundCopyFile *found = nullptr;
    CHECK(job->EnumFiles(files.out()) == S_OK);
    if (index > 0) {
        CHECK(files->Skip(index) == S_OK);
    }
    CHECK(files->Next(1, &found, nullptr) == S_OK);
    return Held<IBackgroundCopyFile>(found);
}

std::string content_of(const std::string &path) {
    std::string out;
    FILE *file = std::fopen(path.c_str(), "rb");
    if (file != nullptr) {
        char buffer[4096];
        for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, file)) > 0;) {
            out.append(buffer, got);
        }
        std::fclose(file);
    }
    return out;
}
bool exists(const std::string &path) {
    struct stat about;
    return stat(path.c_str(), &about) == 0;
}
bool soon(unsigned milliseconds, const std::function<bool()> &condition) {
    for (unsigned waited = 0; waited < milliseconds; waited += 20) {
        if (condition()) {
            return true;
        }
        usleep(20 * 1000);
    }
    return condition();
}

int main(int argc, char **argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: rules ORIGIN FOLDER UPLOADS [CASE]\n");
        return 2;
    }
    setvbuf(stdout, nullptr, _IOLBF, 0);
    origin = argv[1];
    folder = argv[2];
    uploads = std::strcmp(argv[3], "-") == 0 ? "" : argv[3];
    for (const Case &one : cases()) {
        if (argc > 4 && std::strcmp(argv[4], one.name) != 0) {
            continue;
        }
        current = one.name;
        const int before = failures;
        one.run();
        std::printf("%s %s\n", failures == before ? "ok" : "NOT OK", one.name);
    }
    the_manager()->Release();
    std::printf("%d rows, %d failures\n", rows, failures);
    return failures == 0 ? 0 : 1;
}
