// IDOManager and IDODownload: states, ranges, enumeration (spec/delivery-optimization-com.md 3, 4.1 to 4.3, 4.7).
#include "delivery.h"

#include <cctype>
#include <cstring>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define E IEnumUnknown
#define DM IDOManager

static void *const MARK = reinterpret_cast<void *>(0x11);

static bool is_clean(const DO_DOWNLOAD_STATUS &status) { return status.Error == S_OK && status.ExtendedError == S_OK; }

CASE(delivery_class) {
    void *none = MARK;
    CHECK(CoCreateInstance(CLSID_DeliveryOptimization, nullptr, CLSCTX_LOCAL_SERVER, IID_IDODownload, &none) ==
          E_NOINTERFACE);
    CHECK(none == nullptr);
    // One class, both generations.
    DM *manager = the_do_manager();
    Held<IBackgroundCopyManager> first = as<IBackgroundCopyManager>(manager);
    Held<IUnknown> one = as<IUnknown>(manager), two = as<IUnknown>(first.get());
    CHECK(one.get() == two.get());
    Held<DM> back = as<DM>(first.get());
    none = MARK;
    CHECK(manager->QueryInterface(IID_IBackgroundCopyJob, &none) == E_NOINTERFACE && none == nullptr);
    NULL_REFUSED(DM, manager, CreateDownload, (nullptr));
    NULL_REFUSED(DM, manager, EnumDownloads, (nullptr, nullptr));
}

CASE(delivery_fresh) { // row 1
    Download download;
    const DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Created && status.BytesTotal == 0 && status.BytesTransferred == 0);
    CHECK(is_clean(status));
    Held<IUnknown> one = as<IUnknown>(download.get());
    Held<D> back = as<D>(one.get());
    Held<IUnknown> two = as<IUnknown>(back.get());
    CHECK(one.get() == two.get());
    void *none = MARK;
    CHECK(download->QueryInterface(IID_IBackgroundCopyJob, &none) == E_NOINTERFACE && none == nullptr);
    // Nothing to start with.
    WANT(DO_E_DOWNLOAD_NO_URI, D, download, Start, (nullptr));
    download.set(FIELD(Uri), Value::text(url("small")));
    const HRESULT hr = noted("IDODownload::Start", "no sink", download->Start(nullptr), __LINE__);
    CHECK(hr == DO_E_FILE_DOWNLOADSINK_UNSPECIFIED || hr == DO_E_LOCALPATH_NOT_SET);
    CHECK(download.state() == DODownloadState_Created);
    MUST(D, download, Pause, ()); // nothing to do
    CHECK(download.state() == DODownloadState_Created);
    WANT(DO_E_INVALID_STATE, D, download, Finalize, ());
    MUST(D, download, Abort, ());
    CHECK(download.state() == DODownloadState_Aborted);
}

CASE(delivery_without_a_name) { // a ContentId alone names nothing that could be fetched here
    Download download;
    download.set(FIELD(ContentId), Value::text("some content"));
    download.set(FIELD(LocalPath), Value::text(path("content")));
    const HRESULT hr = noted("IDODownload::Start", "ContentId only", download->Start(nullptr), __LINE__);
    CHECK(hr == DO_E_DOWNLOAD_NO_URI || (hr == S_OK && !download.until(DODownloadState_Transferred)));
}

