// Downloads a file by Delivery Optimization, or ranges of it through a stream of the program: the calls in the order in which the open
// SDK makes them.
//
// delivery URL FILE                        the whole file, with a callback
// delivery URL - OFFSET:LENGTH ...         the ranges one after the other to the standard output; LENGTH may be "end"
// delivery                                 lists this user's downloads
#include "text.h"

#include <openbits/deliveryoptimization.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

// What both objects of this program share: counted references, one interface.
template <class I> class Counted : public I {
    std::atomic<ULONG> references{1};

public:
    virtual ~Counted() = default;
    ULONG AddRef() override { return ++references; }
    ULONG Release() override {
        const ULONG left = --references;
        if (left == 0) {
            delete this;
        }
        return left;
    }
};

// Called on a thread of the library at every change of state, and every second in between. May call the download.
class Watcher final : public Counted<IDODownloadStatusCallback> {
    std::mutex mutex;
    std::condition_variable changed;
    DO_DOWNLOAD_STATUS last = {};

public:
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has = riid == __uuidof(IUnknown) || riid == __uuidof(IDODownloadStatusCallback);
        *object = has ? this : nullptr;
        return has ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    HRESULT OnStatusChange(IDODownload *, const DO_DOWNLOAD_STATUS *status) override {
        std::fprintf(stderr, "%llu of %llu bytes\n", status->BytesTransferred, status->BytesTotal);
        std::lock_guard<std::mutex> lock(mutex);
        last = *status;
        changed.notify_all();
        return S_OK;
    }
    // Until all is there, or cannot come. A pause with ExtendedError alone ends by itself.
    DO_DOWNLOAD_STATUS wait() {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return last.State == DODownloadState_Transferred || FAILED(last.Error); });
        return last;
    }
};

// Takes the bytes. The object must be an IStream, but only Write is called.
class Output final : public Counted<IStream> {
public:
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has =
            riid == __uuidof(IUnknown) || riid == __uuidof(ISequentialStream) || riid == __uuidof(IStream);
        *object = has ? this : nullptr;
        return has ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    HRESULT Write(const void *data, ULONG length, ULONG *written) override {
        const size_t done = std::fwrite(data, 1, length, stdout);
        if (written != nullptr) {
            *written = static_cast<ULONG>(done);
        }
        return done == length ? S_OK : STG_E_WRITEFAULT;
    }
    HRESULT Read(void *, ULONG, ULONG *) override { return E_NOTIMPL; }
    HRESULT Seek(LARGE_INTEGER, DWORD, ULARGE_INTEGER *) override { return E_NOTIMPL; }
    HRESULT SetSize(ULARGE_INTEGER) override { return E_NOTIMPL; }
    HRESULT CopyTo(IStream *, ULARGE_INTEGER, ULARGE_INTEGER *, ULARGE_INTEGER *) override { return E_NOTIMPL; }
    HRESULT Commit(DWORD) override { return E_NOTIMPL; }
    HRESULT Revert() override { return E_NOTIMPL; }
    HRESULT LockRegion(ULARGE_INTEGER, ULARGE_INTEGER, DWORD) override { return E_NOTIMPL; }
    HRESULT UnlockRegion(ULARGE_INTEGER, ULARGE_INTEGER, DWORD) override { return E_NOTIMPL; }
    HRESULT Stat(STATSTG *, DWORD) override { return E_NOTIMPL; }
    HRESULT Clone(IStream **) override { return E_NOTIMPL; }
};

// The first failure ends the program, which aborts its download.
class Failure {
public:
    const char *what;
    HRESULT hr;
};
static void must(const char *what, HRESULT hr) {
    if (FAILED(hr)) {
        throw Failure{what, hr};
    }
}

template <class T> class Pointer {
    T *p;

public:
    explicit Pointer(T *made = nullptr) : p(made) {}
    Pointer(const Pointer &) = delete;
    Pointer &operator=(const Pointer &) = delete;
    ~Pointer() {
        if (p != nullptr) {
            p->Release();
        }
    }
    T **operator&() { return &p; }
    T *operator->() const { return p; }
    operator T *() const { return p; }
};

static void blanket(IDODownload *download) {
    must("CoSetProxyBlanket",
         CoSetProxyBlanket(download, RPC_C_AUTHN_DEFAULT, RPC_C_AUTHZ_NONE, COLE_DEFAULT_PRINCIPAL, RPC_C_AUTHN_LEVEL_DEFAULT,
                           RPC_C_IMP_LEVEL_IMPERSONATE, nullptr, EOAC_STATIC_CLOAKING));
}
static void set_text(IDODownload *download, DODownloadProperty id, LPCWSTR text) {
    VARIANT value;
    VariantInit(&value);
    V_VT(&value) = VT_BSTR;
    V_BSTR(&value) = SysAllocString(text);
    const HRESULT hr = download->SetProperty(id, &value);
    VariantClear(&value);
    must("SetProperty", hr);
}
static void set_truth(IDODownload *download, DODownloadProperty id, bool truth) {
    VARIANT value;
    VariantInit(&value);
    V_VT(&value) = VT_BOOL;
    V_BOOL(&value) = truth ? VARIANT_TRUE : VARIANT_FALSE;
    must("SetProperty", download->SetProperty(id, &value));
}
static void set_object(IDODownload *download, DODownloadProperty id, IUnknown *object) {
    VARIANT value; // borrows the object; not cleared
    VariantInit(&value);
    V_VT(&value) = VT_UNKNOWN;
    V_UNKNOWN(&value) = object;
    must("SetProperty", download->SetProperty(id, &value));
}
static std::string text_of(IDODownload *download, DODownloadProperty id) {
    VARIANT value;
    VariantInit(&value);
    const HRESULT hr = download->GetProperty(id, &value);
    std::string text = SUCCEEDED(hr) && V_VT(&value) == VT_BSTR ? narrow(V_BSTR(&value)) : "";
    VariantClear(&value);
    if (hr != E_NOT_SET) {
        must("GetProperty", hr);
    }
    return text;
}

