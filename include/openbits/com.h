/* openbits: the part of COM that the headers and programs written to them need. Needs libopenbits.so for
 * OpenbitsCreateInstance and OpenbitsVersion only; all else is inline.
 *
 * Rules of this ABI (docs/cpp.md):
 *  - Interfaces have no virtual destructor. Never delete through an interface; call Release.
 *  - A class that implements a callback must not let an exception out of a method: it would end the process.
 *  - Callbacks come on a thread of the library. There are no apartments and no message loop.
 *  - Objects of the library have no RTTI: no dynamic_cast and no typeid on them; with UBSan use -fno-sanitize=vptr.
 *  - Memory that a method hands out is freed with CoTaskMemFree, which is free().
 */
#ifndef OPENBITS_COM_H
#define OPENBITS_COM_H

#include <stdlib.h>
#include <string.h>

#include "types.h"

#include "hresult.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes an object of a class. `wchar_bytes` is sizeof(WCHAR) of the caller: 2 or 4. `outer` must be NULL
 * (CLASS_E_NOAGGREGATION). Unknown classes: REGDB_E_CLASSNOTREG. On failure *object is NULL. */
HRESULT OpenbitsCreateInstance(const GUID *clsid, void *outer, uint32_t clsctx, const GUID *iid, void **object,
                               uint32_t wchar_bytes);
/* Version of the library, for example "0.1.0"; never freed. */
const char *OpenbitsVersion(void);

#ifdef __cplusplus
}
#endif

/* ---- identifiers ---- */