CASE(delivery_round_trip) { // row 4
    Download download("slow", "round trip");
    const std::string file = folder + "round trip";
    MUST(D, download, Start, (nullptr));
    CHECK(download.state() == DODownloadState_Transferring);
    MUST(D, download, Start, (nullptr)); // no matter
    WANT(DO_E_INVALID_STATE, D, download, Finalize, ());
    CHECK(soon(10000, [&] { return download.status().BytesTransferred > 0; }));
    CHECK(!exists(file)); // its place is taken by Finalize
    DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Transferring && status.BytesTotal == 50u << 20 && is_clean(status));
    MUST(D, download, Pause, ());
    status = download.status();
    CHECK(status.State == DODownloadState_Paused && is_clean(status));
    MUST(D, download, Pause, ());
    WANT(DO_E_INVALID_STATE, D, download, Finalize, ());
    const UINT64 at = download.status().BytesTransferred;
    CHECK(at > 0 && at < 50u << 20);
    // It goes on where it was: nothing is fetched twice.
    MUST(D, download, Start, (nullptr));
    CHECK(download.state() == DODownloadState_Transferring && download.status().BytesTransferred >= at);
    MUST(D, download, Abort, ());
    CHECK(download.state() == DODownloadState_Aborted && !exists(file));
    for (int i = 0; i < 2; i++) {
        WANT(DO_E_INVALID_STATE, D, download, Start, (nullptr));
        WANT(DO_E_INVALID_STATE, D, download, Pause, ());
        WANT(DO_E_INVALID_STATE, D, download, Abort, ());
        WANT(DO_E_INVALID_STATE, D, download, Finalize, ());
    }
}

CASE(delivery_finalize) {
    Download download("big", "finalized");
    MUST(D, download, Start, (nullptr));
    CHECK(soon(5000, [&] { return download.status().BytesTransferred > 0; }));
    MUST(D, download, Pause, ());
    MUST(D, download, Start, (nullptr));
    if (!download.until(DODownloadState_Transferred)) {
        CHECK(false);
        return;
    }
    DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.BytesTotal == 1u << 20 && status.BytesTransferred == 1u << 20 && is_clean(status));
    CHECK(!exists(folder + "finalized"));
    MUST(D, download, Pause, ());
    CHECK(download.state() == DODownloadState_Transferred);
    MUST(D, download, Start, (nullptr)); // nothing is pending
    CHECK(download.state() == DODownloadState_Transferred);
    CHECK(download.value(FIELD(TotalSizeBytes)) == Value::ui8(1u << 20)); // never set, and known
    MUST(D, download, Finalize, ());
    status = download.status();
    CHECK(status.State == DODownloadState_Finalized && is_clean(status));
    CHECK(content_of(folder + "finalized") == reference("big"));
    WANT(DO_E_INVALID_STATE, D, download, Start, (nullptr));
    WANT(DO_E_INVALID_STATE, D, download, Start, (Ranges({{0, 1}}).get()));
    WANT(DO_E_INVALID_STATE, D, download, Pause, ());
    WANT(DO_E_INVALID_STATE, D, download, Abort, ());
    WANT(DO_E_INVALID_STATE, D, download, Finalize, ());
    WANT(DO_E_INVALID_STATE, D, download, SetProperty, (FIELD(DisplayName), Value::text("late").get()));
    CHECK(exists(folder + "finalized")); // it is the caller's
}

CASE(delivery_abort_of_what_is_there) {
    Download download("small", "aborted");
    MUST(D, download, Start, (nullptr));
    CHECK(download.until(DODownloadState_Transferred));
    MUST(D, download, Abort, ());
    CHECK(download.state() == DODownloadState_Aborted && !exists(folder + "aborted"));
}

// ---- ranges ----

CASE(delivery_ranges_refused) {
    Download download("small", "refused ranges");
    WANT(DO_E_INVALID_RANGE, D, download, Start, (Ranges({{0, 0}}).get()));
    WANT(DO_E_INVALID_RANGE, D, download, Start, (Ranges({{0, 100}, {200, 0}}).get()));
    WANT(DO_E_INVALID_RANGE, D, download, Start, (Ranges({{~0ULL - 1, 10}}).get())); // beyond all sizes
    WANT(DO_E_OVERLAPPING_RANGES, D, download, Start, (Ranges({{0, 100}, {50, 100}}).get()));
    WANT(DO_E_OVERLAPPING_RANGES, D, download, Start, (Ranges({{200, 100}, {0, 201}}).get()));
    WANT(DO_E_OVERLAPPING_RANGES, D, download, Start, (Ranges({{5, 5}, {5, 5}}).get()));
    WANT(DO_E_OVERLAPPING_RANGES, D, download, Start, (Ranges({{100, DO_LENGTH_TO_EOF}, {200, 10}}).get()));
    CHECK(download.state() == DODownloadState_Created);
    MUST(D, download, Start, (Ranges({{0, 10}, {10, 10}}).get())); // neighbours do not overlap
    CHECK(download.until(DODownloadState_Transferred) && download.status().BytesTotal == 20);
}

