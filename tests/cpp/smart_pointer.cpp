// CComPtr, IID_PPV_ARGS, __uuidof and a callback class as programs write it. `cargo xtask headers` runs it in every flavour.
#include <windows.h>
#include <atlbase.h>
#include <bits.h>

#include <cstdio>

static int failures = 0;
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::printf("line %d: %s\n", __LINE__, #condition);                                                        \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

static int alive = 0;

class Callback final : public IBackgroundCopyCallback2 {
    LONG references = 1;

public:
    Callback() { alive++; }
    ~Callback() { alive--; }
    HRESULT STDMETHODCALLTYPE QueryInterface(REFIID riid, LPVOID *ppvObj) override {
        if (riid == __uuidof(IUnknown) || riid == __uuidof(IBackgroundCopyCallback) ||
            riid == __uuidof(IBackgroundCopyCallback2)) {
            *ppvObj = this;
            AddRef();
            return NOERROR;
        }
        *ppvObj = NULL;
        return E_NOINTERFACE;
    }
    STDMETHODIMP_(ULONG) AddRef() override { return InterlockedIncrement(&references); }
    STDMETHODIMP_(ULONG) Release() override {
        ULONG left = InterlockedDecrement(&references);
        if (left == 0) {
            delete this;
        }
        return left;
    }
    STDMETHODIMP JobTransferred(IBackgroundCopyJob *) override { return S_OK; }
    STDMETHODIMP JobError(IBackgroundCopyJob *, IBackgroundCopyError *) override { return S_OK; }
    STDMETHODIMP JobModification(IBackgroundCopyJob *, DWORD) override { return S_FALSE; }
    STDMETHODIMP FileTransferred(IBackgroundCopyJob *, IBackgroundCopyFile *) override { return S_OK; }
};

// The library as far as this program goes: any class is a callback.
HRESULT OpenbitsCreateInstance(const GUID *, void *, uint32_t, const GUID *iid, void **object, uint32_t) {
    Callback *made = new Callback;
    HRESULT hr = made->QueryInterface(*iid, object);
    made->Release();
    return hr;
}

int main() {
    {
        CComPtr<IBackgroundCopyCallback> first;
        CHECK(!first);
        CHECK(first.CoCreateInstance(__uuidof(BackgroundCopyManager)) == S_OK && alive == 1);
        CComPtr<IBackgroundCopyCallback2> second;
        CHECK(first->QueryInterface(IID_PPV_ARGS(&second)) == S_OK);
        CComPtr<IBackgroundCopyCallback2> third;
        CHECK(first.QueryInterface(&third) == S_OK);
        third = second;
        CComQIPtr<IBackgroundCopyJob> none(first);
        CHECK(!none);
        CHECK(third->JobModification(NULL, 0) == S_FALSE);
        CComPtr<IBackgroundCopyCallback2> moved(static_cast<CComPtr<IBackgroundCopyCallback2> &&>(third));
        CHECK(!third && moved.p == second.p);
        IBackgroundCopyCallback2 *raw = moved.Detach();
        CHECK(raw->FileTransferred(NULL, NULL) == S_OK);
        moved.Attach(raw);
        first = NULL;
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
    IBackgroundCopyCallback *plain = NULL;
    CHECK(CoCreateInstance(__uuidof(BackgroundCopyManager), NULL, CLSCTX_LOCAL_SERVER,
                           __uuidof(IBackgroundCopyCallback), (void **)&plain) == S_OK);
    IUnknown *unknown = NULL;
    CHECK(plain->QueryInterface(&unknown) == S_OK && unknown == plain);
    unknown->Release();
    IBackgroundCopyManager *manager = NULL;
    CHECK(plain->QueryInterface(IID_PPV_ARGS(&manager)) == E_NOINTERFACE && manager == NULL);
    plain->Release();
    CHECK(alive == 0);
    return failures == 0 ? 0 : 1;
}
