// spec/bits-extended.md: jobs 3 to 5, files 2 to 6, HTTP options, helper tokens.
#include "rules.h"

#include <cstring>

#define J IBackgroundCopyJob
#define J3 IBackgroundCopyJob3
#define J4 IBackgroundCopyJob4
#define J5 IBackgroundCopyJob5
#define F2 IBackgroundCopyFile2
#define F3 IBackgroundCopyFile3
#define F4 IBackgroundCopyFile4
#define F5 IBackgroundCopyFile5
#define F6 IBackgroundCopyFile6
#define H1 IBackgroundCopyJobHttpOptions
#define H2 IBackgroundCopyJobHttpOptions2
#define H3 IBackgroundCopyJobHttpOptions3
#define T IBitsTokenOptions

static void *const MARK = reinterpret_cast<void *>(0x5EED);
static const UINT64 END = BG_LENGTH_TO_EOF;

CASE(job3_add_file_with_ranges) { // 4.2, worked examples
    struct Row {
        std::vector<BG_FILE_RANGE> ranges;
        HRESULT wanted;
    };
    const Row examples[] = {
        {{{0, 10}, {10, 5}}, S_OK},
        {{{10, 5}, {0, 10}}, S_OK},
        {{{0, 10}, {5, 5}}, BG_E_OVERLAPPING_RANGES},
        {{{0, 10}, {0, 10}}, BG_E_OVERLAPPING_RANGES},
        {{{100, END}, {50, 10}}, S_OK},
        {{{50, END}, {100, 10}}, BG_E_OVERLAPPING_RANGES},
        {{{END, 10}}, BG_E_INVALID_RANGE},
        {{{5, 0}}, BG_E_INVALID_RANGE},
        {{{END - 5, 10}}, BG_E_INVALID_RANGE},
        {{}, E_INVALIDARG},
        {{{30, 12}, {200, END}, {60, 5}}, S_OK},
    };
    Job job;
    Held<J3> job3 = as<J3>(job.get());
    int number = 0;
    for (const Row &row : examples) {
        std::vector<BG_FILE_RANGE> ranges = row.ranges;
        ranges.resize(ranges.size() + 1); // never NULL
        const WideText local = path(("ranges" + std::to_string(number++)).c_str());
        const DWORD count = static_cast<DWORD>(row.ranges.size());
        WANT(row.wanted, J3, job3, AddFileWithRanges, (url("small").c_str(), local.c_str(), count, ranges.data()));
    }
    BG_FILE_RANGE one[] = {{0, 1}};
    NULL_REFUSED(J3, job3, AddFileWithRanges, (nullptr, path("r").c_str(), 1, one));
    NULL_REFUSED(J3, job3, AddFileWithRanges, (url("small").c_str(), nullptr, 1, one));
    NULL_REFUSED(J3, job3, AddFileWithRanges, (url("small").c_str(), path("r").c_str(), 1, nullptr));
    WANT(E_INVALIDARG, J3, job3, AddFileWithRanges, (url("small").c_str(), OLESTR("relative"), 1, one));
    // What was asked for comes back in the same order.
    Held<IBackgroundCopyFile> file = job.file(1);
    Held<F2> file2 = as<F2>(file.get());
    DWORD count = 0;
    BG_FILE_RANGE *ranges = nullptr;
    MUST(F2, file2, GetFileRanges, (&count, &ranges));
    CHECK(count == 2 && ranges[0].InitialOffset == 10 && ranges[0].Length == 5 && ranges[1].InitialOffset == 0);
    CoTaskMemFree(ranges);
    Job upload(BG_JOB_TYPE_UPLOAD);
    Held<J3> upload3 = as<J3>(upload.get());
    WANT(E_NOTIMPL, J3, upload3, AddFileWithRanges, (url("small").c_str(), path("r").c_str(), 1, one));
    MUST(J, job, Cancel, ());
    WANT(BG_E_INVALID_STATE, J3, job3, AddFileWithRanges, (url("small").c_str(), path("r").c_str(), 1, one));
}