CASE(delivery_ranges_none) { // a count of 0 is the whole file
    Download download("small", "no ranges");
    MUST(D, download, Start, (Ranges({}).get()));
    CHECK(download.until(DODownloadState_Transferred) && download.status().BytesTransferred == 10000);
    MUST(D, download, Finalize, ());
    CHECK(content_of(folder + "no ranges") == reference("small"));
}

CASE(delivery_ranges_of_a_file) { // each at its own offset
    Download download("small", "ranges");
    MUST(D, download, Start, (Ranges({{200, 1000}, {0, 100}}).get()));
    CHECK(download.until(DODownloadState_Transferred));
    DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.BytesTotal == 1100 && status.BytesTransferred == 1100 && is_clean(status));
    // Another portion.
    MUST(D, download, Start, (Ranges({{9000, DO_LENGTH_TO_EOF}}).get()));
    CHECK(download.until(DODownloadState_Transferred));
    status = download.status();
    CHECK(status.BytesTotal == 1000 && status.BytesTransferred == 1000);
    MUST(D, download, Finalize, ());
    const std::string got = content_of(folder + "ranges"), &all = reference("small");
    CHECK(got.size() == 10000);
    CHECK(got.substr(0, 100) == all.substr(0, 100) && got.substr(200, 1000) == all.substr(200, 1000));
    CHECK(got.substr(9000) == all.substr(9000));
    CHECK(got.substr(1200, 7800) == std::string(7800, '\0'));
}

CASE(delivery_ranges_go_on) { // Start(NULL) of a pause carries on with the ranges of the Start before
    Download download("slow", "pending ranges");
    MUST(D, download, Start, (Ranges({{0, 8u << 20}, {20u << 20, 1000}}).get()));
    CHECK(soon(10000, [&] { return download.status().BytesTransferred > 0; }));
    MUST(D, download, Pause, ());
    CHECK(download.status().BytesTotal == (8u << 20) + 1000 && download.state() == DODownloadState_Paused);
    MUST(D, download, Start, (nullptr));
    CHECK(download.status().BytesTotal == (8u << 20) + 1000);
    CHECK(download.until(DODownloadState_Transferred));
    CHECK(download.status().BytesTransferred == (8u << 20) + 1000);
}

CASE(delivery_ranges_outside) { // only the server's answer tells
    Download download("small", "outside");
    MUST(D, download, Start, (Ranges({{20000, 10}}).get()));
    CHECK(!download.until(DODownloadState_Transferred));
    const DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Paused && status.Error == DO_E_INVALID_RANGE);
}

CASE(delivery_ranges_unknown_to_the_server) {
    Download download("rangeless", "rangeless");
    MUST(D, download, Start, (Ranges({{100, 10}}).get()));
    CHECK(!download.until(DODownloadState_Transferred));
    const DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Paused && status.Error == DO_E_INSUFFICIENT_RANGE_SUPPORT);
}

// ---- trouble ----

CASE(delivery_missing) { // row 10
    Download download("missing", "missing");
    MUST(D, download, Start, (nullptr));
    CHECK(!download.until(DODownloadState_Transferred));
    DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Paused && status.Error == static_cast<HRESULT>(0x80190194));
    CHECK(!exists(folder + "missing"));
    WANT(DO_E_INVALID_STATE, D, download, Finalize, ());
    // Another try, and then another URL.
    MUST(D, download, Start, (nullptr));
    CHECK(!download.until(DODownloadState_Transferred) && download.status().Error == static_cast<HRESULT>(0x80190194));
    MUST(D, download, Abort, ());
}

