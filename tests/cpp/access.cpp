// Who may do what (spec/bits-core.md 4.2), asked by programs of two users and of root at the system's service.
//
// access create              makes a job, prints its GUID
// access owner|other|root|after {GUID}
#include "../../examples/cpp/text.h"

#include <openbits/bits.h>

#include <cstdio>
#include <cstring>

static int failures = 0;
static void want(HRESULT wanted, HRESULT got, const char *what, int line) {
    if (wanted != got) {
        std::printf("line %d: %s gave 0x%08X, not 0x%08X\n", line, what, static_cast<unsigned>(got),
                    static_cast<unsigned>(wanted));
        failures++;
    }
}
#define WANT(code, call) want(code, call, #call, __LINE__)
#define CHECK(condition) want(S_OK, (condition) ? S_OK : E_FAIL, #condition, __LINE__)

static IBackgroundCopyManager *manager = nullptr;

static bool listed(DWORD flags, REFGUID id) {
    IEnumBackgroundCopyJobs *jobs = nullptr;
    IBackgroundCopyJob *job = nullptr;
    bool found = false;
    WANT(S_OK, manager->EnumJobs(flags, &jobs));
    while (jobs != nullptr && jobs->Next(1, &job, nullptr) == S_OK) {
        GUID one;
        found = found || (job->GetId(&one) == S_OK && one == id);
        job->Release();
    }
    if (jobs != nullptr) {
        jobs->Release();
    }
    return found;
}

static void create() {
    GUID id;
    WCHAR text[39];
    IBackgroundCopyJob *job = nullptr;
    WANT(S_OK, manager->CreateJob(OLESTR("access"), BG_JOB_TYPE_DOWNLOAD, &id, &job));
    IBackgroundCopyJobHttpOptions *options = nullptr;
    WANT(S_OK, job->QueryInterface(IID_PPV_ARGS(&options)));
    WANT(S_OK, options->SetCustomHeaders(OLESTR("X-Secret: 1\r\n")));
    options->Release();
    job->Release();
    StringFromGUID2(id, text, 39);
    std::printf("%s\n", narrow(text).c_str());
}

// An ordinary user: nothing of another's, and no rights of an administrator on his own.
static void refused(REFGUID id) {
    IBackgroundCopyJob *job = reinterpret_cast<IBackgroundCopyJob *>(0x5EED);
    IEnumBackgroundCopyJobs *jobs = reinterpret_cast<IEnumBackgroundCopyJobs *>(0x5EED);
    WANT(E_ACCESSDENIED, manager->GetJob(id, &job));
    CHECK(job == nullptr);
    WANT(E_ACCESSDENIED, manager->EnumJobs(BG_JOB_ENUM_ALL_USERS, &jobs));
    CHECK(jobs == nullptr);
    CHECK(!listed(0, id));
}

static IBackgroundCopyJob *get(REFGUID id) {
    IBackgroundCopyJob *job = nullptr;
    WANT(S_OK, manager->GetJob(id, &job));
    return job;
}

static void owner(REFGUID id) {
    IBackgroundCopyJob *job = get(id);
    CHECK(listed(0, id));
    WANT(E_ACCESSDENIED, job->TakeOwnership());
    WANT(S_OK, job->SetDescription(OLESTR("mine")));
    job->Release();
}

static void root(REFGUID id) {
    IBackgroundCopyJob *job = get(id);
    IBackgroundCopyJob2 *job2 = nullptr;
    IBackgroundCopyJobHttpOptions *options = nullptr;
    CHECK(!listed(0, id));
    CHECK(listed(BG_JOB_ENUM_ALL_USERS, id));
    WANT(S_OK, job->SetDescription(OLESTR("seen by root")));
    WANT(S_OK, job->QueryInterface(IID_PPV_ARGS(&job2)));
    WideText name = OLESTR("alice");
    BG_AUTH_CREDENTIALS it;
    std::memset(&it, 0, sizeof it);
    it.Target = BG_AUTH_TARGET_SERVER;
    it.Scheme = BG_AUTH_SCHEME_BASIC;
    it.Credentials.Basic.UserName = name.data();
    it.Credentials.Basic.Password = name.data();
    WANT(E_ACCESSDENIED, job2->SetCredentials(&it));
    WANT(E_ACCESSDENIED, job2->RemoveCredentials(BG_AUTH_TARGET_SERVER, BG_AUTH_SCHEME_BASIC));
    WANT(S_OK, job->QueryInterface(IID_PPV_ARGS(&options)));
    LPWSTR headers = nullptr;
    WANT(E_ACCESSDENIED, options->GetCustomHeaders(&headers));
    CHECK(headers == nullptr);
    LPWSTR before = nullptr, after = nullptr;
    WANT(S_OK, job->GetOwner(&before));
    WANT(S_OK, job->TakeOwnership());
    WANT(S_OK, job->GetOwner(&after));
    CHECK(!(WideText(before) == WideText(after)));
    CoTaskMemFree(before);
    CoTaskMemFree(after);
    // What the old owner confided is gone.
    WANT(S_FALSE, options->GetCustomHeaders(&headers));
    options->Release();
    job2->Release();
    job->Release();
}

int main(int argc, char **argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    GUID id = GUID_NULL;
    if (argc > 2 && FAILED(CLSIDFromString(wide(argv[2]).c_str(), &id))) {
        return 2;
    }
    HRESULT hr = CoCreateInstance(CLSID_BackgroundCopyManager, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager));
    if (FAILED(hr)) {
        std::printf("no manager: 0x%08X\n", static_cast<unsigned>(hr));
        return 1;
    }
    if (mode == "create") {
        create();
    } else if (mode == "owner") {
        owner(id);
    } else if (mode == "root") {
        root(id);
    } else {
        refused(id);
    }
    manager->Release();
    return failures == 0 ? 0 : 1;
}
