// What needs more than one server, or more than one service: certificates, headers for a challenge, a restart (spec/delivery-optimization-com.md
// 4.4). The last source: its last case kills the service.
#include "delivery.h"

#include <csignal>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// ---- SecurityContext ----

// As CertSerializeCertificateStoreElement writes it: the friendly name, then the certificate.
static std::string serialized(const std::string &certificate) {
    const auto element = [](uint32_t id, const std::string &content) {
        const uint32_t head[3] = {id, 1, static_cast<uint32_t>(content.size())};
        return std::string(reinterpret_cast<const char *>(head), sizeof head) + content;
    };
    return element(11, std::string("a\0\0\0", 4)) + element(32, certificate);
}

CASE(delivery_certificate) { // the runner has put the user's certificate with its key into the user's store
    const std::string remote = content_of(folder + "asks.url");
    if (remote.empty()) {
        std::printf("SKIPPED: delivery_certificate: nobody here asks for certificates\n");
        return;
    }
    const std::string known = content_of(folder + "known.der"), unknown = content_of(folder + "unknown.der");
    int fetched = 0;
    for (const std::string &context : {serialized(known), known}) { // the bare one is taken, too
        const std::string local = "certificate " + std::to_string(++fetched);
        Download download;
        download.set(FIELD(Uri), Value::text(remote.c_str()));
        download.set(FIELD(LocalPath), Value::text(path(local.c_str())));
        download.set(FIELD(ForegroundPriority), Value::boolean(true));
        MUST(D, download, Start, (nullptr));
        CHECK(!download.until(DODownloadState_Transferred));
        const DO_DOWNLOAD_STATUS status = download.status();
        CHECK(status.State == DODownloadState_Paused && status.Error == HRESULT_FROM_WIN32(12044)); // one is needed
        WANT(CRYPT_E_NOT_FOUND, D, download, SetProperty, (FIELD(SecurityContext), Value::bytes(serialized(unknown)).get()));
        MUST(D, download, SetProperty, (FIELD(SecurityContext), Value::bytes(context).get()));
        Value value;
        WANT(DO_E_WRITE_ONLY_PROPERTY, D, download, GetProperty, (FIELD(SecurityContext), value.out()));
        MUST(D, download, Start, (nullptr));
        CHECK(download.until(DODownloadState_Transferred));
        MUST(D, download, Finalize, ());
        CHECK(content_of(folder + local) == "for clients only");
    }
}

// ---- HttpCustomAuthHeaders ----

CASE(delivery_auth_headers) { // the runner looks at what the origin was sent, and when
    const char *const names[] = {"challenge", "open"};
    for (const char *name : names) {
        Download download(name, name);
        download.set(FIELD(HttpCustomAuthHeaders), Value::text("Authorization: Bearer 7\nName=value\nX-Key: 8"));
        CHECK(download.value(FIELD(HttpCustomAuthHeaders)) == Value::text("Authorization: Bearer 7\r\nX-Key: 8\r\n"));
        MUST(D, download, Start, (nullptr));
        CHECK(download.until(DODownloadState_Transferred));
        MUST(D, download, Finalize, ());
        CHECK(content_of(folder + name).size() == 10000);
    }
    // Without them the answer stands.
    Download download("challenge", "no answer");
    MUST(D, download, Start, (nullptr));
    CHECK(!download.until(DODownloadState_Transferred));
    CHECK(download.state() == DODownloadState_Paused && download.status().Error == static_cast<HRESULT>(0x80190191));
}

// ---- NonVolatile ----

// Kills the service of this user, as a failure of power does. The next call starts it again.
static bool kill_the_service() {
    const char *runtime = std::getenv("XDG_RUNTIME_DIR");
    sockaddr_un where;
    std::memset(&where, 0, sizeof where);
    where.sun_family = AF_UNIX;
    std::snprintf(where.sun_path, sizeof where.sun_path, "%s/openbits/bitsd.sock", runtime == nullptr ? "" : runtime);
    const auto connected = [&where](int one) { return connect(one, reinterpret_cast<sockaddr *>(&where), sizeof where) == 0; };
    ucred peer = {0, 0, 0};
    socklen_t size = sizeof peer;
    const int one = socket(AF_UNIX, SOCK_STREAM, 0);
    const bool killed = connected(one) && getsockopt(one, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 1 &&
                        kill(peer.pid, SIGKILL) == 0;
    close(one);
    return killed && soon(5000, [&] {
               const int another = socket(AF_UNIX, SOCK_STREAM, 0);
               const bool lives = connected(another);
               close(another);
               return !lives;
           });
}

static bool listed(const Download &download) {
    const WideText id = wide(download.value(FIELD(Id)).utf8().c_str());
    const DO_DOWNLOAD_ENUM_CATEGORY category = {FIELD(Id), id.c_str()};
    Held<IEnumUnknown> list;
    return the_do_manager()->EnumDownloads(&category, list.out()) == S_OK;
}

CASE(delivery_non_volatile) {
    Download waiting("small", "kept waiting"), there("small", "kept there"), moving("slow", "kept moving"), paused("slow", "kept paused");
    Download forgotten("small", "lost waiting"), lost("slow", "lost moving");
    for (const Download *kept : {&waiting, &there, &moving, &paused}) {
        kept->set(FIELD(NonVolatile), Value::boolean(true));
    }
    for (const Download *started : {&there, &moving, &paused, &lost}) {
        MUST(D, (*started), Start, (nullptr));
        CHECK(soon(10000, [&] { return started->status().BytesTransferred > 0; }));
    }
    CHECK(there.until(DODownloadState_Transferred));
    MUST(D, paused, Pause, ());
    const UINT64 at = paused.status().BytesTransferred;
    CHECK(kill_the_service());
    // The pointers are as good as before; of what was not to be kept they say how it ended.
    for (const Download *gone : {&forgotten, &lost}) {
        DO_DOWNLOAD_STATUS status;
        CHECK(soon(10000, [&] { return (*gone)->GetStatus(&status) == S_OK; }));
        CHECK(status.State == DODownloadState_Aborted && !listed(*gone));
        WANT(DO_E_INVALID_STATE, D, (*gone), Start, (nullptr));
    }
    for (const Download *kept : {&waiting, &there, &moving, &paused}) {
        CHECK(listed(*kept) && kept->value(FIELD(NonVolatile)) == Value::boolean(true));
        CHECK(kept->value(FIELD(ForegroundPriority)) == Value::boolean(true));
    }
    CHECK(waiting.state() == DODownloadState_Created && waiting.value(FIELD(Uri)) == Value::text(url("small")));
    CHECK(waiting.value(FIELD(LocalPath)) == Value::text(path("kept waiting")));
    CHECK(there.state() == DODownloadState_Transferred && paused.state() == DODownloadState_Paused);
    // A pause writes down what has come.
    CHECK(at > 0 && paused.status().BytesTransferred == at);
    // What moved moves again, without anybody.
    CHECK(moving.state() == DODownloadState_Transferring);
    const UINT64 before = moving.status().BytesTransferred;
    CHECK(soon(10000, [&] { return moving.status().BytesTransferred > before; }));
    MUST(D, moving, Abort, ());
    MUST(D, paused, Abort, ());
    MUST(D, waiting, Start, (nullptr));
    CHECK(waiting.until(DODownloadState_Transferred));
    MUST(D, waiting, Finalize, ());
    MUST(D, there, Finalize, ());
    CHECK(content_of(folder + "kept waiting") == reference("small") && content_of(folder + "kept there") == reference("small"));
}