CASE(job3_ranges_are_fetched) {
    Job job;
    Held<J3> job3 = as<J3>(job.get());
    BG_FILE_RANGE ranges[] = {{500, 100}, {0, 50}, {200, 100}};
    MUST(J3, job3, AddFileWithRanges, (url("small").c_str(), path("packed").c_str(), 3, ranges));
    MUST(J, job, AddFile, (url("small").c_str(), path("whole").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_TRANSFERRED)) {
        return;
    }
    MUST(J, job, Complete, ());
    const std::string whole = content_of(folder + "whole"), packed = content_of(folder + "packed");
    CHECK(packed == whole.substr(500, 100) + whole.substr(0, 50) + whole.substr(200, 100));
    Job beyond;
    Held<J3> beyond3 = as<J3>(beyond.get());
    BG_FILE_RANGE far[] = {{1u << 30, 200}};
    MUST(J3, beyond3, AddFileWithRanges, (url("small").c_str(), path("beyond").c_str(), 1, far));
    MUST(J, beyond, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, beyond, Resume, ());
    if (beyond.until(BG_JOB_STATE_ERROR)) {
        CHECK(beyond.error() == BG_E_INVALID_RANGE);
    }
}

CASE(job3_replace_remote_prefix) { // 4.1
    Job job;
    Held<J3> job3 = as<J3>(job.get());
    MUST(J, job, AddFile, (OLESTR("http://old.example/a/file"), path("prefix").c_str()));
    WANT(S_FALSE, J3, job3, ReplaceRemotePrefix, (OLESTR("HTTP://old.example/"), OLESTR("http://new.example/")));
    WANT(E_INVALIDARG, J3, job3, ReplaceRemotePrefix, (OLESTR(""), OLESTR("http://new.example/")));
    WANT(E_INVALIDARG, J3, job3, ReplaceRemotePrefix, (OLESTR("http://old.example/"), OLESTR("")));
    NULL_REFUSED(J3, job3, ReplaceRemotePrefix, (nullptr, OLESTR("x")));
    NULL_REFUSED(J3, job3, ReplaceRemotePrefix, (OLESTR("x"), nullptr));
    MUST(J3, job3, ReplaceRemotePrefix, (OLESTR("http://old.example/"), OLESTR("http://new.example/b/")));
    Held<IBackgroundCopyFile> file = job.file();
    LPWSTR name = nullptr;
    MUST(IBackgroundCopyFile, file, GetRemoteName, (&name));
    CHECK(WideText(name) == OLESTR("http://new.example/b/a/file"));
    CoTaskMemFree(name);
    Job upload(BG_JOB_TYPE_UPLOAD_REPLY);
    Held<J3> upload3 = as<J3>(upload.get());
    WANT(E_NOTIMPL, J3, upload3, ReplaceRemotePrefix, (OLESTR("http://a/"), OLESTR("http://b/")));
    MUST(J, job, Cancel, ());
    WANT(BG_E_INVALID_STATE, J3, job3, ReplaceRemotePrefix, (OLESTR("http://new.example/"), OLESTR("http://b/")));
}

CASE(job3_file_acl_flags) { // 4.3, 4.4
    Job job;
    Held<J3> job3 = as<J3>(job.get());
    DWORD flags = 99;
    MUST(J3, job3, GetFileACLFlags, (&flags));
    CHECK(flags == 0);
    MUST(J3, job3, SetFileACLFlags, (BG_COPY_FILE_ALL));
    WANT(E_INVALIDARG, J3, job3, SetFileACLFlags, (0x10));
    MUST(J3, job3, GetFileACLFlags, (&flags));
    CHECK(flags == 0xF);
    NULL_REFUSED(J3, job3, GetFileACLFlags, (nullptr));
    MUST(J3, job3, SetFileACLFlags, (0));
    MUST(J, job, Cancel, ());
    WANT(BG_E_INVALID_STATE, J3, job3, SetFileACLFlags, (0));
}

CASE(job4) { // 5
    Job job;
    Held<J4> job4 = as<J4>(job.get());
    DWORD flags = 99;
    ULONG number = 99;
    BOOL elevated = 99;
    MUST(J4, job4, GetPeerCachingFlags, (&flags));
    CHECK(flags == 0);
    MUST(J4, job4, SetPeerCachingFlags, (7));
    WANT(E_NOTIMPL, J4, job4, SetPeerCachingFlags, (8));
    MUST(J4, job4, GetPeerCachingFlags, (&flags));
    CHECK(flags == 7);
    NULL_REFUSED(J4, job4, GetPeerCachingFlags, (nullptr));
    MUST(J4, job4, GetOwnerIntegrityLevel, (&number));
    CHECK(number == 0x2000 || number == 0x3000 || number == 0x4000);
    NULL_REFUSED(J4, job4, GetOwnerIntegrityLevel, (nullptr));
    MUST(J4, job4, GetOwnerElevationState, (&elevated));
    CHECK(elevated == TRUE || elevated == FALSE);
    NULL_REFUSED(J4, job4, GetOwnerElevationState, (nullptr));
    MUST(J4, job4, GetMaximumDownloadTime, (&number));
    CHECK(number == 7776000);
    MUST(J4, job4, SetMaximumDownloadTime, (1));
    MUST(J4, job4, GetMaximumDownloadTime, (&number));
    CHECK(number == 1);
    WANT(E_INVALIDARG, J4, job4, SetMaximumDownloadTime, (0));
    MUST(J4, job4, SetMaximumDownloadTime, (0xFFFFFFFF));
    NULL_REFUSED(J4, job4, GetMaximumDownloadTime, (nullptr));
}

