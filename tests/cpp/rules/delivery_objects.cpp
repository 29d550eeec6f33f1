// IDODownloadStatusCallback and IStream of the program: spec/delivery-optimization-com.md 4.4, 4.5; rows 5, 6 and 9 of its checklist.
#include "delivery.h"

#include <unistd.h>

static const DODownloadState none = static_cast<DODownloadState>(-1);

// A callback object of the download, called every second and at least every so many percent.
static void watch(const Download &download, Watcher *watcher, UINT percent = 0) {
    download.set(FIELD(CallbackInterface), Value::unknown(watcher));
    if (percent > 0) {
        download.set(FIELD(CallbackFreqPercent), Value::ui4(percent));
    }
}

CASE(callback_states) { // every change, in order, and the final one last
    const int before = watchers;
    {
        Download download("slow", "callback states");
        Held<Watcher> watcher(new Watcher);
        watch(download, watcher.get());
        watcher->act = [](IDODownload *, const DO_DOWNLOAD_STATUS &) { usleep(20 * 1000); };
        usleep(300 * 1000);
        CHECK(watcher->last() == none || watcher->last() == DODownloadState_Created);
        MUST(D, download, Start, (Ranges({{0, 1u << 20}}).get())); // a second: what is over too soon is told once
        CHECK(soon(20000, [&] { return watcher->last() == DODownloadState_Transferred; }));
        CHECK(watcher->has(DODownloadState_Transferring));
        MUST(D, download, Finalize, ());
        CHECK(soon(5000, [&] { return watcher->last() == DODownloadState_Finalized; }));
        const std::vector<DO_DOWNLOAD_STATUS> calls = watcher->seen();
        UINT64 most = 0;
        for (const DO_DOWNLOAD_STATUS &status : calls) {
            CHECK(status.BytesTransferred >= most && status.Error == S_OK && status.ExtendedError == S_OK);
            most = status.BytesTransferred;
        }
        CHECK(most == 1u << 20 && !watcher->at_once && watcher->arguments_good);
        usleep(1500 * 1000);
        CHECK(watcher->count() == calls.size()); // nothing after the end
    }
    CHECK(soon(5000, [&] { return watchers == before; }));
}

CASE(callback_aborted) {
    Download download("slow", "callback aborted");
    Held<Watcher> watcher(new Watcher);
    watch(download, watcher.get());
    MUST(D, download, Start, (nullptr));
    CHECK(soon(10000, [&] { return watcher->has(DODownloadState_Transferring); }));
    MUST(D, download, Abort, ());
    CHECK(soon(5000, [&] { return watcher->last() == DODownloadState_Aborted; }));
    const size_t calls = watcher->count();
    usleep(1500 * 1000);
    CHECK(watcher->count() == calls && !watcher->at_once);
    CHECK(soon(5000, [&] { return watcher->Counted::count() == 1; })); // let go
}

CASE(callback_period) { // every second, unless it is said otherwise
    Download download("slow", "callback period");
    Held<Watcher> watcher(new Watcher);
    watch(download, watcher.get());
    MUST(D, download, Start, (nullptr));
    CHECK(soon(8000, [&] { return watcher->count() >= 5; }));
    UINT64 last = 0;
    int grew = 0;
    for (const DO_DOWNLOAD_STATUS &status : watcher->seen()) {
        grew += status.BytesTransferred > last;
        last = status.BytesTransferred;
        CHECK(status.State == DODownloadState_Transferring);
    }
    CHECK(grew >= 3);
    // A change of the period works at once, or with the next call.
    MUST(D, download, SetProperty, (FIELD(CallbackFreqSeconds), Value::ui4(3600).get()));
    usleep(1500 * 1000);
    const size_t calls = watcher->count();
    usleep(3000 * 1000);
    CHECK(watcher->count() == calls);
    MUST(D, download, Abort, ());
}

