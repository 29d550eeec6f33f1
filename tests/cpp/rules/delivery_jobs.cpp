// The interfaces of BITS' names at the manager of Delivery Optimization: spec/delivery-optimization-com.md 5; rows 11 to 13 of its checklist.
#include "delivery.h"

#include <cstring>
#include <unistd.h>

#define J IBackgroundCopyJob
#define J5 IBackgroundCopyJob5
#define M IBackgroundCopyManager
#define F IBackgroundCopyFile
#define F2 IBackgroundCopyFile2
#define F5 IBackgroundCopyFile5
#define DJ IDeliveryOptimizationJob
#define DJ2 IDeliveryOptimizationJob2
#define DF IDeliveryOptimizationFile
#define DF2 IDeliveryOptimizationFile2

static void *const MARK = reinterpret_cast<void *>(0x11);
static BG_FILE_RANGE *const no_ranges = nullptr;

static M *the_delivery_manager() {
    static M *manager = nullptr;
    if (manager == nullptr) {
        CHECK(CoCreateInstance(CLSID_DeliveryOptimization, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager)) == S_OK);
    }
    return manager;
}

namespace {
// A new job, cancelled at the end of the case if it is not final.
class DeliveryJob {
    Held<J> job;

public:
    GUID id;
    Held<DJ> files; // its other face
    DeliveryJob() : files(nullptr) {
        const HRESULT hr = the_delivery_manager()->CreateJob(OLESTR("delivery"), BG_JOB_TYPE_DOWNLOAD, &id, job.out());
        CHECK(hr == S_OK);
        CHECK(job->QueryInterface(IID_PPV_ARGS(files.out())) == S_OK);
    }
    DeliveryJob(const DeliveryJob &) = delete;
    DeliveryJob &operator=(const DeliveryJob &) = delete;
    ~DeliveryJob() { job->Cancel(); }
    J *get() const { return job.get(); }
    J *operator->() const { return job.get(); }
    void add(const char *name, const char *local) const {
        WANT(S_OK, DJ, files, AddFileWithRanges,
             (wide(name).c_str(), url(name).c_str(), path(local).c_str(), 0, nullptr, DO_UNKNOWN_FILE_SIZE));
    }
    BG_JOB_STATE state() const {
        BG_JOB_STATE state = static_cast<BG_JOB_STATE>(-1);
        CHECK(job->GetState(&state) == S_OK);
        CHECK(state != BG_JOB_STATE_CONNECTING); // never reported
        return state;
    }
    bool until(BG_JOB_STATE wanted) const {
        BG_JOB_STATE last = wanted;
        soon(30000, [&] {
            last = state();
            return last == wanted || last >= BG_JOB_STATE_TRANSFERRED || last == BG_JOB_STATE_ERROR;
        });
        if (last != wanted) {
            std::printf("state %d instead of %d\n", last, wanted);
        }
        return last == wanted;
    }
    ULONG file_count() const {
        Held<IEnumBackgroundCopyFiles> list;
        ULONG count = 99;
        CHECK(job->EnumFiles(list.out()) == S_OK && list->GetCount(&count) == S_OK);
        return count;
    }
    Held<F> file(ULONG index = 0) const {
        Held<IEnumBackgroundCopyFiles> list;
        F *found = nullptr;
        CHECK(job->EnumFiles(list.out()) == S_OK);
        CHECK(index == 0 || list->Skip(index) == S_OK);
        CHECK(list->Next(1, &found, nullptr) == S_OK);
        return Held<F>(found);
    }
};

// Notes what it is told, and keeps the last error.
class Listener final : public Counted<IBackgroundCopyCallback> {
public:
    std::atomic<int> transferred{0}, errors{0}, modifications{0};
    std::atomic<HRESULT> code{S_OK};
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has = riid == IID_IUnknown || riid == IID_IBackgroundCopyCallback;
        *object = has ? this : nullptr;
        return has ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    HRESULT JobTransferred(J *) override {
        transferred++;
        return S_OK;
    }
    HRESULT JobError(J *, IBackgroundCopyError *error) override {
        BG_ERROR_CONTEXT context;
        HRESULT hr = S_OK;
        error->GetError(&context, &hr);
        code = hr;
        errors++;
        return S_OK;
    }
    HRESULT JobModification(J *, DWORD) override {
        modifications++;
        return S_OK;
    }
};
} // namespace

// A slot of the shared vtable without a page: E_NOTIMPL, or what the engine behind it does.
static void unpaged(const char *method, HRESULT hr, int line) {
    noted(method, "(no page)", hr, line);
    check(hr == E_NOTIMPL || SUCCEEDED(hr), method, line);
}
#define UNPAGED(I, p, method, arguments) unpaged(#I "." #method, (p)->method arguments, __LINE__)

