// Callbacks: rows 16, 36, 57 of spec/bits-core.md section 10, its section 6, and spec/bits-extended.md section 8.
#include "../objects.h"
#include "rules.h"

#include <cstring>
#include <mutex>
#include <unistd.h>

#define J IBackgroundCopyJob

namespace {
std::atomic<int> alive{0};

// Notes everything; answers what it is told to.
class Recorder final : public Counted<IBackgroundCopyCallback3> {
public:
    std::atomic<int> transferred{0}, errors{0}, modifications{0}, files{0}, ranges{0};
    std::atomic<int> refusals{0};       // so many times JobTransferred is not accepted
    std::atomic<bool> completes{false}; // Complete from within JobTransferred
    std::atomic<HRESULT> completed{E_PENDING};
    std::atomic<HRESULT> error{S_OK};
    std::atomic<bool> arguments_good{true};
    const ULONG level; // how many interfaces it has

    explicit Recorder(ULONG level = 3) : level(level) { alive++; }
    ~Recorder() override { alive--; }
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has = riid == IID_IUnknown || riid == IID_IBackgroundCopyCallback ||
                         (level >= 2 && riid == IID_IBackgroundCopyCallback2) ||
                         (level >= 3 && riid == IID_IBackgroundCopyCallback3);
        *object = has ? this : nullptr;
        return has ? (AddRef(), S_OK) : E_NOINTERFACE;
    }
    HRESULT JobTransferred(IBackgroundCopyJob *job) override {
        BG_JOB_STATE state;
        arguments_good = arguments_good && job != nullptr && job->GetState(&state) == S_OK;
        if (refusals > 0) {
            refusals--;
            transferred++;
            return E_FAIL;
        }
        if (completes) {
            completed = job->Complete();
        }
        transferred++;
        return S_OK;
    }
    HRESULT JobError(IBackgroundCopyJob *job, IBackgroundCopyError *record) override {
        BG_ERROR_CONTEXT context;
        HRESULT code = S_OK;
        arguments_good = arguments_good && job != nullptr && record->GetError(&context, &code) == S_OK;
        error = code;
        errors++;
        return S_OK;
    }
    HRESULT JobModification(IBackgroundCopyJob *job, DWORD reserved) override {
        arguments_good = arguments_good && job != nullptr && reserved == 0;
        modifications++;
        return S_OK;
    }
    HRESULT FileTransferred(IBackgroundCopyJob *job, IBackgroundCopyFile *file) override {
        LPWSTR name = nullptr;
        arguments_good = arguments_good && job != nullptr && file->GetLocalName(&name) == S_OK;
        CoTaskMemFree(name);
        files++;
        return S_OK;
    }
    HRESULT FileRangesTransferred(IBackgroundCopyJob *job, IBackgroundCopyFile *file, DWORD count,
                                  const BG_FILE_RANGE list[]) override {
        arguments_good = arguments_good && job != nullptr && file != nullptr && count > 0 && list[0].Length > 0;
        ranges++;
        return S_OK;
    }
};
} // namespace

