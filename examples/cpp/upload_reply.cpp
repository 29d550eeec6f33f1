// Uploads a file to a server application and prints its reply.
//
// upload_reply FILE URL [REPLYFILE]
#include "text.h"

#include <openbits/bits.h>

#include <cstdio>
#include <unistd.h>

static HRESULT print_reply(IBackgroundCopyJob2 *job) {
    BYTE *bytes = nullptr;
    UINT64 length = 0;
    HRESULT hr = job->GetReplyData(&bytes, &length);
    if (hr == BG_E_TOO_LARGE) {
        std::printf("(%llu bytes, in the file)\n", length);
        return S_OK;
    }
    if (SUCCEEDED(hr)) {
        std::fwrite(bytes, 1, static_cast<size_t>(length), stdout);
        CoTaskMemFree(bytes);
    }
    return hr;
}

// Asks once in a while, where download.cpp lets itself be called.
static HRESULT until_transferred(IBackgroundCopyJob *job) {
    for (;;) {
        BG_JOB_STATE state;
        HRESULT hr = job->GetState(&state);
        if (FAILED(hr) || state == BG_JOB_STATE_TRANSFERRED) {
            return hr;
        }
        if (state == BG_JOB_STATE_ERROR) {
            IBackgroundCopyError *error = nullptr;
            BG_ERROR_CONTEXT context;
            HRESULT code = E_FAIL;
            if (SUCCEEDED(job->GetError(&error))) {
                error->GetError(&context, &code);
                error->Release();
            }
            return code;
        }
        usleep(100 * 1000);
    }
}

static HRESULT upload(IBackgroundCopyManager *manager, int argc, char **argv) {
    GUID id;
    IBackgroundCopyJob *job = nullptr;
    HRESULT hr = manager->CreateJob(OLESTR("upload"), BG_JOB_TYPE_UPLOAD_REPLY, &id, &job);
    if (FAILED(hr)) {
        return hr;
    }
    IBackgroundCopyJob2 *job2 = nullptr;
    hr = job->QueryInterface(IID_PPV_ARGS(&job2));
    if (SUCCEEDED(hr)) {
        // Remote name first, also for uploads.
        hr = job2->AddFile(wide(argv[2]).c_str(), full_path(argv[1]).c_str());
        if (SUCCEEDED(hr) && argc > 3) {
            hr = job2->SetReplyFileName(full_path(argv[3]).c_str());
        }
        if (SUCCEEDED(hr)) {
            hr = job2->Resume();
        }
        if (SUCCEEDED(hr)) {
            hr = until_transferred(job2);
        }
        if (SUCCEEDED(hr)) {
            hr = print_reply(job2);
        }
        if (SUCCEEDED(hr)) {
            hr = job2->Complete();
        }
        job2->Release();
    }
    if (FAILED(hr)) {
        job->Cancel();
    }
    job->Release();
    return hr;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: upload_reply FILE URL [REPLYFILE]\n");
        return 2;
    }
    IBackgroundCopyManager *manager = nullptr;
    HRESULT hr = CoCreateInstance(CLSID_BackgroundCopyManager1_5, nullptr, CLSCTX_LOCAL_SERVER, IID_PPV_ARGS(&manager));
    if (SUCCEEDED(hr)) {
        hr = upload(manager, argc, argv);
        manager->Release();
    }
    if (FAILED(hr)) {
        std::fprintf(stderr, "0x%08X\n", static_cast<unsigned>(hr));
    }
    return SUCCEEDED(hr) ? 0 : 1;
}
