// spec/bits-core.md: manager, jobs, enumerators, files. Row numbers are those of its section 10.
#include "rules.h"

#include <cstring>
#include <ctime>
#include <sys/stat.h>
#include <unistd.h>

#define M IBackgroundCopyManager
#define J IBackgroundCopyJob
#define J2 IBackgroundCopyJob2

static void *const MARK = reinterpret_cast<void *>(0x5EED);

CASE(activation) {
    const CLSID *const all[] = {
        &CLSID_BackgroundCopyManager,     &CLSID_BackgroundCopyManager1_5,  &CLSID_BackgroundCopyManager2_0,
        &CLSID_BackgroundCopyManager2_5,  &CLSID_BackgroundCopyManager3_0,  &CLSID_BackgroundCopyManager4_0,
        &CLSID_BackgroundCopyManager5_0,  &CLSID_BackgroundCopyManager10_1, &CLSID_BackgroundCopyManager10_2,
        &CLSID_BackgroundCopyManager10_3,
    };
    for (const CLSID *one : all) {
        Held<IBackgroundCopyManager> manager;
        CHECK(CoCreateInstance(*one, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(manager.out())) == S_OK);
        CHECK(manager.get() != nullptr);
    }
    void *none = MARK;
    CHECK(CoCreateInstance(IID_IUnknown, nullptr, CLSCTX_LOCAL_SERVER, IID_IUnknown, &none) == REGDB_E_CLASSNOTREG);
    CHECK(none == nullptr);
    none = MARK;
    CHECK(CoCreateInstance(CLSID_BackgroundCopyManager, the_manager(), CLSCTX_LOCAL_SERVER, IID_IUnknown, &none) ==
          CLASS_E_NOAGGREGATION);
    CHECK(none == nullptr);
    none = MARK;
    CHECK(CoCreateInstance(CLSID_BackgroundCopyManager, nullptr, CLSCTX_LOCAL_SERVER, IID_IBackgroundCopyJob, &none) ==
          E_NOINTERFACE);
    CHECK(none == nullptr);
    CHECK(OpenbitsVersion() != nullptr && std::strlen(OpenbitsVersion()) > 0);
}

CASE(identity) {
    Job job;
    void *none = MARK;
    // IUnknown of one object is one pointer, by whichever interface it is asked for.
    Held<IUnknown> first = as<IUnknown>(job.get());
    Held<IBackgroundCopyJob5> job5 = as<IBackgroundCopyJob5>(job.get());
    Held<IUnknown> second = as<IUnknown>(job5.get());
    CHECK(first.get() == second.get());
    Held<IBackgroundCopyJobHttpOptions3> options = as<IBackgroundCopyJobHttpOptions3>(job.get());
    Held<IUnknown> third = as<IUnknown>(options.get());
    CHECK(first.get() == third.get());
    Held<IBackgroundCopyJob> back = as<IBackgroundCopyJob>(options.get());
    Held<IBackgroundCopyJob2> job2 = as<IBackgroundCopyJob2>(job.get());
    Held<IBackgroundCopyJob3> job3 = as<IBackgroundCopyJob3>(job2.get());
    Held<IBackgroundCopyJob4> job4 = as<IBackgroundCopyJob4>(job3.get());
    Held<IBitsTokenOptions> token = as<IBitsTokenOptions>(job.get());
    CHECK(job->QueryInterface(IID_IBackgroundCopyManager, &none) == E_NOINTERFACE && none == nullptr);
    const ULONG count = job->AddRef();
    CHECK(job->Release() == count - 1);
}

CASE(create_job) {
    GUID id;
    Held<J> job;
    M *manager = the_manager();
    IBackgroundCopyJob *out = static_cast<IBackgroundCopyJob *>(MARK);
    WANT(E_INVALIDARG, M, manager, CreateJob,
         (repeated('n', 257).c_str(), BG_JOB_TYPE_DOWNLOAD, &id, &out));
    CHECK(out == nullptr);
    out = static_cast<IBackgroundCopyJob *>(MARK);
    WANT(E_NOTIMPL, M, manager, CreateJob, (OLESTR("n"), static_cast<BG_JOB_TYPE>(3), &id, &out));
    CHECK(out == nullptr);
    WANT(E_NOTIMPL, M, manager, CreateJob, (OLESTR("n"), static_cast<BG_JOB_TYPE>(-1), &id, &out));
    NULL_REFUSED(M, manager, CreateJob, (nullptr, BG_JOB_TYPE_DOWNLOAD, &id, &out));
    NULL_REFUSED(M, manager, CreateJob, (OLESTR("n"), BG_JOB_TYPE_DOWNLOAD, nullptr, &out));
    NULL_REFUSED(M, manager, CreateJob, (OLESTR("n"), BG_JOB_TYPE_DOWNLOAD, &id, nullptr));
    const WideText longest = repeated('n', 256);
    MUST(M, manager, CreateJob, (longest.c_str(), BG_JOB_TYPE_UPLOAD, &id, job.out()));
    LPWSTR name = nullptr;
    MUST(J, job, GetDisplayName, (&name));
    CHECK(longest == name);
    CoTaskMemFree(name);
    MUST(J, job, Cancel, ());
    // Two astral characters count as four.
    MUST(M, manager, CreateJob, (OLESTR(""), BG_JOB_TYPE_UPLOAD_REPLY, &id, job.out()));
    MUST(J, job, SetDisplayName, (OLESTR("\U0001F4E6 \u00e4\u4e2d")));
    MUST(J, job, GetDisplayName, (&name));
    CHECK(WideText(name) == OLESTR("\U0001F4E6 \u00e4\u4e2d"));
    CoTaskMemFree(name);
    MUST(J, job, Cancel, ());
}