CASE(callback_percent) { // either of the two triggers
    Download download("slow", "callback percent");
    Held<Watcher> watcher(new Watcher);
    watch(download, watcher.get(), 10);
    download.set(FIELD(CallbackFreqSeconds), Value::ui4(3600));
    MUST(D, download, Start, (Ranges({{0, 8u << 20}}).get())); // eight seconds
    CHECK(soon(30000, [&] { return watcher->last() == DODownloadState_Transferred; }));
    const size_t calls = watcher->count();
    if (calls < 8 || calls > 16) {
        std::printf("%zu calls\n", calls);
    }
    CHECK(calls >= 8 && calls <= 16); // every state, and ten steps of which a busy machine may join some
}

CASE(callback_replaced) { // row 6
    Download download("slow", "callback replaced");
    Held<Watcher> first(new Watcher), second(new Watcher);
    watch(download, first.get());
    MUST(D, download, Start, (nullptr));
    CHECK(soon(10000, [&] { return first->count() > 0; }));
    watch(download, second.get());
    CHECK(soon(5000, [&] { return first->Counted::count() == 1; }));
    const size_t calls = first->count();
    CHECK(soon(10000, [&] { return second->count() > 1; }));
    MUST(D, download, Pause, ());
    CHECK(soon(5000, [&] { return second->last() == DODownloadState_Paused; }));
    CHECK(first->count() == calls); // never again
    MUST(D, download, SetProperty, (FIELD(CallbackInterface), Value().get()));
    CHECK(soon(5000, [&] { return second->Counted::count() == 1; }));
    const size_t later = second->count();
    MUST(D, download, Start, (nullptr));
    usleep(1500 * 1000);
    CHECK(second->count() == later);
    MUST(D, download, Abort, ());
}

CASE(callback_pauses) { // row 9
    Download download("slow", "callback pauses");
    Held<Watcher> watcher(new Watcher);
    std::atomic<HRESULT> paused{E_PENDING};
    std::atomic<bool> same{false};
    const Value id = download.value(FIELD(Id));
    watcher->act = [&](IDODownload *it, const DO_DOWNLOAD_STATUS &status) {
        if (status.State == DODownloadState_Transferring && paused == E_PENDING) {
            Value mine;
            DO_DOWNLOAD_STATUS now;
            same = it->GetProperty(FIELD(Id), mine.out()) == S_OK && mine == id && it->GetStatus(&now) == S_OK;
            paused = it->Pause();
        }
    };
    watch(download, watcher.get());
    MUST(D, download, Start, (nullptr));
    CHECK(soon(10000, [&] { return watcher->last() == DODownloadState_Paused; }));
    const DO_DOWNLOAD_STATUS status = download.status();
    CHECK(paused == S_OK && same && status.State == DODownloadState_Paused);
    CHECK(status.Error == S_OK && status.ExtendedError == S_OK);
    const size_t calls = watcher->count();
    usleep(1500 * 1000);
    CHECK(watcher->count() == calls); // nothing happens, nobody is told
}

CASE(callback_finalizes) { // any method from inside, also the last one; what it answers is not looked at
    Download download("small", "callback finalizes");
    Held<Watcher> watcher(new Watcher);
    std::atomic<HRESULT> finalized{E_PENDING};
    watcher->answer = E_FAIL;
    watcher->act = [&](IDODownload *it, const DO_DOWNLOAD_STATUS &status) {
        if (status.State == DODownloadState_Transferred) {
            finalized = it->Finalize();
        }
    };
    watch(download, watcher.get());
    MUST(D, download, Start, (nullptr));
    CHECK(soon(20000, [&] { return finalized != E_PENDING; }));
    CHECK(finalized == S_OK && content_of(folder + "callback finalizes") == reference("small"));
    CHECK(soon(5000, [&] { return watcher->last() == DODownloadState_Finalized; }));
}

CASE(callback_error) {
    Download download("missing", "callback error");
    Held<Watcher> watcher(new Watcher);
    watch(download, watcher.get());
    MUST(D, download, Start, (nullptr));
    CHECK(soon(20000, [&] { return watcher->last() == DODownloadState_Paused; }));
    const std::vector<DO_DOWNLOAD_STATUS> calls = watcher->seen();
    CHECK(!calls.empty() && calls.back().Error == static_cast<HRESULT>(0x80190194));
}