static BITS_JOB_PROPERTY_VALUE nothing() {
    BITS_JOB_PROPERTY_VALUE value;
    std::memset(&value, 0, sizeof value);
    return value;
}

CASE(job5_properties) { // 6.3
    Job job;
    Held<J5> job5 = as<J5>(job.get());
    BITS_JOB_PROPERTY_VALUE value = nothing(), got;
    for (int id : {0, 6, 8, 11, -1}) {
        const BITS_JOB_PROPERTY_ID unknown = static_cast<BITS_JOB_PROPERTY_ID>(id);
        WANT(BG_E_UNKNOWN_PROPERTY_ID, J5, job5, SetProperty, (unknown, value));
        WANT(BG_E_UNKNOWN_PROPERTY_ID, J5, job5, GetProperty, (unknown, &got));
    }
    NULL_REFUSED(J5, job5, GetProperty, (BITS_JOB_PROPERTY_ID_COST_FLAGS, nullptr));
    // Until it is set it follows priority and policy; jobs in the foreground always run.
    std::memset(&got, 0xFF, sizeof got);
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_ID_COST_FLAGS, &got));
    CHECK(got.Dword == BITS_COST_STATE_TRANSFER_ALWAYS);
    value.Dword = BITS_COST_STATE_TRANSFER_NOT_ROAMING;
    MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_ID_COST_FLAGS, value));
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_ID_COST_FLAGS, &got));
    CHECK(got.Dword == BITS_COST_STATE_TRANSFER_NOT_ROAMING);
    value.Dword = 0x100;
    WANT(E_INVALIDARG, J5, job5, SetProperty, (BITS_JOB_PROPERTY_ID_COST_FLAGS, value));
    std::memset(&got, 0xFF, sizeof got);
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_NOTIFICATION_CLSID, &got));
    CHECK(got.ClsID == GUID_NULL);
    value = nothing();
    MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_NOTIFICATION_CLSID, value));
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE, &got));
    CHECK(got.Uint64 == ~0ULL);
    WANT(BG_E_MAX_DOWNLOAD_SIZE_INVALID_VALUE, J5, job5, SetProperty, (BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE, value));
    value.Uint64 = 1ULL << 40;
    MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE, value));
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE, &got));
    CHECK(got.Uint64 == 1ULL << 40);
    value = nothing();
    value.Target = BG_AUTH_TARGET_SERVER;
    WANT(BG_E_USE_STORED_CREDENTIALS_NOT_SUPPORTED, J5, job5, SetProperty,
         (BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS, value));
    value.Target = BG_AUTH_TARGET_PROXY;
    MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS, value));
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS, &got));
    CHECK(got.Target == BG_AUTH_TARGET_PROXY);
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS, &got));
    CHECK(got.Dword == 500);
    value = nothing();
    value.Dword = 60000;
    MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS, value));
    for (BITS_JOB_PROPERTY_ID id : {BITS_JOB_PROPERTY_DYNAMIC_CONTENT, BITS_JOB_PROPERTY_ON_DEMAND_MODE}) {
        Job other;
        Held<J5> other5 = as<J5>(other.get());
        MUST(J5, other5, GetProperty, (id, &got));
        CHECK(got.Enable == FALSE);
        value = nothing();
        value.Enable = TRUE;
        MUST(J5, other5, SetProperty, (id, value));
        MUST(J5, other5, GetProperty, (id, &got));
        CHECK(got.Enable == TRUE);
        const BITS_JOB_PROPERTY_ID second = id == BITS_JOB_PROPERTY_DYNAMIC_CONTENT ? BITS_JOB_PROPERTY_ON_DEMAND_MODE
                                                                                     : BITS_JOB_PROPERTY_DYNAMIC_CONTENT;
        WANT(BG_E_UNSUPPORTED_JOB_CONFIGURATION, J5, other5, SetProperty, (second, value));
        Held<H2> other_options = as<H2>(other.get());
        WANT(BG_E_UNSUPPORTED_JOB_CONFIGURATION, H2, other_options, SetHttpMethod, (OLESTR("POST")));
    }
    // Not together with a method of one's own, nor after the first Resume.
    Job posts;
    Held<J5> posts5 = as<J5>(posts.get());
    Held<H2> posts_options = as<H2>(posts.get());
    MUST(H2, posts_options, SetHttpMethod, (OLESTR("POST")));
    value = nothing();
    value.Enable = TRUE;
    WANT(BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD, J5, posts5, SetProperty, (BITS_JOB_PROPERTY_DYNAMIC_CONTENT, value));
    Job resumed;
    Held<J5> resumed5 = as<J5>(resumed.get());
    Held<H3> resumed_options = as<H3>(resumed.get());
    MUST(J, resumed, AddFile, (url("slow").c_str(), path("resumed").c_str()));
    MUST(J, resumed, Resume, ());
    WANT(BG_E_READ_ONLY_PROPERTY_AFTER_RESUME, J5, resumed5, SetProperty, (BITS_JOB_PROPERTY_DYNAMIC_CONTENT, value));
    WANT(BG_E_READ_ONLY_PROPERTY_AFTER_RESUME, H2, resumed_options, SetHttpMethod, (OLESTR("POST")));
    MUST(J, resumed, Suspend, ());
    MUST(J, resumed, Cancel, ());
    WANT(BG_E_INVALID_STATE, H2, resumed_options, SetHttpMethod, (OLESTR("POST")));
    // Frozen by the first file.
    value = nothing();
    value.Enable = TRUE;
    MUST(J, job, AddFile, (url("small").c_str(), path("frozen").c_str()));
    WANT(BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE, J5, job5, SetProperty, (BITS_JOB_PROPERTY_HIGH_PERFORMANCE, value));
    Job upload(BG_JOB_TYPE_UPLOAD);
    Held<J5> upload5 = as<J5>(upload.get());
    for (BITS_JOB_PROPERTY_ID id : {BITS_JOB_PROPERTY_DYNAMIC_CONTENT, BITS_JOB_PROPERTY_HIGH_PERFORMANCE,
                                    BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE, BITS_JOB_PROPERTY_ON_DEMAND_MODE}) {
        WANT(BG_E_PROPERTY_SUPPORTED_FOR_DOWNLOAD_JOBS_ONLY, J5, upload5, SetProperty, (id, value));
    }
    MUST(J, job, Cancel, ());
    value.Dword = 1000;
    WANT(BG_E_INVALID_STATE, J5, job5, SetProperty, (BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS, value));
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS, &got));
    CHECK(got.Dword == 60000);
}