CASE(get_job) { // rows 1, 4, 19
    GUID unknown = IID_IUnknown;
    IBackgroundCopyJob *out = static_cast<IBackgroundCopyJob *>(MARK);
    M *manager = the_manager();
    WANT(BG_E_NOT_FOUND, M, manager, GetJob, (unknown, &out));
    CHECK(out == nullptr);
    NULL_REFUSED(M, manager, GetJob, (unknown, nullptr));
    GUID id, again;
    Held<J> job;
    MUST(M, manager, CreateJob, (OLESTR("released"), BG_JOB_TYPE_DOWNLOAD, &id, job.out()));
    MUST(J, job, GetId, (&again));
    CHECK(id == again);
    job.reset();
    MUST(M, manager, GetJob, (id, job.out()));
    MUST(J, job, Cancel, ());
    WANT(BG_E_NOT_FOUND, M, manager, GetJob, (id, &out));
}

CASE(fresh_job) { // section 4.6; rows 5, 6, 13, 14, 44, 51
    Job job;
    CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    BG_JOB_TYPE type;
    MUST(J, job, GetType, (&type));
    CHECK(type == BG_JOB_TYPE_DOWNLOAD);
    BG_JOB_PROGRESS progress;
    std::memset(&progress, 0xFF, sizeof progress);
    MUST(J, job, GetProgress, (&progress));
    CHECK(progress.BytesTotal == 0 && progress.BytesTransferred == 0);
    CHECK(progress.FilesTotal == 0 && progress.FilesTransferred == 0);
    BG_JOB_TIMES times;
    MUST(J, job, GetTimes, (&times));
    CHECK(times.TransferCompletionTime.dwLowDateTime == 0 && times.TransferCompletionTime.dwHighDateTime == 0);
    const unsigned long long created =
        static_cast<unsigned long long>(times.CreationTime.dwHighDateTime) << 32 | times.CreationTime.dwLowDateTime;
    const unsigned long long now = 116444736000000000ULL + static_cast<unsigned long long>(time(nullptr)) * 10000000ULL;
    CHECK(created + 600000000ULL > now && created < now + 600000000ULL);
    BG_JOB_PRIORITY priority;
    MUST(J, job, GetPriority, (&priority));
    CHECK(priority == BG_JOB_PRIORITY_NORMAL);
    ULONG number = 99;
    MUST(J, job, GetNotifyFlags, (&number));
    CHECK(number == 3);
    IUnknown *notify = static_cast<IUnknown *>(MARK);
    MUST(J, job, GetNotifyInterface, (&notify));
    CHECK(notify == nullptr);
    MUST(J, job, GetMinimumRetryDelay, (&number));
    CHECK(number == 600);
    MUST(J, job, GetNoProgressTimeout, (&number));
    CHECK(number == 1209600);
    MUST(J, job, GetErrorCount, (&number));
    CHECK(number == 0);
    IBackgroundCopyError *error = static_cast<IBackgroundCopyError *>(MARK);
    WANT(BG_E_ERROR_INFORMATION_UNAVAILABLE, J, job, GetError, (&error));
    CHECK(error == nullptr);
    BG_JOB_PROXY_USAGE usage;
    LPWSTR list = static_cast<LPWSTR>(MARK), bypass = static_cast<LPWSTR>(MARK);
    MUST(J, job, GetProxySettings, (&usage, &list, &bypass));
    CHECK(usage == BG_JOB_PROXY_USAGE_PRECONFIG && list == nullptr && bypass == nullptr);
    LPWSTR text = nullptr;
    MUST(J, job, GetDescription, (&text));
    CHECK(text != nullptr && text[0] == 0);
    CoTaskMemFree(text);
    MUST(J, job, GetOwner, (&text));
    CHECK(text != nullptr && text[0] != 0);
    CoTaskMemFree(text);
    Held<J2> job2 = as<J2>(job.get());
    LPWSTR program = nullptr, parameters = nullptr;
    MUST(J2, job2, GetNotifyCmdLine, (&program, &parameters));
    CHECK(program != nullptr && program[0] == 0 && parameters != nullptr && parameters[0] == 0);
    CoTaskMemFree(program);
    CoTaskMemFree(parameters);
    WANT(BG_E_EMPTY, J, job, Resume, ()); // row 9
    CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    MUST(J, job, Suspend, ());
}

CASE(null_pointers) { // section 4.4
    Job job;
    BG_JOB_PROXY_USAGE usage;
    LPWSTR text = nullptr;
    NULL_REFUSED(J, job, GetId, (nullptr));
    NULL_REFUSED(J, job, GetType, (nullptr));
    NULL_REFUSED(J, job, GetProgress, (nullptr));
    NULL_REFUSED(J, job, GetTimes, (nullptr));
    NULL_REFUSED(J, job, GetState, (nullptr));
    NULL_REFUSED(J, job, GetError, (nullptr));
    NULL_REFUSED(J, job, GetOwner, (nullptr));
    NULL_REFUSED(J, job, SetDisplayName, (nullptr));
    NULL_REFUSED(J, job, GetDisplayName, (nullptr));
    NULL_REFUSED(J, job, SetDescription, (nullptr)); // row 50
    NULL_REFUSED(J, job, GetDescription, (nullptr));
    NULL_REFUSED(J, job, GetPriority, (nullptr));
    NULL_REFUSED(J, job, GetNotifyFlags, (nullptr));
    NULL_REFUSED(J, job, GetNotifyInterface, (nullptr));
    NULL_REFUSED(J, job, GetMinimumRetryDelay, (nullptr));
    NULL_REFUSED(J, job, GetNoProgressTimeout, (nullptr));
    NULL_REFUSED(J, job, GetErrorCount, (nullptr));
    NULL_REFUSED(J, job, GetProxySettings, (nullptr, &text, &text));
    NULL_REFUSED(J, job, GetProxySettings, (&usage, nullptr, &text));
    NULL_REFUSED(J, job, GetProxySettings, (&usage, &text, nullptr));
    NULL_REFUSED(J, job, EnumFiles, (nullptr));
    NULL_REFUSED(J, job, AddFile, (nullptr, path("x").c_str()));
    NULL_REFUSED(J, job, AddFile, (url("x").c_str(), nullptr));
    NULL_REFUSED(J, job, AddFileSet, (1, nullptr));
    BG_FILE_INFO set[] = {{nullptr, nullptr}};
    NULL_REFUSED(J, job, AddFileSet, (1, set));
    Held<J2> job2 = as<J2>(job.get());
    NULL_REFUSED(J2, job2, GetNotifyCmdLine, (nullptr, &text));
    NULL_REFUSED(J2, job2, GetNotifyCmdLine, (&text, nullptr));
    NULL_REFUSED(J2, job2, SetCredentials, (nullptr));
    MUST(J, job, AddFile, (url("small").c_str(), path("null").c_str()));
    Held<IBackgroundCopyFile> file = job.file();
    NULL_REFUSED(IBackgroundCopyFile, file, GetRemoteName, (nullptr));
    NULL_REFUSED(IBackgroundCopyFile, file, GetLocalName, (nullptr));
    NULL_REFUSED(IBackgroundCopyFile, file, GetProgress, (nullptr));
    M *manager = the_manager();
    NULL_REFUSED(M, manager, EnumJobs, (0, nullptr));
    NULL_REFUSED(M, manager, GetErrorDescription, (E_FAIL, 0x0409, nullptr));
}