// DO_DOWNLOAD_RANGES_INFO ends with as many ranges as it says.
static void start(IDODownload *download, const std::vector<DO_DOWNLOAD_RANGE> &ranges) {
    const size_t size = sizeof(DO_DOWNLOAD_RANGES_INFO) + ranges.size() * sizeof(DO_DOWNLOAD_RANGE);
    DO_DOWNLOAD_RANGES_INFO *info = static_cast<DO_DOWNLOAD_RANGES_INFO *>(std::calloc(1, size));
    if (info == nullptr) {
        throw Failure{"calloc", E_OUTOFMEMORY};
    }
    info->RangeCount = static_cast<UINT>(ranges.size());
    if (!ranges.empty()) {
        std::memcpy(info->Ranges, ranges.data(), ranges.size() * sizeof ranges[0]);
    }
    const HRESULT hr = download->Start(info);
    std::free(info);
    must("Start", hr);
}

static std::vector<DO_DOWNLOAD_RANGE> parse(char **texts) {
    std::vector<DO_DOWNLOAD_RANGE> ranges;
    for (; *texts != nullptr; texts++) {
        char *rest = nullptr;
        DO_DOWNLOAD_RANGE range = {std::strtoull(*texts, &rest, 10), DO_LENGTH_TO_EOF};
        if (*rest == ':' && std::strcmp(rest, ":end") != 0) {
            range.Length = std::strtoull(rest + 1, nullptr, 10);
        }
        ranges.push_back(range);
    }
    return ranges;
}

static void fetch(IDOManager *manager, LPCWSTR url, const char *file, std::vector<DO_DOWNLOAD_RANGE> ranges) {
    Pointer<IDODownload> download;
    Pointer<Watcher> watcher(new Watcher);
    Pointer<Output> output(new Output);
    must("CreateDownload", manager->CreateDownload(&download));
    try {
        blanket(download);
        set_text(download, DODownloadProperty_Uri, url);
        if (file[0] != '-') {
            set_text(download, DODownloadProperty_LocalPath, full_path(file).c_str());
        }
        set_text(download, DODownloadProperty_DisplayName, OLESTR("example"));
        set_truth(download, DODownloadProperty_ForegroundPriority, true);
        set_object(download, DODownloadProperty_CallbackInterface, watcher);
        if (file[0] == '-') {
            set_object(download, DODownloadProperty_StreamInterface, output);
            if (ranges.empty()) {
                ranges.push_back({0, DO_LENGTH_TO_EOF}); // a stream needs ranges
            }
        }
        start(download, ranges);
        const DO_DOWNLOAD_STATUS told = watcher->wait();
        DO_DOWNLOAD_STATUS now;
        must("the transfer", told.Error);
        must("GetStatus", download->GetStatus(&now));
        std::fprintf(stderr, "%s has %llu bytes\n", text_of(download, DODownloadProperty_Id).c_str(), now.BytesTransferred);
        must("Finalize", download->Finalize());
    } catch (const Failure &) {
        download->Abort();
        throw;
    }
}

static void list(IDOManager *manager) {
    Pointer<IEnumUnknown> downloads;
    const HRESULT hr = manager->EnumDownloads(nullptr, &downloads);
    if (hr == DO_E_NO_DOWNLOADS) {
        std::printf("no downloads\n");
        return;
    }
    must("EnumDownloads", hr);
    for (;;) {
        Pointer<IUnknown> unknown;
        Pointer<IDODownload> download;
        ULONG fetched = 0;
        must("Next", downloads->Next(1, &unknown, &fetched));
        if (fetched == 0) {
            return;
        }
        must("QueryInterface", unknown->QueryInterface(IID_PPV_ARGS(&download)));
        blanket(download);
        DO_DOWNLOAD_STATUS status;
        must("GetStatus", download->GetStatus(&status));
        std::printf("%s %d %s\n", text_of(download, DODownloadProperty_Id).c_str(), status.State,
                    text_of(download, DODownloadProperty_Uri).c_str());
    }
}

int main(int argc, char **argv) {
    if (argc == 2) {
        std::fprintf(stderr, "usage: delivery [URL FILE | URL - OFFSET:LENGTH ...]\n");
        return 2;
    }
    try {
        Pointer<IDOManager> manager;
        must("CoInitializeEx", CoInitializeEx(nullptr, COINIT_MULTITHREADED));
        must("CoCreateInstance",
             CoCreateInstance(__uuidof(DeliveryOptimization), nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager)));
        if (argc == 1) {
            list(manager);
        } else {
            fetch(manager, wide(argv[1]).c_str(), argv[2], parse(argv + 3));
        }
    } catch (const Failure &failure) {
        std::fprintf(stderr, "%s: 0x%08X\n", failure.what, static_cast<unsigned>(failure.hr));
        return 1;
    }
    CoUninitialize();
    return 0;
}
