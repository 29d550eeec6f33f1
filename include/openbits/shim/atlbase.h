/* openbits shim: CComPtr and CComQIPtr, the part of ATL that transfer programs use. */
#pragma once
#ifndef __cplusplus
#error "atlbase.h is C++"
#endif
#include "objbase.h"

template <class T> class CComPtr {
public:
    T *p;

    CComPtr() noexcept : p(nullptr) {}
    CComPtr(T *other) noexcept : p(other) { // NOLINT: implicit as in the original
        if (p != nullptr) {
            p->AddRef();
        }
    }
    CComPtr(const CComPtr &other) noexcept : CComPtr(other.p) {}
    CComPtr(CComPtr &&other) noexcept : p(other.Detach()) {}
    ~CComPtr() { Release(); }

    CComPtr &operator=(T *other) noexcept {
        CComPtr(other).Swap(*this);
        return *this;
    }
    CComPtr &operator=(const CComPtr &other) noexcept {
        CComPtr(other).Swap(*this);
        return *this;
    }
    CComPtr &operator=(CComPtr &&other) noexcept {
        CComPtr(static_cast<CComPtr &&>(other)).Swap(*this);
        return *this;
    }

    operator T *() const noexcept { return p; }
    T &operator*() const noexcept { return *p; }
    T *operator->() const noexcept { return p; }
    bool operator!() const noexcept { return p == nullptr; }
    /* For out parameters: the pointer must be empty, or what it holds would leak. */
    T **operator&() noexcept { return &p; }

    void Swap(CComPtr &other) noexcept {
        T *mine = p;
        p = other.p;
        other.p = mine;
    }
    void Release() noexcept {
        T *old = p;
        p = nullptr;
        if (old != nullptr) {
            old->Release();
        }
    }
    void Attach(T *other) noexcept {
        Release();
        p = other;
    }
    T *Detach() noexcept {
        T *old = p;
        p = nullptr;
        return old;
    }
    HRESULT CopyTo(T **other) const noexcept {
        if (other == nullptr) {
            return E_POINTER;
        }
        *other = p;
        if (p != nullptr) {
            p->AddRef();
        }
        return S_OK;
    }
    HRESULT CoCreateInstance(REFCLSID clsid, IUnknown *outer = nullptr, DWORD context = CLSCTX_ALL) noexcept {
        return ::CoCreateInstance(clsid, outer, context, __uuidof(T), reinterpret_cast<void **>(&p));
    }
    template <class Q> HRESULT QueryInterface(Q **other) const noexcept {
        return p->QueryInterface(__uuidof(Q), reinterpret_cast<void **>(other));
    }
};

template <class T> class CComQIPtr : public CComPtr<T> {
public:
    CComQIPtr() noexcept = default;
    CComQIPtr(T *other) noexcept : CComPtr<T>(other) {} // NOLINT: implicit as in the original
    template <class Q> CComQIPtr(Q *other) noexcept {   // NOLINT: implicit as in the original
        if (other != nullptr) {
            other->QueryInterface(__uuidof(T), reinterpret_cast<void **>(&this->p));
        }
    }
    template <class Q> CComQIPtr(const CComPtr<Q> &other) noexcept : CComQIPtr(other.p) {} // NOLINT
};