CASE(setters) {
    Job job;
    ULONG number = 0;
    LPWSTR text = nullptr;
    WANT(BG_E_STRING_TOO_LONG, J, job, SetDisplayName, (repeated('n', 257).c_str()));
    MUST(J, job, SetDisplayName, (repeated('n', 256).c_str()));
    WANT(BG_E_STRING_TOO_LONG, J, job, SetDescription, (repeated('d', 1025).c_str())); // row 50
    MUST(J, job, SetDescription, (repeated('d', 1024).c_str()));
    MUST(J, job, GetDescription, (&text));
    CHECK(repeated('d', 1024) == text);
    CoTaskMemFree(text);
    for (int value = 0; value <= 3; value++) {
        BG_JOB_PRIORITY priority;
        MUST(J, job, SetPriority, (static_cast<BG_JOB_PRIORITY>(value)));
        MUST(J, job, GetPriority, (&priority));
        CHECK(priority == value);
    }
    WANT(E_NOTIMPL, J, job, SetPriority, (static_cast<BG_JOB_PRIORITY>(4)));
    WANT(E_NOTIMPL, J, job, SetPriority, (static_cast<BG_JOB_PRIORITY>(-1)));
    MUST(J, job, SetNotifyFlags, (0x1F)); // row 15
    MUST(J, job, GetNotifyFlags, (&number));
    CHECK(number == 0x1F);
    MUST(J, job, SetNotifyFlags, (0x3F));
    MUST(J, job, SetNotifyFlags, (0));
    WANT(E_NOTIMPL, J, job, SetNotifyFlags, (0x40));
    MUST(J, job, SetMinimumRetryDelay, (4));
    MUST(J, job, GetMinimumRetryDelay, (&number));
    CHECK(number == 5);
    MUST(J, job, SetMinimumRetryDelay, (0xFFFFFFFF));
    MUST(J, job, GetMinimumRetryDelay, (&number));
    CHECK(number == 0xFFFFFFFF);
    MUST(J, job, SetNoProgressTimeout, (0xFFFFFFFF));
    MUST(J, job, GetNoProgressTimeout, (&number));
    CHECK(number == 0xFFFFFFFF);
    // Proxies.
    const WCHAR *const none = nullptr;
    WANT(E_NOTIMPL, J, job, SetProxySettings, (static_cast<BG_JOB_PROXY_USAGE>(4), none, none));
    WANT(E_INVALIDARG, J, job, SetProxySettings, (BG_JOB_PROXY_USAGE_OVERRIDE, none, none));
    WANT(E_INVALIDARG, J, job, SetProxySettings, (BG_JOB_PROXY_USAGE_NO_PROXY, OLESTR("p:1"), none));
    WANT(BG_E_PROXY_LIST_TOO_LARGE, J, job, SetProxySettings,
         (BG_JOB_PROXY_USAGE_OVERRIDE, repeated('p', 16385).c_str(), none));
    WANT(BG_E_PROXY_BYPASS_LIST_TOO_LARGE, J, job, SetProxySettings,
         (BG_JOB_PROXY_USAGE_OVERRIDE, OLESTR("p:1"), repeated('p', 16385).c_str()));
    MUST(J, job, SetProxySettings, (BG_JOB_PROXY_USAGE_OVERRIDE, OLESTR("p:8080"), OLESTR("<local>")));
    BG_JOB_PROXY_USAGE usage;
    LPWSTR list = nullptr, bypass = nullptr;
    MUST(J, job, GetProxySettings, (&usage, &list, &bypass));
    CHECK(usage == BG_JOB_PROXY_USAGE_OVERRIDE && WideText(list) == OLESTR("p:8080"));
    CHECK(WideText(bypass) == OLESTR("<local>"));
    CoTaskMemFree(list);
    CoTaskMemFree(bypass);
    MUST(J, job, SetProxySettings, (BG_JOB_PROXY_USAGE_AUTODETECT, none, none));
    MUST(J, job, SetProxySettings, (BG_JOB_PROXY_USAGE_NO_PROXY, none, none));
    // Command line.
    Held<J2> job2 = as<J2>(job.get());
    WANT(BG_E_STRING_TOO_LONG, J2, job2, SetNotifyCmdLine, ((OLESTR("/") + repeated('p', 260)).c_str(), none));
    WANT(BG_E_STRING_TOO_LONG, J2, job2, SetNotifyCmdLine, (OLESTR("/bin/true"), repeated('p', 4001).c_str()));
    WANT(E_INVALIDARG, J2, job2, SetNotifyCmdLine, (none, OLESTR("x")));
    MUST(J2, job2, SetNotifyCmdLine, (OLESTR("/bin/true"), OLESTR("true 1")));
    LPWSTR program = nullptr, parameters = nullptr;
    MUST(J2, job2, GetNotifyCmdLine, (&program, &parameters));
    CHECK(WideText(program) == OLESTR("/bin/true") && WideText(parameters) == OLESTR("true 1"));
    CoTaskMemFree(program);
    CoTaskMemFree(parameters);
    MUST(J2, job2, SetNotifyCmdLine, (none, none));
}

