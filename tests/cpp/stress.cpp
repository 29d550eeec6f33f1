// Load on the library: for AddressSanitizer, valgrind, and a service that is killed in the middle of calls.
//
// stress cycles NUMBER               create and cancel so many jobs; every pointer is released
// stress race URL FOLDER SECONDS     callbacks race Release, SetNotifyInterface(NULL), Cancel and Complete, in four threads; no object stays
// stress kill SECONDS                calls while somebody kills the service: clear codes, no hang, connected again
#include "../../examples/cpp/text.h"
#include "load.h"

#include <openbits/bits.h>

#include <string>

static IBackgroundCopyManager *connect() { return connected<IBackgroundCopyManager>(CLSID_BackgroundCopyManager); }

static int cycles(int number) {
    IBackgroundCopyManager *manager = connect();
    for (int i = 0; i < number && failures == 0; i++) {
        GUID id;
        IBackgroundCopyJob *job = nullptr, *again = nullptr;
        IBackgroundCopyJob5 *job5 = nullptr;
        IBackgroundCopyJobHttpOptions *options = nullptr;
        IEnumBackgroundCopyFiles *files = nullptr;
        IBackgroundCopyFile *file = nullptr;
        LPWSTR text = nullptr;
        must("CreateJob", manager->CreateJob(OLESTR("cycle"), BG_JOB_TYPE_DOWNLOAD, &id, &job));
        if (job == nullptr) {
            break;
        }
        must("QueryInterface", job->QueryInterface(IID_PPV_ARGS(&job5)));
        must("QueryInterface", job->QueryInterface(IID_PPV_ARGS(&options)));
        must("AddFile", job->AddFile(OLESTR("http://127.0.0.1:9/f"), OLESTR("/tmp/f")));
        must("SetCustomHeaders", options->SetCustomHeaders(OLESTR("X-A: b\r\n")));
        must("GetCustomHeaders", options->GetCustomHeaders(&text));
        CoTaskMemFree(text);
        must("GetDisplayName", job->GetDisplayName(&text));
        CoTaskMemFree(text);
        must("EnumFiles", job->EnumFiles(&files));
        must("Next", files->Next(1, &file, nullptr));
        must("GetRemoteName", file->GetRemoteName(&text));
        CoTaskMemFree(text);
        if (job5->SetPriority(static_cast<BG_JOB_PRIORITY>(9)) != E_NOTIMPL) {
            failed("SetPriority", S_OK);
        }
        must("GetJob", manager->GetJob(id, &again));
        must("Cancel", again->Cancel());
        file->Release();
        files->Release();
        again->Release();
        options->Release();
        job5->Release();
        job->Release();
    }
    manager->Release();
    return failures == 0 ? 0 : 1;
}

class Callback final : public Living<IBackgroundCopyCallback2> {
    HRESULT called(IBackgroundCopyJob *job, bool complete) {
        enter();
        BG_JOB_STATE state;
        job->GetState(&state);
        if (complete) {
            job->Complete();
        }
        return S_OK;
    }

public:
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has =
            riid == IID_IUnknown || riid == IID_IBackgroundCopyCallback || riid == IID_IBackgroundCopyCallback2;
        *object = has ? this : nullptr;
        return has ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    HRESULT JobTransferred(IBackgroundCopyJob *job) override { return called(job, true); }
    HRESULT JobError(IBackgroundCopyJob *job, IBackgroundCopyError *) override { return called(job, false); }
    HRESULT JobModification(IBackgroundCopyJob *job, DWORD) override { return called(job, false); }
    HRESULT FileTransferred(IBackgroundCopyJob *job, IBackgroundCopyFile *) override { return called(job, false); }
};