CASE(callback_later) { // set while it runs: the next change is told
    Download download("slow", "callback later");
    Held<Watcher> watcher(new Watcher);
    MUST(D, download, Start, (nullptr));
    watch(download, watcher.get());
    CHECK(soon(5000, [&] { return watcher->has(DODownloadState_Transferring); }));
    MUST(D, download, Abort, ());
}

CASE(callback_keeps_its_download) { // the program's last pointer goes, the callbacks go on
    Held<Watcher> watcher(new Watcher);
    std::atomic<HRESULT> finalized{E_PENDING};
    watcher->act = [&](IDODownload *it, const DO_DOWNLOAD_STATUS &status) {
        if (status.State == DODownloadState_Transferred && finalized == E_PENDING) {
            finalized = it->Finalize();
        }
    };
    {
        Held<D> download;
        MUST(IDOManager, the_do_manager(), CreateDownload, (download.out()));
        MUST(D, download, SetProperty, (FIELD(Uri), Value::text(url("big")).get()));
        MUST(D, download, SetProperty, (FIELD(LocalPath), Value::text(path("callback keeps")).get()));
        MUST(D, download, SetProperty, (FIELD(CallbackInterface), Value::unknown(watcher.get()).get()));
        MUST(D, download, SetProperty, (FIELD(ForegroundPriority), Value::boolean(true).get()));
        MUST(D, download, Start, (nullptr));
    }
    CHECK(soon(20000, [&] { return finalized == S_OK; }));
    CHECK(soon(5000, [&] { return watcher->Counted::count() == 1; }));
    CHECK(content_of(folder + "callback keeps") == reference("big"));
}

// ---- streams ----

CASE(stream_ranges) { // row 5: in the order given, and nothing else
    const int before = sinks;
    {
        Download download("small", nullptr);
        Held<Sink> sink(new Sink);
        const std::string &all = reference("small");
        download.set(FIELD(StreamInterface), Value::unknown(sink.get()));
        MUST(D, download, Start, (Ranges({{0, 100}, {200, 1000}}).get()));
        CHECK(download.until(DODownloadState_Transferred));
        const DO_DOWNLOAD_STATUS status = download.status();
        CHECK(status.BytesTotal == 1100 && status.BytesTransferred == 1100);
        CHECK(soon(5000, [&] { return sink->content().size() >= 1100; }));
        CHECK(sink->content() == all.substr(0, 100) + all.substr(200, 1000));
        // Another portion comes behind it; here in another order.
        MUST(D, download, Start, (Ranges({{5000, 10}, {3000, 5}}).get()));
        CHECK(soon(10000, [&] { return sink->content().size() >= 1115; }));
        CHECK(sink->content().substr(1100) == all.substr(5000, 10) + all.substr(3000, 5));
        CHECK(download.until(DODownloadState_Transferred));
        MUST(D, download, Finalize, ());
        CHECK(sink->content().size() == 1115 && sink->others == 0 && !sink->at_once);
    }
    CHECK(soon(5000, [&] { return sinks == before; }));
}

CASE(stream_whole) {
    Download download("big", nullptr);
    Held<Sink> sink(new Sink);
    download.set(FIELD(StreamInterface), Value::unknown(sink.get()));
    MUST(D, download, Start, (Ranges({{0, DO_LENGTH_TO_EOF}}).get()));
    CHECK(download.until(DODownloadState_Transferred));
    CHECK(sink->content() == reference("big")); // all of it has been written when the state says so
    CHECK(download.status().BytesTransferred == 1u << 20);
    MUST(D, download, Finalize, ());
    CHECK(sink->others == 0 && !sink->at_once);
}