static void prepare(const Job &job, const char *name, const char *local) {
    MUST(J, job, AddFile, (url(name).c_str(), path(local).c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
}

CASE(notify_transferred) {
    const int before = alive;
    {
        Job job;
        Held<Recorder> recorder(new Recorder);
        recorder->completes = true;
        prepare(job, "small", "notified");
        MUST(J, job, SetNotifyInterface, (recorder.get()));
        Held<IUnknown> back;
        MUST(J, job, GetNotifyInterface, (back.out()));
        CHECK(back.get() != nullptr);
        MUST(J, job, SetNotifyFlags, (0x1 | 0x2 | 0x8 | 0x10));
        MUST(J, job, Resume, ());
        CHECK(soon(20000, [&] { return recorder->transferred > 0; }));
        CHECK(recorder->completed == S_OK); // row 57
        CHECK(job.state() == BG_JOB_STATE_ACKNOWLEDGED && exists(folder + "notified"));
        CHECK(recorder->errors == 0 && recorder->arguments_good);
        CHECK(soon(5000, [&] { return recorder->files == 1; }));
    }
    CHECK(soon(5000, [&] { return alive == before; })); // nothing of it stays behind
}

CASE(notify_error) {
    Job job;
    Held<Recorder> recorder(new Recorder(1)); // the first generation of callbacks is enough
    prepare(job, "missing", "not-there");
    MUST(J, job, SetNotifyInterface, (recorder.get()));
    MUST(J, job, Resume, ());
    CHECK(soon(20000, [&] { return recorder->errors > 0; }));
    CHECK(recorder->error == BG_E_HTTP_ERROR_404 && recorder->transferred == 0 && recorder->arguments_good);
}

// An object whose IUnknown is another pointer than its callback: the service has to ask for the interface.
class Outside final : public Counted<IUnknown> {
    Recorder *const inside;

public:
    explicit Outside(Recorder *recorder) : inside(recorder) {}
    HRESULT QueryInterface(REFIID riid, void **object) override {
        if (riid == IID_IUnknown) {
            *object = this;
            AddRef();
            return S_OK;
        }
        return inside->QueryInterface(riid, object);
    }
};

CASE(notify_by_plain_unknown) { // row 16
    Job job;
    Held<Recorder> recorder(new Recorder);
    Held<Outside> outside(new Outside(recorder.get()));
    prepare(job, "small", "plain");
    MUST(J, job, SetNotifyInterface, (outside.get()));
    MUST(J, job, Resume, ());
    CHECK(soon(20000, [&] { return recorder->transferred > 0; }));
}

CASE(notify_later) { // the event waits for a target
    Job job;
    prepare(job, "small", "later");
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_TRANSFERRED)) {
        return;
    }
    Held<Recorder> recorder(new Recorder(2));
    MUST(J, job, SetNotifyInterface, (recorder.get()));
    CHECK(soon(10000, [&] { return recorder->transferred == 1; }));
    usleep(300 * 1000);
    CHECK(recorder->transferred == 1); // accepted once is enough
}

CASE(notify_muted_and_replaced) {
    Job job;
    Held<Recorder> first(new Recorder), second(new Recorder);
    prepare(job, "small", "muted");
    MUST(J, job, SetNotifyFlags, (0x1 | 0x4));
    MUST(J, job, SetNotifyInterface, (first.get()));
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_TRANSFERRED)) {
        return;
    }
    usleep(500 * 1000);
    CHECK(first->transferred == 0);
    MUST(J, job, SetNotifyInterface, (second.get())); // the last caller wins
    MUST(J, job, SetNotifyFlags, (0x1));
    CHECK(soon(10000, [&] { return second->transferred == 1; }));
    CHECK(first->transferred == 0);
    CHECK(soon(5000, [&] { return first->count() == 1; })); // the first one was let go
    MUST(J, job, SetNotifyInterface, (nullptr));
    CHECK(soon(5000, [&] { return second->count() == 1; }));
    IUnknown *none = second.get();
    MUST(J, job, GetNotifyInterface, (&none));
    CHECK(none == nullptr);
}

CASE(notify_refused) { // called again until it accepts; the interval is the retry delay
    Job job;
    Held<Recorder> recorder(new Recorder);
    recorder->refusals = 1;
    prepare(job, "small", "refused");
    MUST(J, job, SetMinimumRetryDelay, (5));
    MUST(J, job, SetNotifyInterface, (recorder.get()));
    MUST(J, job, Resume, ());
    CHECK(soon(30000, [&] { return recorder->transferred >= 2; }));
}

CASE(notify_ranges) {
    Job job;
    Held<Recorder> recorder(new Recorder);
    Held<IBackgroundCopyJob5> job5 = as<IBackgroundCopyJob5>(job.get());
    BITS_JOB_PROPERTY_VALUE value;
    std::memset(&value, 0, sizeof value);
    value.Enable = TRUE;
    MUST(IBackgroundCopyJob5, job5, SetProperty, (BITS_JOB_PROPERTY_ON_DEMAND_MODE, value));
    prepare(job, "big", "by-ranges");
    MUST(J, job, SetNotifyFlags, (0x20));
    MUST(J, job, SetNotifyInterface, (recorder.get()));
    Held<IBackgroundCopyFile> file = job.file();
    Held<IBackgroundCopyFile6> file6 = as<IBackgroundCopyFile6>(file.get());
    BG_FILE_RANGE wanted[] = {{0, 1000}};
    MUST(IBackgroundCopyFile6, file6, RequestFileRanges, (1, wanted));
    MUST(J, job, Resume, ());
    CHECK(soon(20000, [&] { return recorder->ranges > 0; }));
    CHECK(recorder->arguments_good && recorder->transferred == 0);
}