CASE(credentials) { // rows 52-54
    Job job;
    Held<J2> job2 = as<J2>(job.get());
    WideText user = OLESTR("alice"), password = OLESTR("secret");
    BG_AUTH_CREDENTIALS it;
    std::memset(&it, 0, sizeof it);
    it.Target = BG_AUTH_TARGET_SERVER;
    it.Scheme = BG_AUTH_SCHEME_BASIC;
    it.Credentials.Basic.UserName = user.data();
    it.Credentials.Basic.Password = password.data();
    WANT(S_FALSE, J2, job2, RemoveCredentials, (BG_AUTH_TARGET_SERVER, BG_AUTH_SCHEME_BASIC));
    MUST(J2, job2, SetCredentials, (&it));
    MUST(J2, job2, SetCredentials, (&it));
    WANT(S_FALSE, J2, job2, RemoveCredentials, (BG_AUTH_TARGET_PROXY, BG_AUTH_SCHEME_BASIC));
    MUST(J2, job2, RemoveCredentials, (BG_AUTH_TARGET_SERVER, BG_AUTH_SCHEME_BASIC));
    WANT(S_FALSE, J2, job2, RemoveCredentials, (BG_AUTH_TARGET_SERVER, BG_AUTH_SCHEME_BASIC));
    it.Target = static_cast<BG_AUTH_TARGET>(3);
    WANT(BG_E_INVALID_AUTH_TARGET, J2, job2, SetCredentials, (&it));
    it.Scheme = static_cast<BG_AUTH_SCHEME>(6);
    WANT(BG_E_INVALID_AUTH_TARGET, J2, job2, SetCredentials, (&it));
    it.Target = BG_AUTH_TARGET_PROXY;
    WANT(BG_E_INVALID_AUTH_SCHEME, J2, job2, SetCredentials, (&it));
    it.Scheme = static_cast<BG_AUTH_SCHEME>(0);
    WANT(BG_E_INVALID_AUTH_SCHEME, J2, job2, SetCredentials, (&it));
    WANT(BG_E_INVALID_AUTH_TARGET, J2, job2, RemoveCredentials, (static_cast<BG_AUTH_TARGET>(0), BG_AUTH_SCHEME_BASIC));
    WANT(BG_E_INVALID_AUTH_SCHEME, J2, job2, RemoveCredentials, (BG_AUTH_TARGET_PROXY, static_cast<BG_AUTH_SCHEME>(6)));
    it.Scheme = BG_AUTH_SCHEME_DIGEST;
    it.Credentials.Basic.UserName = nullptr;
    WANT(E_INVALIDARG, J2, job2, SetCredentials, (&it));
    it.Credentials.Basic.UserName = user.data();
    it.Credentials.Basic.Password = nullptr;
    WANT(E_INVALIDARG, J2, job2, SetCredentials, (&it));
    it.Credentials.Basic.UserName = nullptr;
    it.Scheme = BG_AUTH_SCHEME_NEGOTIATE;
    MUST(J2, job2, SetCredentials, (&it));
    WideText longer = repeated('u', 301);
    it.Credentials.Basic.UserName = longer.data();
    it.Credentials.Basic.Password = password.data();
    WANT(BG_E_USERNAME_TOO_LARGE, J2, job2, SetCredentials, (&it));
    WideText huge = repeated('p', 65537);
    it.Credentials.Basic.UserName = user.data();
    it.Credentials.Basic.Password = huge.data();
    WANT(BG_E_PASSWORD_TOO_LARGE, J2, job2, SetCredentials, (&it));
}

CASE(add_file) { // rows 7, 8, 25, 26, 45
    Job job;
    WANT(E_INVALIDARG, J, job, AddFile, (url("small").c_str(), OLESTR("relative")));
    WANT(E_INVALIDARG, J, job, AddFile, (OLESTR("ftp://host/file"), path("a").c_str()));
    WANT(E_INVALIDARG, J, job, AddFile, (OLESTR("not a name"), path("a").c_str()));
    WANT(E_INVALIDARG, J, job, AddFile, (OLESTR(""), path("a").c_str()));
    WANT(E_INVALIDARG, J, job, AddFile, ((url("") + repeated('x', 2300)).c_str(), path("a").c_str()));
    WANT(HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND), J, job, AddFile, (url("small").c_str(), path("no/such").c_str()));
    BG_JOB_PROGRESS total;
    MUST(J, job, GetProgress, (&total));
    CHECK(total.FilesTotal == 0);
    MUST(J, job, AddFile, (url("first").c_str(), path("first").c_str()));
    WideText remote[] = {url("second"), url("third")}, local[] = {path("second"), path("third")};
    BG_FILE_INFO set[] = {{remote[0].data(), local[0].data()}, {remote[1].data(), local[1].data()}};
    MUST(J, job, AddFileSet, (2, set));
    MUST(J, job, AddFileSet, (0, set));
    WideText bad = OLESTR("relative");
    set[1].LocalName = bad.data();
    WANT(E_INVALIDARG, J, job, AddFileSet, (2, set)); // all or nothing
    MUST(J, job, GetProgress, (&total));
    CHECK(total.FilesTotal == 3 && total.BytesTotal == BG_SIZE_UNKNOWN && total.FilesTransferred == 0);
    const char *const order[] = {"first", "second", "third"};
    for (ULONG i = 0; i < 3; i++) {
        Held<IBackgroundCopyFile> file = job.file(i);
        LPWSTR name = nullptr;
        BG_FILE_PROGRESS progress;
        MUST(IBackgroundCopyFile, file, GetRemoteName, (&name));
        CHECK(url(order[i]) == name);
        CoTaskMemFree(name);
        MUST(IBackgroundCopyFile, file, GetLocalName, (&name));
        CHECK(path(order[i]) == name);
        CoTaskMemFree(name);
        MUST(IBackgroundCopyFile, file, GetProgress, (&progress));
        CHECK(progress.BytesTotal == BG_SIZE_UNKNOWN && progress.BytesTransferred == 0 && !progress.Completed);
    }
    // Uploads take one file.
    Job upload(BG_JOB_TYPE_UPLOAD);
    const WideText destination = wide("http://127.0.0.1:9/in/f");
    WANT(HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND), J, upload, AddFile, (destination.c_str(), path("none").c_str()));
    FILE *made = std::fopen((folder + "source").c_str(), "wb");
    std::fputs("12345", made);
    std::fclose(made);
    WideText to = destination, from = path("source");
    BG_FILE_INFO two[] = {{to.data(), from.data()}, {to.data(), from.data()}};
    WANT(BG_E_TOO_MANY_FILES, J, upload, AddFileSet, (2, two));
    MUST(J, upload, AddFile, (destination.c_str(), path("source").c_str()));
    WANT(BG_E_TOO_MANY_FILES, J, upload, AddFile, (destination.c_str(), path("source").c_str()));
    MUST(J, upload, GetProgress, (&total));
    CHECK(total.FilesTotal == 1 && total.BytesTotal == 5);
    WANT(BG_E_INVALID_STATE, J, upload, Complete, ());
}

