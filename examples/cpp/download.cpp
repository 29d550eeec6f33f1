// Downloads one file and is told by a callback when it is there.
//
// download URL FILE
#include "text.h"

#include <openbits/bits.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>

// What the service calls. Callbacks come on a thread of the library; none of them may throw.
class Watcher final : public IBackgroundCopyCallback {
    std::atomic<ULONG> references{1};
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    HRESULT result = E_FAIL;

public:
    virtual ~Watcher() = default; // behind the slots of the interface, which is allowed

    HRESULT QueryInterface(REFIID riid, void **object) override {
        if (riid == __uuidof(IUnknown) || riid == __uuidof(IBackgroundCopyCallback)) {
            *object = static_cast<IBackgroundCopyCallback *>(this);
            AddRef();
            return S_OK;
        }
        *object = nullptr;
        return E_NOINTERFACE;
    }
    ULONG AddRef() override { return ++references; }
    ULONG Release() override {
        const ULONG left = --references;
        if (left == 0) {
            delete this;
        }
        return left;
    }

    // The usual pattern: Complete from within the callback. Other answers than S_OK mean "tell me again".
    HRESULT JobTransferred(IBackgroundCopyJob *job) override {
        finish(job->Complete());
        return S_OK;
    }
    HRESULT JobError(IBackgroundCopyJob *job, IBackgroundCopyError *error) override {
        BG_ERROR_CONTEXT context;
        HRESULT code = E_FAIL;
        LPWSTR text = nullptr;
        error->GetError(&context, &code);
        if (SUCCEEDED(error->GetErrorDescription(0x0409, &text))) {
            std::fprintf(stderr, "%s\n", taken(text).c_str());
        }
        job->Cancel();
        finish(code);
        return S_OK;
    }
    HRESULT JobModification(IBackgroundCopyJob *job, DWORD) override {
        BG_JOB_PROGRESS progress;
        if (SUCCEEDED(job->GetProgress(&progress)) && progress.BytesTotal != BG_SIZE_UNKNOWN) {
            std::printf("%llu of %llu bytes\n", progress.BytesTransferred, progress.BytesTotal);
        }
        return S_OK;
    }

    HRESULT wait() {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return done; });
        return result;
    }

private:
    void finish(HRESULT hr) {
        std::lock_guard<std::mutex> lock(mutex);
        done = true;
        result = hr;
        changed.notify_all();
    }
};

static HRESULT download(IBackgroundCopyManager *manager, LPCWSTR url, LPCWSTR file) {
    GUID id;
    IBackgroundCopyJob *job = nullptr;
    HRESULT hr = manager->CreateJob(OLESTR("download"), BG_JOB_TYPE_DOWNLOAD, &id, &job);
    if (FAILED(hr)) {
        return hr;
    }
    Watcher *watcher = new Watcher;
    hr = job->AddFile(url, file);
    if (SUCCEEDED(hr)) {
        hr = job->SetNotifyInterface(watcher);
    }
    if (SUCCEEDED(hr)) {
        hr = job->SetNotifyFlags(BG_NOTIFY_JOB_TRANSFERRED | BG_NOTIFY_JOB_ERROR | BG_NOTIFY_JOB_MODIFICATION);
    }
    if (SUCCEEDED(hr)) {
        hr = job->SetPriority(BG_JOB_PRIORITY_FOREGROUND);
    }
    if (SUCCEEDED(hr)) {
        hr = job->Resume();
    }
    if (SUCCEEDED(hr)) {
        hr = watcher->wait();
    } else {
        job->Cancel();
    }
    job->Release();
    watcher->Release();
    return hr;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: download URL FILE\n");
        return 2;
    }
    IBackgroundCopyManager *manager = nullptr;
    HRESULT hr = CoInitializeEx(nullptr, COINIT_MULTITHREADED);
    if (SUCCEEDED(hr)) {
        hr = CoCreateInstance(CLSID_BackgroundCopyManager, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager));
    }
    if (SUCCEEDED(hr)) {
        hr = download(manager, wide(argv[1]).c_str(), full_path(argv[2]).c_str());
        manager->Release();
    }
    CoUninitialize();
    if (FAILED(hr)) {
        std::fprintf(stderr, "0x%08X\n", static_cast<unsigned>(hr));
    }
    return hr == S_OK ? 0 : 1;
}