CASE(jobs_create) {
    M *manager = the_delivery_manager();
    GUID id;
    J *out = static_cast<J *>(MARK);
    CHECK(FAILED(noted("IBackgroundCopyManager::CreateJob", "upload",
                       manager->CreateJob(OLESTR("n"), BG_JOB_TYPE_UPLOAD, &id, &out), __LINE__)));
    CHECK(out == nullptr);
    out = static_cast<J *>(MARK);
    CHECK(FAILED(noted("IBackgroundCopyManager::CreateJob", "257 characters",
                       manager->CreateJob(repeated('n', 257).c_str(), BG_JOB_TYPE_DOWNLOAD, &id, &out), __LINE__)));
    CHECK(out == nullptr);
    CHECK(FAILED(noted("IBackgroundCopyManager::CreateJob", "no name",
                       manager->CreateJob(OLESTR(""), BG_JOB_TYPE_DOWNLOAD, &id, &out), __LINE__)));
    NULL_REFUSED(M, manager, CreateJob, (nullptr, BG_JOB_TYPE_DOWNLOAD, &id, &out));
    NULL_REFUSED(M, manager, CreateJob, (OLESTR("n"), BG_JOB_TYPE_DOWNLOAD, nullptr, &out));
    NULL_REFUSED(M, manager, CreateJob, (OLESTR("n"), BG_JOB_TYPE_DOWNLOAD, &id, nullptr));
    Held<J> one, two;
    const WideText name = repeated('n', 256);
    MUST(M, manager, CreateJob, (name.c_str(), BG_JOB_TYPE_DOWNLOAD, &id, one.out()));
    MUST(M, manager, CreateJob, (name.c_str(), BG_JOB_TYPE_DOWNLOAD, &id, two.out())); // duplicates are allowed
    LPWSTR text = nullptr;
    MUST(J, one, GetDisplayName, (&text));
    CHECK(text != nullptr && name == WideText(text));
    CoTaskMemFree(text);
    WANT(E_INVALIDARG, J, one, GetDisplayName, (nullptr));
    BG_JOB_TYPE type = BG_JOB_TYPE_UPLOAD;
    MUST(J, one, GetType, (&type));
    CHECK(type == BG_JOB_TYPE_DOWNLOAD);
    GUID again;
    MUST(J, two, GetId, (&again));
    CHECK(again == id);
    MUST(J, one, Cancel, ());
    Held<J> found;
    MUST(M, manager, GetJob, (id, found.out()));
    Held<DJ> is_one_of_ours = as<DJ>(found.get());
    MUST(J, found, Cancel, ());
    out = static_cast<J *>(MARK);
    WANT(DO_E_JOB_NOT_FOUND, M, manager, GetJob, (IID_IUnknown, &out));
    CHECK(out == nullptr);
    // Slots that have no page here.
    Held<IEnumBackgroundCopyJobs> jobs;
    UNPAGED(M, manager, EnumJobs, (0, jobs.out()));
    text = nullptr;
    UNPAGED(M, manager, GetErrorDescription, (DO_E_INVALID_STATE, 0x0409, &text));
    CoTaskMemFree(text);
}

CASE(jobs_faces) {
    DeliveryJob job;
    Held<IUnknown> one = as<IUnknown>(job.get()), two = as<IUnknown>(job.files.get());
    CHECK(one.get() == two.get());
    Held<DJ2> job2 = as<DJ2>(job.get());
    Held<J5> job5 = as<J5>(job2.get());
    Held<IUnknown> three = as<IUnknown>(job5.get());
    CHECK(one.get() == three.get());
    // A job of the other service has none of it.
    Job other;
    void *none = MARK;
    CHECK(other->QueryInterface(IID_IDeliveryOptimizationJob, &none) == E_NOINTERFACE && none == nullptr);
    none = MARK;
    CHECK(other->QueryInterface(IID_IDeliveryOptimizationJob2, &none) == E_NOINTERFACE && none == nullptr);
    CHECK(other->AddFile(url("small").c_str(), path("bits").c_str()) == S_OK);
    Held<F> file = other.file();
    none = MARK;
    CHECK(file->QueryInterface(IID_IDeliveryOptimizationFile, &none) == E_NOINTERFACE && none == nullptr);
    job.add("small", "faces");
    Held<F> ours = job.file();
    Held<DF> stats = as<DF>(ours.get());
    Held<DF2> properties = as<DF2>(ours.get());
    Held<F5> file5 = as<F5>(properties.get());
    Held<IUnknown> four = as<IUnknown>(ours.get()), five = as<IUnknown>(file5.get());
    CHECK(four.get() == five.get());
}

