// Load on the downloads of IDOManager, for AddressSanitizer: callbacks and streams race Start, Pause, Abort, Finalize and Release, in four
// threads; no object stays.
//
// stress_downloads URL FOLDER SECONDS
#include "../../examples/cpp/text.h"
#include "load.h"

#include <openbits/deliveryoptimization.h>

#include <memory>
#include <string>

// Calls that told a state before the end after the end was told by Abort.
static std::atomic<int> late{0};
// So many may be, of threads that were just entering them (docs/decisions/0028).
static const int LATE_MAX = 5;

// What all callbacks of one download share.
struct Download {
    std::atomic<int> inside{0};
    std::atomic<bool> is_over{false};
};

// Calls the download from inside, as `draw` wants it.
class StatusCallback final : public Living<IDODownloadStatusCallback> {
    const unsigned draw;
    const std::shared_ptr<Download> shared;

public:
    StatusCallback(unsigned draw, const std::shared_ptr<Download> &shared) : draw(draw), shared(shared) {}
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has = riid == IID_IUnknown || riid == IID_IDODownloadStatusCallback;
        *object = has ? this : nullptr;
        return has ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    HRESULT OnStatusChange(IDODownload *download, const DO_DOWNLOAD_STATUS *status) override {
        const bool was_over = shared->is_over;
        enter();
        if (++shared->inside > 1) {
            failed("two calls for one download at a time", E_UNEXPECTED);
        }
        if (was_over && status->State != DODownloadState_Finalized && status->State != DODownloadState_Aborted) {
            late++;
        }
        DO_DOWNLOAD_STATUS now;
        must("GetStatus", download->GetStatus(&now));
        if (status->State == DODownloadState_Transferring && draw % 7 == 0) {
            download->Pause(); // it may be over by now
        }
        if (status->State == DODownloadState_Transferred && draw % 3 != 0) {
            download->Finalize();
        }
        if (draw % 11 == 0) {
            usleep(2000);
        }
        shared->inside--;
        return draw % 2 == 0 ? S_OK : E_FAIL;
    }
};

class Stream final : public WriteOnly<Living<IStream>> {
    const bool is_good;
    const useconds_t pause;

public:
    Stream(bool good, useconds_t pause) : is_good(good), pause(pause) {}
    HRESULT Write(const void *data, ULONG length, ULONG *written) override {
        enter();
        unsigned sum = 0;
        for (ULONG i = 0; i < length; i++) { // every byte is there
            sum += static_cast<const unsigned char *>(data)[i];
        }
        usleep(pause);
        *written = is_good ? length : 0;
        return is_good ? S_OK : sum == 0 ? E_FAIL : STG_E_MEDIUMFULL;
    }
};

static HRESULT set(IDODownload *download, DODownloadProperty id, VARTYPE type, IUnknown *object, LPCWSTR text) {
    VARIANT value, back;
    VariantInit(&value);
    VariantInit(&back);
    V_VT(&value) = type;
    if (type == VT_BSTR) {
        V_BSTR(&value) = SysAllocString(text);
    } else if (type == VT_UNKNOWN) {
        V_UNKNOWN(&value) = object;
        if (object != nullptr) {
            object->AddRef();
        }
    } else {
        V_BOOL(&value) = VARIANT_TRUE;
    }
    const HRESULT hr = download->SetProperty(id, &value);
    download->GetProperty(id, &back);
    VariantClear(&value);
    VariantClear(&back);
    return hr;
}

// A call that may come after the end.
static void may_be_late(const char *what, HRESULT hr) {
    if (FAILED(hr) && hr != DO_E_INVALID_STATE) {
        failed(what, hr);
    }
}