CASE(files_before_the_transfer) { // 7
    Job job;
    MUST(J, job, AddFile, (url("small").c_str(), path("before").c_str()));
    Held<IBackgroundCopyFile> file = job.file();
    Held<F6> file6 = as<F6>(file.get());
    Held<F5> file5 = as<F5>(file6.get());
    Held<F4> file4 = as<F4>(file5.get());
    Held<F3> file3 = as<F3>(file4.get());
    Held<F2> file2 = as<F2>(file3.get());
    DWORD count = 9;
    BG_FILE_RANGE *ranges = static_cast<BG_FILE_RANGE *>(MARK);
    WANT(S_FALSE, F2, file2, GetFileRanges, (&count, &ranges));
    CHECK(count == 0 && ranges == nullptr);
    NULL_REFUSED(F2, file2, GetFileRanges, (nullptr, &ranges));
    NULL_REFUSED(F2, file2, GetFileRanges, (&count, nullptr));
    NULL_REFUSED(F2, file2, SetRemoteName, (nullptr));
    WANT(E_INVALIDARG, F2, file2, SetRemoteName, (OLESTR("not a url")));
    MUST(F2, file2, SetRemoteName, (url("other").c_str()));
    LPWSTR text = nullptr;
    MUST(F2, file2, GetRemoteName, (&text));
    CHECK(url("other") == text);
    CoTaskMemFree(text);
    BOOL yes = 99;
    MUST(F3, file3, GetValidationState, (&yes));
    CHECK(yes == FALSE);
    WANT(E_PENDING, F3, file3, SetValidationState, (TRUE));
    yes = 99;
    MUST(F3, file3, IsDownloadedFromPeer, (&yes));
    CHECK(yes == FALSE);
    NULL_REFUSED(F3, file3, GetTemporaryName, (nullptr));
    NULL_REFUSED(F3, file3, GetValidationState, (nullptr));
    NULL_REFUSED(F3, file3, IsDownloadedFromPeer, (nullptr));
    UINT64 here = 9, there = 9;
    MUST(F4, file4, GetPeerDownloadStats, (&here, &there));
    CHECK(here == 0 && there == 0);
    NULL_REFUSED(F4, file4, GetPeerDownloadStats, (nullptr, &there));
    BITS_FILE_PROPERTY_VALUE value;
    value.String = static_cast<LPWSTR>(MARK);
    MUST(F5, file5, GetProperty, (BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, &value));
    CHECK(value.String == nullptr);
    WANT(BG_E_UNKNOWN_PROPERTY_ID, F5, file5, GetProperty, (static_cast<BITS_FILE_PROPERTY_ID>(2), &value));
    value.String = nullptr;
    WANT(BG_E_READ_ONLY_PROPERTY, F5, file5, SetProperty, (BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, value));
    WANT(BG_E_UNKNOWN_PROPERTY_ID, F5, file5, SetProperty, (static_cast<BITS_FILE_PROPERTY_ID>(2), value));
    NULL_REFUSED(F5, file5, GetProperty, (BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, nullptr));
    count = 9;
    ranges = static_cast<BG_FILE_RANGE *>(MARK);
    MUST(F6, file6, GetFilledFileRanges, (&count, &ranges));
    CHECK(count == 0 && ranges == nullptr);
    NULL_REFUSED(F6, file6, GetFilledFileRanges, (nullptr, &ranges));
    BG_FILE_RANGE one[] = {{0, 10}};
    MUST(F6, file6, RequestFileRanges, (1, one));
    WANT(E_INVALIDARG, F6, file6, RequestFileRanges, (0, one));
    NULL_REFUSED(F6, file6, RequestFileRanges, (1, nullptr));
    MUST(F6, file6, UpdateDownloadPosition, (10));
    MUST(J, job, Cancel, ());
    WANT(BG_E_INVALID_STATE, F2, file2, SetRemoteName, (url("other").c_str()));
    Job upload(BG_JOB_TYPE_UPLOAD);
    FILE *made = std::fopen((folder + "source3").c_str(), "wb");
    std::fputs("12345", made);
    std::fclose(made);
    MUST(J, upload, AddFile, (OLESTR("http://127.0.0.1:9/in/f"), path("source3").c_str()));
    Held<IBackgroundCopyFile> source = upload.file();
    Held<F6> source6 = as<F6>(source.get());
    WANT(E_NOTIMPL, F2, source6, SetRemoteName, (url("other").c_str()));
    count = 9;
    ranges = static_cast<BG_FILE_RANGE *>(MARK);
    WANT(S_FALSE, F2, source6, GetFileRanges, (&count, &ranges));
    CHECK(count == 0 && ranges == nullptr);
    WANT(BG_E_RANDOM_ACCESS_NOT_SUPPORTED, F6, source6, RequestFileRanges, (1, one));
}