CASE(enumerate_jobs) { // rows 2, 3, 37-43
    M *manager = the_manager();
    Job one;
    Held<IEnumBackgroundCopyJobs> before, after, clone;
    MUST(M, manager, EnumJobs, (0, before.out()));
    Job two;
    MUST(M, manager, EnumJobs, (0, after.out()));
    ULONG count = 0, more = 0;
    MUST(IEnumBackgroundCopyJobs, before, GetCount, (&count));
    MUST(IEnumBackgroundCopyJobs, after, GetCount, (&more));
    CHECK(count >= 1 && more == count + 1);
    IEnumBackgroundCopyJobs *none = static_cast<IEnumBackgroundCopyJobs *>(MARK);
    WANT(E_INVALIDARG, M, manager, EnumJobs, (2, &none));
    CHECK(none == nullptr);
    IBackgroundCopyJob *some[3] = {nullptr, nullptr, nullptr};
    ULONG fetched = 77;
    WANT(E_INVALIDARG, IEnumBackgroundCopyJobs, after, Next, (2, some, nullptr)); // row 38
    NULL_REFUSED(IEnumBackgroundCopyJobs, after, Next, (1, nullptr, &fetched));
    MUST(IEnumBackgroundCopyJobs, after, Next, (0, some, &fetched));
    CHECK(fetched == 0);
    MUST(IEnumBackgroundCopyJobs, after, Next, (1, some, nullptr));
    some[0]->Release();
    MUST(IEnumBackgroundCopyJobs, after, Clone, (clone.out())); // row 42: same position
    WANT(S_FALSE, IEnumBackgroundCopyJobs, after, Skip, (more));  // one was taken
    fetched = 77;
    some[0] = static_cast<IBackgroundCopyJob *>(MARK);
    WANT(S_FALSE, IEnumBackgroundCopyJobs, after, Next, (1, some, &fetched)); // rows 39, 40
    CHECK(fetched == 0 && some[0] == nullptr);
    WANT(S_FALSE, IEnumBackgroundCopyJobs, after, Next, (1, some, nullptr)); // row 37
    // The clone stands where its original stood.
    MUST(IEnumBackgroundCopyJobs, clone, Skip, (more - 1));
    WANT(S_FALSE, IEnumBackgroundCopyJobs, clone, Skip, (1));
    MUST(IEnumBackgroundCopyJobs, after, Reset, ()); // row 41
    MUST(IEnumBackgroundCopyJobs, after, Skip, (more));
    MUST(IEnumBackgroundCopyJobs, after, Reset, ());
    WANT(S_FALSE, IEnumBackgroundCopyJobs, after, Skip, (more + 1));
    MUST(IEnumBackgroundCopyJobs, after, Reset, ());
    // More than there are: as many as there are.
    std::vector<IBackgroundCopyJob *> all(more + 5, static_cast<IBackgroundCopyJob *>(MARK));
    WANT(S_FALSE, IEnumBackgroundCopyJobs, after, Next, (more + 5, all.data(), &fetched));
    CHECK(fetched == more && all[more] == nullptr && all[more + 4] == nullptr);
    bool found = false;
    for (ULONG i = 0; i < fetched; i++) {
        GUID id;
        MUST(J, all[i], GetId, (&id));
        found = found || id == two.id;
        all[i]->Release();
    }
    CHECK(found);
    NULL_REFUSED(IEnumBackgroundCopyJobs, after, Clone, (nullptr));
    NULL_REFUSED(IEnumBackgroundCopyJobs, after, GetCount, (nullptr));
    MUST(IEnumBackgroundCopyJobs, after, GetCount, (&count));
    CHECK(count == more);
    IEnumBackgroundCopyJobs *last = nullptr;
    MUST(M, manager, EnumJobs, (0, &last));
    CHECK(last->Release() == 0); // row 43
}