OPENBITS_GUID(GUID_NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
#define IID_NULL GUID_NULL
#define CLSID_NULL GUID_NULL
OPENBITS_GUID(IID_IUnknown, 0x00000000, 0x0000, 0x0000, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x46);

#ifdef __cplusplus
OPENBITS_INLINE BOOL IsEqualGUID(REFGUID a, REFGUID b) { return memcmp(&a, &b, sizeof(GUID)) == 0; }
inline bool operator==(const GUID &a, const GUID &b) { return memcmp(&a, &b, sizeof(GUID)) == 0; }
inline bool operator!=(const GUID &a, const GUID &b) { return memcmp(&a, &b, sizeof(GUID)) != 0; }
#else
OPENBITS_INLINE BOOL IsEqualGUID(REFGUID a, REFGUID b) { return memcmp(a, b, sizeof(GUID)) == 0; }
#endif
#define IsEqualIID(a, b) IsEqualGUID(a, b)
#define IsEqualCLSID(a, b) IsEqualGUID(a, b)
#define InlineIsEqualGUID(a, b) IsEqualGUID(a, b)

#ifdef __cplusplus
/* __uuidof(T): for interfaces and for classes such as BackgroundCopyManager. Hides the keyword of clang -fms-extensions. */
template <class T> struct OpenbitsUuid;
template <class T> struct OpenbitsUuid<const T> : OpenbitsUuid<T> {};
template <class T> struct OpenbitsUuid<T *> : OpenbitsUuid<T> {};
#define OPENBITS_UUID(type, guid)                                                                                      \
    template <> struct OpenbitsUuid<type> {                                                                            \
        static const GUID &get() { return guid; }                                                                      \
    }
#undef __uuidof
#define __uuidof(type) (OpenbitsUuid<type>::get())
#endif

/* ---- IUnknown ---- */

typedef struct IUnknown IUnknown;
typedef IUnknown *LPUNKNOWN;

#ifndef OPENBITS_C_INTERFACES
struct IUnknown {
    virtual HRESULT STDMETHODCALLTYPE QueryInterface(REFIID riid, void **ppvObject) = 0;
    virtual ULONG STDMETHODCALLTYPE AddRef() = 0;
    virtual ULONG STDMETHODCALLTYPE Release() = 0;

    template <class Q> HRESULT QueryInterface(Q **pp) {
        return QueryInterface(OpenbitsUuid<Q>::get(), reinterpret_cast<void **>(pp));
    }

protected:
    ~IUnknown() = default;
};
#else
typedef struct IUnknownVtbl {
    HRESULT(STDMETHODCALLTYPE *QueryInterface)(IUnknown *This, REFIID riid, void **ppvObject);
    ULONG(STDMETHODCALLTYPE *AddRef)(IUnknown *This);
    ULONG(STDMETHODCALLTYPE *Release)(IUnknown *This);
} IUnknownVtbl;
struct IUnknown {
    const IUnknownVtbl *lpVtbl;
};
#define IUnknown_QueryInterface(This, riid, ppvObject) ((This)->lpVtbl->QueryInterface(This, riid, ppvObject))
#define IUnknown_AddRef(This) ((This)->lpVtbl->AddRef(This))
#define IUnknown_Release(This) ((This)->lpVtbl->Release(This))
#endif
#ifdef __cplusplus
OPENBITS_UUID(IUnknown, IID_IUnknown);

template <class T> inline const IID &OpenbitsIidOf(T **) { return OpenbitsUuid<T>::get(); }
template <class T> inline void **OpenbitsPpv(T **pp) {
    (void)static_cast<IUnknown *>(*pp); /* refuses what is no interface */
    return reinterpret_cast<void **>(pp);
}
#define IID_PPV_ARGS(pp) OpenbitsIidOf(pp), OpenbitsPpv(pp)
#endif

/* ---- declaring interfaces and implementations ---- */

#define STDMETHODIMP HRESULT STDMETHODCALLTYPE
#define STDMETHODIMP_(type) type STDMETHODCALLTYPE
#define PURE = 0
#ifdef __cplusplus
#define STDMETHOD(method) virtual HRESULT STDMETHODCALLTYPE method
#define STDMETHOD_(type, method) virtual type STDMETHODCALLTYPE method
#endif

/* ---- start, stop, create ---- */

#define COINIT_APARTMENTTHREADED 0x2
#define COINIT_MULTITHREADED 0x0
#define COINIT_DISABLE_OLE1DDE 0x4
#define COINIT_SPEED_OVER_MEMORY 0x8
#define CLSCTX_INPROC_SERVER 0x1
#define CLSCTX_INPROC_HANDLER 0x2
#define CLSCTX_LOCAL_SERVER 0x4
#define CLSCTX_REMOTE_SERVER 0x10
#define CLSCTX_SERVER (CLSCTX_INPROC_SERVER | CLSCTX_LOCAL_SERVER | CLSCTX_REMOTE_SERVER)
#define CLSCTX_ALL (CLSCTX_SERVER | CLSCTX_INPROC_HANDLER)
#define RPC_C_AUTHN_LEVEL_DEFAULT 0
#define RPC_C_AUTHN_LEVEL_NONE 1
#define RPC_C_AUTHN_LEVEL_CONNECT 2
#define RPC_C_AUTHN_LEVEL_CALL 3
#define RPC_C_AUTHN_LEVEL_PKT 4
#define RPC_C_AUTHN_LEVEL_PKT_INTEGRITY 5
#define RPC_C_AUTHN_LEVEL_PKT_PRIVACY 6
#define RPC_C_IMP_LEVEL_DEFAULT 0
#define RPC_C_IMP_LEVEL_ANONYMOUS 1
#define RPC_C_IMP_LEVEL_IDENTIFY 2
#define RPC_C_IMP_LEVEL_IMPERSONATE 3
#define RPC_C_IMP_LEVEL_DELEGATE 4
#define RPC_C_AUTHN_NONE 0
#define RPC_C_AUTHN_WINNT 10
#define RPC_C_AUTHN_DEFAULT 0xFFFFFFFFu
#define RPC_C_AUTHN_GSS_NEGOTIATE 9
#define RPC_C_AUTHZ_NONE 0
#define RPC_C_AUTHZ_DEFAULT 0xFFFFFFFFu
#define EOAC_NONE 0
#define EOAC_STATIC_CLOAKING 0x20
#define EOAC_DYNAMIC_CLOAKING 0x40
#define EOAC_DEFAULT 0x800
#define COLE_DEFAULT_PRINCIPAL ((LPWSTR)(intptr_t)-1)
#define COLE_DEFAULT_AUTHINFO ((void *)(intptr_t)-1)

/* Threads need no preparation here: every object may be used from every thread. Always S_OK. */
OPENBITS_INLINE HRESULT CoInitialize(void *reserved) {
    (void)reserved;
    return S_OK;
}
OPENBITS_INLINE HRESULT CoInitializeEx(void *reserved, DWORD flags) {
    (void)reserved;
    (void)flags;
    return S_OK;
}
OPENBITS_INLINE void CoUninitialize(void) {}

/* The service knows its caller from the kernel (credentials of the socket), always may act for him where he asks it to, and
 * the socket never leaves the machine. So every level that can be asked for here is met already: nothing to do, S_OK. */
OPENBITS_INLINE HRESULT CoInitializeSecurity(void *descriptor, LONG services, void *service_list, void *reserved1,
                                             DWORD authn_level, DWORD imp_level, void *auth_list, DWORD capabilities,
                                             void *reserved3) {
    (void)descriptor;
    (void)services;
    (void)service_list;
    (void)reserved1;
    (void)authn_level;
    (void)imp_level;
    (void)auth_list;
    (void)capabilities;
    (void)reserved3;
    return S_OK;
}

/* The same for one proxy: there are no proxies, the call stays in this process until the socket. */
OPENBITS_INLINE HRESULT CoSetProxyBlanket(IUnknown *proxy, DWORD authn, DWORD authz, void *principal, DWORD authn_level,
                                          DWORD imp_level, void *auth_info, DWORD capabilities) {
    (void)authn;
    (void)authz;
    (void)principal;
    (void)authn_level;
    (void)imp_level;
    (void)auth_info;
    (void)capabilities;
    return proxy == OPENBITS_NULL ? E_INVALIDARG : S_OK;
}

OPENBITS_INLINE HRESULT CoCreateInstance(REFCLSID clsid, IUnknown *outer, DWORD clsctx, REFIID iid, void **object) {
#ifdef __cplusplus
    return OpenbitsCreateInstance(&clsid, outer, clsctx, &iid, object, (uint32_t)sizeof(WCHAR));
#else
    return OpenbitsCreateInstance(clsid, outer, clsctx, iid, object, (uint32_t)sizeof(WCHAR));
#endif
}
#ifdef __cplusplus
template <class T> inline HRESULT OpenbitsCreate(REFCLSID clsid, T **object) {
    return OpenbitsCreateInstance(&clsid, nullptr, CLSCTX_LOCAL_SERVER, &OpenbitsUuid<T>::get(),
                                  reinterpret_cast<void **>(object), (uint32_t)sizeof(WCHAR));
}
#endif

/* ---- memory ---- */

OPENBITS_INLINE void *CoTaskMemAlloc(SIZE_T bytes) { return malloc(bytes == 0 ? 1 : bytes); }
OPENBITS_INLINE void *CoTaskMemRealloc(void *memory, SIZE_T bytes) {
    if (bytes == 0 && memory != OPENBITS_NULL) {
        free(memory);
        return OPENBITS_NULL;
    }
    return realloc(memory, bytes == 0 ? 1 : bytes);
}
OPENBITS_INLINE void CoTaskMemFree(void *memory) { free(memory); }

/* ---- identifiers as text ---- */

/* "{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}" and a zero: 39 characters, or 0 if `count` is less. */
#ifdef __cplusplus
OPENBITS_INLINE int StringFromGUID2(REFGUID id, LPWSTR text, int count) {
    const GUID *guid = &id;
#else
OPENBITS_INLINE int StringFromGUID2(REFGUID guid, LPWSTR text, int count) {
#endif
    static const char digits[] = "0123456789ABCDEF";
    /* Bytes of the text order, and -1 where a dash stands. */
    const int bytes[] = {(int)(guid->Data1 >> 24) & 0xFF, (int)(guid->Data1 >> 16) & 0xFF,
                         (int)(guid->Data1 >> 8) & 0xFF, (int)guid->Data1 & 0xFF, -1, guid->Data2 >> 8,
                         guid->Data2 & 0xFF, -1, guid->Data3 >> 8, guid->Data3 & 0xFF, -1, guid->Data4[0],
                         guid->Data4[1], -1, guid->Data4[2], guid->Data4[3], guid->Data4[4], guid->Data4[5],
                         guid->Data4[6], guid->Data4[7]};
    int at = 0;
    size_t i;
    if (text == OPENBITS_NULL || count < 39) {
        return 0;
    }
    text[at++] = (WCHAR)'{';
    for (i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        if (bytes[i] < 0) {
            text[at++] = (WCHAR)'-';
        } else {
            text[at++] = (WCHAR)digits[bytes[i] >> 4];
            text[at++] = (WCHAR)digits[bytes[i] & 15];
        }
    }
    text[at++] = (WCHAR)'}';
    text[at++] = 0;
    return at;
}

/* The text form with braces. CO_E_CLASSSTRING for anything else; GUID_NULL for no text. */
OPENBITS_INLINE HRESULT CLSIDFromString(LPCOLESTR text, LPCLSID id) {
    uint8_t raw[16];
    int have = 0, at;
    if (id == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    memset(id, 0, sizeof *id);
    if (text == OPENBITS_NULL) {
        return S_OK;
    }
    memset(raw, 0, sizeof raw);
    for (at = 0; at < 38; at++) {
        const uint32_t c = (uint32_t)text[at];
        if (at == 0 || at == 37 || at == 9 || at == 14 || at == 19 || at == 24) {
            if (c != (uint32_t)(at == 0 ? '{' : at == 37 ? '}' : '-')) {
                return CO_E_CLASSSTRING;
            }
        } else {
            uint8_t value;
            if (c >= '0' && c <= '9') {
                value = (uint8_t)(c - '0');
            } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
                value = (uint8_t)((c | 32) - 'a' + 10);
            } else {
                return CO_E_CLASSSTRING;
            }
            raw[have / 2] = (uint8_t)(raw[have / 2] << 4 | value);
            have++;
        }
    }
    if (text[38] != 0) {
        return CO_E_CLASSSTRING;
    }
    id->Data1 = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
    id->Data2 = (uint16_t)(raw[4] << 8 | raw[5]);
    id->Data3 = (uint16_t)(raw[6] << 8 | raw[7]);
    memcpy(id->Data4, raw + 8, 8);
    return S_OK;
}
OPENBITS_INLINE HRESULT IIDFromString(LPCOLESTR text, LPIID id) { return CLSIDFromString(text, id); }

/* As StringFromGUID2, into memory for CoTaskMemFree. */
OPENBITS_INLINE HRESULT StringFromCLSID(REFCLSID id, LPOLESTR *text) {
    if (text == OPENBITS_NULL) {
        return E_INVALIDARG;
    }
    *text = (LPOLESTR)CoTaskMemAlloc(39 * sizeof(OLECHAR));
    if (*text == OPENBITS_NULL) {
        return E_OUTOFMEMORY;
    }
    StringFromGUID2(id, *text, 39);
    return S_OK;
}
#define StringFromIID(id, text) StringFromCLSID(id, text)

#endif