CASE(jobs_fresh) {
    DeliveryJob job;
    BG_JOB_STATE state = BG_JOB_STATE_ERROR;
    MUST(J, job, GetState, (&state));
    CHECK(state == BG_JOB_STATE_SUSPENDED);
    WANT(DO_E_JOB_EMPTY, J, job, Resume, ());
    IBackgroundCopyError *error = static_cast<IBackgroundCopyError *>(MARK);
    WANT(DO_E_ERROR_INFORMATION_UNAVAILABLE, J, job, GetError, (&error));
    CHECK(error == nullptr);
    BG_JOB_PRIORITY priority = BG_JOB_PRIORITY_FOREGROUND;
    MUST(J, job, GetPriority, (&priority));
    CHECK(priority == BG_JOB_PRIORITY_NORMAL);
    ULONG number = 0;
    MUST(J, job, GetNoProgressTimeout, (&number));
    CHECK(number == 86400);
    for (BG_JOB_PRIORITY level : {BG_JOB_PRIORITY_FOREGROUND, BG_JOB_PRIORITY_HIGH, BG_JOB_PRIORITY_NORMAL, BG_JOB_PRIORITY_LOW}) {
        MUST(J, job, SetPriority, (level));
        MUST(J, job, GetPriority, (&priority));
        CHECK(priority == level);
        MUST(J, job, GetNoProgressTimeout, (&number));
        CHECK(number == (level == BG_JOB_PRIORITY_FOREGROUND ? 3600u : 86400u));
    }
    MUST(J, job, SetNoProgressTimeout, (4242));
    MUST(J, job, GetNoProgressTimeout, (&number));
    CHECK(number == 4242);
    // Flags.
    MUST(J, job, SetNotifyFlags, (0x1 | 0x2 | 0x8 | 0x10));
    MUST(J, job, GetNotifyFlags, (&number));
    CHECK(number == 0x1B);
    MUST(J, job, SetNotifyFlags, (0x1 | 0x4)); // open question 8
    CHECK(FAILED(noted("IBackgroundCopyJob::SetNotifyFlags", "0x20", job->SetNotifyFlags(0x20), __LINE__)));
    CHECK(FAILED(noted("IBackgroundCopyJob::SetNotifyFlags", "0x40", job->SetNotifyFlags(0x40), __LINE__)));
    MUST(J, job, GetNotifyFlags, (&number));
    CHECK(number == 0x5);
    BG_JOB_PROGRESS progress;
    MUST(J, job, GetProgress, (&progress));
    CHECK(progress.BytesTotal == 0 && progress.FilesTotal == 0);
    BG_JOB_TIMES times;
    MUST(J, job, GetTimes, (&times));
    CHECK(times.CreationTime.dwHighDateTime != 0 && times.TransferCompletionTime.dwHighDateTime == 0);
    IUnknown *target = static_cast<IUnknown *>(MARK);
    MUST(J, job, GetNotifyInterface, (&target));
    CHECK(target == nullptr);
    NULL_REFUSED(J, job, GetState, (nullptr));
    NULL_REFUSED(J, job, GetError, (nullptr));
    NULL_REFUSED(J, job, EnumFiles, (nullptr));
    // Slots that have no page here.
    LPWSTR text = nullptr;
    ULONG count = 0;
    UNPAGED(J, job, GetOwner, (&text));
    CoTaskMemFree(text);
    text = nullptr;
    UNPAGED(J, job, GetDescription, (&text));
    CoTaskMemFree(text);
    UNPAGED(J, job, SetDescription, (OLESTR("d")));
    UNPAGED(J, job, SetMinimumRetryDelay, (60));
    UNPAGED(J, job, GetMinimumRetryDelay, (&count));
    UNPAGED(J, job, GetErrorCount, (&count));
}