CASE(delivery_forbidden) {
    Download download("forbidden", "forbidden");
    MUST(D, download, Start, (nullptr));
    CHECK(!download.until(DODownloadState_Transferred));
    CHECK(download.state() == DODownloadState_Paused && download.status().Error == static_cast<HRESULT>(0x80190193));
}

CASE(delivery_transient) { // nobody listens: Paused, Error 0, and the cause
    Download download;
    download.set(FIELD(Uri), Value::text("http://127.0.0.1:9/f"));
    download.set(FIELD(LocalPath), Value::text(path("transient")));
    MUST(D, download, Start, (nullptr));
    CHECK(download.until(DODownloadState_Paused));
    DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.Error == S_OK && FAILED(status.ExtendedError));
    // The user's own pause hides the cause.
    MUST(D, download, Pause, ());
    status = download.status();
    CHECK(status.State == DODownloadState_Paused && is_clean(status));
    MUST(D, download, Start, (nullptr));
    CHECK(download.until(DODownloadState_Paused) && FAILED(download.status().ExtendedError));
    MUST(D, download, Abort, ());
    CHECK(is_clean(download.status()));
}

CASE(delivery_paths) {
    {
        Download download("small", "no such folder/f");
        const HRESULT hr = noted("IDODownload::Start", "no folder", download->Start(nullptr), __LINE__);
        CHECK(FAILED(hr) || (!download.until(DODownloadState_Transferred) && FAILED(download.status().Error)));
    }
    Download download;
    const HRESULT hr = noted("IDODownload::SetProperty", "LocalPath relative",
                             download->SetProperty(FIELD(LocalPath), Value::text("relative").get()), __LINE__);
    download.set(FIELD(Uri), Value::text(url("small")));
    CHECK(FAILED(hr) || FAILED(download->Start(nullptr)) ||
          (!download.until(DODownloadState_Transferred) && FAILED(download.status().Error)));
}

CASE(delivery_same_path) { // 4.7: the first one, which rests, is aborted by the second
    Download first("slow", "same path"), second("small", "same path");
    MUST(D, first, Start, (nullptr));
    CHECK(soon(10000, [&] { return first.status().BytesTransferred > 0; }));
    MUST(D, first, Pause, ());
    MUST(D, second, Start, (nullptr));
    CHECK(second.until(DODownloadState_Transferred));
    CHECK(first.state() == DODownloadState_Aborted);
    WANT(DO_E_INVALID_STATE, D, first, Start, (nullptr));
    MUST(D, second, Finalize, ());
    CHECK(content_of(folder + "same path") == reference("small"));
}

CASE(delivery_temporary_file_removed) { // 4.7
    CHECK(mkdir((folder + "temporary").c_str(), 0700) == 0);
    Download download("slow", "temporary/file");
    MUST(D, download, Start, (nullptr));
    CHECK(soon(10000, [&] { return download.status().BytesTransferred > 0; }));
    MUST(D, download, Pause, ());
    int removed = 0;
    DIR *listing = opendir((folder + "temporary").c_str());
    while (dirent *entry = listing == nullptr ? nullptr : readdir(listing)) {
        if (entry->d_name[0] != '.' || std::strlen(entry->d_name) > 2) {
            removed += unlink((folder + "temporary/" + entry->d_name).c_str()) == 0;
        }
    }
    closedir(listing);
    CHECK(removed > 0);
    MUST(D, download, Start, (nullptr));
    CHECK(soon(10000, [&] { return FAILED(download.status().Error); }));
    const DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Paused && status.Error == HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND));
}

CASE(delivery_expected_size) {
    {
        Download download("small", "expected");
        download.set(FIELD(TotalSizeBytes), Value::ui8(10000));
        MUST(D, download, Start, (nullptr));
        CHECK(download.until(DODownloadState_Transferred));
    }
    Download download("small", "unexpected");
    download.set(FIELD(TotalSizeBytes), Value::ui8(9999));
    MUST(D, download, Start, (nullptr));
    CHECK(!download.until(DODownloadState_Transferred));
    CHECK(download.state() == DODownloadState_Paused && download.status().Error == DO_E_HTTP_BLOCKSIZE_MISMATCH);
}