CASE(files_after_the_transfer) {
    Job job;
    MUST(J, job, AddFile, (url("small").c_str(), path("after").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_TRANSFERRED)) {
        return;
    }
    Held<IBackgroundCopyFile> file = job.file();
    Held<F6> file6 = as<F6>(file.get());
    LPWSTR text = nullptr;
    MUST(F3, file6, GetTemporaryName, (&text));
    const std::string temporary = narrow(text);
    CoTaskMemFree(text);
    CHECK(temporary.compare(0, folder.size() + 3, folder + "BIT") == 0 && exists(temporary));
    BG_FILE_PROGRESS progress;
    MUST(F6, file6, GetProgress, (&progress));
    UINT64 here = 0, there = 9;
    MUST(F4, file6, GetPeerDownloadStats, (&here, &there));
    CHECK(here == progress.BytesTotal && there == 0);
    DWORD count = 0;
    BG_FILE_RANGE *ranges = nullptr;
    MUST(F6, file6, GetFilledFileRanges, (&count, &ranges));
    CHECK(count == 1 && ranges[0].InitialOffset == 0 && ranges[0].Length == progress.BytesTotal);
    CoTaskMemFree(ranges);
    BITS_FILE_PROPERTY_VALUE value;
    MUST(F5, file6, GetProperty, (BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, &value));
    CHECK(value.String != nullptr && narrow(value.String).compare(0, 5, "HTTP/") == 0);
    CoTaskMemFree(value.String);
    Held<J3> job3 = as<J3>(job.get());
    WANT(BG_E_INVALID_STATE, J3, job3, SetFileACLFlags, (1));
    MUST(F3, file6, SetValidationState, (TRUE));
    BOOL valid = FALSE;
    MUST(F3, file6, GetValidationState, (&valid));
    CHECK(valid == TRUE);
    MUST(F3, file6, SetValidationState, (FALSE));
    if (job.until(BG_JOB_STATE_ERROR)) {
        CHECK(job.error() == BG_E_VALIDATION_FAILED);
        MUST(J, job, Resume, ());
        CHECK(job.until(BG_JOB_STATE_TRANSFERRED));
    }
}