CASE(jobs_add_file) { // row 13
    DeliveryJob job;
    const WideText remote = url("small"), local = path("added");
    const Held<DJ> &files = job.files;
    WANT(E_INVALIDARG, DJ, files, AddFileWithRanges, (OLESTR("1"), remote.c_str(), nullptr, 0, no_ranges, 10));
    WANT(E_INVALIDARG, DJ, files, AddFileWithRanges, (OLESTR("1"), remote.c_str(), OLESTR(""), 0, no_ranges, 10));
    NULL_REFUSED(DJ, files, AddFileWithRanges, (OLESTR("1"), nullptr, local.c_str(), 0, no_ranges, 10));
    const BG_FILE_RANGE overlap[] = {{0, 100}, {50, 100}}, twice[] = {{5, 5}, {5, 5}}, empty[] = {{0, 100}, {200, 0}};
    const BG_FILE_RANGE at_end[] = {{BG_LENGTH_TO_EOF, 1}}, same_offset[] = {{5, 100}, {0, 100}, {0, 5}};
    const BG_FILE_RANGE good[] = {{200, 1000}, {0, 100}};
#define ADD(code, count, ranges)                                                                                       \
    WANT(code, DJ, files, AddFileWithRanges,                                                                           \
         (OLESTR("1"), remote.c_str(), local.c_str(), count, const_cast<BG_FILE_RANGE *>(ranges), DO_UNKNOWN_FILE_SIZE))
    ADD(DO_E_OVERLAPPING_RANGES, 2, overlap);
    ADD(DO_E_OVERLAPPING_RANGES, 2, twice);
    ADD(DO_E_OVERLAPPING_RANGES, 3, same_offset);
    ADD(DO_E_INVALID_RANGE, 2, empty);
    ADD(DO_E_INVALID_RANGE, 1, at_end);
    CHECK(job.file_count() == 0 && job.state() == BG_JOB_STATE_SUSPENDED); // nothing of it is there
    ADD(S_OK, 2, good);
    CHECK(job.file_count() == 1);
    Held<F> file = job.file();
    Held<F2> file2 = as<F2>(file.get());
    DWORD count = 99;
    BG_FILE_RANGE *ranges = static_cast<BG_FILE_RANGE *>(MARK);
    MUST(F2, file2, GetFileRanges, (&count, &ranges));
    CHECK(count == 2 && ranges != nullptr);
    CoTaskMemFree(ranges);
    LPWSTR text = nullptr;
    MUST(F, file, GetRemoteName, (&text));
    CHECK(WideText(text) == remote);
    CoTaskMemFree(text);
    MUST(F, file, GetLocalName, (&text));
    CHECK(WideText(text) == local);
    CoTaskMemFree(text);
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_TRANSFERRED));
    BG_FILE_PROGRESS progress;
    MUST(F, file, GetProgress, (&progress));
    CHECK(progress.BytesTransferred == 1100 && progress.Completed == FALSE);
    MUST(J, job, Complete, ());
    MUST(F, file, GetProgress, (&progress));
    CHECK(progress.Completed == TRUE && exists(folder + "added"));
    ADD(DO_E_INVALID_STATE, 0, no_ranges);
    DeliveryJob cancelled;
    MUST(J, cancelled, Cancel, ());
    WANT(DO_E_INVALID_STATE, DJ, cancelled.files, AddFileWithRanges,
         (OLESTR("1"), remote.c_str(), local.c_str(), 0, nullptr, DO_UNKNOWN_FILE_SIZE));
}

CASE(jobs_sizes) {
    DeliveryJob job;
    job.add("small", "sizes");
    BG_FILE_PROGRESS one;
    MUST(F, job.file(), GetProgress, (&one));
    CHECK(one.BytesTotal == DO_UNKNOWN_FILE_SIZE && one.BytesTransferred == 0 && one.Completed == FALSE);
    BG_JOB_PROGRESS all;
    MUST(J, job, GetProgress, (&all));
    CHECK(all.BytesTotal == BG_SIZE_UNKNOWN && all.FilesTotal == 1 && all.FilesTransferred == 0);
}

CASE(jobs_transfer) {
    DeliveryJob job;
    Held<Listener> listener(new Listener);
    job.add("slow", "transfer 1");
    job.add("small", "transfer 2");
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, SetNotifyFlags, (0x1 | 0x2 | 0x8));
    MUST(J, job, SetNotifyInterface, (listener.get()));
    Held<IUnknown> target;
    MUST(J, job, GetNotifyInterface, (target.out()));
    CHECK(target.get() != nullptr);
    MUST(J, job, Resume, ());
    CHECK(job.state() == BG_JOB_STATE_TRANSFERRING); // at once
    MUST(J, job, Resume, ());
    Held<F> file = job.file();
    BG_FILE_PROGRESS progress;
    CHECK(soon(10000, [&] { return job.state() == BG_JOB_STATE_TRANSFERRING && file->GetProgress(&progress) == S_OK &&
                                   progress.BytesTransferred > 0; }));
    CHECK(progress.BytesTotal == 50u << 20);
    Held<DF> stats = as<DF>(file.get());
    DOSwarmStats swarm;
    MUST(DF, stats, GetStats, (&swarm));
    CHECK(swarm.status == SwarmStatus_Downloading && swarm.isBackground == FALSE);
    CoTaskMemFree(swarm.fileId);
    CoTaskMemFree(swarm.sourceURL);
    MUST(J, job, Suspend, ());
    CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    MUST(DF, stats, GetStats, (&swarm));
    CHECK(swarm.status == SwarmStatus_Paused);
    CoTaskMemFree(swarm.fileId);
    CoTaskMemFree(swarm.sourceURL);
    MUST(J, job, Suspend, ());
    CHECK(soon(5000, [&] { return listener->modifications > 0; }));
    MUST(J, job, Resume, ());
    CHECK(job.state() == BG_JOB_STATE_TRANSFERRING);
    MUST(J, job, Cancel, ());
    CHECK(job.state() == BG_JOB_STATE_CANCELLED && listener->transferred == 0 && listener->errors == 0);
    CHECK(!exists(folder + "transfer 1") && !exists(folder + "transfer 2"));
}