CASE(delivery_headers) { // the runner looks at what the origin was sent
    Download download("headers", "headers");
    download.set(FIELD(HttpCustomHeaders), Value::text("Name=value\nX-First: one\nX-Second: two\r\nno header\n"));
    MUST(D, download, Start, (nullptr));
    CHECK(download.until(DODownloadState_Transferred));
}

CASE(delivery_integrity) { // row 15
    const Value wrong = Value::text(
        "{\"PiecesHashFileUrl\":\"" + origin + "small\",\"PiecesHashFileDigest\":\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"," +
        "\"PiecesHashFileDigestAlgorithm\":\"SHA256\"}");
    {
        Download download("big", "integrity 1");
        download.set(FIELD(IntegrityCheckInfo), wrong);
        MUST(D, download, Start, (nullptr));
        CHECK(download.until(DODownloadState_Transferred)); // not mandatory: as without
    }
    {
        Download download("big", "integrity 2");
        download.set(FIELD(IntegrityCheckInfo), wrong);
        download.set(FIELD(IntegrityCheckMandatory), Value::boolean(true));
        MUST(D, download, Start, (nullptr));
        CHECK(!download.until(DODownloadState_Transferred));
        CHECK(download.state() == DODownloadState_Paused && FAILED(download.status().Error));
    }
    Download download("big", "integrity 3");
    download.set(FIELD(IntegrityCheckMandatory), Value::boolean(true));
    const HRESULT hr = noted("IDODownload::Start", "mandatory check without info", download->Start(nullptr), __LINE__);
    CHECK(FAILED(hr) || !download.until(DODownloadState_Transferred));
}

CASE(delivery_blocking) {
    {
        Download download("big", "blocking 1");
        download.set(FIELD(BlockingMode), Value::boolean(true));
        MUST(D, download, Start, (nullptr));
        CHECK(download.state() == DODownloadState_Transferred);
        MUST(D, download, Finalize, ());
        CHECK(content_of(folder + "blocking 1") == reference("big"));
    }
    {
        Download download("missing", "blocking 2");
        download.set(FIELD(BlockingMode), Value::boolean(true));
        const HRESULT hr = noted("IDODownload::Start", "blocking, 404", download->Start(nullptr), __LINE__);
        CHECK(hr == static_cast<HRESULT>(0x80190194) && download.state() == DODownloadState_Paused);
    }
    // It returns when the transfer is paused by somebody else, here by the callback.
    Download download("slow", "blocking 3");
    Held<Watcher> watcher(new Watcher);
    watcher->act = [](IDODownload *it, const DO_DOWNLOAD_STATUS &status) {
        if (status.State == DODownloadState_Transferring && status.BytesTransferred > 0) {
            it->Pause();
        }
    };
    download.set(FIELD(BlockingMode), Value::boolean(true));
    download.set(FIELD(CallbackInterface), Value::unknown(watcher.get()));
    (void)noted("IDODownload::Start", "blocking, paused", download->Start(nullptr), __LINE__);
    const DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Paused && is_clean(status));
    MUST(D, download, Abort, ());
}

// ---- enumeration ----