static void race_one(IBackgroundCopyManager *manager, const WideText &url, const WideText &local, unsigned draw) {
    GUID id;
    IBackgroundCopyJob *job = nullptr;
    must("CreateJob", manager->CreateJob(OLESTR("race"), BG_JOB_TYPE_DOWNLOAD, &id, &job));
    if (job == nullptr) {
        return;
    }
    Callback *callback = new Callback;
    must("AddFile", job->AddFile(url.c_str(), local.c_str()));
    must("SetPriority", job->SetPriority(BG_JOB_PRIORITY_FOREGROUND));
    must("SetNotifyFlags", job->SetNotifyFlags(0x1B));
    must("SetNotifyInterface", job->SetNotifyInterface(callback));
    callback->Release();
    must("Resume", job->Resume());
    usleep(draw % 97 * 400);
    if (draw % 3 == 0) {
        job->SetNotifyInterface(nullptr); // the callback may have completed the job by now
    }
    if (draw % 5 == 0) {
        Callback *other = new Callback;
        job->SetNotifyInterface(other);
        other->Release();
    }
    if (draw % 4 == 1) {
        job->Release(); // the job goes on; the callback completes it, or the next lines by its id
        job = nullptr;
        if (FAILED(manager->GetJob(id, &job))) {
            return;
        }
    }
    const HRESULT hr = draw % 2 == 0 ? job->Cancel() : job->Complete();
    if (FAILED(hr) && hr != BG_E_INVALID_STATE) { // the callback may have been faster
        failed("the end of a job", hr);
    }
    job->Release();
}

static int race(const char *url, const std::string &folder, int seconds) {
    const WideText remote = wide(url);
    return race_in_threads<IBackgroundCopyManager>(
        "jobs", CLSID_BackgroundCopyManager, seconds, 12345,
        [&](IBackgroundCopyManager *manager, unsigned number, int, unsigned draw) {
            race_one(manager, remote, wide((folder + "race" + std::to_string(number)).c_str()), draw);
        });
}

static int kill_test(int seconds) {
    const Clock::time_point end = Clock::now() + std::chrono::seconds(seconds);
    std::atomic<int> good{0}, bad{0};
    std::vector<std::thread> threads;
    IBackgroundCopyManager *manager = connect();
    for (int number = 0; number < 3; number++) {
        threads.emplace_back([&] {
            while (Clock::now() < end) {
                GUID id;
                IBackgroundCopyJob *job = nullptr;
                IEnumBackgroundCopyJobs *jobs = nullptr;
                const Clock::time_point start = Clock::now();
                HRESULT hr = manager->CreateJob(OLESTR("kill"), BG_JOB_TYPE_DOWNLOAD, &id, &job);
                if (SUCCEEDED(hr)) {
                    BG_JOB_STATE state;
                    hr = job->GetState(&state);
                    HRESULT last = job->Cancel();
                    // An answer that was lost may have been acted on.
                    hr = SUCCEEDED(hr) && last != BG_E_INVALID_STATE ? last : hr;
                    job->Release();
                } else if (job != nullptr) {
                    failed("out pointer after a failure", hr);
                }
                if (SUCCEEDED(hr)) {
                    hr = manager->EnumJobs(0, &jobs);
                    if (jobs != nullptr) {
                        jobs->Release();
                    }
                }
                const bool is_clear = hr == HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE) || hr == RPC_E_DISCONNECTED;
                if (SUCCEEDED(hr)) {
                    good++;
                } else if (is_clear) {
                    bad++;
                    usleep(10 * 1000);
                } else {
                    failed("unclear code", hr);
                }
                if (Clock::now() - start > std::chrono::seconds(60)) {
                    failed("a call hung", hr);
                }
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    // After all that the same objects work again.
    HRESULT hr = E_FAIL;
    for (int tries = 0; tries < 100; tries++) {
        IEnumBackgroundCopyJobs *jobs = nullptr;
        hr = manager->EnumJobs(0, &jobs);
        if (hr == S_OK) {
            jobs->Release();
            break;
        }
        usleep(100 * 1000);
    }
    must("EnumJobs in the end", hr);
    manager->Release();
    std::printf("%d rounds went through, %d met a dead service\n", good.load(), bad.load());
    return failures == 0 && good > 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "cycles" && argc == 3) {
        return cycles(std::atoi(argv[2]));
    }
    if (mode == "race" && argc == 5) {
        return race(argv[2], std::string(argv[3]) + "/", std::atoi(argv[4]));
    }
    if (mode == "kill" && argc == 3) {
        return kill_test(std::atoi(argv[2]));
    }
    std::fprintf(stderr, "usage: stress cycles NUMBER | race URL FOLDER SECONDS | kill SECONDS\n");
    return 2;
}