CASE(jobs_done) {
    DeliveryJob job;
    Held<Listener> listener(new Listener);
    const UINT64 size = 10000;
    MUST(DJ, job.files, AddFileWithRanges,
         (OLESTR("content-7"), url("small").c_str(), path("done").c_str(), 0, nullptr, size));
    Held<F> file = job.file();
    Held<DF> stats = as<DF>(file.get());
    DOSwarmStats swarm;
    std::memset(&swarm, 0xFF, sizeof swarm);
    NULL_REFUSED(DF, stats, GetStats, (nullptr));
    MUST(DF, stats, GetStats, (&swarm));
    CHECK(taken(swarm.fileId) == "content-7" && WideText(swarm.sourceURL) == url("small"));
    CoTaskMemFree(swarm.sourceURL);
    CHECK(swarm.fileSize == size && swarm.totalBytesDownloaded == 0 && swarm.isBackground == TRUE);
    MUST(J, job, SetNotifyInterface, (listener.get()));
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_TRANSFERRED));
    CHECK(soon(10000, [&] { return listener->transferred > 0; }));
    MUST(J, job, Suspend, ());
    CHECK(job.state() == BG_JOB_STATE_TRANSFERRED);
    MUST(J, job, Resume, ());
    CHECK(job.state() == BG_JOB_STATE_TRANSFERRED);
    MUST(DF, stats, GetStats, (&swarm));
    CHECK(swarm.fileSize == size && swarm.totalBytesDownloaded == size && swarm.bytesFromHttp == size);
    CHECK(swarm.bytesFromLanPeers == 0 && swarm.bytesFromGroupPeers == 0 && swarm.bytesFromInternetPeers == 0);
    CHECK(swarm.bytesToLanPeers == 0 && swarm.bytesToGroupPeers == 0 && swarm.bytesToInternetPeers == 0);
    CHECK(swarm.bytesFromDoinc == 0 && swarm.status == SwarmStatus_Complete);
    CoTaskMemFree(swarm.fileId);
    CoTaskMemFree(swarm.sourceURL);
    // The headers of the answer.
    Held<F5> file5 = as<F5>(file.get());
    BITS_FILE_PROPERTY_VALUE headers;
    std::memset(&headers, 0, sizeof headers);
    MUST(F5, file5, GetProperty, (BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, &headers));
    CHECK(taken(headers.String).find("10000") != std::string::npos);
    WideText text = wide("X: y");
    headers.String = text.data();
    CHECK(FAILED(noted("IBackgroundCopyFile5::SetProperty", "headers",
                       file5->SetProperty(BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS, headers), __LINE__)));
    CHECK(FAILED(noted("IBackgroundCopyFile5::GetProperty", "2",
                       file5->GetProperty(static_cast<BITS_FILE_PROPERTY_ID>(2), &headers), __LINE__)));
    MUST(J, job, Complete, ());
    CHECK(job.state() == BG_JOB_STATE_ACKNOWLEDGED && content_of(folder + "done") == reference("small"));
    // Final.
    WANT(DO_E_INVALID_STATE, J, job, Suspend, ());
    WANT(DO_E_INVALID_STATE, J, job, Resume, ());
    WANT(DO_E_INVALID_STATE, J, job, Cancel, ());
    WANT(DO_E_INVALID_STATE, J, job, Complete, ());
    WANT(DO_E_INVALID_STATE, J, job, SetNotifyFlags, (0x1));
    WANT(DO_E_INVALID_STATE, J, job, SetNoProgressTimeout, (100));
    DeliveryJob cancelled;
    MUST(J, cancelled, Cancel, ());
    WANT(DO_E_INVALID_STATE, J, cancelled, Suspend, ());
    WANT(DO_E_INVALID_STATE, J, cancelled, Resume, ());
    WANT(DO_E_INVALID_STATE, J, cancelled, Cancel, ());
    WANT(DO_E_INVALID_STATE, J, cancelled, Complete, ());
    WANT(DO_E_INVALID_STATE, J, cancelled, SetNotifyFlags, (0x1));
    WANT(DO_E_INVALID_STATE, J, cancelled, SetNoProgressTimeout, (100));
}