CASE(enumerate_files) {
    Job job;
    Held<IEnumBackgroundCopyFiles> none, files, clone;
    MUST(J, job, EnumFiles, (none.out()));
    ULONG count = 9;
    MUST(IEnumBackgroundCopyFiles, none, GetCount, (&count));
    CHECK(count == 0);
    for (const char *name : {"a", "b", "c"}) {
        MUST(J, job, AddFile, (url(name).c_str(), path(name).c_str()));
    }
    MUST(IEnumBackgroundCopyFiles, none, GetCount, (&count));
    CHECK(count == 0); // a snapshot
    MUST(J, job, EnumFiles, (files.out()));
    IBackgroundCopyFile *some[4] = {nullptr, nullptr, nullptr, nullptr};
    ULONG fetched = 77;
    WANT(E_INVALIDARG, IEnumBackgroundCopyFiles, files, Next, (2, some, nullptr));
    MUST(IEnumBackgroundCopyFiles, files, Next, (2, some, &fetched));
    CHECK(fetched == 2);
    some[0]->Release();
    some[1]->Release();
    MUST(IEnumBackgroundCopyFiles, files, Clone, (clone.out()));
    some[1] = static_cast<IBackgroundCopyFile *>(MARK);
    WANT(S_FALSE, IEnumBackgroundCopyFiles, files, Next, (2, some, &fetched));
    CHECK(fetched == 1 && some[1] == nullptr);
    some[0]->Release();
    WANT(S_FALSE, IEnumBackgroundCopyFiles, files, Next, (1, some, nullptr));
    MUST(IEnumBackgroundCopyFiles, clone, Next, (1, some, nullptr));
    some[0]->Release();
    MUST(IEnumBackgroundCopyFiles, files, Reset, ());
    MUST(IEnumBackgroundCopyFiles, files, Skip, (3));
    WANT(S_FALSE, IEnumBackgroundCopyFiles, files, Skip, (1));
    NULL_REFUSED(IEnumBackgroundCopyFiles, files, Clone, (nullptr));
    NULL_REFUSED(IEnumBackgroundCopyFiles, files, GetCount, (nullptr));
}

// What a final job answers: rows 17-20, 60.
static void is_final(const Job &job, BG_JOB_STATE state) {
    const WCHAR *const none = nullptr;
    CHECK(job.state() == state);
    WANT(BG_E_INVALID_STATE, J, job, Cancel, ());
    WANT(BG_E_INVALID_STATE, J, job, Complete, ());
    WANT(BG_E_INVALID_STATE, J, job, Resume, ());
    WANT(BG_E_INVALID_STATE, J, job, Suspend, ());
    WANT(BG_E_INVALID_STATE, J, job, SetNotifyInterface, (nullptr));
    WANT(BG_E_INVALID_STATE, J, job, SetNotifyFlags, (1));
    WANT(BG_E_INVALID_STATE, J, job, SetDisplayName, (OLESTR("n")));
    WANT(BG_E_INVALID_STATE, J, job, SetDescription, (OLESTR("d")));
    WANT(BG_E_INVALID_STATE, J, job, SetPriority, (BG_JOB_PRIORITY_LOW));
    WANT(BG_E_INVALID_STATE, J, job, SetMinimumRetryDelay, (60));
    WANT(BG_E_INVALID_STATE, J, job, SetNoProgressTimeout, (60));
    WANT(BG_E_INVALID_STATE, J, job, SetProxySettings, (BG_JOB_PROXY_USAGE_NO_PROXY, none, none));
    WANT(BG_E_INVALID_STATE, J, job, AddFile, (url("small").c_str(), path("late").c_str()));
    Held<J2> job2 = as<J2>(job.get());
    WANT(BG_E_INVALID_STATE, J2, job2, SetNotifyCmdLine, (none, none));
    // Getters still work through the pointer that is held.
    LPWSTR text = nullptr;
    BG_JOB_PROGRESS progress;
    MUST(J, job, GetDisplayName, (&text));
    CoTaskMemFree(text);
    MUST(J, job, GetProgress, (&progress));
    IBackgroundCopyJob *out = nullptr;
    WANT(BG_E_NOT_FOUND, M, the_manager(), GetJob, (job.id, &out));
}

CASE(cancel) {
    Job job;
    MUST(J, job, AddFile, (url("small").c_str(), path("cancelled").c_str()));
    FILE *there = std::fopen((folder + "cancelled").c_str(), "wb");
    std::fputs("mine", there);
    std::fclose(there);
    MUST(J, job, Cancel, ());
    is_final(job, BG_JOB_STATE_CANCELLED);
    CHECK(content_of(folder + "cancelled") == "mine"); // row 47
    Held<IBackgroundCopyFile> file = job.file();
    LPWSTR name = nullptr;
    MUST(IBackgroundCopyFile, file, GetLocalName, (&name));
    CHECK(path("cancelled") == name);
    CoTaskMemFree(name);
}

CASE(download) { // rows 10, 12, 20-23, 60
    Job job;
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, AddFile, (url("small").c_str(), path("small").c_str()));
    MUST(J, job, Resume, ());
    CHECK(job.state() != BG_JOB_STATE_SUSPENDED);
    if (!job.until(BG_JOB_STATE_TRANSFERRED)) {
        return;
    }
    CHECK(!exists(folder + "small"));
    IBackgroundCopyError *error = static_cast<IBackgroundCopyError *>(MARK);
    WANT(BG_E_ERROR_INFORMATION_UNAVAILABLE, J, job, GetError, (&error));
    CHECK(error == nullptr);
    MUST(J, job, Resume, ()); // row 12
    CHECK(job.state() == BG_JOB_STATE_TRANSFERRED);
    MUST(J, job, Suspend, ());
    BG_JOB_TIMES times;
    MUST(J, job, GetTimes, (&times));
    CHECK(times.TransferCompletionTime.dwHighDateTime != 0);
    BG_JOB_PROGRESS progress;
    MUST(J, job, GetProgress, (&progress));
    CHECK(progress.BytesTotal == progress.BytesTransferred && progress.FilesTransferred == 1);
    Held<IBackgroundCopyFile> file = job.file();
    BG_FILE_PROGRESS one;
    MUST(IBackgroundCopyFile, file, GetProgress, (&one));
    CHECK(!one.Completed && one.BytesTransferred == one.BytesTotal);
    MUST(J, job, Complete, ());
    CHECK(content_of(folder + "small").size() == progress.BytesTotal);
    is_final(job, BG_JOB_STATE_ACKNOWLEDGED);
    MUST(IBackgroundCopyFile, file, GetProgress, (&one));
    CHECK(one.Completed && one.BytesTransferred == one.BytesTotal);
}

CASE(partial_complete) {
    Job empty;
    MUST(J, empty, Complete, ());
    CHECK(empty.state() == BG_JOB_STATE_ACKNOWLEDGED);
    Job job;
    MUST(J, job, AddFile, (url("small").c_str(), path("unfinished").c_str()));
    WANT(BG_S_PARTIAL_COMPLETE, J, job, Complete, ());
    CHECK(job.state() == BG_JOB_STATE_ACKNOWLEDGED && !exists(folder + "unfinished"));
}

