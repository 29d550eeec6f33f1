// Support of the rows of deliveryoptimization.h.
#include "delivery.h"

#include <cstring>
#include <map>

std::atomic<int> watchers{0}, sinks{0};

IDOManager *the_do_manager() {
    static IDOManager *manager = nullptr;
    if (manager == nullptr) {
        HRESULT hr = CoCreateInstance(__uuidof(DeliveryOptimization), nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager));
        if (FAILED(hr)) {
            std::printf("FAIL: no manager of downloads: 0x%08X\n", static_cast<unsigned>(hr));
            std::exit(1);
        }
    }
    return manager;
}

const std::string &reference(const char *name) {
    static std::map<std::string, std::string> known;
    auto found = known.find(name);
    if (found == known.end()) {
        const std::string local = std::string("reference-") + name;
        Job job;
        CHECK(job->AddFile(url(name).c_str(), path(local.c_str()).c_str()) == S_OK);
        CHECK(job->SetPriority(BG_JOB_PRIORITY_FOREGROUND) == S_OK && job->Resume() == S_OK);
        CHECK(job.until(BG_JOB_STATE_TRANSFERRED) && job->Complete() == S_OK);
        found = known.emplace(name, content_of(folder + local)).first;
        CHECK(!found->second.empty());
    }
    return found->second;
}

// ---- values ----

Value Value::text(const WideText &text) {
    Value made;
    made.variant.vt = VT_BSTR;
    made.variant.bstrVal = SysAllocString(text.c_str());
    return made;
}
Value Value::ui4(UINT number) {
    Value made;
    made.variant.vt = VT_UI4;
    made.variant.ulVal = number;
    return made;
}
Value Value::ui8(UINT64 number) {
    Value made;
    made.variant.vt = VT_UI8;
    made.variant.ullVal = number;
    return made;
}
Value Value::boolean(bool truth) {
    Value made;
    made.variant.vt = VT_BOOL;
    made.variant.boolVal = truth ? VARIANT_TRUE : VARIANT_FALSE;
    return made;
}
Value Value::unknown(IUnknown *object) {
    Value made;
    made.variant.vt = VT_UNKNOWN;
    made.variant.punkVal = object;
    if (object != nullptr) {
        object->AddRef();
    }
    return made;
}
Value Value::bytes(const std::string &bytes) {
    Value made;
    void *data = nullptr;
    made.variant.vt = VT_ARRAY | VT_UI1;
    made.variant.parray = SafeArrayCreateVector(VT_UI1, 0, static_cast<ULONG>(bytes.size()));
    CHECK(SafeArrayAccessData(made.variant.parray, &data) == S_OK);
    std::memcpy(data, bytes.data(), bytes.size());
    CHECK(SafeArrayUnaccessData(made.variant.parray) == S_OK);
    return made;
}
Value Value::of_type(VARTYPE type) {
    switch (type) {
    case VT_BSTR:
        return text("1");
    case VT_UNKNOWN:
        return unknown(nullptr);
    case VT_ARRAY | VT_UI1:
        return bytes("1");
    case VT_BOOL:
        return boolean(true);
    default:
        Value made;
        made.variant.vt = type;
        made.variant.ullVal = type == VT_EMPTY || type == VT_NULL ? 0 : 1;
        return made;
    }
}
bool operator==(const Value &left, const Value &right) {
    if (left.type() != right.type()) {
        return false;
    }
    switch (left.type()) {
    case VT_EMPTY:
        return true;
    case VT_BSTR:
        return left.utf8() == right.utf8();
    case VT_UI4:
        return left->ulVal == right->ulVal;
    case VT_UI8:
        return left->ullVal == right->ullVal;
    case VT_BOOL: // true is -1 and nothing else
        return left->boolVal == right->boolVal;
    case VT_UNKNOWN:
        return left->punkVal == right->punkVal;
    default:
        return false;
    }
}

// ---- downloads ----