CASE(jobs_complete_early) { // any time; only whole files stay
    DeliveryJob job;
    job.add("small", "early 1");
    job.add("slow", "early 2");
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    CHECK(soon(15000, [&] {
        BG_JOB_PROGRESS progress;
        return job->GetProgress(&progress) == S_OK && progress.FilesTransferred == 1;
    }));
    const HRESULT hr = job->Complete();
    CHECK(SUCCEEDED(hr) && job.state() == BG_JOB_STATE_ACKNOWLEDGED);
    CHECK(content_of(folder + "early 1") == reference("small") && !exists(folder + "early 2"));
    DeliveryJob never; // a new one, too
    never.add("small", "early 3");
    CHECK(SUCCEEDED(never->Complete()) && never.state() == BG_JOB_STATE_ACKNOWLEDGED && !exists(folder + "early 3"));
}

CASE(jobs_forbidden) { // row 11
    DeliveryJob job;
    Held<Listener> listener(new Listener);
    job.add("forbidden", "jobs forbidden");
    MUST(J, job, SetNotifyInterface, (listener.get()));
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_ERROR));
    Held<IBackgroundCopyError> error;
    MUST(J, job, GetError, (error.out()));
    BG_ERROR_CONTEXT context = BG_ERROR_CONTEXT_NONE;
    HRESULT code = S_OK;
    MUST(IBackgroundCopyError, error, GetError, (&context, &code));
    CHECK(context == BG_ERROR_CONTEXT_REMOTE_FILE && code == static_cast<HRESULT>(0x80190193));
    Held<F> file;
    MUST(IBackgroundCopyError, error, GetFile, (file.out()));
    LPWSTR text = nullptr;
    MUST(F, file, GetRemoteName, (&text));
    CHECK(WideText(text) == url("forbidden"));
    CoTaskMemFree(text);
    CHECK(soon(10000, [&] { return listener->errors > 0; }) && listener->code == code);
    // Another try, which is over with the same, and the state of a job that is not in trouble.
    MUST(J, job, Suspend, ());
    CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_ERROR));
    text = nullptr;
    UNPAGED(IBackgroundCopyError, error, GetErrorDescription, (0x0409, &text));
    CoTaskMemFree(text);
    MUST(J, job, Cancel, ());
    IBackgroundCopyError *none = static_cast<IBackgroundCopyError *>(MARK);
    WANT(DO_E_ERROR_INFORMATION_UNAVAILABLE, J, job, GetError, (&none));
    CHECK(none == nullptr);
}

CASE(jobs_missing) { // row 11
    DeliveryJob job;
    job.add("missing", "jobs missing");
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_ERROR));
    Held<IBackgroundCopyError> error;
    MUST(J, job, GetError, (error.out()));
    BG_ERROR_CONTEXT context = BG_ERROR_CONTEXT_UNKNOWN;
    HRESULT code = S_OK;
    MUST(IBackgroundCopyError, error, GetError, (&context, &code));
    CHECK(context == BG_ERROR_CONTEXT_NONE && code == static_cast<HRESULT>(0x80190194));
    F *none = static_cast<F *>(MARK);
    WANT(DO_E_FILE_NOT_AVAILABLE, IBackgroundCopyError, error, GetFile, (&none));
    CHECK(none == nullptr);
    Value details;
    MUST(DJ2, as<DJ2>(job.get()), GetProperty, (DOJobPropertyId_ExtendedErrorInfo, details.out()));
    CHECK(details.type() == VT_BSTR && !details.utf8().empty());
    // A partial Complete is possible in ERROR.
    CHECK(SUCCEEDED(job->Complete()) && job.state() == BG_JOB_STATE_ACKNOWLEDGED);
}

CASE(jobs_transient) { // an error that passes is told by GetError, and by no callback
    DeliveryJob job;
    Held<Listener> listener(new Listener);
    MUST(DJ, job.files, AddFileWithRanges,
         (OLESTR("1"), OLESTR("http://127.0.0.1:9/f"), path("jobs transient").c_str(), 0, nullptr, DO_UNKNOWN_FILE_SIZE));
    MUST(J, job, SetNotifyInterface, (listener.get()));
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_TRANSIENT_ERROR));
    Held<IBackgroundCopyError> error;
    MUST(J, job, GetError, (error.out()));
    BG_ERROR_CONTEXT context = BG_ERROR_CONTEXT_UNKNOWN;
    HRESULT code = S_OK;
    MUST(IBackgroundCopyError, error, GetError, (&context, &code));
    CHECK(context == BG_ERROR_CONTEXT_NONE && FAILED(code));
    CHECK(listener->errors == 0);
    MUST(J, job, Suspend, ());
    CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    MUST(J, job, SetNotifyInterface, (nullptr));
    IUnknown *none = static_cast<IUnknown *>(MARK);
    MUST(J, job, GetNotifyInterface, (&none));
    CHECK(none == nullptr && soon(5000, [&] { return listener->count() == 1; }));
}