static void download_one(IDOManager *manager, const WideText &url, const WideText &local, unsigned draw) {
    IDODownload *download = nullptr;
    must("CreateDownload", manager->CreateDownload(&download));
    if (download == nullptr) {
        return;
    }
    const std::shared_ptr<Download> shared = std::make_shared<Download>();
    StatusCallback *callback = new StatusCallback(draw, shared);
    must("Uri", set(download, DODownloadProperty_Uri, VT_BSTR, nullptr, url.c_str()));
    must("ForegroundPriority", set(download, DODownloadProperty_ForegroundPriority, VT_BOOL, nullptr, nullptr));
    const bool is_stream = draw % 5 == 0;
    if (is_stream) {
        Stream *stream = new Stream(draw % 10 != 0, draw % 15 == 0 ? 5000 : 0);
        must("StreamInterface", set(download, DODownloadProperty_StreamInterface, VT_UNKNOWN, stream, nullptr));
        stream->Release();
    } else {
        must("LocalPath", set(download, DODownloadProperty_LocalPath, VT_BSTR, nullptr, local.c_str()));
    }
    must("CallbackInterface", set(download, DODownloadProperty_CallbackInterface, VT_UNKNOWN, callback, nullptr));
    callback->Release();
    DO_DOWNLOAD_RANGES_INFO whole = {1, {{0, DO_LENGTH_TO_EOF}}};
    must("Start", download->Start(is_stream ? &whole : nullptr));
    usleep(draw % 97 * 400);
    if (draw % 3 == 0) {
        may_be_late("Pause", download->Pause());
        may_be_late("Start again", download->Start(nullptr));
    }
    if (draw % 13 == 0) {
        StatusCallback *other = new StatusCallback(draw / 13, shared);
        may_be_late("another callback", set(download, DODownloadProperty_CallbackInterface, VT_UNKNOWN, other, nullptr));
        other->Release();
    }
    if (draw % 17 == 0) {
        may_be_late("no callback", set(download, DODownloadProperty_CallbackInterface, VT_UNKNOWN, nullptr, nullptr));
        StatusCallback *other = new StatusCallback(draw / 17, shared); // in a call of the first one, perhaps
        may_be_late("a callback again", set(download, DODownloadProperty_CallbackInterface, VT_UNKNOWN, other, nullptr));
        other->Release();
    }
    if (draw % 4 == 1) { // enumerated while others end theirs
        IEnumUnknown *list = nullptr;
        const HRESULT hr = manager->EnumDownloads(nullptr, &list);
        if (FAILED(hr) && hr != DO_E_NO_DOWNLOADS) {
            failed("EnumDownloads", hr);
        }
        IUnknown *one = nullptr;
        while (list != nullptr && list->Next(1, &one, nullptr) == S_OK) {
            IDODownload *found = nullptr;
            DO_DOWNLOAD_STATUS status;
            must("QueryInterface", one->QueryInterface(IID_PPV_ARGS(&found)));
            must("GetStatus", found->GetStatus(&status));
            found->Release();
            one->Release();
        }
        if (list != nullptr) {
            list->Release();
        }
    }
    may_be_late("Abort", draw % 2 == 0 ? download->Abort() : download->Finalize());
    may_be_late("Abort", download->Abort());
    shared->is_over = true;
    download->Release();
}

static int downloads(const char *url, const std::string &folder, int seconds) {
    const WideText remote = wide(url);
    return race_in_threads<IDOManager>(
        "downloads", CLSID_DeliveryOptimization, seconds, 54321,
        [&](IDOManager *manager, unsigned number, int round, unsigned draw) {
            const std::string name = "download" + std::to_string(number) + "-" + std::to_string(round);
            download_one(manager, remote, wide((folder + name).c_str()), draw);
            std::remove((folder + name).c_str());
        });
}

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: stress_downloads URL FOLDER SECONDS\n");
        return 2;
    }
    const int outcome = downloads(argv[1], std::string(argv[2]) + "/", std::atoi(argv[3]));
    std::printf("%d late\n", late.load());
    return late > LATE_MAX ? 1 : outcome;
}