Download::Download() {
    const HRESULT hr = the_do_manager()->CreateDownload(download.out());
    CHECK(hr == S_OK);
    // As clients do it.
    CHECK(CoSetProxyBlanket(download.operator->(), RPC_C_AUTHN_DEFAULT, RPC_C_AUTHZ_NONE, COLE_DEFAULT_PRINCIPAL,
                            RPC_C_AUTHN_LEVEL_DEFAULT, RPC_C_IMP_LEVEL_IMPERSONATE, nullptr, EOAC_STATIC_CLOAKING) == S_OK);
}
Download::Download(const char *name, const char *local) : Download() {
    set(FIELD(Uri), Value::text(url(name)));
    if (local != nullptr) {
        set(FIELD(LocalPath), Value::text(path(local)));
    }
    set(FIELD(ForegroundPriority), Value::boolean(true));
}
Download::~Download() { download->Abort(); }
void Download::set(DODownloadProperty id, const Value &value) const {
    const HRESULT hr = download->SetProperty(id, value.get());
    if (hr != S_OK) {
        std::printf("property %d: 0x%08X\n", id, static_cast<unsigned>(hr));
    }
    CHECK(hr == S_OK);
}
Value Download::value(DODownloadProperty id) const {
    Value value;
    CHECK(download->GetProperty(id, value.out()) == S_OK);
    return value;
}
DO_DOWNLOAD_STATUS Download::status() const {
    DO_DOWNLOAD_STATUS status;
    std::memset(&status, 0xFF, sizeof status);
    CHECK(download->GetStatus(&status) == S_OK);
    return status;
}
bool Download::until(DODownloadState wanted) const {
    DO_DOWNLOAD_STATUS last = status();
    soon(30000, [&] {
        last = status();
        const bool is_fatal = last.State == DODownloadState_Paused && FAILED(last.Error);
        return last.State == wanted || is_fatal || last.State == DODownloadState_Finalized ||
               last.State == DODownloadState_Aborted;
    });
    if (last.State != wanted) {
        std::printf("state %d instead of %d, %llu of %llu bytes, error 0x%08X, extended 0x%08X\n", last.State, wanted,
                    last.BytesTransferred, last.BytesTotal, static_cast<unsigned>(last.Error),
                    static_cast<unsigned>(last.ExtendedError));
    }
    return last.State == wanted;
}

Ranges::Ranges(std::initializer_list<DO_DOWNLOAD_RANGE> list) : words(1) {
    const UINT count = static_cast<UINT>(list.size());
    std::memcpy(&words[0], &count, sizeof count);
    for (const DO_DOWNLOAD_RANGE &range : list) {
        words.push_back(range.Offset);
        words.push_back(range.Length);
    }
    words.resize(words.size() < 3 ? 3 : words.size()); // the struct has one element at least
}

// ---- objects of the program ----

HRESULT Watcher::QueryInterface(REFIID riid, void **object) {
    const bool has = riid == IID_IUnknown || riid == IID_IDODownloadStatusCallback;
    *object = has ? this : nullptr;
    return has ? (AddRef(), S_OK) : E_NOINTERFACE;
}
HRESULT Watcher::OnStatusChange(IDODownload *download, const DO_DOWNLOAD_STATUS *status) {
    if (++inside > 1) {
        at_once = true;
    }
    if (download == nullptr || status == nullptr) {
        arguments_good = false;
    } else {
        {
            std::lock_guard<std::mutex> lock(mutex);
            calls.push_back(*status);
        }
        if (act) {
            act(download, *status);
        }
    }
    inside--;
    return answer;
}
std::vector<DO_DOWNLOAD_STATUS> Watcher::seen() {
    std::lock_guard<std::mutex> lock(mutex);
    return calls;
}
bool Watcher::has(DODownloadState state) {
    for (const DO_DOWNLOAD_STATUS &one : seen()) {
        if (one.State == state) {
            return true;
        }
    }
    return false;
}
DODownloadState Watcher::last() {
    const std::vector<DO_DOWNLOAD_STATUS> all = seen();
    return all.empty() ? static_cast<DODownloadState>(-1) : all.back().State;
}

HRESULT Sink::Write(const void *data, ULONG length, ULONG *written) {
    if (++inside > 1) {
        at_once = true;
    }
    const ULONG taken = FAILED(answer) ? 0 : length < most ? length : most.load();
    {
        std::lock_guard<std::mutex> lock(mutex);
        bytes.append(static_cast<const char *>(data), taken);
    }
    if (written != nullptr) {
        *written = taken;
    }
    inside--;
    return answer;
}
std::string Sink::content() {
    std::lock_guard<std::mutex> lock(mutex);
    return bytes;
}