CASE(jobs_file_without_a_name) { // IDeliveryOptimizationJob2::AddFile, IDeliveryOptimizationFile2
    DeliveryJob job;
    Held<DJ2> job2 = as<DJ2>(job.get());
    void *none = MARK;
    WANT(E_NOINTERFACE, DJ2, job2, AddFile,
         (OLESTR("1"), url("small").c_str(), 0, nullptr, IID_IBackgroundCopyJob, &none));
    CHECK(none == nullptr && job.file_count() == 0);
    NULL_REFUSED(DJ2, job2, AddFile, (OLESTR("1"), url("small").c_str(), 0, nullptr, IID_IDeliveryOptimizationFile, nullptr));
    CHECK(job.file_count() == 0);
    const BG_FILE_RANGE overlap[] = {{0, 100}, {50, 100}};
    none = MARK;
    WANT(DO_E_OVERLAPPING_RANGES, DJ2, job2, AddFile,
         (OLESTR("1"), url("small").c_str(), 2, const_cast<BG_FILE_RANGE *>(overlap), IID_IDeliveryOptimizationFile, &none));
    CHECK(none == nullptr && job.file_count() == 0);
    Held<DF> file;
    MUST(DJ2, job2, AddFile,
         (OLESTR("id 1"), url("small").c_str(), 0, nullptr, IID_IDeliveryOptimizationFile, reinterpret_cast<void **>(file.out())));
    CHECK(job.file_count() == 1);
    WANT(DO_E_LOCALPATH_NOT_SET, J, job, Resume, ());
    CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    Held<DF2> file2 = as<DF2>(file.get());
    Value value;
    WANT(E_NOT_SET, DF2, file2, GetProperty, (DOFilePropertyId_DownloadSinkFilePath, value.out()));
    WANT(DO_E_WRITE_ONLY_PROPERTY, DF2, file2, GetProperty, (DOFilePropertyId_DecryptionInfo, value.out()));
    WANT(DO_E_WRITE_ONLY_PROPERTY, DF2, file2, GetProperty, (DOFilePropertyId_IntegrityCheckInfo, value.out()));
    for (int number : {7, 99, -1}) {
        const DOFilePropertyId id = static_cast<DOFilePropertyId>(number);
        WANT(DO_E_UNKNOWN_PROPERTY_ID, DF2, file2, GetProperty, (id, value.out()));
        CHECK(value.type() == VT_EMPTY);
        WANT(DO_E_UNKNOWN_PROPERTY_ID, DF2, file2, SetProperty, (id, Value::ui4(1).get()));
    }
    NULL_REFUSED(DF2, file2, GetProperty, (DOFilePropertyId_TotalSizeBytes, nullptr));
    NULL_REFUSED(DF2, file2, SetProperty, (DOFilePropertyId_TotalSizeBytes, nullptr));
    for (DOFilePropertyId id : {DOFilePropertyId_DownloadSinkInterface, DOFilePropertyId_DownloadSinkMemoryStream}) {
        CHECK(FAILED(noted("IDeliveryOptimizationFile2::SetProperty", "a sink of memory",
                           file2->SetProperty(id, Value::unknown(nullptr).get()), __LINE__)));
    }
    MUST(DF2, file2, SetProperty, (DOFilePropertyId_IntegrityCheckMandatory, Value::boolean(false).get()));
    MUST(DF2, file2, GetProperty, (DOFilePropertyId_IntegrityCheckMandatory, value.out()));
    CHECK(value == Value::boolean(false));
    MUST(DF2, file2, SetProperty, (DOFilePropertyId_TotalSizeBytes, Value::ui8(10000).get()));
    MUST(DF2, file2, GetProperty, (DOFilePropertyId_TotalSizeBytes, value.out()));
    CHECK(value == Value::ui8(10000));
    CHECK(FAILED(noted("IDeliveryOptimizationFile2::SetProperty", "a number as a path",
                       file2->SetProperty(DOFilePropertyId_DownloadSinkFilePath, Value::ui4(1).get()), __LINE__)));
    MUST(DF2, file2, SetProperty, (DOFilePropertyId_DownloadSinkFilePath, Value::text(path("sink path")).get()));
    MUST(DF2, file2, GetProperty, (DOFilePropertyId_DownloadSinkFilePath, value.out()));
    CHECK(value == Value::text(path("sink path")));
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_TRANSFERRED));
    DOSwarmStats swarm;
    MUST(DF, file, GetStats, (&swarm));
    CHECK(taken(swarm.fileId) == "id 1");
    CoTaskMemFree(swarm.sourceURL);
    MUST(J, job, Complete, ());
    CHECK(content_of(folder + "sink path") == reference("small"));
    WANT(DO_E_INVALID_STATE, DF2, file2, SetProperty,
         (DOFilePropertyId_DownloadSinkFilePath, Value::text(path("too late")).get()));
}