CASE(stream_paused) { // nothing twice, nothing left out
    Download download("slow", nullptr);
    Held<Sink> sink(new Sink);
    download.set(FIELD(StreamInterface), Value::unknown(sink.get()));
    MUST(D, download, Start, (Ranges({{0, 2u << 20}, {30u << 20, 1u << 20}}).get()));
    CHECK(soon(10000, [&] { return download.status().BytesTransferred > 0; }));
    MUST(D, download, Pause, ());
    CHECK(download.state() == DODownloadState_Paused);
    usleep(500 * 1000);
    const size_t at = sink->content().size();
    usleep(700 * 1000);
    CHECK(sink->content().size() == at && at < 3u << 20);
    MUST(D, download, Start, (nullptr));
    CHECK(download.until(DODownloadState_Transferred));
    const std::string got = sink->content();
    CHECK(got.size() == 3u << 20);
    MUST(D, download, Finalize, ());
    // The same ranges by a file.
    Download other("slow", "stream paused");
    MUST(D, other, Start, (Ranges({{0, 2u << 20}, {30u << 20, 1u << 20}}).get()));
    CHECK(other.until(DODownloadState_Transferred));
    MUST(D, other, Finalize, ());
    const std::string file = content_of(folder + "stream paused");
    CHECK(file.size() == 31u << 20 && got == file.substr(0, 2u << 20) + file.substr(30u << 20));
}

CASE(stream_refuses) { // a Write that fails is fatal, with its code
    Download download("big", nullptr);
    Held<Sink> sink(new Sink);
    sink->answer = STG_E_MEDIUMFULL;
    download.set(FIELD(StreamInterface), Value::unknown(sink.get()));
    MUST(D, download, Start, (Ranges({{0, DO_LENGTH_TO_EOF}}).get()));
    CHECK(soon(20000, [&] { return FAILED(download.status().Error); }));
    const DO_DOWNLOAD_STATUS status = download.status();
    CHECK(status.State == DODownloadState_Paused && status.Error == STG_E_MEDIUMFULL);
    WANT(DO_E_INVALID_STATE, D, download, Finalize, ());
    MUST(D, download, Abort, ());
    CHECK(soon(5000, [&] { return sink->Counted::count() == 1; }));
}

CASE(stream_takes_little) { // fewer bytes than given: the rest is given again, or it is an error; never silence
    Download download("small", nullptr);
    Held<Sink> sink(new Sink);
    sink->most = 7;
    download.set(FIELD(StreamInterface), Value::unknown(sink.get()));
    MUST(D, download, Start, (Ranges({{0, 1000}}).get()));
    if (download.until(DODownloadState_Transferred)) {
        CHECK(sink->content() == reference("small").substr(0, 1000));
    } else {
        CHECK(FAILED(download.status().Error));
    }
}

CASE(stream_blocking) {
    Download download("small", nullptr);
    Held<Sink> sink(new Sink);
    download.set(FIELD(StreamInterface), Value::unknown(sink.get()));
    download.set(FIELD(BlockingMode), Value::boolean(true));
    MUST(D, download, Start, (Ranges({{0, DO_LENGTH_TO_EOF}}).get()));
    CHECK(sink->content() == reference("small") && download.state() == DODownloadState_Transferred);
    MUST(D, download, Finalize, ());
}

CASE(stream_and_callback) { // bytes that the callback tells of have been written
    Download download("slow", nullptr);
    Held<Sink> sink(new Sink);
    Held<Watcher> watcher(new Watcher);
    Sink *raw = sink.get();
    std::atomic<bool> behind{false};
    watcher->act = [&](IDODownload *, const DO_DOWNLOAD_STATUS &status) {
        if (status.State == DODownloadState_Transferred && raw->content().size() < status.BytesTransferred) {
            behind = true;
        }
    };
    download.set(FIELD(StreamInterface), Value::unknown(sink.get()));
    watch(download, watcher.get());
    MUST(D, download, Start, (Ranges({{0, 2u << 20}}).get()));
    CHECK(soon(20000, [&] { return watcher->last() == DODownloadState_Transferred; }));
    CHECK(!behind && sink->content().size() == 2u << 20);
}