static std::vector<std::string> ids_of(IEnumUnknown *list) {
    std::vector<std::string> ids;
    for (;;) {
        IUnknown *one = static_cast<IUnknown *>(MARK);
        ULONG fetched = 99;
        const HRESULT hr = noted("IEnumUnknown::Next", "(1)", list->Next(1, &one, &fetched), __LINE__);
        if (hr != S_OK) {
            CHECK(hr == S_FALSE && fetched == 0); // the end is no error
            return ids;
        }
        CHECK(fetched == 1);
        Held<IUnknown> held(one);
        Held<D> download = as<D>(one);
        Value id;
        CHECK(CoSetProxyBlanket(download.get(), RPC_C_AUTHN_DEFAULT, RPC_C_AUTHZ_NONE, COLE_DEFAULT_PRINCIPAL,
                                RPC_C_AUTHN_LEVEL_DEFAULT, RPC_C_IMP_LEVEL_IMPERSONATE, nullptr, EOAC_STATIC_CLOAKING) == S_OK);
        CHECK(download->GetProperty(FIELD(Id), id.out()) == S_OK);
        ids.push_back(id.utf8());
    }
}
static std::vector<std::string> found(DODownloadProperty property, const WideText &value) {
    const DO_DOWNLOAD_ENUM_CATEGORY category = {property, value.c_str()};
    Held<E> list;
    const HRESULT hr = noted("IDOManager::EnumDownloads", "(category)", the_do_manager()->EnumDownloads(&category, list.out()),
                             __LINE__);
    if (hr != S_OK) {
        CHECK(hr == DO_E_NO_DOWNLOADS && list.get() == nullptr);
        return {};
    }
    return ids_of(list.get());
}
static std::string upper(std::string text, bool up) {
    for (char &c : text) {
        c = static_cast<char>(up ? std::toupper(static_cast<unsigned char>(c)) : std::tolower(static_cast<unsigned char>(c)));
    }
    return text;
}

CASE(delivery_enumeration) { // row 7
    DM *manager = the_do_manager();
    Download download("small", "enumerated");
    const std::string id = download.value(FIELD(Id)).utf8();
    const std::vector<std::string> just_it = {id}, none;
    download.set(FIELD(ContentId), Value::text("content of enumeration"));
    download.set(FIELD(DisplayName), Value::text("name of enumeration"));
    CHECK(found(FIELD(Id), wide(id.c_str())) == just_it);
    CHECK(found(FIELD(Id), wide(upper(id, true).c_str())) == just_it);
    CHECK(found(FIELD(Id), wide(upper(id, false).c_str())) == just_it);
    CHECK(found(FIELD(Uri), url("small")).size() >= 1);
    CHECK(found(FIELD(ContentId), wide("content of enumeration")) == just_it);
    CHECK(found(FIELD(DisplayName), wide("name of enumeration")) == just_it);
    CHECK(found(FIELD(LocalPath), path("enumerated")) == just_it);
    // Whole texts, letter by letter.
    CHECK(found(FIELD(DisplayName), wide("Name of enumeration")) == none);
    CHECK(found(FIELD(DisplayName), wide("name of")) == none);
    CHECK(found(FIELD(Id), wide("{00000000-0000-0000-0000-000000000001}")) == none);
    for (int number = 0; number <= 26; number++) {
        const DODownloadProperty property = static_cast<DODownloadProperty>(number);
        const DO_DOWNLOAD_ENUM_CATEGORY category = {property, OLESTR("x")};
        const bool allowed = number <= FIELD(LocalPath);
        IEnumUnknown *list = static_cast<IEnumUnknown *>(MARK);
        WANT(allowed ? DO_E_NO_DOWNLOADS : E_INVALIDARG, DM, manager, EnumDownloads, (&category, &list));
        CHECK(list == nullptr);
    }
    MUST(D, download, Start, (nullptr));
    CHECK(found(FIELD(Id), wide(id.c_str())) == just_it);
    CHECK(download.until(DODownloadState_Transferred));
    CHECK(found(FIELD(Id), wide(id.c_str())) == just_it);
    MUST(D, download, Finalize, ());
    const WideText text = wide(id.c_str());
    const DO_DOWNLOAD_ENUM_CATEGORY category = {FIELD(Id), text.c_str()};
    IEnumUnknown *list = static_cast<IEnumUnknown *>(MARK);
    WANT(DO_E_NO_DOWNLOADS, DM, manager, EnumDownloads, (&category, &list));
    CHECK(list == nullptr);
    Download other;
    const WideText other_id = wide(other.value(FIELD(Id)).utf8().c_str());
    MUST(D, other, Abort, ());
    CHECK(found(FIELD(Id), other_id) == none);
}

