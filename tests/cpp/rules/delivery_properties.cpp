// IDODownload::SetProperty and GetProperty: every row of spec/delivery-optimization-com.md 4.4; rows 2, 3 and 14 of its checklist.
#include "delivery.h"

#include <cstring>

namespace {
enum Access { READ, WRITE, BOTH };
enum Fresh { UNSET, DEFAULT, ALWAYS, HIDDEN }; // E_NOT_SET; that or a default of the page; a value; write only

struct Row {
    DODownloadProperty id;
    const char *name;
    VARTYPE type;
    Access access;
    Fresh fresh;
};
#define ROW(name, type, access, fresh)                                                                                 \
    { FIELD(name), #name, type, access, fresh }
const Row rows_of_the_page[] = {
    ROW(Id, VT_BSTR, READ, ALWAYS),
    ROW(Uri, VT_BSTR, BOTH, UNSET),
    ROW(ContentId, VT_BSTR, BOTH, UNSET),
    ROW(DisplayName, VT_BSTR, BOTH, UNSET),
    ROW(LocalPath, VT_BSTR, BOTH, UNSET),
    ROW(HttpCustomHeaders, VT_BSTR, BOTH, UNSET),
    ROW(CostPolicy, VT_UI4, BOTH, DEFAULT),
    ROW(SecurityFlags, VT_UI4, WRITE, HIDDEN),
    ROW(CallbackFreqPercent, VT_UI4, BOTH, DEFAULT),
    ROW(CallbackFreqSeconds, VT_UI4, BOTH, DEFAULT),
    ROW(NoProgressTimeoutSeconds, VT_UI4, BOTH, DEFAULT),
    ROW(ForegroundPriority, VT_BOOL, BOTH, DEFAULT),
    ROW(BlockingMode, VT_BOOL, BOTH, DEFAULT),
    ROW(CallbackInterface, VT_UNKNOWN, BOTH, UNSET),
    ROW(StreamInterface, VT_UNKNOWN, BOTH, UNSET),
    ROW(SecurityContext, VT_ARRAY | VT_UI1, WRITE, HIDDEN),
    ROW(NetworkToken, VT_BOOL, WRITE, HIDDEN),
    ROW(CorrelationVector, VT_BSTR, BOTH, UNSET),
    ROW(DecryptionInfo, VT_BSTR, WRITE, HIDDEN),
    ROW(IntegrityCheckInfo, VT_BSTR, WRITE, HIDDEN),
    ROW(IntegrityCheckMandatory, VT_BOOL, BOTH, DEFAULT),
    ROW(TotalSizeBytes, VT_UI8, BOTH, UNSET),
    ROW(DisallowOnCellular, VT_BOOL, BOTH, DEFAULT),
    ROW(HttpCustomAuthHeaders, VT_BSTR, BOTH, UNSET),
    ROW(HttpAllowSecureToNonSecureRedirect, VT_BOOL, BOTH, DEFAULT),
    ROW(NonVolatile, VT_BOOL, BOTH, DEFAULT),
};
const VARTYPE all_types[] = {VT_EMPTY, VT_NULL, VT_I2, VT_I4, VT_R8, VT_BSTR, VT_BOOL, VT_UNKNOWN, VT_I1, VT_UI1, VT_UI2,
                             VT_UI4, VT_I8, VT_UI8, VT_INT, VT_ARRAY | VT_UI1, VT_BYREF | VT_UI4};
} // namespace

CASE(property_rows) {
    CHECK(sizeof rows_of_the_page / sizeof rows_of_the_page[0] == 26);
    for (const Row &row : rows_of_the_page) {
        CHECK(&row - rows_of_the_page == row.id);
    }
}

CASE(property_before_it_is_set) { // row 2
    Download download;
    for (const Row &row : rows_of_the_page) {
        Value value = Value::ui4(99); // an out parameter: what was there is not looked at
        const HRESULT hr = download->GetProperty(row.id, value.out());
        switch (row.fresh) {
        case HIDDEN:
            want(DO_E_WRITE_ONLY_PROPERTY, "IDODownload::GetProperty", row.name, hr, __LINE__);
            break;
        case UNSET:
            want(E_NOT_SET, "IDODownload::GetProperty", row.name, hr, __LINE__);
            break;
        case ALWAYS:
            want(S_OK, "IDODownload::GetProperty", row.name, hr, __LINE__);
            break;
        case DEFAULT:
            want(hr == E_NOT_SET ? E_NOT_SET : S_OK, "IDODownload::GetProperty", row.name, hr, __LINE__);
            break;
        }
        const bool good = value.type() == (hr == S_OK ? row.type : static_cast<VARTYPE>(VT_EMPTY));
        if (!good) {
            std::printf("%s has type %d\n", row.name, value.type());
        }
        CHECK(good);
    }
    // Defaults that the page names.
    Value value;
    if (download->GetProperty(FIELD(ForegroundPriority), value.out()) == S_OK) {
        CHECK(value == Value::boolean(false));
    }
    if (download->GetProperty(FIELD(BlockingMode), value.out()) == S_OK) {
        CHECK(value == Value::boolean(false));
    }
    if (download->GetProperty(FIELD(NonVolatile), value.out()) == S_OK) {
        CHECK(value == Value::boolean(false));
    }
    if (download->GetProperty(FIELD(HttpAllowSecureToNonSecureRedirect), value.out()) == S_OK) {
        CHECK(value == Value::boolean(false));
    }
    if (download->GetProperty(FIELD(CallbackFreqSeconds), value.out()) == S_OK) {
        CHECK(value == Value::ui4(1));
    }
    if (download->GetProperty(FIELD(NoProgressTimeoutSeconds), value.out()) == S_OK) {
        CHECK(value == Value::ui4(86400));
    }
    if (download->GetProperty(FIELD(CostPolicy), value.out()) == S_OK) {
        CHECK(value == Value::ui4(DODownloadCostPolicy_Standard));
    }
    download.set(FIELD(ForegroundPriority), Value::boolean(true));
    if (download->GetProperty(FIELD(CostPolicy), value.out()) == S_OK) {
        CHECK(value == Value::ui4(DODownloadCostPolicy_Always));
    }
}

CASE(property_of_another_type) {
    Download download;
    for (const Row &row : rows_of_the_page) {
        for (VARTYPE type : all_types) {
            const bool is_object = row.type == VT_UNKNOWN;
            if (type == row.type || (is_object && type == VT_EMPTY)) {
                continue;
            }
            const Value value = Value::of_type(type);
            const HRESULT wanted = row.access == READ ? DO_E_READ_ONLY_PROPERTY : E_INVALIDARG;
            const std::string what = std::string(row.name) + " as type " + std::to_string(type);
            want(wanted, "IDODownload::SetProperty", what.c_str(), download->SetProperty(row.id, value.get()), __LINE__);
        }
        if (row.access == BOTH && row.fresh == UNSET) { // nothing of it was taken
            Value value;
            WANT(E_NOT_SET, D, download, GetProperty, (row.id, value.out()));
        }
    }
    WANT(DO_E_READ_ONLY_PROPERTY, D, download, SetProperty, (FIELD(Id), Value::text("x").get())); // row 3
}

CASE(property_that_is_none) {
    Download download;
    for (int number : {26, 999, -1, 0x7FFFFFFF}) {
        const DODownloadProperty id = static_cast<DODownloadProperty>(number);
        Value value = Value::ui4(7);
        WANT(DO_E_UNKNOWN_PROPERTY_ID, D, download, GetProperty, (id, value.out()));
        CHECK(value.type() == VT_EMPTY);
        WANT(DO_E_UNKNOWN_PROPERTY_ID, D, download, SetProperty, (id, Value::ui4(1).get()));
    }
    NULL_REFUSED(D, download, GetProperty, (FIELD(Id), nullptr));
    NULL_REFUSED(D, download, SetProperty, (FIELD(Uri), nullptr));
    NULL_REFUSED(D, download, GetStatus, (nullptr));
}

// Sets it, reads it back.
static void there_and_back(const Download &download, DODownloadProperty id, const char *name, const Value &value) {
    Value back;
    want(S_OK, "IDODownload::SetProperty", name, download->SetProperty(id, value.get()), __LINE__);
    want(S_OK, "IDODownload::GetProperty", name, download->GetProperty(id, back.out()), __LINE__);
    if (!(back == value)) {
        std::printf("%s came back as another value, type %d %s\n", name, back.type(), back.utf8().c_str());
    }
    CHECK(back == value);
}
#define THERE_AND_BACK(name, value) there_and_back(download, FIELD(name), #name, value)

CASE(property_there_and_back) {
    Download download;
    const Value id = download.value(FIELD(Id));
    GUID guid;
    const WideText text = wide(id.utf8().c_str());
    const bool has_braces = id.utf8()[0] == '{';
    CHECK(CLSIDFromString((has_braces ? text : OLESTR("{") + text + OLESTR("}")).c_str(), &guid) == S_OK);
    THERE_AND_BACK(Uri, Value::text(url("small")));
    THERE_AND_BACK(Uri, Value::text(url("big")));
    THERE_AND_BACK(ContentId, Value::text("content 1"));
    THERE_AND_BACK(DisplayName, Value::text("Gr\xC3\xB6\xC3\x9F" "e \xF0\x9D\x84\x9E"));
    THERE_AND_BACK(LocalPath, Value::text(path("there and back")));
    THERE_AND_BACK(HttpCustomHeaders, Value::text("X-A: b\r\nX-C: d\r\n"));
    for (UINT policy = DODownloadCostPolicy_Always; policy <= DODownloadCostPolicy_NoCellular; policy++) {
        THERE_AND_BACK(CostPolicy, Value::ui4(policy));
    }
    THERE_AND_BACK(CallbackFreqPercent, Value::ui4(10));
    THERE_AND_BACK(CallbackFreqSeconds, Value::ui4(3));
    THERE_AND_BACK(NoProgressTimeoutSeconds, Value::ui4(60));
    THERE_AND_BACK(NoProgressTimeoutSeconds, Value::ui4(0xFFFFFFFF));
    THERE_AND_BACK(ForegroundPriority, Value::boolean(true)); // row 8, its first half
    THERE_AND_BACK(ForegroundPriority, Value::boolean(false));
    THERE_AND_BACK(BlockingMode, Value::boolean(true));
    THERE_AND_BACK(BlockingMode, Value::boolean(false));
    THERE_AND_BACK(CorrelationVector, Value::text("PmvzQKgYek6Sdk/T5sWaqw.1"));
    THERE_AND_BACK(IntegrityCheckMandatory, Value::boolean(true));
    THERE_AND_BACK(IntegrityCheckMandatory, Value::boolean(false));
    THERE_AND_BACK(TotalSizeBytes, Value::ui8(5000000000ULL));
    THERE_AND_BACK(DisallowOnCellular, Value::boolean(true));
    THERE_AND_BACK(DisallowOnCellular, Value::boolean(false));
    THERE_AND_BACK(HttpCustomAuthHeaders, Value::text("Authorization: Basic YTpi\r\n"));
    // Lines come back as HTTP writes them, and those that are none do not.
    MUST(D, download, SetProperty, (FIELD(HttpCustomHeaders), Value::text("X-A: b\nName=value\nX-C: d").get()));
    CHECK(download.value(FIELD(HttpCustomHeaders)) == Value::text("X-A: b\r\nX-C: d\r\n"));
    THERE_AND_BACK(HttpAllowSecureToNonSecureRedirect, Value::boolean(true));
    THERE_AND_BACK(HttpAllowSecureToNonSecureRedirect, Value::boolean(false));
    THERE_AND_BACK(NonVolatile, Value::boolean(true));
    THERE_AND_BACK(NonVolatile, Value::boolean(false));
    // Any value of a VARIANT_BOOL but 0 is true, and comes back as VARIANT_TRUE.
    VARIANT one;
    VariantInit(&one);
    V_VT(&one) = VT_BOOL;
    V_BOOL(&one) = 1;
    MUST(D, download, SetProperty, (FIELD(BlockingMode), &one));
    CHECK(download.value(FIELD(BlockingMode)) == Value::boolean(true));
    CHECK(download.value(FIELD(Id)) == id && download.state() == DODownloadState_Created);
}

CASE(property_write_only) {
    Download download;
    Value value;
    for (UINT bits : {0u, 0x100u, 0x200u, 0x1000u, 0x2000u, 0x3300u, 0x1u, 0x3301u}) {
        MUST(D, download, SetProperty, (FIELD(SecurityFlags), Value::ui4(bits).get()));
    }
    WANT(DO_E_WRITE_ONLY_PROPERTY, D, download, GetProperty, (FIELD(SecurityFlags), value.out()));
    MUST(D, download, SetProperty, (FIELD(NetworkToken), Value::boolean(true).get()));
    MUST(D, download, SetProperty, (FIELD(NetworkToken), Value::boolean(false).get()));
    WANT(DO_E_WRITE_ONLY_PROPERTY, D, download, GetProperty, (FIELD(NetworkToken), value.out()));
    const Value integrity = Value::text("{\"PiecesHashFileUrl\":\"http://127.0.0.1:9/p\","
                                        "\"PiecesHashFileDigest\":\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\","
                                        "\"PiecesHashFileDigestAlgorithm\":\"SHA256\"}");
    MUST(D, download, SetProperty, (FIELD(IntegrityCheckInfo), integrity.get()));
    WANT(DO_E_WRITE_ONLY_PROPERTY, D, download, GetProperty, (FIELD(IntegrityCheckInfo), value.out()));
    CHECK(FAILED(noted("IDODownload::SetProperty", "IntegrityCheckInfo, no JSON",
                       download->SetProperty(FIELD(IntegrityCheckInfo), Value::text("no JSON").get()), __LINE__)));
    WANT(DO_E_WRITE_ONLY_PROPERTY, D, download, GetProperty, (FIELD(DecryptionInfo), value.out()));
    // How content is encrypted is not documented: refused, so that nobody takes what came for the content (docs/decisions/0028).
    MUST(D, download, SetProperty, (FIELD(DecryptionInfo), Value::text("").get()));
    WANT(E_NOTIMPL, D, download, SetProperty, (FIELD(DecryptionInfo), Value::text("{\"KeyData\":\"AA==\"}").get()));
    // Row 14: garbage is no certificate, and the download lives on.
    WANT(CRYPT_E_FILE_ERROR, D, download, SetProperty, (FIELD(SecurityContext), Value::bytes("no certificate").get()));
    WANT(CRYPT_E_FILE_ERROR, D, download, SetProperty, (FIELD(SecurityContext), Value::bytes("").get()));
    VARIANT none;
    VariantInit(&none);
    V_VT(&none) = VT_ARRAY | VT_UI1;
    CHECK(FAILED(noted("IDODownload::SetProperty", "SecurityContext NULL",
                       download->SetProperty(FIELD(SecurityContext), &none), __LINE__)));
    WANT(DO_E_WRITE_ONLY_PROPERTY, D, download, GetProperty, (FIELD(SecurityContext), value.out()));
    MUST(D, download, Abort, ());
}

CASE(property_values) {
    Download download;
    WANT(E_INVALIDARG, D, download, SetProperty, (FIELD(NoProgressTimeoutSeconds), Value::ui4(59).get()));
    WANT(E_INVALIDARG, D, download, SetProperty, (FIELD(NoProgressTimeoutSeconds), Value::ui4(0).get()));
    WANT(E_INVALIDARG, D, download, SetProperty, (FIELD(CostPolicy), Value::ui4(6).get()));
    // Only http and https: refused here or by Start.
    HRESULT hr = noted("IDODownload::SetProperty", "Uri ftp",
                       download->SetProperty(FIELD(Uri), Value::text("ftp://127.0.0.1/f").get()), __LINE__);
    if (SUCCEEDED(hr)) {
        download.set(FIELD(LocalPath), Value::text(path("ftp")));
        hr = download->Start(nullptr);
    }
    CHECK(FAILED(hr));
}

CASE(property_objects) {
    const int watchers_before = watchers, sinks_before = sinks;
    {
        Download download;
        Held<Watcher> watcher(new Watcher), other(new Watcher);
        Held<Sink> sink(new Sink);
        Held<Plain> plain(new Plain);
        THERE_AND_BACK(CallbackInterface, Value::unknown(watcher.get()));
        THERE_AND_BACK(CallbackInterface, Value::unknown(other.get())); // replaced, and let go
        CHECK(soon(5000, [&] { return watcher->Counted::count() == 1; }) && other->Counted::count() > 1);
        THERE_AND_BACK(StreamInterface, Value::unknown(sink.get()));
        // Objects that are something else.
        CHECK(FAILED(noted("IDODownload::SetProperty", "CallbackInterface, another object",
                           download->SetProperty(FIELD(CallbackInterface), Value::unknown(plain.get()).get()), __LINE__)));
        CHECK(FAILED(noted("IDODownload::SetProperty", "StreamInterface, another object",
                           download->SetProperty(FIELD(StreamInterface), Value::unknown(plain.get()).get()), __LINE__)));
        CHECK(plain->count() == 1);
        CHECK(download.value(FIELD(CallbackInterface)) == Value::unknown(other.get())); // the good one is still there
        // NULL and VT_EMPTY take it back.
        MUST(D, download, SetProperty, (FIELD(CallbackInterface), Value::unknown(nullptr).get()));
        MUST(D, download, SetProperty, (FIELD(StreamInterface), Value().get()));
        CHECK(soon(5000, [&] { return other->Counted::count() == 1 && sink->count() == 1; }));
        Value value;
        WANT(E_NOT_SET, D, download, GetProperty, (FIELD(CallbackInterface), value.out()));
        WANT(E_NOT_SET, D, download, GetProperty, (FIELD(StreamInterface), value.out()));
        MUST(D, download, SetProperty, (FIELD(CallbackInterface), Value().get()));
        // What a download has when it goes is let go with it.
        MUST(D, download, SetProperty, (FIELD(CallbackInterface), Value::unknown(watcher.get()).get()));
        MUST(D, download, SetProperty, (FIELD(StreamInterface), Value::unknown(sink.get()).get()));
        MUST(D, download, Abort, ());
    }
    CHECK(soon(5000, [&] { return watchers == watchers_before && sinks == sinks_before; }));
}

CASE(property_of_two_sinks) {
    Held<Sink> sink(new Sink);
    Download first;
    first.set(FIELD(LocalPath), Value::text(path("two sinks")));
    WANT(DO_E_FILE_DOWNLOADSINK_ALREADY_SET, D, first, SetProperty,
         (FIELD(StreamInterface), Value::unknown(sink.get()).get()));
    MUST(D, first, SetProperty, (FIELD(LocalPath), Value::text("").get())); // taken back
    MUST(D, first, SetProperty, (FIELD(StreamInterface), Value::unknown(sink.get()).get()));
    WANT(DO_E_FILE_DOWNLOADSINK_ALREADY_SET, D, first, SetProperty,
         (FIELD(LocalPath), Value::text(path("two sinks")).get()));
    Value value;
    WANT(E_NOT_SET, D, first, GetProperty, (FIELD(LocalPath), value.out())); // the library's own file is nobody's business
    MUST(D, first, SetProperty, (FIELD(StreamInterface), Value().get()));
    MUST(D, first, SetProperty, (FIELD(LocalPath), Value::text(path("two sinks")).get()));
    CHECK(first.value(FIELD(LocalPath)) == Value::text(path("two sinks")));
}

CASE(property_states) {
    Download download("slow", "property-states");
    Held<Sink> sink(new Sink);
    MUST(D, download, Start, (nullptr));
    // A transfer keeps its sink and its source.
    WANT(DO_E_INVALID_STATE, D, download, SetProperty, (FIELD(LocalPath), Value::text(path("elsewhere")).get()));
    // Priority and callbacks may change at any time.
    MUST(D, download, SetProperty, (FIELD(ForegroundPriority), Value::boolean(false).get()));
    MUST(D, download, SetProperty, (FIELD(CallbackFreqSeconds), Value::ui4(5).get()));
    MUST(D, download, Pause, ());
    WANT(DO_E_INVALID_STATE, D, download, SetProperty, (FIELD(LocalPath), Value::text(path("elsewhere")).get()));
    MUST(D, download, Abort, ());
    WANT(DO_E_INVALID_STATE, D, download, SetProperty, (FIELD(DisplayName), Value::text("late").get()));
    WANT(DO_E_INVALID_STATE, D, download, SetProperty, (FIELD(ForegroundPriority), Value::boolean(true).get()));
    // Reading goes on.
    CHECK(download.value(FIELD(Uri)) == Value::text(url("slow")));
    CHECK(download.value(FIELD(LocalPath)) == Value::text(path("property-states")));
    CHECK(!download.value(FIELD(Id)).utf8().empty() && download.state() == DODownloadState_Aborted);
}