CASE(file6_on_demand) { // 7.10-7.13
    Job job;
    Held<J5> job5 = as<J5>(job.get());
    BITS_JOB_PROPERTY_VALUE value = nothing();
    value.Enable = TRUE;
    MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_ON_DEMAND_MODE, value));
    MUST(J, job, AddFile, (url("big").c_str(), path("on-demand").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    Held<IBackgroundCopyFile> file = job.file();
    Held<F6> file6 = as<F6>(file.get());
    BG_FILE_RANGE wanted[] = {{1000, 500}, {1200, 1000}};
    MUST(F6, file6, RequestFileRanges, (2, wanted));
    MUST(J, job, Resume, ());
    DWORD count = 0;
    UINT64 first = 0, length = 0;
    CHECK(soon(20000, [&] {
        BG_FILE_RANGE *ranges = nullptr;
        if (file6->GetFilledFileRanges(&count, &ranges) == S_OK && count == 1) {
            first = ranges[0].InitialOffset;
            length = ranges[0].Length;
        }
        CoTaskMemFree(ranges);
        return first == 1000 && length == 1200;
    }));
    CHECK(soon(5000, [&] { return job.state() == BG_JOB_STATE_SUSPENDED; }));
    BG_FILE_RANGE outside[] = {{1ULL << 50, 1}};
    WANT(BG_E_INVALID_RANGE, F6, file6, RequestFileRanges, (1, outside));
    // Files of ranges have no random access.
    Job ranged;
    Held<J3> ranged3 = as<J3>(ranged.get());
    MUST(J3, ranged3, AddFileWithRanges, (url("big").c_str(), path("ranged").c_str(), 1, wanted));
    Held<IBackgroundCopyFile> other = ranged.file();
    Held<F6> other6 = as<F6>(other.get());
    WANT(BG_E_RANDOM_ACCESS_NOT_SUPPORTED, F6, other6, RequestFileRanges, (1, wanted));
    WANT(BG_E_RANDOM_ACCESS_NOT_SUPPORTED, F6, other6, UpdateDownloadPosition, (0));
    BG_FILE_RANGE *none = static_cast<BG_FILE_RANGE *>(MARK);
    WANT(BG_E_RANDOM_ACCESS_NOT_SUPPORTED, F6, other6, GetFilledFileRanges, (&count, &none));
    CHECK(none == nullptr);
}

CASE(http_options) { // 9.1
    Job job;
    Held<H1> options = as<H1>(job.get());
    LPWSTR text = static_cast<LPWSTR>(MARK);
    ULONG flags = 99;
    WANT(S_FALSE, H1, options, GetCustomHeaders, (&text));
    CHECK(text == nullptr);
    NULL_REFUSED(H1, options, GetCustomHeaders, (nullptr));
    MUST(H1, options, SetCustomHeaders, (OLESTR("X-One: 1\r\nX-Two: 2\r\n")));
    MUST(H1, options, GetCustomHeaders, (&text));
    CHECK(WideText(text) == OLESTR("X-One: 1\r\nX-Two: 2\r\n"));
    CoTaskMemFree(text);
    WANT(BG_E_STRING_TOO_LONG, H1, options, SetCustomHeaders,
         ((OLESTR("X: ") + repeated('h', 16379) + OLESTR("\r\n")).c_str()));
    WANT(E_INVALIDARG, H1, options, SetCustomHeaders, (OLESTR("Host: x\r\n")));
    WANT(E_INVALIDARG, H1, options, SetCustomHeaders, (OLESTR("no colon\r\n")));
    MUST(H1, options, SetCustomHeaders, (nullptr));
    WANT(S_FALSE, H1, options, GetCustomHeaders, (&text));
    MUST(H1, options, GetSecurityFlags, (&flags));
    CHECK(flags == 0);
    MUST(H1, options, SetSecurityFlags, (0x0F1F & ~0x600));
    WANT(E_NOTIMPL, H1, options, SetSecurityFlags, (0x300));
    WANT(E_NOTIMPL, H1, options, SetSecurityFlags, (0x20));
    MUST(H1, options, GetSecurityFlags, (&flags));
    CHECK(flags == (0x0F1F & ~0x600));
    NULL_REFUSED(H1, options, GetSecurityFlags, (nullptr));
    // Certificates.
    BYTE hash[20] = {1, 2, 3};
    const BG_CERT_STORE_LOCATION user = BG_CERT_STORE_LOCATION_CURRENT_USER;
    const BG_CERT_STORE_LOCATION undefined = static_cast<BG_CERT_STORE_LOCATION>(8);
    WANT(E_NOTIMPL, H1, options, SetClientCertificateByID, (undefined, OLESTR("MY"), hash));
    WANT(E_NOTIMPL, H1, options, SetClientCertificateByName, (undefined, OLESTR("MY"), OLESTR("alice")));
    NULL_REFUSED(H1, options, SetClientCertificateByID, (user, nullptr, hash));
    NULL_REFUSED(H1, options, SetClientCertificateByID, (user, OLESTR("MY"), nullptr));
    NULL_REFUSED(H1, options, SetClientCertificateByName, (user, nullptr, OLESTR("alice")));
    NULL_REFUSED(H1, options, SetClientCertificateByName, (user, OLESTR("MY"), nullptr));
    WANT(BG_E_STRING_TOO_LONG, H1, options, SetClientCertificateByName,
         (user, OLESTR("MY"), repeated('s', 256).c_str()));
    WANT(BG_E_STRING_TOO_LONG, H1, options, SetClientCertificateByID, (user, repeated('s', 256).c_str(), hash));
    WANT(E_INVALIDARG, H1, options, SetClientCertificateByName, (user, OLESTR("MY"), OLESTR("")));
    WANT(HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND), H1, options, SetClientCertificateByName,
         (user, OLESTR("NO-SUCH-STORE"), OLESTR("alice")));
    WANT(HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND), H1, options, SetClientCertificateByID,
         (user, OLESTR("NO-SUCH-STORE"), hash));
    WANT(S_FALSE, H1, options, RemoveClientCertificate, ());
    BG_CERT_STORE_LOCATION location;
    LPWSTR store = static_cast<LPWSTR>(MARK), subject = static_cast<LPWSTR>(MARK);
    BYTE *blob = static_cast<BYTE *>(MARK);
    WANT(HRESULT_FROM_WIN32(RPC_X_BAD_STUB_DATA), H1, options, GetClientCertificate,
         (&location, &store, &blob, &subject));
    CHECK(store == nullptr && blob == nullptr && subject == nullptr);
    MUST(J, job, Cancel, ());
    WANT(BG_E_INVALID_STATE, H1, options, SetCustomHeaders, (nullptr));
    WANT(BG_E_INVALID_STATE, H1, options, RemoveClientCertificate, ());
    WANT(BG_E_INVALID_STATE, H1, options, SetClientCertificateByID, (user, OLESTR("MY"), hash));
    WANT(BG_E_INVALID_STATE, H1, options, SetClientCertificateByName, (user, OLESTR("MY"), OLESTR("alice")));
}