CASE(delivery_enumerator) {
    Download one, two, three;
    for (const Download *download : {&one, &two, &three}) {
        download->set(FIELD(DisplayName), Value::text("three of a kind"));
    }
    const WideText name = wide("three of a kind");
    const DO_DOWNLOAD_ENUM_CATEGORY category = {FIELD(DisplayName), name.c_str()};
    Held<E> list;
    MUST(DM, the_do_manager(), EnumDownloads, (&category, list.out()));
    // A snapshot: what comes and goes afterwards does not change it.
    Download four;
    four.set(FIELD(DisplayName), Value::text("three of a kind"));
    IUnknown *out[5] = {};
    ULONG fetched = 99;
    MUST(E, list, Next, (2, out, &fetched));
    CHECK(fetched == 2 && out[0] != nullptr && out[1] != nullptr && out[2] == nullptr);
    out[0]->Release();
    out[1]->Release();
    Held<E> clone;
    MUST(E, list, Clone, (clone.out()));
    WANT(S_FALSE, E, list, Next, (5, out, &fetched));
    CHECK(fetched == 1);
    out[0]->Release();
    MUST(E, clone, Next, (1, out, nullptr)); // the copy stands where the other stood; one needs no count
    out[0]->Release();
    WANT(S_FALSE, E, clone, Skip, (1));
    WANT(S_FALSE, E, list, Next, (1, out, &fetched));
    CHECK(fetched == 0);
    MUST(E, list, Reset, ());
    MUST(E, list, Skip, (2));
    WANT(S_FALSE, E, list, Skip, (2));
    MUST(E, list, Reset, ());
    CHECK(ids_of(list.get()).size() == 3);
    MUST(E, list, Next, (0, out, &fetched));
    CHECK(fetched == 0);
    MUST(E, list, Reset, ());
    NULL_REFUSED(E, list, Next, (2, out, nullptr));
    NULL_REFUSED(E, list, Next, (1, nullptr, &fetched));
    NULL_REFUSED(E, list, Clone, (nullptr));
    void *none = MARK;
    CHECK(list->QueryInterface(IID_IEnumBackgroundCopyFiles, &none) == E_NOINTERFACE && none == nullptr);
    Held<E> all;
    MUST(DM, the_do_manager(), EnumDownloads, (nullptr, all.out()));
    CHECK(ids_of(all.get()).size() >= 4);
}

CASE(delivery_reattached) { // a download of a pointer that is gone is found again, in state Created, and started
    std::string id;
    {
        Held<D> download;
        MUST(DM, the_do_manager(), CreateDownload, (download.out()));
        MUST(D, download, SetProperty, (FIELD(Uri), Value::text(url("small")).get()));
        MUST(D, download, SetProperty, (FIELD(LocalPath), Value::text(path("reattached")).get()));
        MUST(D, download, SetProperty, (FIELD(ForegroundPriority), Value::boolean(true).get()));
        Value value;
        MUST(D, download, GetProperty, (FIELD(Id), value.out()));
        id = value.utf8();
    }
    const WideText text = wide(id.c_str());
    const DO_DOWNLOAD_ENUM_CATEGORY category = {FIELD(Id), text.c_str()};
    Held<E> list;
    Held<IUnknown> found;
    MUST(DM, the_do_manager(), EnumDownloads, (&category, list.out()));
    MUST(E, list, Next, (1, found.out(), nullptr));
    Held<D> download = as<D>(found.get());
    DO_DOWNLOAD_STATUS status;
    MUST(D, download, GetStatus, (&status));
    CHECK(status.State == DODownloadState_Created);
    MUST(D, download, Start, (Ranges({}).get()));
    CHECK(soon(20000, [&] { return download->GetStatus(&status) == S_OK && status.State == DODownloadState_Transferred; }));
    CHECK(status.BytesTransferred == 10000);
    MUST(D, download, Finalize, ());
    CHECK(content_of(folder + "reattached") == reference("small"));
}