CASE(errors) { // rows 30, 31
    Job job;
    MUST(J, job, AddFile, (url("missing").c_str(), path("missing").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_ERROR)) {
        return;
    }
    BG_ERROR_CONTEXT context = BG_ERROR_CONTEXT_NONE;
    CHECK(job.error(&context) == BG_E_HTTP_ERROR_404 && context == BG_ERROR_CONTEXT_REMOTE_FILE);
    Held<IBackgroundCopyError> error;
    MUST(J, job, GetError, (error.out()));
    Held<IBackgroundCopyFile> file;
    MUST(IBackgroundCopyError, error, GetFile, (file.out()));
    LPWSTR text = nullptr;
    MUST(IBackgroundCopyFile, file, GetRemoteName, (&text));
    CHECK(url("missing") == text);
    CoTaskMemFree(text);
    MUST(IBackgroundCopyError, error, GetErrorDescription, (0x0409, &text));
    CHECK(text != nullptr && text[0] != 0);
    CoTaskMemFree(text);
    MUST(IBackgroundCopyError, error, GetErrorContextDescription, (0x0409, &text));
    CHECK(text != nullptr && text[0] != 0);
    CoTaskMemFree(text);
    text = static_cast<LPWSTR>(MARK);
    WANT(E_INVALIDARG, IBackgroundCopyError, error, GetErrorDescription, (0, &text));
    CHECK(text == nullptr);
    WANT(E_INVALIDARG, IBackgroundCopyError, error, GetErrorContextDescription, (0, &text));
    MUST(IBackgroundCopyError, error, GetProtocol, (&text));
    CHECK(WideText(text) == OLESTR("http"));
    CoTaskMemFree(text);
    HRESULT code;
    NULL_REFUSED(IBackgroundCopyError, error, GetError, (nullptr, &code));
    NULL_REFUSED(IBackgroundCopyError, error, GetError, (&context, nullptr));
    NULL_REFUSED(IBackgroundCopyError, error, GetFile, (nullptr));
    NULL_REFUSED(IBackgroundCopyError, error, GetProtocol, (nullptr));
    ULONG count = 0;
    MUST(J, job, GetErrorCount, (&count));
    CHECK(count == 1);
    MUST(J, job, Suspend, ());
    CHECK(job.state() == BG_JOB_STATE_ERROR);
    // The record is a copy: the job goes on, it stays.
    MUST(J, job, Cancel, ());
    MUST(IBackgroundCopyError, error, GetError, (&context, &code));
    CHECK(code == BG_E_HTTP_ERROR_404);
}

CASE(descriptions) {
    M *manager = the_manager();
    LPWSTR text = nullptr;
    for (HRESULT code : {BG_E_HTTP_ERROR_404, BG_E_NOT_FOUND, E_ACCESSDENIED, S_OK, static_cast<HRESULT>(0x8ABCDEF1)}) {
        MUST(M, manager, GetErrorDescription, (code, 0x0409, &text));
        CHECK(text != nullptr && text[0] != 0);
        CoTaskMemFree(text);
    }
    text = static_cast<LPWSTR>(MARK);
    WANT(E_INVALIDARG, M, manager, GetErrorDescription, (E_FAIL, 0, &text));
    CHECK(text == nullptr);
    text = static_cast<LPWSTR>(MARK);
    WANT(HRESULT_FROM_WIN32(ERROR_RESOURCE_LANG_NOT_FOUND), M, manager, GetErrorDescription, (E_FAIL, 0x0411, &text));
    CHECK(text == nullptr);
}

CASE(transient) { // rows 11, 31-34
    Job job;
    MUST(J, job, AddFile, (url("broken").c_str(), path("broken").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_TRANSIENT_ERROR)) {
        return;
    }
    CHECK(job.error() == BG_E_HTTP_ERROR_500);
    MUST(J, job, Resume, ()); // row 11
    if (!job.until(BG_JOB_STATE_TRANSIENT_ERROR)) {
        return;
    }
    MUST(J, job, SetNoProgressTimeout, (0)); // row 33
    CHECK(soon(2000, [&] { return job.state() == BG_JOB_STATE_ERROR; }));
    MUST(J, job, SetNoProgressTimeout, (3600)); // more than the retry delay, or there would be no retries
    MUST(J, job, Resume, ());
    if (job.until(BG_JOB_STATE_TRANSIENT_ERROR)) {
        MUST(J, job, Suspend, ());
        CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    }
    Job forbidden;
    MUST(J, forbidden, AddFile, (url("forbidden").c_str(), path("forbidden").c_str()));
    MUST(J, forbidden, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, forbidden, Resume, ());
    if (forbidden.until(BG_JOB_STATE_ERROR)) {
        CHECK(forbidden.error() == BG_E_HTTP_ERROR_403);
    }
}