class Accepts final : public IBackgroundCopyServerCertificateValidationCallback {
    ULONG references = 1;

public:
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has = riid == IID_IUnknown || riid == IID_IBackgroundCopyServerCertificateValidationCallback;
        *object = has ? this : nullptr;
        return has ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    ULONG AddRef() override { return ++references; }
    ULONG Release() override { return --references; }
    HRESULT ValidateServerCertificate(IBackgroundCopyJob *, IBackgroundCopyFile *, DWORD, const BYTE[], DWORD, DWORD,
                                      const BYTE[]) override {
        return S_OK;
    }
};

CASE(http_options3_while_active) { // 9.3.1
    static Accepts accepts; // lives as long as the program, whoever holds it
    Job job;
    Held<H3> options = as<H3>(job.get());
    MUST(H3, options, SetServerCertificateValidationInterface, (&accepts));
    MUST(J, job, AddFile, (url("slow").c_str(), path("active").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (job.until(BG_JOB_STATE_TRANSFERRING)) {
        WANT(BG_E_READ_ONLY_WHEN_JOB_ACTIVE, H3, options, SetServerCertificateValidationInterface, (&accepts));
    }
    MUST(J, job, Suspend, ());
    MUST(H3, options, SetServerCertificateValidationInterface, (nullptr));
}

class NoCallback final : public IUnknown {
    ULONG references = 1;

public:
    HRESULT QueryInterface(REFIID riid, void **object) override {
        *object = riid == IID_IUnknown ? this : nullptr;
        return *object != nullptr ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    ULONG AddRef() override { return ++references; }
    ULONG Release() override { return --references; }
};

CASE(http_options2_and_3) { // 9.2, 9.3
    Job job;
    Held<H3> options = as<H3>(job.get());
    LPWSTR text = nullptr;
    MUST(H2, options, GetHttpMethod, (&text));
    CHECK(WideText(text) == OLESTR("GET"));
    CoTaskMemFree(text);
    NULL_REFUSED(H2, options, GetHttpMethod, (nullptr));
    NULL_REFUSED(H2, options, SetHttpMethod, (nullptr));
    WANT(E_INVALIDARG, H2, options, SetHttpMethod, (OLESTR("")));
    WANT(E_INVALIDARG, H2, options, SetHttpMethod, (OLESTR("not a token")));
    WANT(BG_E_STRING_TOO_LONG, H2, options, SetHttpMethod, (repeated('M', 257).c_str()));
    MUST(H2, options, SetHttpMethod, (OLESTR("POST")));
    MUST(H2, options, GetHttpMethod, (&text));
    CHECK(WideText(text) == OLESTR("POST"));
    CoTaskMemFree(text);
    WANT(BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD, J, job, SetPriority, (BG_JOB_PRIORITY_LOW));
    Job upload(BG_JOB_TYPE_UPLOAD);
    Held<H2> upload2 = as<H2>(upload.get());
    MUST(H2, upload2, GetHttpMethod, (&text));
    CHECK(WideText(text) == OLESTR("BITS_POST"));
    CoTaskMemFree(text);
    NoCallback none;
    WANT(E_NOINTERFACE, H3, options, SetServerCertificateValidationInterface, (&none));
    MUST(H3, options, SetServerCertificateValidationInterface, (nullptr));
    MUST(H1, options, SetCustomHeaders, (OLESTR("X-Secret: 1\r\n")));
    MUST(H3, options, MakeCustomHeadersWriteOnly, ());
    text = static_cast<LPWSTR>(MARK);
    WANT(E_ACCESSDENIED, H1, options, GetCustomHeaders, (&text));
    CHECK(text == nullptr);
    MUST(H1, options, SetCustomHeaders, (OLESTR("X-Secret: 2\r\n")));
    // A plain object is no callback either (row 16 of the core's section 10).
    WANT(E_NOINTERFACE, J, job, SetNotifyInterface, (&none));
}

CASE(helper_tokens) { // 10
    Job job;
    Held<T> token = as<T>(job.get());
    DWORD flags = 99;
    MUST(T, token, GetHelperTokenFlags, (&flags));
    CHECK(flags == 0);
    NULL_REFUSED(T, token, GetHelperTokenFlags, (nullptr));
    MUST(T, token, SetHelperTokenFlags, (BG_TOKEN_LOCAL_FILE | BG_TOKEN_NETWORK));
    MUST(T, token, GetHelperTokenFlags, (&flags));
    CHECK(flags == 3);
    NULL_REFUSED(T, token, GetHelperTokenSid, (nullptr));
    // The token is the caller's own.
    MUST(T, token, SetHelperToken, ());
    LPWSTR sid = nullptr, owner = nullptr;
    MUST(T, token, GetHelperTokenSid, (&sid));
    MUST(J, job, GetOwner, (&owner));
    CHECK(sid != nullptr && WideText(sid) == WideText(owner));
    CoTaskMemFree(sid);
    CoTaskMemFree(owner);
    MUST(T, token, ClearHelperToken, ());
}