CASE(jobs_properties) { // row 12
    DeliveryJob job;
    Held<DJ2> job2 = as<DJ2>(job.get());
    Value value;
    WANT(E_NOT_SET, DJ2, job2, GetProperty, (DOJobPropertyId_ExtendedErrorInfo, value.out())); // no error yet
    NULL_REFUSED(DJ2, job2, GetProperty, (DOJobPropertyId_ExtendedErrorInfo, nullptr));
    WANT(DO_E_READ_ONLY_PROPERTY, DJ2, job2, SetProperty, (DOJobPropertyId_ExtendedErrorInfo, Value::text("x").get()));
    for (int number : {1, 99, -1}) {
        const DOJobPropertyId id = static_cast<DOJobPropertyId>(number);
        WANT(DO_E_UNKNOWN_PROPERTY_ID, DJ2, job2, GetProperty, (id, value.out()));
        WANT(DO_E_UNKNOWN_PROPERTY_ID, DJ2, job2, SetProperty, (id, Value::text("x").get()));
    }
    // IBackgroundCopyJob5: two properties.
    Held<J5> job5 = as<J5>(job.get());
    BITS_JOB_PROPERTY_VALUE it;
    std::memset(&it, 0, sizeof it);
    for (DWORD policy : {0x800000FFu, 0x8000007Fu, 0x8000006Fu, 0x80000067u, 0x80000021u}) {
        it.Dword = policy;
        MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_ID_COST_FLAGS, it));
        std::memset(&it, 0, sizeof it);
        MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_ID_COST_FLAGS, &it));
        CHECK(it.Dword == policy);
    }
    it.ClsID = GUID_NULL;
    MUST(J5, job5, SetProperty, (BITS_JOB_PROPERTY_NOTIFICATION_CLSID, it));
    std::memset(&it, 0xFF, sizeof it);
    MUST(J5, job5, GetProperty, (BITS_JOB_PROPERTY_NOTIFICATION_CLSID, &it));
    CHECK(it.ClsID == GUID_NULL);
    for (int number : {0, 3, 4, 5, 7, 8, 9, 10, 11, 999, -1}) {
        const BITS_JOB_PROPERTY_ID id = static_cast<BITS_JOB_PROPERTY_ID>(number);
        std::memset(&it, 0, sizeof it);
        CHECK(FAILED(noted("IBackgroundCopyJob5::SetProperty", "another id", job5->SetProperty(id, it), __LINE__)));
        CHECK(FAILED(noted("IBackgroundCopyJob5::GetProperty", "another id", job5->GetProperty(id, &it), __LINE__)));
    }
}

CASE(jobs_files) {
    DeliveryJob job;
    for (const char *name : {"first", "second", "third"}) {
        job.add(name, name);
    }
    Held<IEnumBackgroundCopyFiles> list;
    MUST(J, job, EnumFiles, (list.out()));
    ULONG count = 0;
    MUST(IEnumBackgroundCopyFiles, list, GetCount, (&count));
    CHECK(count == 3);
    F *out[4] = {};
    MUST(IEnumBackgroundCopyFiles, list, Next, (2, out, &count));
    CHECK(count == 2);
    out[0]->Release();
    out[1]->Release();
    WANT(S_FALSE, IEnumBackgroundCopyFiles, list, Next, (2, out, &count));
    CHECK(count == 1);
    out[0]->Release();
    WANT(S_FALSE, IEnumBackgroundCopyFiles, list, Skip, (1));
    MUST(IEnumBackgroundCopyFiles, list, Reset, ());
    MUST(IEnumBackgroundCopyFiles, list, Skip, (3));
    WANT(S_FALSE, IEnumBackgroundCopyFiles, list, Next, (1, out, &count));
    CHECK(count == 0);
    Held<F> file = job.file();
    Held<F2> file2 = as<F2>(file.get());
    BG_FILE_RANGE *ranges = static_cast<BG_FILE_RANGE *>(MARK);
    DWORD number = 99;
    WANT(S_FALSE, F2, file2, GetFileRanges, (&number, &ranges));
    CHECK(number == 0 && ranges == nullptr);
    WANT(E_INVALIDARG, F2, file2, SetRemoteName, ((url("x") + repeated('x', 2200)).c_str()));
    NULL_REFUSED(F2, file2, SetRemoteName, (nullptr));
    MUST(F2, file2, SetRemoteName, (url("other").c_str()));
    LPWSTR text = nullptr;
    MUST(F, file, GetRemoteName, (&text));
    CoTaskMemFree(text);
    MUST(J, job, Resume, ());
    CHECK(job.until(BG_JOB_STATE_TRANSFERRED));
    MUST(F, file, GetRemoteName, (&text));
    CHECK(WideText(text) == url("other"));
    CoTaskMemFree(text);
}