CASE(no_retries) { // row 32
    Job job;
    MUST(J, job, AddFile, (url("broken").c_str(), path("broken").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, SetNoProgressTimeout, (0));
    MUST(J, job, Resume, ());
    if (job.until(BG_JOB_STATE_ERROR)) {
        CHECK(job.error() == BG_E_HTTP_ERROR_500);
    }
}

CASE(complete_that_fails) { // row 48
    Job job;
    MUST(J, job, AddFile, (url("small").c_str(), path("in-the-way").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_TRANSFERRED)) {
        return;
    }
    CHECK(mkdir((folder + "in-the-way").c_str(), 0700) == 0 && mkdir((folder + "in-the-way/x").c_str(), 0700) == 0);
    CHECK(FAILED(noted("IBackgroundCopyJob::Complete", "in the way", job->Complete(), __LINE__)));
    CHECK(job.state() == BG_JOB_STATE_TRANSFERRED);
    CHECK(rmdir((folder + "in-the-way/x").c_str()) == 0 && rmdir((folder + "in-the-way").c_str()) == 0);
    MUST(J, job, Complete, ());
    CHECK(content_of(folder + "in-the-way").size() > 0);
}

CASE(local_names) { // row 24
    FILE *made = std::fopen((folder + "here").c_str(), "wb");
    std::fputs("from here", made);
    std::fclose(made);
    Job job;
    MUST(J, job, AddFile, (wide(("file://" + folder + "here").c_str()).c_str(), path("there").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (job.until(BG_JOB_STATE_TRANSFERRED)) {
        MUST(J, job, Complete, ());
        CHECK(content_of(folder + "there") == "from here");
    }
}

CASE(redirects) { // row 56
    for (ULONG policy : {BG_HTTP_REDIRECT_POLICY_ALLOW_SILENT, BG_HTTP_REDIRECT_POLICY_ALLOW_REPORT}) {
        Job job;
        Held<IBackgroundCopyJobHttpOptions> options = as<IBackgroundCopyJobHttpOptions>(job.get());
        MUST(IBackgroundCopyJobHttpOptions, options, SetSecurityFlags, (policy));
        MUST(J, job, AddFile, (url("moved").c_str(), path("moved").c_str()));
        MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
        MUST(J, job, Resume, ());
        if (job.until(BG_JOB_STATE_TRANSFERRED)) {
            Held<IBackgroundCopyFile> file = job.file();
            LPWSTR name = nullptr;
            MUST(IBackgroundCopyFile, file, GetRemoteName, (&name));
            CHECK((WideText(name) == url("moved")) == (policy == BG_HTTP_REDIRECT_POLICY_ALLOW_SILENT));
            CoTaskMemFree(name);
        }
    }
}

CASE(while_it_runs) { // row 34, suspension, files added on the way
    Job job;
    MUST(J, job, AddFile, (url("slow").c_str(), path("slow").c_str()));
    MUST(J, job, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, job, Resume, ());
    if (!job.until(BG_JOB_STATE_TRANSFERRING)) {
        return;
    }
    MUST(J, job, SetNoProgressTimeout, (0));
    MUST(J, job, Resume, ());
    MUST(J, job, AddFile, (url("small").c_str(), path("behind").c_str()));
    CHECK(soon(10000, [&] {
        BG_JOB_PROGRESS progress;
        return job->GetProgress(&progress) == S_OK && progress.BytesTransferred > 0;
    }));
    MUST(J, job, Suspend, ());
    CHECK(job.state() == BG_JOB_STATE_SUSPENDED);
    WANT(BG_S_PARTIAL_COMPLETE, J, job, Complete, ());
    CHECK(!exists(folder + "slow") && !exists(folder + "behind"));
}

CASE(replies) {
    Job job;
    Held<J2> job2 = as<J2>(job.get());
    BG_JOB_REPLY_PROGRESS progress;
    BYTE *bytes = static_cast<BYTE *>(MARK);
    UINT64 length = 9;
    LPWSTR name = static_cast<LPWSTR>(MARK);
    WANT(E_NOTIMPL, J2, job2, GetReplyProgress, (&progress));
    WANT(E_NOTIMPL, J2, job2, GetReplyData, (&bytes, &length));
    CHECK(bytes == nullptr);
    WANT(E_NOTIMPL, J2, job2, SetReplyFileName, (path("reply").c_str()));
    WANT(E_NOTIMPL, J2, job2, GetReplyFileName, (&name));
    CHECK(name == nullptr);
    NULL_REFUSED(J2, job2, GetReplyProgress, (nullptr));
    NULL_REFUSED(J2, job2, GetReplyFileName, (nullptr));
    Job reply(BG_JOB_TYPE_UPLOAD_REPLY);
    Held<J2> reply2 = as<J2>(reply.get());
    name = static_cast<LPWSTR>(MARK);
    MUST(J2, reply2, GetReplyFileName, (&name));
    CHECK(name == nullptr);
    MUST(J2, reply2, GetReplyProgress, (&progress));
    CHECK(progress.BytesTotal == BG_SIZE_UNKNOWN && progress.BytesTransferred == 0);
    WANT(BG_E_INVALID_STATE, J2, reply2, GetReplyData, (&bytes, &length));
    WANT(E_INVALIDARG, J2, reply2, SetReplyFileName, (OLESTR("relative")));
    WANT(E_INVALIDARG, J2, reply2, SetReplyFileName, ((path("") + repeated('r', 5000)).c_str()));
    MUST(J2, reply2, SetReplyFileName, (path("reply").c_str()));
    MUST(J2, reply2, GetReplyFileName, (&name));
    CHECK(path("reply") == name);
    CoTaskMemFree(name);
    if (uploads.empty()) {
        return;
    }
    FILE *made = std::fopen((folder + "source2").c_str(), "wb");
    std::fputs("12345", made);
    std::fclose(made);
    MUST(J, reply, AddFile, (wide((uploads + "rules").c_str()).c_str(), path("source2").c_str()));
    MUST(J, reply, SetPriority, (BG_JOB_PRIORITY_FOREGROUND));
    MUST(J, reply, Resume, ());
    if (!reply.until(BG_JOB_STATE_TRANSFERRED)) {
        return;
    }
    NULL_REFUSED(J2, reply2, GetReplyData, (nullptr, &length));
    NULL_REFUSED(J2, reply2, GetReplyData, (&bytes, nullptr));
    MUST(J2, reply2, GetReplyData, (&bytes, &length));
    CHECK(length == 13 && std::memcmp(bytes, "well received", 13) == 0);
    CoTaskMemFree(bytes);
    MUST(J2, reply2, GetReplyProgress, (&progress));
    CHECK(progress.BytesTotal == 13 && progress.BytesTransferred == 13);
    WANT(BG_E_INVALID_STATE, J2, reply2, SetReplyFileName, (path("other").c_str()));
    MUST(J, reply, Complete, ());
    CHECK(content_of(folder + "reply") == "well received");
    MUST(J2, reply2, GetReplyData, (&bytes, &length)); // before or after Complete
    CoTaskMemFree(bytes);
}
