// Objects of the programs of the tests: counted references, and a stream.
#ifndef OPENBITS_TESTS_OBJECTS_H
#define OPENBITS_TESTS_OBJECTS_H

#include <openbits/stream.h>

#include <atomic>

// Counts its references.
template <class I> class Counted : public I {
    std::atomic<ULONG> references{1};

public:
    virtual ~Counted() = default;
    ULONG AddRef() override { return ++references; }
    ULONG Release() override {
        const ULONG left = --references;
        if (left == 0) {
            delete this;
        }
        return left;
    }
    ULONG count() const { return references; }
};

// A stream of which only Write works, by a class below this one. `Base` is a Counted<IStream>.
template <class Base> class WriteOnly : public Base {
protected:
    // A call of anything but Write.
    virtual HRESULT other() { return E_NOTIMPL; }

public:
    HRESULT QueryInterface(REFIID riid, void **object) override {
        const bool has = riid == IID_IUnknown || riid == IID_ISequentialStream || riid == IID_IStream;
        *object = has ? this : nullptr;
        return has ? (this->AddRef(), S_OK) : E_NOINTERFACE;
    }
    HRESULT Read(void *, ULONG, ULONG *) override { return other(); }
    HRESULT Seek(LARGE_INTEGER, DWORD, ULARGE_INTEGER *) override { return other(); }
    HRESULT SetSize(ULARGE_INTEGER) override { return other(); }
    HRESULT CopyTo(IStream *, ULARGE_INTEGER, ULARGE_INTEGER *, ULARGE_INTEGER *) override { return other(); }
    HRESULT Commit(DWORD) override { return other(); }
    HRESULT Revert() override { return other(); }
    HRESULT LockRegion(ULARGE_INTEGER, ULARGE_INTEGER, DWORD) override { return other(); }
    HRESULT UnlockRegion(ULARGE_INTEGER, ULARGE_INTEGER, DWORD) override { return other(); }
    HRESULT Stat(STATSTG *, DWORD) override { return other(); }
    HRESULT Clone(IStream **) override { return other(); }
};

#endif
