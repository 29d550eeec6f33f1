// Lists the caller's jobs with their files; with --all the jobs of everybody, which is root's.
//
// list_jobs [--all]
#include "text.h"

#include <openbits/bits.h>

#include <cstdio>
#include <cstring>

static const char *const STATES[] = {"QUEUED",          "CONNECTING",  "TRANSFERRING", "SUSPENDED", "ERROR",
                                     "TRANSIENT_ERROR", "TRANSFERRED", "ACKNOWLEDGED", "CANCELLED"};

static void print_files(IBackgroundCopyJob *job) {
    IEnumBackgroundCopyFiles *files = nullptr;
    if (FAILED(job->EnumFiles(&files))) {
        return;
    }
    IBackgroundCopyFile *file = nullptr;
    while (files->Next(1, &file, nullptr) == S_OK) {
        LPWSTR remote = nullptr, local = nullptr;
        BG_FILE_PROGRESS progress;
        if (SUCCEEDED(file->GetRemoteName(&remote)) && SUCCEEDED(file->GetLocalName(&local)) &&
            SUCCEEDED(file->GetProgress(&progress))) {
            std::printf("    %llu bytes  %s -> ", progress.BytesTransferred, taken(remote).c_str());
            std::printf("%s\n", taken(local).c_str());
        }
        file->Release();
    }
    files->Release();
}

static void print_job(IBackgroundCopyJob *job) {
    GUID id;
    BG_JOB_STATE state;
    LPWSTR name = nullptr;
    WCHAR text[39];
    if (SUCCEEDED(job->GetId(&id)) && SUCCEEDED(job->GetState(&state)) && SUCCEEDED(job->GetDisplayName(&name))) {
        StringFromGUID2(id, text, 39);
        std::printf("%s %s %s\n", narrow(text).c_str(), STATES[state], taken(name).c_str());
        print_files(job);
    }
}

int main(int argc, char **argv) {
    const DWORD flags = argc > 1 && std::strcmp(argv[1], "--all") == 0 ? BG_JOB_ENUM_ALL_USERS : 0;
    IBackgroundCopyManager *manager = nullptr;
    IEnumBackgroundCopyJobs *jobs = nullptr;
    HRESULT hr = CoCreateInstance(CLSID_BackgroundCopyManager, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager));
    if (SUCCEEDED(hr)) {
        hr = manager->EnumJobs(flags, &jobs);
        manager->Release();
    }
    if (FAILED(hr)) {
        std::fprintf(stderr, "0x%08X\n", static_cast<unsigned>(hr));
        return 1;
    }
    ULONG count = 0;
    jobs->GetCount(&count);
    std::printf("%u jobs\n", count);
    // Several at a time; fewer than asked for mean the end.
    IBackgroundCopyJob *some[10];
    ULONG fetched = 0;
    do {
        hr = jobs->Next(10, some, &fetched);
        for (ULONG i = 0; SUCCEEDED(hr) && i < fetched; i++) {
            print_job(some[i]);
            some[i]->Release();
        }
    } while (hr == S_OK);
    jobs->Release();
    return SUCCEEDED(hr) ? 0 : 1;
}
